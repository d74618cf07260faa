//! Writing one YAML scalar in the style of the one that it replaces.

use granit_parser::ScalarStyle;
use serde_json::Value as Json;

/// Text of the new scalar; `None` for what is not a scalar. A string takes the old style where that can hold it, else
/// double quotes. What is no string is written plain.
pub(crate) fn render(value: &Json, style: ScalarStyle) -> Option<String> {
    match value {
        Json::Null => Some("null".to_owned()),
        Json::Bool(b) => Some(b.to_string()),
        Json::Number(n) => Some(n.to_string()),
        Json::String(s) => Some(match style {
            ScalarStyle::Plain if plain(s) => s.clone(),
            ScalarStyle::SingleQuoted if !s.chars().any(char::is_control) => format!("'{}'", s.replace('\'', "''")),
            ScalarStyle::Plain
            | ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => double(s),
        }),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// Whether a string can stand without quotes for every reader: the products read YAML 1.1, where `yes`, `on` and
/// `1_000` are no strings.
fn plain(text: &str) -> bool {
    const WORDS: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];
    let inner = |c: char| c.is_ascii_alphanumeric() || "/_.-@+%".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(inner)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn double(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Line ends of YAML, the byte order mark, and what a reader may refuse as not printable.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles() {
        let text = |s: &str, style| render(&Json::from(s), style).expect("scalar");
        assert_eq!(text("5.10.0", ScalarStyle::DoubleQuoted), "\"5.10.0\"");
        assert_eq!(text("it's", ScalarStyle::SingleQuoted), "'it''s'");
        assert_eq!(text("a\nb", ScalarStyle::SingleQuoted), "\"a\\nb\"");
        assert_eq!(text("abc", ScalarStyle::Plain), "abc");
        for word in ["true", "Yes", "on", "5.10.0", "", "a b", "a: b", "#x", "~", "0x1F"] {
            assert!(text(word, ScalarStyle::Plain).starts_with('"'), "{word}");
        }
        assert_eq!(render(&Json::Bool(true), ScalarStyle::DoubleQuoted).as_deref(), Some("true"));
        assert_eq!(render(&serde_json::json!([]), ScalarStyle::Plain), None);
    }
}
