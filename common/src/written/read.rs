//! Bytes to tree, with budgets: no input makes it panic, overflow the stack or run long.

use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::localizer::ExternalMessageSource;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Location, Spanned};

use super::tree::{Content, Document, Entry, Mark, Node};
use crate::codes::written as codes;
use crate::error::{Code, Fault, Faults, Place};

/// Largest file that is read, in bytes. A fleet of 500 nodes needs a tenth of it.
pub const MAX_BYTES: usize = 4 << 20;

const MAX_DEPTH: usize = 48;
const MAX_NODES: usize = 200_000;
const MAX_ALIASES: usize = 1_000;

/// Reads one YAML document. `file` is the name that errors show.
///
/// # Errors
/// One fault with its place: too large or deep, no UTF-8 text, broken YAML, a key twice, a merge key.
pub fn read(bytes: &[u8], file: &str) -> Result<Document, Faults> {
    let text = plain_text(bytes, file)?;
    let root: Raw = serde_saphyr::from_str_with_options(text, options()).map_err(|e| Faults::from(fault_of(&e, file)))?;
    Ok(Document { file: Arc::from(file), root: root.0 })
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: MAX_NODES * 4,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            // Two, so that a second document is told from a large file.
            max_documents: 2,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: MAX_ALIASES,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// The bytes as text without a byte order mark; refuses what no editor writes on purpose.
fn plain_text<'b>(bytes: &'b [u8], file: &str) -> Result<&'b str, Faults> {
    let whole = Place { file: file.to_owned(), line: 0, column: 0, length: 0 };
    if bytes.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, at most {MAX_BYTES} are read", bytes.len());
        return Err(Fault::new(codes::YAML_LIMIT, message).at(whole).into());
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let message = format!("byte {} of the file is no UTF-8", e.valid_up_to() + 1);
        Faults::from(Fault::new(codes::YAML_BYTES, message).at(place_of(&bytes[..e.valid_up_to()], file)))
    })?;
    let bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}');
    if let Some((at, c)) = text.char_indices().find(|(_, c)| bad(*c)) {
        let message = format!("the file holds the control character U+{:04X}", u32::from(c));
        return Err(Fault::new(codes::YAML_BYTES, message).at(place_of(&bytes[..at], file)).into());
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Place of the byte that follows `before`.
fn place_of(before: &[u8], file: &str) -> Place {
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    Place { file: file.to_owned(), line: small(line), column: small(column), length: 1 }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn fault_of(error: &Error, file: &str) -> Fault {
    let mut error = error.without_snippet();
    while let Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let (code, message) = explain(error);
    let place = match error.location() {
        Some(l) if l != Location::UNKNOWN => mark_of(l).in_file(file),
        _ => Place { file: file.to_owned(), line: 0, column: 0, length: 0 },
    };
    Fault::new(code, message).at(place)
}

fn explain(error: &Error) -> (Code, String) {
    match error {
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            (codes::DUPLICATE_KEY, format!("the key `{}` stands twice in this mapping", short(key)))
        }
        Error::MergeKeyNotAllowed { .. } => (codes::MERGE_KEY, "merge keys (`<<`) are not allowed".to_owned()),
        Error::Budget { .. } => (codes::YAML_LIMIT, format!("the file is larger or deeper than allowed: {}", plain(error))),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            (codes::YAML_LIMIT, "the file's aliases repeat more than is allowed".to_owned())
        }
        Error::ExternalMessage { source, .. } if too_deep(source) => {
            (codes::YAML_LIMIT, "the file is nested deeper than allowed".to_owned())
        }
        Error::MultipleDocuments { .. } => (codes::YAML_SYNTAX, "the file holds a second document; one is allowed".to_owned()),
        Error::Eof { .. } => (codes::YAML_SYNTAX, "the file ends too early".to_owned()),
        other => (codes::YAML_SYNTAX, plain(other)),
    }
}

fn too_deep(source: &ExternalMessageSource) -> bool {
    use serde_saphyr::granit_parser::ErrorKind;
    match source {
        ExternalMessageSource::Parser(error) => matches!(error.kind(), ErrorKind::RecursionLimitExceeded),
        _ => false,
    }
}

/// The reader's own sentence, first line only, without the place that we show ourselves.
fn plain(error: &Error) -> String {
    let text = error.render();
    let line = text.lines().next().unwrap_or_default();
    let cut = line.rfind(" at line ").map_or(line, |at| &line[..at]);
    short(cut.trim_start_matches("error: "))
}

fn short(text: &str) -> String {
    text.chars().take(160).collect()
}

fn mark_of(location: Location) -> Mark {
    let length = u32::try_from(location.span().len()).unwrap_or(0);
    Mark { line: u32::try_from(location.line()).unwrap_or(0), column: u32::try_from(location.column()).unwrap_or(0), length }
}

/// A node on its way through serde.
struct Raw(Node);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<RawContent>::deserialize(deserializer)?;
        let mut mark = mark_of(spanned.referenced);
        if !matches!(spanned.value.0, Content::Scalar(_)) {
            mark.length = 1;
        }
        Ok(Raw(Node { content: spanned.value.0, mark, filled: false }))
    }
}

struct RawContent(Content);

impl<'de> Deserialize<'de> for RawContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor).map(RawContent)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a scalar, a list or a mapping")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(v)))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::from(v)))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::from(v)))
    }
    fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Content, E> {
        Err(E::custom("a number is too large; write it in quotes"))
    }
    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Content, E> {
        Err(E::custom("a number is too large; write it in quotes"))
    }
    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Content, E> {
        let number = Number::from_f64(v).ok_or_else(|| E::custom("a number is not finite; write it in quotes"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }
    fn visit_str<E>(self, v: &str) -> Result<Content, E> {
        Ok(Content::Scalar(Value::String(v.to_owned())))
    }
    fn visit_string<E>(self, v: String) -> Result<Content, E> {
        Ok(Content::Scalar(Value::String(v)))
    }
    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }
    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(Raw(node)) = seq.next_element()? {
            items.push(node);
        }
        Ok(Content::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let Raw(value) = map.next_value()?;
            if entries.iter().any(|e| e.key == key.value) {
                return Err(A::Error::custom(format!("the key `{}` stands twice in this mapping", short(&key.value))));
            }
            entries.push(Entry { key: key.value, mark: mark_of(key.referenced), value });
        }
        Ok(Content::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> Fault {
        read(bytes, "f.yaml").expect_err("must be refused").0.remove(0)
    }

    fn at(fault: &Fault) -> (u16, u32, u32) {
        let place = fault.place.as_ref().expect("has a place");
        (fault.code.0, place.line, place.column)
    }

    #[test]
    fn keys_and_values_have_places() {
        let doc = read(b"a: 1\nb:\n  - \"two words\"\n  - { c: yes, d: 1.5, e: ~ }\n", "f.yaml").expect("is valid");
        let entries = doc.root.entries().expect("is a mapping");
        assert_eq!(entries[1].key, "b");
        assert_eq!(entries[1].mark, Mark { line: 2, column: 1, length: 1 });
        let Content::List(items) = &entries[1].value.content else { panic!("is a list") };
        assert_eq!(items[0].mark, Mark { line: 3, column: 5, length: 11 });
        assert_eq!(items[1].to_value(), serde_json::json!({ "c": "yes", "d": 1.5, "e": null }));
        assert_eq!(items[1].get("d").expect("is there").mark, Mark { line: 4, column: 18, length: 3 });
    }

    #[test]
    fn bom_and_crlf_are_read_and_columns_count_characters() {
        let doc = read("\u{feff}a: x\r\n\"\u{e4}\u{f6}\": y\r\n".as_bytes(), "f.yaml").expect("is valid");
        let entries = doc.root.entries().expect("is a mapping");
        assert_eq!(entries[0].mark.column, 1);
        assert_eq!(entries[1].value.mark, Mark { line: 2, column: 7, length: 1 });
        assert_eq!(entries[1].value.text(), Some("y"));
    }

    #[test]
    fn attacks_become_faults_with_places() {
        assert_eq!(at(&fault(b"a: 1\nb: 2\na: 3\n")), (1104, 3, 1));
        assert_eq!(at(&fault(b"a: &x { b: 1 }\nc:\n  <<: *x\n")), (1105, 3, 3));
        assert_eq!(at(&fault(b"a: 1\nb: x\0y\n")), (1103, 2, 5));
        assert_eq!(at(&fault(b"a: 1\nb: \xff\n")), (1103, 2, 4));
        assert_eq!(at(&fault(b"a: [1, 2\nb: 3\n")).0, 1101);
        assert_eq!(fault(b"a: 1\n---\nb: 2\n").code.0, 1101);
        assert_eq!(fault(b"? [a, b]\n: 1\n").code.0, 1101);
    }

    #[test]
    fn depth_size_and_aliases_are_bounded() {
        for open in ["[", "{a: ", "- "] {
            let deep = open.repeat(10_000);
            let code = fault(deep.as_bytes()).code.0;
            assert!(code == 1102 || code == 1101, "{open}: {code}");
        }
        let mut closed = "[".repeat(10_000);
        closed.push_str(&"]".repeat(10_000));
        assert_eq!(fault(closed.as_bytes()).code.0, 1102, "{:?}", fault(closed.as_bytes()));
        assert_eq!(fault(&vec![b'a'; 100 << 20]).code.0, 1102);
        assert_eq!(fault(&vec![b'\n'; MAX_BYTES + 1]).code.0, 1102);
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..9 {
            let refs = vec![format!("*a{}", i - 1); 10].join(",");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert_eq!(fault(bomb.as_bytes()).code.0, 1102);
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(0u8..128, 0..200)) {
            let _ = read(&bytes, "f.yaml");
        }
    }
}
