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
}

/// A marker whose secret has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret `{0}` has no value on this host")]
pub struct MissingSecret(pub String);

impl SecretBook {
    /// Adds a value.
    pub fn insert(&mut self, name: impl Into<String>, value: SecretValue) {
        self.values.insert(name.into(), value);
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
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(OPEN) {
            out.push_str(&rest[..at]);
            let after = &rest[at + OPEN.len()..];
            let Some(end) = after.find(CLOSE) else { break };
            let name = &after[..end];
            let value = self.values.get(name).ok_or_else(|| MissingSecret(name.to_owned()))?;
            out.push_str(value.expose());
            rest = &after[end + CLOSE.len_utf8()..];
        }
        out.push_str(rest);
        Ok(SecretValue::new(out))
    }

    /// Replaces every value that occurs in the text by `(secret)`. Values shorter than four bytes are left: they would
    /// hide half of every log.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for value in self.values.values() {
            if value.expose().len() >= 4 && out.contains(value.expose()) {
                out = out.replace(value.expose(), "(secret)");
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
    }
}
