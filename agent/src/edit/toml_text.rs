//! The text of a TOML document under edit: every change is a replacement of byte ranges, after which it is read again.

use serde_json::{Map, Value as Json};

use super::error::EditError;
use super::path::{self, Step};
use super::span::{self, Splice, is_blank, is_comment, line_end, line_start};
use super::toml_inline as inline;
use super::toml_layout::{Entry, Layout};
use super::toml_render as render;
use super::toml_tree::Tree;

/// Deepest nesting that is read; the parser has the same limit.
const DEPTH_LIMIT: usize = 80;

/// A document: its text, its values, and where they stand.
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) tree: Tree,
    layout: Layout,
    newline: &'static str,
}

impl Document {
    /// Reads a document without a byte order mark.
    pub(crate) fn read(text: String, newline: &'static str) -> Result<Self, EditError> {
        let (tree, layout) = {
            let parsed = toml_edit::Document::parse(text.as_str()).map_err(|e| refusal(&text, &e))?;
            (Tree::of(parsed.as_table()), Layout::of(&parsed))
        };
        Ok(Self { text, tree, layout, newline })
    }

    fn change(&mut self, splices: Vec<Splice>) -> Result<(), EditError> {
        let text = span::apply(&self.text, splices);
        // What was valid before and is not any more was spoiled here, not by the file's author.
        *self = Self::read(text, self.newline).map_err(|_| EditError::Unintended { format: "TOML" })?;
        Ok(())
    }

    /// Comments out a table or key with all below it. With `reopen` an empty table of the same name follows.
    pub(crate) fn comment_out(&mut self, steps: &[Step], reopen: bool) -> Result<(), EditError> {
        self.refuse_inside_value(steps, "a part of an inline value cannot be commented out")?;
        let mut splices = Vec::new();
        for range in self.lines_of(steps) {
            let mut at = range.start;
            while at < range.end {
                let line = &self.text[at..line_end(&self.text, at)];
                if !is_blank(line) && !is_comment(line) {
                    splices.push(Splice::insert(at, "#"));
                }
                at += line.len();
            }
        }
        if let Some(last) = self.layout.last_below(steps).filter(|_| reopen) {
            let header = render::table(steps, &Map::new(), false)?;
            splices.push(self.insertion(Layout::tail(last, &self.text), &header, true));
        }
        self.change(splices)
    }

    /// Removes a key or table with all below it. Comments outside its lines stay.
    pub(crate) fn remove(&mut self, steps: &[Step]) -> Result<(), EditError> {
        if let Some(entry) = self.layout.value_around(steps).filter(|e| e.path.len() < steps.len()) {
            let rest = &steps[entry.path.len()..];
            let new = inline::remove(&self.text[entry.value.clone()], rest);
            return self.replace_value(entry.clone(), steps, new);
        }
        let tables: Vec<usize> = self.layout.sections.iter().map(|s| s.header.start).collect();
        let splices = self.lines_of(steps).into_iter().map(|range| {
            let table = tables.contains(&range.start) && !range.is_empty();
            Splice::remove(if table { self.with_blank_line(range) } else { range })
        });
        let splices = splices.collect();
        self.change(splices)
    }

    /// Sets every key of an object; tables that are missing are added.
    pub(crate) fn merge(&mut self, steps: &[Step], values: &Map<String, Json>) -> Result<(), EditError> {
        if self.tree.get(steps).is_none() {
            return match self.layout.value_around(steps) {
                Some(_) => self.set(steps, &Json::Object(values.clone())),
                None => self.add_table(steps, values, false),
            };
        }
        let mut below = steps.to_vec();
        for (key, value) in values {
            below.push(Step::Key(path::literal(key)?));
            match value {
                Json::Object(inner) => self.merge(&below, inner)?,
                single => self.set(&below, single)?,
            }
            below.pop();
        }
        Ok(())
    }

    /// Sets one key.
    pub(crate) fn set(&mut self, steps: &[Step], json: &Json) -> Result<(), EditError> {
        if self.tree.get(steps) == Some(&Tree::of_json(json, steps)?) {
            return Ok(());
        }
        if let Some(entry) = self.layout.value_around(steps).cloned() {
            let rest = &steps[entry.path.len()..];
            let new = inline::set(&self.text[entry.value.clone()], rest, json);
            return self.replace_value(entry, steps, new);
        }
        // A table that was commented out and stands there anew, still empty.
        if let (Some(Tree::Table(_)), Json::Object(values)) = (self.tree.get(steps), json) {
            return self.merge(steps, values);
        }
        let Some((Step::Key(key), parent)) = steps.split_last() else {
            return Err(EditError::Unsupported { path: path::show(steps), what: "an element of an array", at: None });
        };
        if let Some(section) = self.layout.section_of(parent) {
            let line = format!("{} = {}", render::key(key), render::value(json)?);
            return self.add_line(section, &line);
        }
        self.add_table(parent, &Map::from_iter([(quoted(key), json.clone())]), false)
    }

    /// Adds an element to an array of tables, or the array with it.
    pub(crate) fn push(&mut self, array: &[Step], values: &Map<String, Json>) -> Result<(), EditError> {
        if let Some(entry) = self.layout.value_around(array).cloned() {
            let rest = &array[entry.path.len()..];
            let (raw, element) = (&self.text[entry.value.clone()], Json::Object(values.clone()));
            let new = match self.tree.get(array) {
                Some(_) => inline::push(raw, rest, &element),
                None => inline::set(raw, rest, &Json::Array(vec![element])),
            };
            return self.replace_value(entry, array, new);
        }
        self.add_table(array, values, true)
    }

    fn replace_value(&mut self, entry: Entry, steps: &[Step], new: Option<String>) -> Result<(), EditError> {
        let at = Some(span::place(self.text.as_bytes(), entry.value.start));
        let new = new.ok_or(EditError::Unsupported { path: path::show(steps), what: "an inline value", at })?;
        let new = new.replace("\r\n", "\n").replace('\n', self.newline);
        self.change(vec![Splice::replace(entry.value, new)])
    }

    fn refuse_inside_value(&self, steps: &[Step], what: &'static str) -> Result<(), EditError> {
        match self.layout.value_around(steps).filter(|e| e.path.len() < steps.len()) {
            Some(entry) => {
                let at = Some(span::place(self.text.as_bytes(), entry.value.start));
                Err(EditError::Unsupported { path: path::show(steps), what, at })
            }
            None => Ok(()),
        }
    }

    /// The whole lines of a key or table and of all below it.
    fn lines_of(&self, steps: &[Step]) -> Vec<std::ops::Range<usize>> {
        let sections = &self.layout.sections;
        let tables = sections.iter().filter(|s| s.path.starts_with(steps)).map(|s| s.header.start..s.end);
        let apart = |e: &&Entry| e.path.starts_with(steps) && !sections[e.section].path.starts_with(steps);
        let keys = self.layout.entries.iter().filter(apart).map(|e| e.lines.clone());
        tables.chain(keys).collect()
    }

    /// A table's lines with the blank line that set it off, where one is left over.
    fn with_blank_line(&self, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
        let after = &self.text[range.end..line_end(&self.text, range.end)];
        if !is_blank(after) {
            return range;
        }
        if range.start == 0 {
            return range.start..range.end + after.len();
        }
        let before = line_start(&self.text, range.start - 1);
        if is_blank(&self.text[before..range.start]) { before..range.end } else { range }
    }

    /// A line at the end of a section.
    fn add_line(&mut self, section: usize, line: &str) -> Result<(), EditError> {
        let at = self.layout.sections[section].end;
        let last = self.layout.entries.iter().rfind(|e| e.section == section);
        let indent = last.map_or("", |e| span::indent_at(&self.text, e.lines.start));
        let first = last.is_none() && section == 0;
        let splice = self.insertion(at, &[format!("{indent}{line}")], first);
        self.change(vec![splice])
    }

    /// A new table, as the file writes its like: under a header, or as dotted keys.
    fn add_table(&mut self, steps: &[Step], values: &Map<String, Json>, element: bool) -> Result<(), EditError> {
        for n in (1..=steps.len()).rev() {
            if self.layout.section_of(&steps[..n]).is_some() {
                break;
            }
            if let Some(dotted) = self.layout.dotted(&steps[..n], &self.text) {
                if element {
                    let what = "an array of tables below dotted keys";
                    return Err(EditError::Unsupported { path: path::show(steps), what, at: None });
                }
                let lines = render::dotted_lines(&steps[dotted.section.len()..], values)?;
                let lines: Vec<String> = lines.iter().map(|l| format!("{}{l}", dotted.indent)).collect();
                let splice = self.insertion(dotted.at, &lines, false);
                return self.change(vec![splice]);
            }
        }
        let lines = render::table(steps, values, element)?;
        let splice = self.insertion(self.place_of_table(steps, element), &lines, true);
        self.change(vec![splice])
    }

    /// Where a new table goes: behind the last one of its array or parent, else at the end; always within the element
    /// of an array that it belongs to.
    fn place_of_table(&self, steps: &[Step], element: bool) -> usize {
        if element && let Some(last) = self.layout.last_below(steps) {
            return Layout::tail(last, &self.text);
        }
        let inside = steps.iter().rposition(|s| matches!(s, Step::Index(_))).map(|i| i + 1);
        let least = inside.unwrap_or(if element { steps.len() + 1 } else { 1 });
        let mut near = (least..=steps.len()).rev();
        let last = near.find_map(|n| self.layout.last_below(&steps[..n]));
        last.map_or(self.text.len(), |s| Layout::tail(s, &self.text))
    }

    /// Whole new lines at an offset; `apart` sets them off with blank lines.
    fn insertion(&self, at: usize, lines: &[String], apart: bool) -> Splice {
        let (before, after) = self.text.split_at(at);
        let mut new = String::new();
        let unended = !before.is_empty() && !before.ends_with('\n');
        if unended {
            new.push_str(self.newline);
        }
        let last = before.strip_suffix('\n').unwrap_or(before);
        if apart && !is_blank(&last[last.rfind('\n').map_or(0, |i| i + 1)..]) {
            new.push_str(self.newline);
        }
        new.push_str(&lines.join(self.newline));
        // A file that ended without a line end does so again.
        if !unended {
            new.push_str(self.newline);
        }
        if apart && !after.is_empty() && !is_blank(&after[..line_end(after, 0)]) {
            new.push_str(self.newline);
        }
        Splice::insert(at, new)
    }
}

/// A key that is meant literally, in the form that objects of an edit take keys in.
fn quoted(key: &str) -> String {
    if key.starts_with(['\'', '"']) { toml_edit::Key::new(key).display_repr().into_owned() } else { key.to_owned() }
}

fn refusal(text: &str, error: &toml_edit::TomlError) -> EditError {
    let at = error.span().map(|s| span::place(text.as_bytes(), s.start));
    // Both of the parser's limits on depth; it has no other way to tell them.
    if error.message().contains("recurs") {
        return EditError::TooDeep { limit: DEPTH_LIMIT, at };
    }
    EditError::Syntax { format: "TOML", what: error.message().to_owned(), at }
}
