//! New TOML text: keys, values and tables in the plainest form.

use serde_json::{Map, Value as Json};

use super::error::EditError;
use super::path::{self, Step};

/// One key: bare if it can be, else in single quotes as the products' files have it, else in double quotes.
pub(crate) fn key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else if key.contains('\'') || key.chars().any(char::is_control) {
        string(key)
    } else {
        format!("'{key}'")
    }
}

/// The dotted key of a path; elements of arrays have no name in it.
pub(crate) fn dotted(steps: &[Step]) -> String {
    let keys = steps.iter().filter_map(|s| match s {
        Step::Key(k) => Some(key(k)),
        Step::Index(_) => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

/// A basic string.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value on one line.
pub(crate) fn value(json: &Json) -> Result<String, EditError> {
    Ok(match json {
        Json::Null => return Err(EditError::Operation { path: String::new(), what: "TOML has no null" }),
        Json::Bool(b) => b.to_string(),
        Json::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() => toml_edit::Value::from(f).to_string(),
            _ => n.to_string(),
        },
        Json::String(s) => string(s),
        Json::Array(items) => {
            let items = items.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Json::Object(map) if map.is_empty() => "{}".to_owned(),
        Json::Object(map) => {
            let pair = |(k, v): (&String, &Json)| Ok(format!("{} = {}", key(&path::literal(k)?), value(v)?));
            let pairs = map.iter().map(pair).collect::<Result<Vec<_>, EditError>>()?;
            format!("{{ {} }}", pairs.join(", "))
        }
    })
}

/// The lines of a table or of an element of an array of tables, sub-tables behind it with a blank line before each.
pub(crate) fn table(path: &[Step], values: &Map<String, Json>, element: bool) -> Result<Vec<String>, EditError> {
    let mut lines = Vec::new();
    let name = dotted(path);
    let single = |v: &Json| !matches!(v, Json::Object(_));
    if element {
        lines.push(format!("[[{name}]]"));
    } else if values.is_empty() || values.values().any(single) {
        lines.push(format!("[{name}]"));
    }
    for (k, v) in values.iter().filter(|(_, v)| single(v)) {
        lines.push(format!("{} = {}", key(&path::literal(k)?), value(v)?));
    }
    for (k, v) in values {
        if let Json::Object(inner) = v {
            let mut below = path.to_vec();
            below.push(Step::Key(path::literal(k)?));
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.extend(table(&below, inner, false)?);
        }
    }
    Ok(lines)
}

/// The lines of a table as dotted keys, relative to the section that they stand in.
pub(crate) fn dotted_lines(path: &[Step], values: &Map<String, Json>) -> Result<Vec<String>, EditError> {
    if values.is_empty() {
        return Ok(vec![format!("{} = {{}}", dotted(path))]);
    }
    let mut lines = Vec::new();
    for (k, v) in values {
        let mut below = path.to_vec();
        below.push(Step::Key(path::literal(k)?));
        match v {
            Json::Object(inner) => lines.extend(dotted_lines(&below, inner)?),
            v => lines.push(format!("{} = {}", dotted(&below), value(v)?)),
        }
    }
    Ok(lines)
}
