//! Words, names, texts and signs of SQL, enough to see where a statement ends and what it begins with.

use cavalcade_common::action::Engine;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A bare word or number.
    Word,
    /// A quoted name.
    Name,
    /// A text literal, dollar quotes included.
    Text,
    /// `@name` of MySQL.
    Variable,
    /// Any other single character.
    Sign,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    /// Byte offset of its first character.
    pub(crate) start: usize,
    /// The text itself, quotes included.
    pub(crate) text: &'a str,
}

impl Token<'_> {
    /// Whether it is this bare word, in any case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is one of these bare words.
    pub(crate) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|w| self.is(w))
    }

    /// Whether it is this sign.
    pub(crate) fn sign(&self, sign: &str) -> bool {
        self.kind == TokenKind::Sign && self.text == sign
    }

    /// The name that a word or a quoted name stands for, without its quotes.
    pub(crate) fn name(&self) -> Option<String> {
        match self.kind {
            TokenKind::Word => Some(self.text.to_owned()),
            TokenKind::Name => {
                let mut quote = [0; 4];
                let first = self.text.chars().next()?;
                let q = first.encode_utf8(&mut quote);
                let inner = self.text.strip_prefix(&*q)?.strip_suffix(&*q)?;
                Some(inner.replace(&format!("{q}{q}"), q))
            }
            TokenKind::Text | TokenKind::Variable | TokenKind::Sign => None,
        }
    }
}

/// Something opened at `start` and never closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unclosed {
    pub(crate) start: usize,
    pub(crate) what: &'static str,
}

/// All tokens of a text; white space and comments fall away.
pub(crate) fn tokens(engine: Engine, text: &str) -> Result<Vec<Token<'_>>, Unclosed> {
    let mut out = Vec::new();
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_whitespace() || byte == 0x0b {
            at += 1;
            continue;
        }
        if let Some(end) = comment(engine, bytes, at)? {
            at = end;
            continue;
        }
        let (kind, end) = token(engine, bytes, at)?;
        out.push(Token { kind, start: at, text: text.get(at..end).unwrap_or_default() });
        at = end;
    }
    Ok(out)
}

fn word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    at + bytes.get(at..).unwrap_or_default().iter().take_while(|b| word_byte(**b)).count()
}

fn starts(bytes: &[u8], at: usize, with: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(with))
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    at + bytes.get(at..).unwrap_or_default().iter().take_while(|b| !matches!(b, b'\n' | b'\r')).count()
}

/// End of the comment that begins here, if one does.
fn comment(engine: Engine, bytes: &[u8], at: usize) -> Result<Option<usize>, Unclosed> {
    match engine {
        Engine::Mysql => {
            let dashes = starts(bytes, at, b"--") && bytes.get(at + 2).is_none_or(u8::is_ascii_whitespace);
            if dashes || starts(bytes, at, b"#") {
                return Ok(Some(line_end(bytes, at)));
            }
            // What stands in `/*! */` is executed: only its ends are skipped.
            if starts(bytes, at, b"*/") {
                return Ok(Some(at + 2));
            }
            for open in [b"/*!".as_slice(), b"/*M!"] {
                if starts(bytes, at, open) {
                    let digits = bytes.get(at + open.len()..).unwrap_or_default();
                    return Ok(Some(at + open.len() + digits.iter().take_while(|b| b.is_ascii_digit()).count()));
                }
            }
        }
        Engine::Postgresql => {
            if starts(bytes, at, b"--") {
                return Ok(Some(line_end(bytes, at)));
            }
        }
    }
    if !starts(bytes, at, b"/*") {
        return Ok(None);
    }
    let nests = engine == Engine::Postgresql;
    let (mut depth, mut i) = (1_u32, at + 2);
    while i < bytes.len() {
        if starts(bytes, i, b"*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return Ok(Some(i));
            }
        } else if nests && starts(bytes, i, b"/*") {
            depth += 1;
            i += 2;
        } else {
            i += 1;
        }
    }
    Err(Unclosed { start: at, what: "a comment" })
}

fn token(engine: Engine, bytes: &[u8], at: usize) -> Result<(TokenKind, usize), Unclosed> {
    let byte = bytes.get(at).copied().unwrap_or_default();
    match (engine, byte) {
        (Engine::Mysql, b'\'' | b'"') => Ok((TokenKind::Text, quoted(bytes, at, true, "a string")?)),
        (Engine::Mysql, b'`') => Ok((TokenKind::Name, quoted(bytes, at, false, "a quoted name")?)),
        (Engine::Mysql, b'@') => variable(bytes, at),
        (Engine::Postgresql, b'\'') => Ok((TokenKind::Text, text_postgresql(bytes, at, false)?)),
        (Engine::Postgresql, b'"') => Ok((TokenKind::Name, quoted(bytes, at, false, "a quoted name")?)),
        (Engine::Postgresql, b'$') => dollar(bytes, at),
        (Engine::Postgresql, b'e' | b'E') if bytes.get(at + 1) == Some(&b'\'') => {
            Ok((TokenKind::Text, text_postgresql(bytes, at + 1, true)?))
        }
        _ if word_byte(byte) => Ok((TokenKind::Word, word_end(bytes, at))),
        _ => Ok((TokenKind::Sign, at + 1)),
    }
}

/// End of a quoted piece. A doubled quote belongs to it; so does an escaped one where `escapes`.
fn quoted(bytes: &[u8], at: usize, escapes: bool, what: &'static str) -> Result<usize, Unclosed> {
    let quote = bytes.get(at).copied().unwrap_or_default();
    let mut i = at + 1;
    while let Some(&byte) = bytes.get(i) {
        if escapes && byte == b'\\' {
            i += 2;
        } else if byte == quote {
            if bytes.get(i + 1) == Some(&quote) {
                i += 2;
            } else {
                return Ok(i + 1);
            }
        } else {
            i += 1;
        }
    }
    Err(Unclosed { start: at, what })
}

/// End of a PostgreSQL string with its continuations: after white space with a line break the next `'` goes on with the
/// same string, and with the same rule for backslashes.
fn text_postgresql(bytes: &[u8], at: usize, escapes: bool) -> Result<usize, Unclosed> {
    let mut end = quoted(bytes, at, escapes, "a string")?;
    loop {
        let (mut i, mut line_break) = (end, false);
        loop {
            match bytes.get(i) {
                Some(b'\n' | b'\r') => {
                    line_break = true;
                    i += 1;
                }
                Some(b' ' | b'\t' | 0x0c) => i += 1,
                Some(b'-') if starts(bytes, i, b"--") => i = line_end(bytes, i),
                _ => break,
            }
        }
        if !(line_break && bytes.get(i) == Some(&b'\'')) {
            return Ok(end);
        }
        end = quoted(bytes, i, escapes, "a string")?;
    }
}

fn dollar(bytes: &[u8], at: usize) -> Result<(TokenKind, usize), Unclosed> {
    let tag_start = bytes.get(at + 1).copied().unwrap_or_default();
    let tag_length = if tag_start.is_ascii_digit() {
        0
    } else {
        let rest = bytes.get(at + 1..).unwrap_or_default();
        rest.iter().take_while(|b| word_byte(**b) && **b != b'$').count()
    };
    let delimiter_end = at + 1 + tag_length + 1;
    let Some(delimiter) = bytes.get(at..delimiter_end).filter(|d| d.ends_with(b"$")) else {
        return Ok((TokenKind::Sign, at + 1));
    };
    let mut i = delimiter_end;
    while i < bytes.len() {
        if starts(bytes, i, delimiter) {
            return Ok((TokenKind::Text, i + delimiter.len()));
        }
        i += 1;
    }
    Err(Unclosed { start: at, what: "a dollar quote" })
}

fn variable(bytes: &[u8], at: usize) -> Result<(TokenKind, usize), Unclosed> {
    match bytes.get(at + 1) {
        // `@@name` is a setting of the server, not a user's variable.
        Some(b'@') => Ok((TokenKind::Sign, at + 2)),
        Some(b'\'' | b'"' | b'`') => Ok((TokenKind::Variable, quoted(bytes, at + 1, false, "a variable's name")?)),
        Some(b) if word_byte(*b) || *b == b'.' => {
            let rest = bytes.get(at + 1..).unwrap_or_default();
            Ok((TokenKind::Variable, at + 1 + rest.iter().take_while(|b| word_byte(**b) || **b == b'.').count()))
        }
        _ => Ok((TokenKind::Sign, at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(engine: Engine, sql: &str) -> Vec<String> {
        tokens(engine, sql).expect("closed").iter().map(|t| t.text.to_owned()).collect()
    }

    #[test]
    fn mysql_tokens() {
        let sql = "SELECT 'a;\\'b', \"x\"\"y\", `c``d` INTO @v -- gone\nFROM @@global.t # gone\n /* gone */ /*!40101 kept */";
        assert_eq!(
            texts(Engine::Mysql, sql),
            ["SELECT", "'a;\\'b'", ",", "\"x\"\"y\"", ",", "`c``d`", "INTO", "@v", "FROM", "@@", "global", ".", "t", "kept"]
        );
        let all = tokens(Engine::Mysql, "`c``d`").expect("closed");
        assert_eq!(all[0].name().as_deref(), Some("c`d"));
    }

    #[test]
    fn postgresql_tokens() {
        let sql = "SELECT E'a\\';'\n  'b\\'', 'c\\', $$;'$$, $x$ $$ $x$, $1 /* a /* b */ c */ a$b$c";
        assert_eq!(
            texts(Engine::Postgresql, sql),
            ["SELECT", "E'a\\';'\n  'b\\''", ",", "'c\\'", ",", "$$;'$$", ",", "$x$ $$ $x$", ",", "$", "1", "a$b$c"]
        );
    }

    #[test]
    fn what_is_open_is_named() {
        for (engine, sql, what) in [
            (Engine::Mysql, "a 'b", "a string"),
            (Engine::Mysql, "a /* b", "a comment"),
            (Engine::Mysql, "`a", "a quoted name"),
            (Engine::Postgresql, "/* /* */", "a comment"),
            (Engine::Postgresql, "$a$ $b$", "a dollar quote"),
            (Engine::Postgresql, "E'\\'", "a string"),
        ] {
            assert_eq!(tokens(engine, sql).expect_err(sql).what, what, "{sql}");
        }
    }
}
