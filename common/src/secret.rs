//! Secrets: references in plans, values only where they are used, never in anything that is written or shown.
//!
//! A plan holds markers such as `‹secret:am_db›` inside strings and the references beside them. The agent (or the
//! controller, for `prompt`) resolves a reference on the host that uses it and replaces the marker at the last moment.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const OPEN: &str = "\u{2039}secret:";
const CLOSE: char = '\u{203a}';

/// Where a secret's value is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretRef {
    /// A file on the host that uses it; one trailing newline is dropped.
    File(String),
    /// An environment variable of the agent.
    Env(String),
    /// A program and its arguments, run on the host that uses it; its standard output is the value.
    Exec(Vec<String>),
    /// Asked of a person; kept in the controller's memory only.
    Prompt(String),
    /// Made by the controller, once for each fleet and name; kept in a private file of its state folder.
    Generate {
        /// Random bytes; the value is their hex text.
        bytes: u32,
    },
}

impl SecretRef {
    /// Whether the controller brings the value; else it is found on the host that uses it.
    #[must_use]
    pub fn is_brought(&self) -> bool {
        match self {
            Self::File(_) | Self::Env(_) | Self::Exec(_) => false,
            Self::Prompt(_) | Self::Generate { .. } => true,
        }
    }
}

/// A secret's value. Debug and Display hide it; the memory is wiped when it is dropped.
#[derive(Clone)]
pub struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }
    /// The value itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The marker of a secret of this name.
#[must_use]
pub fn marker(name: &str) -> String {
    format!("{OPEN}{name}{CLOSE}")
}

/// Names of all secrets whose markers a text holds, in order.
#[must_use]
pub fn markers(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        rest = &rest[at + OPEN.len()..];
        let Some(end) = rest.find(CLOSE) else { break };
        names.push(&rest[..end]);
        rest = &rest[end..];
    }
    names
}

/// Values by name, with what redacts them from text.
#[derive(Debug, Clone, Default)]
pub struct SecretBook {
    values: BTreeMap<String, SecretValue>,
    /// All forms in which a value may stand in a text, the longest first: a value may hold another one.
    forms: Vec<SecretValue>,
}

/// Shortest form that is redacted, in bytes: shorter ones would hide half of every log.
const SHORTEST: usize = 4;

/// The value as it is, and as it looks in the files that it goes into: a diff of a TOML, YAML, JSON or XML file holds it
/// escaped. Of several lines each stands alone, since diffs and logs have something before it.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    forms.extend(value.lines().filter(|_| value.contains('\n')).map(str::to_owned));
    for plain in forms.clone() {
        let xml = for_xml(&plain);
        forms.extend([quoted(&plain), quoted(&xml), plain.replace('\'', "''")]);
        forms.push(xml.replace('"', "&quot;"));
        forms.push(xml);
    }
    forms
}

/// As it stands between double quotes: those of TOML and YAML escape `"` and `\` as JSON does.
fn quoted(plain: &str) -> String {
    let json = serde_json::Value::from(plain).to_string();
    json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// As it stands in an XML element.
fn for_xml(plain: &str) -> String {
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A marker whose secret has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret `{0}` has no value on this host")]
pub struct MissingSecret(pub String);

impl SecretBook {
    /// Adds a value.
    pub fn insert(&mut self, name: impl Into<String>, value: SecretValue) {
        self.hide(&value);
        self.values.insert(name.into(), value);
    }

    /// Adds a value that is redacted and stands for no marker.
    pub fn hide(&mut self, value: &SecretValue) {
        self.forms.extend(forms(value.expose()).into_iter().filter(|f| f.len() >= SHORTEST).map(SecretValue::new));
        self.forms.sort_by(|a, b| b.expose().len().cmp(&a.expose().len()).then_with(|| a.expose().cmp(b.expose())));
        self.forms.dedup_by(|a, b| a.expose() == b.expose());
    }

    /// One value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretValue> {
        self.values.get(name)
    }

    /// Replaces every marker by its value.
    ///
    /// # Errors
    /// [`MissingSecret`] names the first marker without a value.
    pub fn reveal(&self, text: &str) -> Result<SecretValue, MissingSecret> {
        self.filled(text, |value, out| out.push_str(value))
    }

    /// Replaces every marker by its value as it stands in an XML element.
    ///
    /// # Errors
    /// As [`Self::reveal`].
    pub fn reveal_for_xml(&self, text: &str) -> Result<SecretValue, MissingSecret> {
        self.filled(text, |value, out| out.push_str(&Zeroizing::new(for_xml(value))))
    }

    fn filled(&self, text: &str, put: impl Fn(&str, &mut String)) -> Result<SecretValue, MissingSecret> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(OPEN) {
            out.push_str(&rest[..at]);
            let after = &rest[at + OPEN.len()..];
            let Some(end) = after.find(CLOSE) else { break };
            let name = &after[..end];
            let value = self.values.get(name).ok_or_else(|| MissingSecret(name.to_owned()))?;
            put(value.expose(), &mut out);
            rest = &after[end + CLOSE.len_utf8()..];
        }
        out.push_str(rest);
        Ok(SecretValue::new(out))
    }

    /// Replaces every value that occurs in the text by `(secret)`, also where it stands escaped. Values shorter than four
    /// bytes are left: they would hide half of every log.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for form in self.forms.iter().map(SecretValue::expose) {
            if out.contains(form) {
                out = out.replace(form, "(secret)");
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_replaced_and_values_redacted() {
        let mut book = SecretBook::default();
        book.insert("am_db", SecretValue::new("p4ssw0rd".to_owned()));
        let text = format!("user:{}@host", marker("am_db"));
        assert_eq!(markers(&text), ["am_db"]);
        let value = book.reveal(&text).expect("has a value");
        assert_eq!(value.expose(), "user:p4ssw0rd@host");
        assert_eq!(format!("{value:?}"), "(secret)");
        assert_eq!(book.redact("login p4ssw0rd ok"), "login (secret) ok");
        assert!(book.reveal(&marker("other")).is_err());
        book.hide(&SecretValue::new("of another step".to_owned()));
        assert_eq!(book.redact("said: of another step"), "said: (secret)");
    }

    #[test]
    fn a_value_for_xml_is_escaped_and_what_stands_around_it_is_not() {
        let mut book = SecretBook::default();
        book.insert("db", SecretValue::new("p\"a&b<c>d".to_owned()));
        let text = format!("<x>{}</x>", marker("db"));
        assert_eq!(book.reveal_for_xml(&text).expect("has a value").expose(), "<x>p\"a&amp;b&lt;c&gt;d</x>");
        assert_eq!(book.redact(r#"password = "p\"a&amp;b&lt;c&gt;d""#), r#"password = "(secret)""#);
    }

    #[test]
    fn escaped_and_nested_values_are_redacted_too() {
        let mut book = SecretBook::default();
        book.insert("a", SecretValue::new("p\"a\\ss'w<&d".to_owned()));
        book.insert("b", SecretValue::new("inner".to_owned()));
        book.insert("c", SecretValue::new("outer-inner-outer".to_owned()));
        book.insert("d", SecretValue::new("-----KEY\nMIIabc\n".to_owned()));
        for shown in [
            "p\"a\\ss'w<&d",
            r#"p\"a\\ss'w<&d"#,
            "p\"a\\ss''w<&d",
            "p&quot;a\\ss'w&lt;&amp;d",
            "p\"a\\ss'w&lt;&amp;d",
            "outer-inner-outer",
            "MIIabc",
        ] {
            assert_eq!(book.redact(&format!("+ x = {shown};")), "+ x = (secret);", "{shown}");
        }
    }
}
