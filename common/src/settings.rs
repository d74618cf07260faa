//! A TOML file as a list of settings: dotted key, value. Both sides compare old settings with those of a pack this way.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use toml_edit::{DocumentMut, Item, Key, TableLike};

/// Why a file gives no settings. The parser's own message would show the line, and with it what may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: it is not valid TOML here")]
pub struct SettingsError {
    /// The line.
    pub line: usize,
}

/// Every setting by its dotted key, in TOML's own key syntax (`event_listener.properties."header.X"`). An array of tables
/// is one setting whose value is a list.
///
/// # Errors
/// Text that is not TOML, with its line.
pub fn settings(text: &str) -> Result<BTreeMap<String, Value>, SettingsError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| SettingsError {
        line: e.span().map_or(0, |span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count()),
    })?;
    let mut all = BTreeMap::new();
    flatten("", document.as_table(), &mut all);
    Ok(all)
}

fn flatten(prefix: &str, table: &dyn TableLike, all: &mut BTreeMap<String, Value>) {
    for (name, item) in table.iter() {
        let key = Key::new(name);
        let key = if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
        match item {
            Item::None => {}
            Item::Table(table) => flatten(&key, table, all),
            Item::Value(toml_edit::Value::InlineTable(table)) => flatten(&key, table, all),
            Item::Value(value) => {
                all.insert(key, plain(value));
            }
            Item::ArrayOfTables(tables) => {
                all.insert(key, tables.iter().map(|table| object(table)).collect());
            }
        }
    }
}

/// A table as a JSON object.
fn object(table: &dyn TableLike) -> Value {
    let mut map = Map::new();
    for (name, item) in table.iter() {
        let value = match item {
            Item::None => continue,
            Item::Table(table) => object(table),
            Item::Value(value) => plain(value),
            Item::ArrayOfTables(tables) => tables.iter().map(|table| object(table)).collect(),
        };
        map.insert(name.to_owned(), value);
    }
    Value::Object(map)
}

fn plain(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(s) => Value::from(s.value().as_str()),
        toml_edit::Value::Integer(i) => Value::from(*i.value()),
        toml_edit::Value::Float(f) => Value::from(*f.value()),
        toml_edit::Value::Boolean(b) => Value::from(*b.value()),
        // TOML's own form: JSON has no instants.
        toml_edit::Value::Datetime(at) => Value::from(at.value().to_string()),
        toml_edit::Value::Array(array) => array.iter().map(plain).collect(),
        toml_edit::Value::InlineTable(table) => object(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_setting_has_its_key() {
        let text = "\u{feff}a = 1\n[b.c]\n'header.X' = \"y\" # kept out\nlist = [1, \"z\"]\n[d]\ne.f = true\ng = { h = 2 }\n\
            [[k]]\nid = \"1\"\n[k.p]\nq = 1\n[[k]]\nid = \"2\"\n";
        let expected = [
            ("a", json!(1)),
            ("b.c.\"header.X\"", json!("y")),
            ("b.c.list", json!([1, "z"])),
            ("d.e.f", json!(true)),
            ("d.g.h", json!(2)),
            ("k", json!([{ "id": "1", "p": { "q": 1 } }, { "id": "2" }])),
        ];
        let found = settings(text).expect("is TOML");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected.map(|(k, v)| (k.to_owned(), v)));
        assert_eq!(settings("a = 1\nb = canary canary\n"), Err(SettingsError { line: 2 }));
    }
}
