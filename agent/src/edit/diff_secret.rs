//! Which part of a line is a secret. The lines are read loosely, as TOML, YAML, properties, XML or command lines, and in
//! doubt too much is hidden: commented-out lines count, so do keys inside inline tables and URLs.

use std::sync::LazyLock;

use regex::Regex;

/// A regular expression on the dotted path of a key (`keystore.tls.password`, `encryption.key`): its value is a secret.
#[derive(Debug, Clone)]
pub struct SecretPattern(Regex);

impl SecretPattern {
    /// Compiles a pattern. It is searched in the path, so `password` hides `connection_password` too.
    ///
    /// # Errors
    /// The expression is not valid.
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        Regex::new(pattern).map(Self)
    }

    fn hides(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

/// A line as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// All of it.
    Open,
    /// Its first bytes; what follows is the value of a secret key.
    Secret {
        /// Bytes that may be shown.
        shown: usize,
        /// The key, to tell whether its value changed.
        path: String,
    },
}

#[expect(clippy::expect_used, reason = "constant expressions; a test compiles them")]
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    let word = r#"(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'=:#\[\]{},<>]+)"#;
    let pair = format!(r"^((?:-\s+)*)(?:(?:set|export)\s+)?({word}(?:\s*\.\s*{word})*)\s*([=:])\s*");
    Regex::new(&pair).expect("constant")
});
#[expect(clippy::expect_used, reason = "constant expressions; a test compiles them")]
static INNER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"([\w.\-]+)["']?\s*[=:>]\s*"#).expect("constant"));
#[expect(clippy::expect_used, reason = "constant expressions; a test compiles them")]
static HEADER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\[\[?\s*([^\[\]=,]+?)\s*\]\]?\s*(?:#.*)?$").expect("constant"));

/// How a value goes on over the next lines.
#[derive(Debug, Clone, PartialEq, Eq)]
enum More {
    /// Until these quotes.
    Quotes(&'static str),
    /// Until this many brackets are closed.
    Brackets(usize),
    /// While lines are indented deeper, or are list items at this indentation.
    Deeper(usize),
    /// The line ended with a backslash.
    Backslash,
}

#[derive(Debug, Default)]
struct Reader {
    /// The table of the lines that count.
    header: String,
    /// The last table that is commented out.
    commented: String,
    /// Keys above, with their indentation.
    above: Vec<(usize, String)>,
    /// A value that goes on, and the path of the secret that it belongs to.
    more: Option<(More, Option<String>)>,
}

/// What of each line may be shown.
pub(crate) fn read(lines: &[&str], patterns: &[SecretPattern]) -> Vec<Seen> {
    let mut reader = Reader::default();
    lines.iter().map(|line| reader.line(line, patterns)).collect()
}

impl Reader {
    fn line(&mut self, line: &str, patterns: &[SecretPattern]) -> Seen {
        if let Some((more, secret)) = self.more.take() {
            let (inside, after) = goes_on(&more, line);
            if inside {
                self.more = after.map(|m| (m, secret.clone()));
                return match secret {
                    Some(path) => Seen::Secret { shown: line.len() - line.trim_start().len(), path },
                    None => inner(line, 0, "", patterns),
                };
            }
        }
        let body = line.trim_start_matches(|c: char| c.is_whitespace() || c == '#' || c == '\u{feff}');
        let before = line.len() - body.len();
        let comment = line[..before].contains('#');
        let body = body.trim_end();
        if let Some(header) = HEADER.captures(body).and_then(|c| c.get(1)) {
            self.above.clear();
            if comment {
                self.commented = header.as_str().to_owned();
            } else {
                self.header = header.as_str().to_owned();
                self.commented.clear();
            }
            return Seen::Open;
        }
        let Some(pair) = PAIR.captures(body) else { return inner(line, before, &self.header, patterns) };
        let part = |i| pair.get(i).map_or("", |m| m.as_str());
        let (dashes, key, colon) = (part(1), bare(part(2)), part(3) == ":");
        let start = before + pair.get(0).map_or(0, |m| m.end());
        let value = line[start..].trim_end();
        let indent = if comment { before } else { before + dashes.len() };
        let paths = self.paths(&key, colon.then_some(indent));
        let secret = paths.iter().find(|p| patterns.iter().any(|s| s.hides(p))).cloned();
        let seen = match &secret {
            Some(_) if value.is_empty() => Seen::Open,
            Some(path) => Seen::Secret { shown: start, path: path.clone() },
            None => match inner(line, start, paths.first().map_or("", String::as_str), patterns) {
                Seen::Secret { path, .. } => Seen::Secret { shown: start, path },
                Seen::Open => Seen::Open,
            },
        };
        let hidden = match &seen {
            Seen::Secret { path, .. } => Some(path.clone()),
            Seen::Open => secret,
        };
        self.more = opens(value, hidden.is_some().then_some(colon), indent).map(|m| (m, hidden));
        seen
    }

    /// Every path that the key may have.
    fn paths(&mut self, key: &str, indent: Option<usize>) -> Vec<String> {
        let join = |table: &str| if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
        let mut paths = vec![join(&self.header), join(&self.commented)];
        if let Some(indent) = indent {
            self.above.retain(|(i, _)| *i < indent);
            let table = self.above.iter().map(|(_, k)| k.as_str()).collect::<Vec<_>>().join(".");
            paths.push(join(&table));
            self.above.push((indent, key.to_owned()));
        }
        paths
    }
}

/// A secret key somewhere in a line: all behind it is hidden.
fn inner(line: &str, from: usize, table: &str, patterns: &[SecretPattern]) -> Seen {
    for found in INNER.captures_iter(&line[from..]) {
        let (Some(all), Some(key)) = (found.get(0), found.get(1)) else { continue };
        let path = if table.is_empty() { key.as_str().to_owned() } else { format!("{table}.{}", key.as_str()) };
        if patterns.iter().any(|p| p.hides(&path) || p.hides(key.as_str())) {
            return Seen::Secret { shown: from + all.end(), path };
        }
    }
    Seen::Open
}

/// A key without quotes.
fn bare(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '"' | '\'' | ' ' | '\t')).collect()
}

/// How a value goes on behind its first line. `secret` tells, for one to hide, whether a colon stands before it.
fn opens(value: &str, secret: Option<bool>, indent: usize) -> Option<More> {
    for quotes in ["\"\"\"", "'''"] {
        if let Some(rest) = value.strip_prefix(quotes) {
            return (!rest.contains(quotes)).then_some(More::Quotes(quotes));
        }
    }
    if value.starts_with(['[', '{']) {
        let open = brackets(value, 0);
        return (open > 0).then_some(More::Brackets(open));
    }
    match secret {
        Some(_) if value.ends_with('\\') => Some(More::Backslash),
        Some(true) => Some(More::Deeper(indent)),
        Some(false) | None => None,
    }
}

/// Whether the line still belongs to the value, and how the value goes on behind it.
fn goes_on(more: &More, line: &str) -> (bool, Option<More>) {
    match more {
        More::Quotes(quotes) => (true, (!line.contains(quotes)).then_some(more.clone())),
        More::Brackets(open) => {
            let open = brackets(line, *open);
            (true, (open > 0).then_some(More::Brackets(open)))
        }
        More::Deeper(indent) => {
            let start = line.len() - line.trim_start().len();
            let item = start == *indent && line[start..].starts_with("- ");
            (line.trim().is_empty() || start > *indent || item, Some(more.clone()))
        }
        More::Backslash => (true, line.trim_end().ends_with('\\').then_some(More::Backslash)),
    }
}

/// Brackets that are open behind the text, those in quotes and comments apart.
fn brackets(text: &str, mut open: usize) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        match (quote, c) {
            (Some('"'), '\\') => escaped = !escaped,
            (Some(q), c) => {
                if c == q && !escaped {
                    quote = None;
                }
                escaped = false;
            }
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => break,
            (None, '[' | '{') => open += 1,
            (None, ']' | '}') => open = open.saturating_sub(1),
            (None, _) => {}
        }
    }
    open
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
