//! Byte ranges of a text: lines, line ends, places, and replacements that leave every other byte alone.

use std::ops::Range;

use super::error::{At, EditError};

/// Largest file that is edited, in bytes. The largest configuration file that the products ship is a tenth of this.
pub(crate) const SIZE_LIMIT: usize = 4 << 20;

/// One replacement. An empty range inserts.
#[derive(Debug, Clone)]
pub(crate) struct Splice {
    pub(crate) range: Range<usize>,
    pub(crate) text: String,
}

impl Splice {
    pub(crate) fn insert(at: usize, text: impl Into<String>) -> Self {
        Self { range: at..at, text: text.into() }
    }
    pub(crate) fn replace(range: Range<usize>, text: impl Into<String>) -> Self {
        Self { range, text: text.into() }
    }
    pub(crate) fn remove(range: Range<usize>) -> Self {
        Self { range, text: String::new() }
    }
}

/// Applies replacements. Where removals overlap, every byte is removed once.
pub(crate) fn apply(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|s| s.range.start);
    let mut out = String::with_capacity(text.len() + splices.iter().map(|s| s.text.len()).sum::<usize>());
    let mut done = 0;
    for splice in splices {
        if splice.range.start > done {
            out.push_str(&text[done..splice.range.start]);
        }
        out.push_str(&splice.text);
        done = done.max(splice.range.end);
    }
    out.push_str(&text[done..]);
    out
}

/// Start of the line that holds the offset.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |i| i + 1)
}

/// End of the line that holds the offset, its line end included.
pub(crate) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |i| at + i + 1)
}

/// Whether a line has nothing but white space.
pub(crate) fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

/// Whether a line is a comment and nothing else.
pub(crate) fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// White space at the start of the line that holds the offset.
pub(crate) fn indent_at(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..line_end(text, at)];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// The line end of most lines; `\n` where there is none or as many of both.
pub(crate) fn newline(text: &[u8]) -> &'static str {
    let mut crlf = 0_usize;
    let mut all = 0_usize;
    for (i, byte) in text.iter().enumerate() {
        if *byte == b'\n' {
            all += 1;
            if i > 0 && text[i - 1] == b'\r' {
                crlf += 1;
            }
        }
    }
    if crlf * 2 > all { "\r\n" } else { "\n" }
}

/// Line and column of a byte offset.
pub(crate) fn place(text: &[u8], offset: usize) -> At {
    let before = &text[..offset.min(text.len())];
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[start..]).chars().filter(|c| *c != '\u{feff}').count() + 1;
    At { line: u32::try_from(line).unwrap_or(u32::MAX), column: u32::try_from(column).unwrap_or(u32::MAX) }
}

/// Refuses what is too large or holds NUL bytes.
pub(crate) fn check(source: &[u8]) -> Result<(), EditError> {
    if source.len() > SIZE_LIMIT {
        return Err(EditError::TooLarge { size: source.len(), limit: SIZE_LIMIT });
    }
    match source.iter().position(|b| *b == 0) {
        Some(at) => Err(EditError::Nul { at: place(source, at) }),
        None => Ok(()),
    }
}

/// The text of a file, its byte order mark apart.
pub(crate) fn text(source: &[u8]) -> Result<(&'static str, &str), EditError> {
    check(source)?;
    let text = std::str::from_utf8(source).map_err(|e| EditError::NotUtf8 { at: place(source, e.valid_up_to()) })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_removals_remove_once() {
        let text = "0123456789";
        let out = apply(text, vec![Splice::remove(4..8), Splice::remove(2..5), Splice::insert(9, "x")]);
        assert_eq!(out, "018x9");
    }

    #[test]
    fn majority_of_line_ends() {
        assert_eq!(newline(b"a\r\nb\r\nc\n"), "\r\n");
        assert_eq!(newline(b"a\r\nb\n"), "\n");
        assert_eq!(newline(b""), "\n");
    }

    #[test]
    fn places_count_characters() {
        assert_eq!(place("a\näb".as_bytes(), 4), At { line: 2, column: 2 });
        let error = check(b"ab\n\0").expect_err("NUL");
        assert_eq!(error.at(), Some(At { line: 2, column: 1 }));
        let error = text(b"a\xff").expect_err("not UTF-8");
        assert_eq!(error, EditError::NotUtf8 { at: At { line: 1, column: 2 } });
    }
}
