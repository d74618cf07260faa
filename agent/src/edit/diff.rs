//! What an edit changed, as a person may see it: a unified diff with the values of secret keys hidden.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

use super::diff_secret::{SecretPattern, Seen, read};

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Most lines between the equal ends of both sides that are paired one by one.
const PAIRED: usize = 4000;

/// A unified diff. Empty where both sides are equal. Display prints the usual form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// Changes with their surroundings, in the order of the file.
    pub hunks: Vec<Hunk>,
}

/// One change, or several close together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// First line and number of lines before the edit.
    pub before: (usize, usize),
    /// First line and number of lines after it.
    pub after: (usize, usize),
    /// The lines.
    pub lines: Vec<DiffLine>,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// It stays.
    Same,
    /// It goes.
    Removed,
    /// It comes.
    Added,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffLine {
    /// What became of it.
    pub kind: LineKind,
    /// Its number before the edit, from 1.
    pub before: Option<usize>,
    /// Its number after the edit, from 1.
    pub after: Option<usize>,
    /// Its text without the line end; secret values are hidden, bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether it has a line end: only the last line of a file may lack one.
    pub ended: bool,
}

/// Compares two states of a file. Values of keys whose path a pattern of `hide` matches show as `(secret)`, on an added
/// line `(secret, changed)` where the key had another value before.
#[must_use]
pub fn diff(before: &[u8], after: &[u8], hide: &[SecretPattern]) -> Diff {
    let old = Side::new(before, hide);
    let new = Side::new(after, hide);
    let ops = compare(&old.raw, &new.raw);
    let known = old.values();
    let hunks = group_diff_ops(ops, CONTEXT).into_iter().filter(|g| !g.is_empty());
    Diff { hunks: hunks.map(|group| hunk(&group, &old, &new, &known)).collect() }
}

/// Compares lines. Where most of a large file changed, the best pairing of lines would take minutes and tell nothing:
/// what lies between the equal ends is then one change.
fn compare(old: &[&[u8]], new: &[&[u8]]) -> Vec<DiffOp> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_len, new_len) = (old.len() - head - tail, new.len() - head - tail);
    if old_len.min(new_len) <= PAIRED {
        return capture_diff_slices(Algorithm::Myers, old, new);
    }
    vec![
        DiffOp::Equal { old_index: 0, new_index: 0, len: head },
        DiffOp::Replace { old_index: head, old_len, new_index: head, new_len },
        DiffOp::Equal { old_index: head + old_len, new_index: head + new_len, len: tail },
    ]
}

struct Side<'a> {
    raw: Vec<&'a [u8]>,
    text: Vec<String>,
    seen: Vec<Seen>,
}

type Values<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

impl<'a> Side<'a> {
    fn new(bytes: &'a [u8], hide: &[SecretPattern]) -> Self {
        let raw: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
        let text: Vec<String> = raw.iter().map(|l| String::from_utf8_lossy(content(l)).into_owned()).collect();
        let seen = read(&text.iter().map(String::as_str).collect::<Vec<_>>(), hide);
        Self { raw, text, seen }
    }

    /// Every secret value of every key.
    fn values(&self) -> Values<'_> {
        let mut values = Values::new();
        for (text, seen) in self.text.iter().zip(&self.seen) {
            if let Seen::Secret { shown, path } = seen {
                values.entry(path).or_default().insert(text[*shown..].trim());
            }
        }
        values
    }

    fn line(&self, i: usize, kind: LineKind, known: &Values<'_>) -> DiffLine {
        let text = match &self.seen[i] {
            Seen::Open => self.text[i].clone(),
            Seen::Secret { shown, path } => {
                let (start, value) = self.text[i].split_at(*shown);
                let other = known.get(path.as_str()).is_some_and(|v| !v.contains(value.trim()));
                let changed = kind == LineKind::Added && other;
                format!("{start}{}", if changed { "(secret, changed)" } else { "(secret)" })
            }
        };
        DiffLine { kind, before: None, after: None, text, ended: self.raw[i].ends_with(b"\n") }
    }
}

/// A line without `\n` or `\r\n`.
fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn hunk(group: &[DiffOp], old: &Side<'_>, new: &Side<'_>, known: &Values<'_>) -> Hunk {
    let mut lines = Vec::new();
    for op in group {
        let (from, to) = (op.old_range(), op.new_range());
        if let DiffOp::Equal { .. } = op {
            for (b, a) in from.zip(to) {
                let line = new.line(a, LineKind::Same, known);
                lines.push(DiffLine { before: Some(b + 1), after: Some(a + 1), ..line });
            }
            continue;
        }
        lines.extend(from.map(|b| DiffLine { before: Some(b + 1), ..old.line(b, LineKind::Removed, known) }));
        lines.extend(to.map(|a| DiffLine { after: Some(a + 1), ..new.line(a, LineKind::Added, known) }));
    }
    let range = |first: Option<std::ops::Range<usize>>, last: Option<std::ops::Range<usize>>| match (first, last) {
        (Some(first), Some(last)) => {
            let count = last.end - first.start;
            (if count == 0 { first.start } else { first.start + 1 }, count)
        }
        _ => (0, 0),
    };
    Hunk {
        before: range(group.first().map(DiffOp::old_range), group.last().map(DiffOp::old_range)),
        after: range(group.first().map(DiffOp::new_range), group.last().map(DiffOp::new_range)),
        lines,
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for hunk in &self.hunks {
            writeln!(f, "@@ -{},{} +{},{} @@", hunk.before.0, hunk.before.1, hunk.after.0, hunk.after.1)?;
            for line in &hunk.lines {
                let sign = match line.kind {
                    LineKind::Same => ' ',
                    LineKind::Removed => '-',
                    LineKind::Added => '+',
                };
                writeln!(f, "{sign}{}", line.text)?;
                if !line.ended {
                    writeln!(f, "\\ No newline at end of file")?;
                }
            }
        }
        Ok(())
    }
}
