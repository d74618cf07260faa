//! Templates: `{{ expression }}` inside the scalars of a parsed tree, never in the text before it is parsed.
//!
//! A scalar that is exactly one `{{ x }}` keeps the type of x; inside a longer text only texts, numbers and booleans fit.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use crate::codes::written as codes;
use crate::expression::{self, ExpressionError, Scope};
use crate::written::{Content, Entry, Mark, Node, Reader};

/// Names that templates read, with their values.
pub type Reads = BTreeMap<String, Value>;

enum Part<'t> {
    Literal(&'t str),
    /// The expression and its byte range in the scalar's text.
    Filled(&'t str, Range<usize>),
}

/// Whether a text holds a template.
#[must_use]
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Fills every template of a tree. Faults are noted; where one was, the node comes back [`Content::Open`].
pub fn fill(node: &Node, scope: &Scope, reads: &mut Reads, r: &mut Reader) -> Node {
    map_texts(node, r, &mut |text, mark, r| fill_text(text, mark, scope, reads, r))
}

/// Checks every template of a tree without filling it: names of the roots in `later` are known only with a node. Every
/// template comes back [`Content::Open`].
pub fn check(node: &Node, scope: &Scope, later: &[&str], r: &mut Reader) -> Node {
    map_texts(node, r, &mut |text, mark, r| {
        for part in split(text, mark, r)? {
            if let Part::Filled(source, range) = part
                && let Err(error) = expression::check_inside(source, scope, later)
            {
                note(text, mark, &error, range, r);
            }
        }
        None
    })
}

/// Fills one text, for a value that is no node of a file.
pub fn fill_text(text: &str, mark: Mark, scope: &Scope, reads: &mut Reads, r: &mut Reader) -> Option<Value> {
    let parts = split(text, mark, r)?;
    let mut evaluate = |source: &str, range: Range<usize>, r: &mut Reader| match expression::evaluate_inside(source, scope) {
        Ok(done) => {
            reads.extend(done.reads);
            Some(done.value)
        }
        Err(error) => {
            note(text, mark, &error, range, r);
            None
        }
    };
    if let [Part::Filled(source, range)] = &parts[..] {
        let value = evaluate(source, range.clone(), r)?;
        if value.is_null() {
            note_null(source, mark, r);
            return None;
        }
        return Some(value);
    }
    let mut out = String::with_capacity(text.len());
    let mut sound = true;
    for part in parts {
        let (source, range) = match part {
            Part::Literal(literal) => {
                out.push_str(literal);
                continue;
            }
            Part::Filled(source, range) => (source, range),
        };
        match evaluate(source, range, r) {
            Some(Value::String(s)) => out.push_str(&s),
            Some(v @ (Value::Number(_) | Value::Bool(_))) => out.push_str(&v.to_string()),
            Some(Value::Null) => {
                note_null(source, mark, r);
                sound = false;
            }
            Some(Value::Array(_) | Value::Object(_)) => {
                let message = format!("`{}` is a list or a mapping and does not fit into a text", source.trim());
                r.fault(codes::TEMPLATE, mark, message);
                sound = false;
            }
            None => sound = false,
        }
    }
    sound.then_some(Value::String(out))
}

fn note_null(source: &str, mark: Mark, r: &mut Reader) {
    r.fault(codes::TEMPLATE, mark, format!("`{}` has no value here", source.trim()));
}

fn note(text: &str, mark: Mark, error: &ExpressionError, range: Range<usize>, r: &mut Reader) {
    let place = match error.range() {
        Some(inner) => expression::inside(mark, text, inner, range.start),
        None => expression::inside(mark, text, range, 0),
    };
    r.fault_with(error.code(), place, error.to_string(), error.help());
}

/// The dotted names that the templates of a text read.
#[must_use]
pub fn names_in(text: &str) -> Vec<String> {
    // Faults of its form are told by `check`.
    let parts = split(text, Mark::default(), &mut Reader::new("")).unwrap_or_default();
    let sources = parts.iter().filter_map(|part| match part {
        Part::Filled(source, _) => Some(*source),
        Part::Literal(_) => None,
    });
    sources.flat_map(expression::names_in).collect()
}

/// Splits a text at its templates. The end of one is the first `}}` outside of quotes.
fn split<'t>(text: &'t str, mark: Mark, r: &mut Reader) -> Option<Vec<Part<'t>>> {
    if text.contains("{%") {
        r.fault(codes::TEMPLATE, mark, "statements (`{% %}`) are not allowed; use `when` and `for`");
        return None;
    }
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find("{{").map(|n| at + n) {
        if open > at {
            parts.push(Part::Literal(&text[at..open]));
        }
        let Some(close) = closing(text, open + 2) else {
            r.fault(codes::TEMPLATE, expression::inside(mark, text, open..text.len(), 0), "a `{{` is not closed");
            return None;
        };
        parts.push(Part::Filled(&text[open + 2..close], open + 2..close));
        at = close + 2;
    }
    if at < text.len() || parts.is_empty() {
        parts.push(Part::Literal(&text[at..]));
    }
    Some(parts)
}

fn closing(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut at = from;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(q), b) if b == q => quote = None,
            (None, b @ (b'\'' | b'"')) => quote = Some(b),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

fn map_texts(node: &Node, r: &mut Reader, f: &mut impl FnMut(&str, Mark, &mut Reader) -> Option<Value>) -> Node {
    let (content, filled) = match &node.content {
        Content::Scalar(Value::String(text)) if is_template(text) => match f(text, node.mark, r) {
            Some(value) => (from_value(value, node.mark), true),
            None => (Content::Open, true),
        },
        Content::Scalar(_) | Content::Open => return node.clone(),
        Content::List(items) => (Content::List(items.iter().map(|n| map_texts(n, r, f)).collect()), node.filled),
        Content::Map(entries) => {
            let fill_entry = |e: &Entry, r: &mut Reader, f: &mut _| {
                if is_template(&e.key) {
                    r.fault(codes::TEMPLATE, e.mark, "a key holds no templates; only values do");
                }
                Entry { key: e.key.clone(), mark: e.mark, value: map_texts(&e.value, r, f) }
            };
            (Content::Map(entries.iter().map(|e| fill_entry(e, r, f)).collect()), node.filled)
        }
    };
    Node { content, mark: node.mark, filled }
}

fn from_value(value: Value, mark: Mark) -> Content {
    let node = |value| Node { content: from_value(value, mark), mark, filled: true };
    match value {
        Value::Array(items) => Content::List(items.into_iter().map(node).collect()),
        Value::Object(map) => Content::Map(map.into_iter().map(|(key, value)| Entry { key, mark, value: node(value) }).collect()),
        scalar => Content::Scalar(scalar),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::written::read;

    fn filled(text: &str) -> Result<Value, (u16, u32, u32)> {
        let values = json!({ "node": { "id": "is-1", "offset": 2, "ports": [1, 2], "none": null }, "home": "/opt" });
        let Value::Object(values) = values else { panic!("is a mapping") };
        let doc = read(text.as_bytes(), "f.yaml").expect("is valid");
        let mut r = Reader::new("f.yaml");
        let node = fill(&doc.root, &Scope::new(values), &mut Reads::new(), &mut r);
        match r.into_faults().0.first() {
            None => Ok(node.to_value()),
            Some(f) => {
                let p = f.place.clone().expect("has a place");
                Err((f.code.0, p.line, p.column))
            }
        }
    }

    #[test]
    fn types_are_kept_and_texts_are_filled() {
        let text = "a: '{{ node.offset }}'\nb: \"x-{{ node.offset + 1 }}-{{ node.id }}\"\nc: ['{{ node.ports }}']\nd: \"{{ '}}' }}{{ '{{' }}\"\n";
        assert_eq!(filled(text), Ok(json!({ "a": 2, "b": "x-3-is-1", "c": [[1, 2]], "d": "}}{{" })));
    }

    #[test]
    fn names_of_templates_are_found() {
        assert_eq!(names_in("{{ node.id }}-{{ values.a if options.b else 'options.c' }}"), ["node.id", "options.b", "values.a"]);
        assert!(names_in("options.c, {{ open").is_empty());
    }

    #[test]
    fn faults_stand_at_the_name() {
        assert_eq!(filled("a: \"{{ home }}/{{ node.idd }}\"\n"), Err((1107, 1, 19)));
        assert_eq!(filled("a: x\nb: '{{ node.none }}'\n"), Err((1114, 2, 4)));
        assert_eq!(filled("a: 'p-{{ node.ports }}'\n"), Err((1114, 1, 4)));
        assert_eq!(filled("a: 'x {{ home'\n"), Err((1114, 1, 7)));
        assert_eq!(filled("a: '{% if home %}x{% endif %}'\n"), Err((1114, 1, 4)));
        assert_eq!(filled("'{{ home }}': 1\n"), Err((1114, 1, 1)));
    }
}
