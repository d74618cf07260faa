//! Edits of text files by lines and literal texts, on bytes: a start script need not be UTF-8.

use cavalcade_common::action::{TextEdit, TextReplace};

use super::arguments;
use super::error::EditError;
use super::span;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Edits a text file; an empty source stands for a file that does not exist.
///
/// The replacements run first, then arguments are removed, then lines added, then removed. Texts of the edit that hold `\n` match and write the
/// line end of most of the file's lines. A line to remove that is not there counts as removed.
///
/// # Errors
/// [`EditError`]; the input stands.
pub fn text(source: &[u8], edit: &TextEdit) -> Result<Vec<u8>, EditError> {
    span::check(source)?;
    let wrong = |path: &str, what| Err(EditError::Operation { path: path.to_owned(), what });
    if let Some(content) = &edit.content {
        if !(edit.replace.is_empty() && edit.remove_arguments.is_empty() && edit.lines.is_empty() && edit.remove_lines.is_empty())
        {
            return wrong("content", "`content` excludes the other operations");
        }
        return Ok(content.clone().into_bytes());
    }
    if edit.remove_arguments.iter().any(|name| name.is_empty() || name.contains([' ', '\t', '\n', '\r', '"'])) {
        return wrong("remove_arguments", "the name of an argument has no blank and no quote");
    }
    for (path, lines) in [("lines", &edit.lines), ("remove_lines", &edit.remove_lines)] {
        if lines.iter().any(|l| l.contains(['\n', '\r'])) {
            return wrong(path, "a line cannot hold a line end");
        }
    }
    if edit.lines.iter().any(|l| edit.remove_lines.contains(l)) {
        return wrong("remove_lines", "a line cannot be both added and removed");
    }
    let newline = span::newline(source);
    let mut bytes = source.to_vec();
    for (i, replacement) in edit.replace.iter().enumerate() {
        bytes = replace(&bytes, replacement, i, newline)?;
    }
    if !edit.remove_arguments.is_empty() {
        bytes = arguments::remove(&bytes, &edit.remove_arguments)?;
    }
    for line in &edit.lines {
        add(&mut bytes, line, newline);
    }
    for line in &edit.remove_lines {
        bytes = remove(&bytes, line);
    }
    Ok(bytes)
}

fn replace(bytes: &[u8], replacement: &TextReplace, i: usize, newline: &str) -> Result<Vec<u8>, EditError> {
    let path = format!("replace[{i}]");
    let adapt = |text: &str| text.replace("\r\n", "\n").replace('\n', newline).into_bytes();
    let (find, with) = (adapt(&replacement.find), adapt(&replacement.with));
    if find.is_empty() {
        return Err(EditError::Operation { path, what: "the text to find is empty" });
    }
    let mut out = Vec::with_capacity(bytes.len());
    let (mut at, mut found) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(&find) {
            out.extend_from_slice(&with);
            at += find.len();
            found += 1;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    let wanted = usize::try_from(replacement.count).unwrap_or(usize::MAX);
    match found {
        _ if wanted == 0 || found == wanted => Ok(out),
        0 => Err(EditError::NotFound { path }),
        found => Err(EditError::Count { path, found, wanted }),
    }
}

/// The content of a line: no line end, no byte order mark.
fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_prefix(MARK).unwrap_or(line)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|b| *b == b'\n')
}

fn add(bytes: &mut Vec<u8>, line: &str, newline: &str) {
    if lines(bytes).any(|l| content(l) == line.as_bytes()) {
        return;
    }
    let unended = !bytes.is_empty() && !bytes.ends_with(b"\n");
    if unended {
        bytes.extend_from_slice(newline.as_bytes());
    }
    bytes.extend_from_slice(line.as_bytes());
    // A file that ended without a line end does so again.
    if !unended {
        bytes.extend_from_slice(newline.as_bytes());
    }
}

fn remove(bytes: &[u8], line: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for l in lines(bytes) {
        if content(l) != line.as_bytes() {
            out.extend_from_slice(l);
        } else if l.starts_with(MARK) {
            out.extend_from_slice(MARK);
        }
    }
    out
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
