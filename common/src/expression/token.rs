//! A light scan of an expression: enough to see braces, subscripts, and names that stand for a condition by themselves.

use std::ops::Range;

use super::ExpressionError;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A dotted name.
    Name,
    /// `and`, `or`, `not`, `in`, `is`, `if`, `else`.
    Word,
    /// The name of a filter or test, after `|` or `is`.
    Callee,
    /// A quoted text, number, `true`, `false`, `none`.
    Text,
    /// `(`, `,`, `:`.
    Open,
    /// `[`.
    OpenSquare,
    /// `)` or `]`.
    Close,
    /// Any operator.
    Operator,
}

/// One token; the range is in bytes.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

/// Refuses template braces anywhere, in quoted texts too: there they would never be filled.
pub(super) fn refuse_braces(source: &str) -> Result<(), ExpressionError> {
    if source.contains("{{") || source.contains("{%") {
        return Err(ExpressionError::Braces { corrected: without_braces(source) });
    }
    Ok(())
}

/// Scans a source.
pub(super) fn scan(source: &str) -> Result<Vec<Token>, ExpressionError> {
    let bytes = source.as_bytes();
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (kind, end) = match byte {
            b'\'' | b'"' => (Kind::Text, quoted(source, at)?),
            b'0'..=b'9' => (Kind::Text, run(bytes, at, |b| b.is_ascii_alphanumeric() || b == b'.')),
            b'(' | b',' | b':' => (Kind::Open, at + 1),
            b'[' => (Kind::OpenSquare, at + 1),
            b')' | b']' => (Kind::Close, at + 1),
            b'{' if matches!(bytes.get(at + 1), Some(b'{' | b'%')) => return refuse_braces(source).map(|()| tokens),
            b'{' | b'}' => {
                let says = "braces are not allowed in an expression".to_owned();
                return Err(ExpressionError::Syntax { says, range: Some(at..at + 1) });
            }
            b if b.is_ascii_alphabetic() || b == b'_' => {
                let end = run(bytes, at, |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
                (word(&source[at..end], tokens.last(), source), end)
            }
            _ => (Kind::Operator, at + source[at..].chars().next().map_or(1, char::len_utf8)),
        };
        tokens.push(Token { kind, range: at..end });
        at = end;
    }
    Ok(tokens)
}

fn run(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().position(|b| !belongs(*b)).map_or(bytes.len(), |n| from + n)
}

fn quoted(source: &str, from: usize) -> Result<usize, ExpressionError> {
    let bytes = source.as_bytes();
    let mut at = from + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b if b == bytes[from] => return Ok(at + 1),
            _ => {}
        }
        at += 1;
    }
    Err(ExpressionError::Syntax { says: "a quoted text is not closed".to_owned(), range: Some(from..source.len()) })
}

fn word(text: &str, before: Option<&Token>, source: &str) -> Kind {
    match text {
        "and" | "or" | "not" | "in" | "is" | "if" | "else" => Kind::Word,
        "true" | "false" | "none" | "True" | "False" | "None" => Kind::Text,
        _ => match before.map(|t| &source[t.range.clone()]) {
            Some("|" | "is") => Kind::Callee,
            _ => Kind::Name,
        },
    }
}

/// The source without its braces, as it would be written rightly.
fn without_braces(source: &str) -> String {
    let plain: String = source.replace("{{", "").replace("}}", "").replace("{%", "").replace("%}", "");
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("\"{}\"", plain.replace('"', "'"))
}
