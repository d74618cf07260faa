//! What of a setting may be told: never a password.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

#[expect(clippy::expect_used, reason = "constant expressions; a test compiles them")]
static PARAMETER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)([\w.]*(?:password|passwd|pwd|secret)[\w.]*\s*=)[^&;,)\s]*").expect("constant"));
#[expect(clippy::expect_used, reason = "constant expressions; a test compiles them")]
static LOGIN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?:(//[^/:@\s?;]+):|(:[^/:@\s?;]+)/)[^\s?;]+@").expect("constant"));

/// A JDBC URL may hold a password as parameter, or before the host (`//user:pw@host`, Oracle's `thin:user/pw@`).
pub(super) fn without_password(url: &str) -> String {
    let url = PARAMETER.replace_all(url, "$1(secret)");
    LOGIN.replace_all(&url, "$1$2:(secret)@").into_owned()
}

/// Whether a text stands for a secret in the product's secure vault.
pub(super) fn is_reference(text: &str) -> bool {
    text.strip_prefix("$secret{").is_some_and(|rest| rest.strip_suffix('}').is_some_and(|alias| !alias.contains(['{', '}'])))
}

/// The key patterns of what was asked.
pub(super) struct Hide {
    /// `None`: one of them is no regular expression, so everything is hidden.
    patterns: Option<Vec<Regex>>,
}

impl Hide {
    pub(super) fn new(patterns: &[String]) -> Self {
        Self { patterns: patterns.iter().map(|p| Regex::new(p)).collect::<Result<_, _>>().ok() }
    }

    /// Whether the patterns could be read.
    pub(super) fn is_sound(&self) -> bool {
        self.patterns.is_some()
    }

    /// Whether the value of a key is a secret.
    fn hides(&self, key: &str) -> bool {
        self.patterns.as_ref().is_none_or(|patterns| patterns.iter().any(|p| p.is_match(key)))
    }

    /// Whether a value may leave the host exactly as it is: neither its key nor one inside it is hidden, and no text in it
    /// is a URL with a password. A value that were told in part could be taken for the whole.
    pub(super) fn tells(&self, key: &str, value: &Value) -> bool {
        if self.hides(key) {
            return false;
        }
        match value {
            Value::String(text) => without_password(text) == *text,
            Value::Array(items) => items.iter().all(|item| self.tells(key, item)),
            Value::Object(map) => map.iter().all(|(name, inner)| self.tells(&format!("{key}.{name}"), inner)),
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
        }
    }

    /// What may be told of a value that may not be told as it is.
    pub(super) fn told_of(&self, key: &str, value: &Value) -> Value {
        let items = match value {
            // A reference to the secure vault is no secret, and who reads it knows that the secret is there.
            Value::String(text) if is_reference(text) => return value.clone(),
            Value::Array(items) => items,
            _ => return Value::Bool(true),
        };
        let part = |item: &Value| {
            let told = item.as_object()?.iter().filter(|(name, inner)| self.tells(&format!("{key}.{name}"), inner));
            Some(Value::Object(told.map(|(name, inner)| (name.clone(), inner.clone())).collect()))
        };
        let parts: Option<Vec<Value>> = items.iter().map(part).collect();
        parts.filter(|_| !self.hides(key)).map_or(Value::Bool(true), Value::Array)
    }

    /// A line of a script or table of commands without what looks like a password.
    pub(super) fn line(&self, line: &str) -> String {
        let cut = self.patterns.as_ref().map_or(Some(0), |patterns| {
            let words = line.split_inclusive([' ', '\t', ';', '&', '|', '=', '"', '\'']);
            let mut end = 0;
            words.into_iter().find_map(|word| {
                end += word.len();
                let name = word.trim_end_matches(['=', ' ', '\t']);
                (word.ends_with('=') && patterns.iter().any(|p| p.is_match(name))).then_some(end)
            })
        });
        match cut {
            Some(end) => format!("{}(hidden)", &line[..end]),
            None => without_password(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_password_gets_out_of_a_url() {
        for (url, shown) in [
            ("jdbc:mysql://db:3306/AM?useSSL=false&amp;x=y", "jdbc:mysql://db:3306/AM?useSSL=false&amp;x=y"),
            ("jdbc:mysql://db/AM?user=u&password=canary&x=y", "jdbc:mysql://db/AM?user=u&password=(secret)&x=y"),
            (
                "jdbc:sqlserver://db:1433;databaseName=AM;Password=canary",
                "jdbc:sqlserver://db:1433;databaseName=AM;Password=(secret)",
            ),
            ("jdbc:postgresql://u:canary@db/AM", "jdbc:postgresql://u:(secret)@db/AM"),
            ("jdbc:postgresql://u:ca/n@ary@db/AM", "jdbc:postgresql://u:(secret)@db/AM"),
            ("jdbc:mysql://db:3306/AM?user=a@b", "jdbc:mysql://db:3306/AM?user=a@b"),
            ("jdbc:oracle:thin:u/canary@db:1521:AM", "jdbc:oracle:thin:u:(secret)@db:1521:AM"),
            ("jdbc:oracle:thin:@db:1521/AM", "jdbc:oracle:thin:@db:1521/AM"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn a_value_is_told_whole_or_not_at_all() {
        let hide = Hide::new(&["(?i)password".to_owned()]);
        assert!(hide.tells("server.hostname", &json!("is.example")) && !hide.tells("super_admin.password", &json!("x")));
        assert!(!hide.tells("apim.gateway.environment", &json!([{ "name": "a" }, { "name": "b", "password": "x" }])));
        assert!(hide.tells("apim.gateway.environment", &json!([{ "name": "a" }])));
        assert!(!hide.tells("database.am.url", &json!("jdbc:mysql://u:canary@db/AM")));
        let broken = Hide::new(&["(".to_owned()]);
        assert!(!broken.is_sound() && !broken.tells("server.hostname", &json!("x")));
    }

    #[test]
    fn a_line_is_cut_before_a_password() {
        let hide = Hide::new(&["(?i)password".to_owned()]);
        assert_eq!(hide.line("@reboot PASSWORD=canary /opt/x start"), "@reboot PASSWORD=(hidden)");
        assert_eq!(hide.line("ExecStart=/opt/x --keystore-password=canary"), "ExecStart=/opt/x --keystore-password=(hidden)");
        assert_eq!(hide.line("* * * * * /opt/x http://u:canary@h/"), "* * * * * /opt/x http://u:(secret)@h/");
        assert_eq!(hide.line("ExecStart=/opt/x start"), "ExecStart=/opt/x start");
        assert_eq!(Hide::new(&["(".to_owned()]).line("ExecStart=/opt/x"), "(hidden)");
    }
}
