//! Arbitrary edits of arbitrary small documents: what the edit does not name stays, and a second run changes nothing.

use cavalcade_common::action::{TomlAppend, TomlEdit};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::fixture::changes;
use super::{EditError, toml};

const HEADERS: [&str; 8] = ["[a]", "[a.b]", "[a.b.c]", "[[l]]", "[[l]]", "[l.s]", "[[d.e]]", "[f]"];
const LINES: [&str; 9] = [
    "x = 1",
    "y = \"two\" # why",
    "  z = [1, 2]",
    "'q.r' = { x = 1, y = 'k' }",
    "t.x = 1",
    "t.u.y = 2.5",
    "w = \"\"\"\n[no]\n# text\n\"\"\"",
    "n = 1979-05-27",
    "o = [\n  { x = 1 }, # one\n]",
];
const PATHS: [&str; 16] = [
    "x",
    "a",
    "a.x",
    "a.y",
    "a.b",
    "a.b.c.z",
    "a.b.n.m",
    "a.t.x",
    "a.t.v",
    "a.'q.r'.x",
    "d.x",
    "l[x=1].s.x",
    "f.o[x=1].x",
    "new.k",
    "f",
    "a.t",
];

/// A document; each piece of noise carries its number, so that no two lines are the same.
fn document() -> impl Strategy<Value = String> {
    let noise = || prop::collection::vec(select(vec!["", "# note", "#[old]", "#k = 1"]), 0..3);
    let section = (subsequence(LINES.to_vec(), 0..5), noise(), noise()).boxed();
    let headers = (subsequence((0..HEADERS.len()).collect::<Vec<_>>(), 0..HEADERS.len())).prop_shuffle();
    let sections = (headers, prop::collection::vec(section, HEADERS.len() + 1));
    (sections, any::<bool>(), any::<bool>()).prop_map(|((headers, sections), crlf, ended)| {
        let mut lines = Vec::new();
        for (i, (keys, above, below)) in sections.into_iter().enumerate() {
            let Some(header) = i.checked_sub(1).map(|i| headers.get(i)) else {
                lines.extend(keys.into_iter().map(str::to_owned));
                continue;
            };
            let Some(header) = header else { break };
            lines.extend(above.into_iter().map(str::to_owned));
            lines.push(HEADERS[*header].to_owned());
            lines.extend(keys.into_iter().map(str::to_owned));
            lines.extend(below.into_iter().map(str::to_owned));
        }
        let text: Vec<String> =
            lines.iter().enumerate().map(|(i, l)| if l.starts_with('#') { format!("{l} {i}") } else { l.clone() }).collect();
        let mut text = text.join("\n");
        if ended && !text.is_empty() {
            text.push('\n');
        }
        if crlf { text.replace('\n', "\r\n") } else { text }
    })
}

fn value() -> impl Strategy<Value = Value> {
    select(vec![json!(1), json!(2), json!("two"), json!("a\"b\\\n"), json!(true), json!([1, 2]), json!({"x": 1, "v": {"w": 2}})])
}

fn table() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((select(vec!["x", "y", "t", "q.r", "new", "k"]), value()), 0..4)
        .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(select(PATHS.to_vec()).prop_map(str::to_owned), 0..3)
}

fn edit() -> impl Strategy<Value = TomlEdit> {
    let path = || select(PATHS.to_vec()).prop_map(str::to_owned);
    let merge = prop::collection::vec((path(), table().prop_map(Value::Object)), 0..3);
    let set = prop::collection::vec((path(), value()), 0..3);
    let append = (select(vec!["l", "d.e", "a.n", "f.o"]), any::<bool>(), table()).prop_map(|(table, named, mut values)| {
        values.insert("x".to_owned(), json!(1));
        let identity = if named { vec!["x".to_owned()] } else { Vec::new() };
        TomlAppend { table: table.to_owned(), identity, values }
    });
    (paths(), paths(), merge, set, prop::collection::vec(append, 0..2)).prop_map(|(comment_out, remove, merge, set, append)| {
        TomlEdit {
            file: "/f".to_owned(),
            comment_out,
            remove,
            merge: merge.into_iter().collect(),
            set: set.into_iter().collect(),
            append,
            ..TomlEdit::default()
        }
    })
}

/// Runs an edit; `None` where it is refused for a reason that lies in document and edit.
fn run(source: &str, edit: &TomlEdit) -> Option<String> {
    match toml(source.as_bytes(), edit) {
        Ok(out) => {
            let again = toml(&out, edit).expect("second run");
            let out = String::from_utf8(out).expect("UTF-8");
            assert_eq!(String::from_utf8(again).expect("UTF-8"), out, "the second run changed something");
            Some(out)
        }
        Err(EditError::Syntax { .. } | EditError::Kind { .. } | EditError::NotFound { .. } | EditError::Count { .. }) => None,
        Err(EditError::Operation { what, .. }) if what.starts_with("its operations contradict") => None,
        Err(EditError::Unsupported { what, .. }) => {
            assert!(what.starts_with("an array of tables below") || what.starts_with("a part of an inline"), "{what}");
            None
        }
        Err(other) => panic!("{other}\n{source}\n{edit:?}"),
    }
}

/// Comments of a text in their order.
fn comments(text: &str) -> Vec<&str> {
    text.lines().filter(|l| l.starts_with('#') && l.ends_with(|c: char| c.is_ascii_digit())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_edit_is_idempotent_and_means_what_it_says(source in document(), edit in edit()) {
        run(&source, &edit);
    }

    #[test]
    fn additions_touch_only_the_lines_of_their_keys(source in document(), edit in edit()) {
        let edit = TomlEdit { comment_out: Vec::new(), remove: Vec::new(), ..edit };
        let Some(out) = run(&source, &edit) else { return Ok(()) };
        prop_assert!(comments(&out).into_iter().eq(comments(&source)));
        let mut names: Vec<String> = edit.set.keys().chain(edit.merge.keys()).cloned().collect();
        let tables = edit.merge.values().filter_map(Value::as_object).chain(edit.append.iter().map(|a| &a.values));
        for table in tables {
            names.extend(table.keys().cloned());
        }
        let last = source.lines().last().unwrap_or_default();
        for line in changes(source.as_bytes(), out.as_bytes()).0 {
            let key = line.trim().split([' ', '=']).next().unwrap_or_default().trim_matches('\'');
            let named = names.iter().any(|n| key.split('.').any(|k| n.contains(k)));
            // Lines of values that go over several lines, and the last line, which may lack its end.
            let inside = line.trim_start().starts_with(['{', ']', '[', '"', '#']);
            // A diff may pair equal lines of different tables, and then shows one between them as moved: it is still there.
            let count = |text: &str| text.lines().filter(|l| l.trim_end() == line.trim_end()).count();
            let kept = count(&out) >= count(&source);
            prop_assert!(named || inside || kept || line == last, "{line}\n{source}\n{out}");
        }
        prop_assert_eq!(out.contains("\r\n"), source.contains("\r\n"));
        prop_assert!(!out.replace("\r\n", "").contains('\n') || !source.contains("\r\n"));
    }

    #[test]
    fn what_is_commented_out_is_still_there(source in document(), paths in paths()) {
        let edit = TomlEdit { comment_out: paths, ..TomlEdit::default() };
        let Some(out) = run(&source, &edit) else { return Ok(()) };
        let bare: Vec<&str> = out.lines().map(|l| l.strip_prefix('#').unwrap_or(l)).collect();
        let before: Vec<&str> = source.lines().map(|l| l.strip_prefix('#').unwrap_or(l)).collect();
        prop_assert_eq!(bare, before);
    }

    #[test]
    fn a_removal_only_takes_lines_away(source in document(), paths in paths()) {
        let edit = TomlEdit { remove: paths.into_iter().filter(|p| !p.contains('\'') && !p.contains("o[")).collect(), ..TomlEdit::default() };
        let Some(out) = run(&source, &edit) else { return Ok(()) };
        prop_assert_eq!(changes(source.as_bytes(), out.as_bytes()).1, Vec::<String>::new());
    }

    #[test]
    fn any_bytes_are_edited_or_refused(source in prop::collection::vec(select(b"[]{}ab=.\"'#\n\r \\1,\xff\0\xef\xbb\xbf".to_vec()), 0..60), edit in edit()) {
        if let Ok(out) = toml(&source, &edit) {
            prop_assert!(toml(&out, &edit).is_ok());
        }
    }
}
