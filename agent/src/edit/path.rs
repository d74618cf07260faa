//! Paths of an edit: dotted keys, each with selectors that pick one element of an array by what it holds.
//!
//! `apim.gateway.environment[name=Default].service_url`, `event_listener.properties.'header.X-WSO2-KEY-MANAGER'`,
//! `versions[version=5.10.0].migratorConfigs`. Several selectors of one key must all hold.

use serde_json::Value;

use super::error::EditError;

/// One key and the selectors behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The key, without quotes.
    pub(crate) key: String,
    /// Pairs of key and text that the chosen element must hold.
    pub(crate) select: Vec<(String, String)>,
}

/// One step of a path whose selectors were resolved in a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Into a table.
    Key(String),
    /// Into an array.
    Index(usize),
}

/// Reads a path.
pub(crate) fn parse(text: &str) -> Result<Vec<Segment>, EditError> {
    let wrong = |what| EditError::Operation { path: text.to_owned(), what };
    let mut rest = text;
    let mut segments = Vec::new();
    loop {
        let (key, after) = word(rest, &['.', '[', ']', '=']).map_err(wrong)?;
        rest = after;
        let mut select = Vec::new();
        while let Some(after) = rest.strip_prefix('[') {
            let (name, after) = word(after, &['[', ']', '=']).map_err(wrong)?;
            let after = after.strip_prefix('=').ok_or_else(|| wrong("a selector has the form [key=value]"))?;
            let (value, after) = word(after, &['[', ']']).map_err(wrong)?;
            rest = after.strip_prefix(']').ok_or_else(|| wrong("a selector does not end"))?;
            select.push((name, value));
        }
        segments.push(Segment { key, select });
        if rest.is_empty() {
            return Ok(segments);
        }
        rest = rest.strip_prefix('.').ok_or_else(|| wrong("a dot is missing between two keys"))?;
    }
}

/// A bare or quoted word at the start of the text, and what follows it.
fn word<'a>(text: &'a str, ends: &[char]) -> Result<(String, &'a str), &'static str> {
    match text.chars().next() {
        Some('\'') => {
            let end = text[1..].find('\'').ok_or("a quote does not end")?;
            Ok((text[1..=end].to_owned(), &text[end + 2..]))
        }
        Some('"') => {
            let mut escaped = false;
            let inner = &text[1..];
            let end = inner
                .char_indices()
                .find(|(_, c)| {
                    let ends = *c == '"' && !escaped;
                    escaped = *c == '\\' && !escaped;
                    ends
                })
                .map(|(i, _)| i)
                .ok_or("a quote does not end")?;
            let quoted = &text[..end + 2];
            let key = toml_edit::Key::parse(quoted).map_err(|_| "a quoted key has a wrong escape")?;
            let [key] = key.as_slice() else { return Err("a quoted key cannot be read") };
            Ok((key.get().to_owned(), &text[end + 2..]))
        }
        _ => {
            let end = text.find(ends).unwrap_or(text.len());
            let bare = &text[..end];
            if bare.is_empty() {
                return Err("a key is empty");
            }
            if bare.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\'' || c == '"') {
                return Err("a key with spaces or quotes must be quoted");
            }
            Ok((bare.to_owned(), &text[end..]))
        }
    }
}

/// The path as it reads after an edit of what a selector compares: `env[name=A]` with the new `name` B is `env[name=B]`.
/// `None` where the edit does not touch its own selectors. So a second run finds what the first one renamed.
pub(crate) fn renamed(segments: &[Segment], set: &[(&str, &Value)]) -> Option<Vec<Segment>> {
    let mut segments = segments.to_vec();
    let last = segments.last_mut()?;
    let mut found = false;
    for (name, text) in &mut last.select {
        if let Some((_, value)) = set.iter().find(|(key, _)| key == name) {
            *text = match value {
                Value::String(s) => s.clone(),
                other => other.to_string(),
            };
            found = true;
        }
    }
    found.then_some(segments)
}

/// As [`renamed`], for a path that ends in the key that is set.
pub(crate) fn renamed_by_key(segments: &[Segment], value: &Value) -> Option<Vec<Segment>> {
    let (last, above) = segments.split_last()?;
    let mut segments = renamed(above, &[(&last.key, value)])?;
    segments.push(last.clone());
    Some(segments)
}

/// A key inside an object of an edit: one key, taken literally; TOML quotes around the whole are allowed.
pub(crate) fn literal(key: &str) -> Result<String, EditError> {
    if key.starts_with(['\'', '"']) {
        let (inner, rest) = word(key, &[]).map_err(|what| EditError::Operation { path: key.to_owned(), what })?;
        if rest.is_empty() {
            return Ok(inner);
        }
    }
    Ok(key.to_owned())
}

/// The path as text, for messages.
pub(crate) fn show(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Key(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(key);
            }
            Step::Index(i) => out.push_str(&format!("[{i}]")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        parse(text).expect(text).into_iter().map(|s| s.key).collect()
    }

    #[test]
    fn keys_and_selectors() {
        assert_eq!(keys("a.b-c.d_1"), ["a", "b-c", "d_1"]);
        assert_eq!(keys("event_listener.'header.X-KEY'"), ["event_listener", "header.X-KEY"]);
        assert_eq!(keys(r#"a."b \" c".d"#), ["a", "b \" c", "d"]);
        let path = parse("versions[version=5.10.0].m['n.x'=\"a]b\"][k=v].z").expect("path");
        assert_eq!(path[0].select, [("version".to_owned(), "5.10.0".to_owned())]);
        assert_eq!(path[1].select, [("n.x".to_owned(), "a]b".to_owned()), ("k".to_owned(), "v".to_owned())]);
        assert_eq!(path[2].key, "z");
    }

    #[test]
    fn refused() {
        for text in ["", ".", "a.", ".a", "a..b", "a[", "a[b]", "a[b=c", "a[b=c]d", "'a", "\"a", "a b", "a]"] {
            assert!(matches!(parse(text), Err(EditError::Operation { .. })), "{text}");
        }
    }

    #[test]
    fn literal_keys() {
        assert_eq!(literal("header.X").expect("key"), "header.X");
        assert_eq!(literal("'header.X'").expect("key"), "header.X");
        assert_eq!(literal("'a' and 'b'").expect("key"), "'a' and 'b'");
    }
}
