//! Removing items of a YAML list: which bytes of the file are theirs.
//!
//! In a block list these are whole lines: from the dash to the last line of the content, the comments below it that are
//! indented deeper than the dash, and the comments directly above the dash at its own indentation. Blank lines stay.

use std::ops::Range;

use super::error::EditError;
use super::span::{self, Splice, is_blank, is_comment, line_end, line_start};
use super::yaml_find::Found;
use super::yaml_tree::{Kind, Node};

/// Replacements that take items out of a list, by their positions in rising order.
pub(crate) fn removal(list: &Found<'_>, remove: &[usize], shown: &str, text: &str) -> Result<Vec<Splice>, EditError> {
    let Kind::List(items, flow) = &list.node.kind else { return Ok(Vec::new()) };
    let refuse = |at: usize, what| {
        let at = Some(span::place(text.as_bytes(), at));
        EditError::Unsupported { path: shown.to_owned(), what, at }
    };
    if *flow {
        return flow_removal(list.node, items, remove, text).map_err(|at| refuse(at, "a flow list with comments in it"));
    }
    let key = list.key.ok_or_else(|| refuse(list.node.span.start, "a list without a key"))?;
    let mut splices = Vec::new();
    for i in remove {
        let lines = lines(key, items, *i, text);
        let lines = lines.map_err(|at| refuse(at, "a list item that does not start its own line"))?;
        splices.push(Splice::remove(lines));
    }
    if remove.len() == items.len() {
        // Nothing left would read as null; the list stays a list.
        let colon = text[key.end..].find(':').ok_or_else(|| refuse(key.end, "a key without a colon"))?;
        splices.push(Splice::insert(key.end + colon + 1, " []"));
    }
    Ok(splices)
}

/// The line of the first dash at or behind `from`, where only blank lines and comments stand before it.
fn dash(text: &str, from: usize) -> Result<usize, usize> {
    let mut at = from;
    while at < text.len() {
        let line = &text[at..line_end(text, at)];
        if line.trim_start().starts_with('-') {
            return Ok(at);
        }
        if !is_blank(line) && !is_comment(line) {
            break;
        }
        at += line.len();
    }
    Err(at)
}

/// The whole lines of one item. The error is the place that stands in the way.
fn lines(key: &Node, items: &[Node], i: usize, text: &str) -> Result<Range<usize>, usize> {
    let first = line_end(text, key.end);
    let column = indent(&text[dash(text, first)?..]);
    let floor = if i == 0 { first } else { line_end(text, items[i - 1].end) };
    let dash = dash(text, floor)?;
    if indent(&text[dash..]) != column || items[i].end <= dash {
        return Err(dash);
    }
    let mut start = dash;
    while start > floor {
        let above = line_start(text, start - 1);
        if !is_comment(&text[above..start]) || indent(&text[above..start]) != column {
            break;
        }
        start = above;
    }
    let mut end = line_end(text, items[i].end.max(dash + column + 1));
    let mut at = end;
    while at < text.len() {
        let line = &text[at..line_end(text, at)];
        at += line.len();
        if is_comment(line) && indent(line) > column {
            end = at;
        } else if !is_blank(line) {
            break;
        }
    }
    Ok(start..end)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Items of a list in brackets, each with the comma that goes with it.
fn flow_removal(list: &Node, items: &[Node], remove: &[usize], text: &str) -> Result<Vec<Splice>, usize> {
    let kept: Vec<usize> = (0..items.len()).filter(|i| remove.binary_search(i).is_err()).collect();
    let from = |i: usize| items[i].span.start;
    let mut splices = Vec::new();
    for i in remove {
        let range = match kept.last() {
            None => list.span.start + 1..list.end - 1,
            // Behind the last one that stays the comma before goes, else the one behind.
            Some(last) if i > last => items[i - 1].end..items[*i].end,
            Some(_) => from(*i)..from(i + 1),
        };
        if text[range.clone()].contains('#') || items[*i].anchor != 0 || items[*i].tagged {
            return Err(range.start);
        }
        splices.push(Splice::remove(range));
    }
    Ok(splices)
}
