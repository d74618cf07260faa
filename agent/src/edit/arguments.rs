//! Arguments that go out of a command line in a script, whatever stands around them.

use super::error::{At, EditError};

/// How a line of comment begins, in the scripts of both systems.
const COMMENTS: [&[u8]; 4] = [b"#", b"::", b"rem", b"@rem"];

/// Takes arguments out: `NAME` and `NAME=VALUE`, between blanks, behind the `=` of an assignment, or in quotes. Comments stay.
///
/// # Errors
/// [`EditError::Unsupported`] where one is left in another form.
pub(super) fn remove(bytes: &[u8], names: &[String]) -> Result<Vec<u8>, EditError> {
    let mut out = Vec::with_capacity(bytes.len());
    for (number, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        if is_comment(line) {
            out.extend_from_slice(line);
            continue;
        }
        let mut line = line.to_vec();
        for name in names {
            while let Some((from, to)) = argument(&line, name.as_bytes()) {
                line.drain(from..to);
            }
        }
        if let Some((name, column)) = names.iter().find_map(|name| Some((name, left(&line, name.as_bytes())?))) {
            let at =
                At { line: u32::try_from(number + 1).unwrap_or(u32::MAX), column: u32::try_from(column + 1).unwrap_or(u32::MAX) };
            let what = "an argument that is joined to another text";
            return Err(EditError::Unsupported { path: name.clone(), what, at: Some(at) });
        }
        out.extend_from_slice(&line);
    }
    Ok(out)
}

fn is_comment(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    let begins = |word: &[u8]| line.len() >= word.len() && line[..word.len()].eq_ignore_ascii_case(word);
    let ends = |word: &[u8]| !word.ends_with(b"m") || line.get(word.len()).is_none_or(u8::is_ascii_whitespace);
    COMMENTS.iter().any(|word| begins(word) && ends(word))
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The next argument of this name that can be taken out, with what separates it.
fn argument(line: &[u8], name: &[u8]) -> Option<(usize, usize)> {
    (0..line.len()).filter(|at| line[*at..].starts_with(name)).find_map(|at| whole(line, at, at + name.len()))
}

/// The argument whose name stands here, with its value, its quotes and its blanks; none where it is part of something else.
fn whole(line: &[u8], begin: usize, end: usize) -> Option<(usize, usize)> {
    let mut end = end;
    if line.get(end) == Some(&b'=') {
        end += 1;
        let quoted = line.get(end) == Some(&b'"');
        let stops = |b: u8| if quoted { b == b'"' } else { is_blank(b) || b == b'"' };
        end += usize::from(quoted);
        end += line[end..].iter().position(|b| stops(*b)).unwrap_or(line.len() - end);
        end += usize::from(quoted && end < line.len());
    }
    let mut begin = begin;
    if begin > 0 && line[begin - 1] == b'"' && line.get(end) == Some(&b'"') {
        (begin, end) = (begin - 1, end + 1);
    }
    let after = line.get(end).copied().unwrap_or(b'\n');
    if !(is_blank(after) || after == b'"') {
        return None;
    }
    let blanks = |from: &[u8]| from.iter().rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
    match begin.checked_sub(1).map(|before| line[before]) {
        Some(b' ' | b'\t') => Some((begin - blanks(&line[..begin]), end)),
        // Nothing separates it from what is before: what follows takes its place.
        None | Some(b'=' | b'"') => Some((begin, end + line[end..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count())),
        Some(_) => None,
    }
}

/// Where an argument of this name still stands, in whatever form. A longer name is another argument.
fn left(line: &[u8], name: &[u8]) -> Option<usize> {
    let longer =
        |at: usize| line.get(at + name.len()).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    (0..line.len()).find(|at| line[*at..].starts_with(name) && !longer(*at))
}
