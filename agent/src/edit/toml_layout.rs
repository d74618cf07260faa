//! Where the tables and keys of a TOML document stand in its text.

use std::ops::Range;

use super::path::Step;
use super::span::{indent_at, is_blank, is_comment, line_end, line_start};

/// The lines under one header, or those before the first header.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) path: Vec<Step>,
    /// The header's line; empty for what stands before the first header.
    pub(crate) header: Range<usize>,
    /// End of its last key's lines, or of the header where it has none.
    pub(crate) end: usize,
}

/// One key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) section: usize,
    pub(crate) path: Vec<Step>,
    /// Its whole lines.
    pub(crate) lines: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// Sections and entries in the order of the text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    pub(crate) sections: Vec<Section>,
    pub(crate) entries: Vec<Entry>,
}

/// A table that is written as dotted keys, or that could be: where a further key of it goes.
pub(crate) struct Dotted {
    /// Path of the section that holds the keys.
    pub(crate) section: Vec<Step>,
    /// Offset of the line after the last of them.
    pub(crate) at: usize,
    /// White space before them.
    pub(crate) indent: String,
}

impl Layout {
    /// Reads it from a document that kept its spans.
    pub(crate) fn of(document: &toml_edit::Document<&str>) -> Self {
        let text = document.raw();
        let mut layout = Self::default();
        layout.sections.push(Section { path: Vec::new(), header: 0..0, end: 0 });
        layout.walk(document.as_table(), &mut Vec::new(), 0, text);
        layout.in_order()
    }

    fn walk(&mut self, table: &toml_edit::Table, path: &mut Vec<Step>, section: usize, text: &str) {
        for (key, item) in table.iter() {
            path.push(Step::Key(key.to_owned()));
            match item {
                toml_edit::Item::None => {}
                toml_edit::Item::Value(value) => {
                    let from = table.key(key).and_then(toml_edit::Key::span);
                    if let (Some(from), Some(value)) = (from, value.span()) {
                        let lines = line_start(text, from.start)..line_end(text, value.end);
                        self.sections[section].end = self.sections[section].end.max(lines.end);
                        self.entries.push(Entry { section, path: path.clone(), lines, value });
                    }
                }
                toml_edit::Item::Table(inner) => {
                    let section = if inner.is_dotted() { section } else { self.section(inner, path, text) };
                    self.walk(inner, path, section, text);
                }
                toml_edit::Item::ArrayOfTables(array) => {
                    for (i, inner) in array.iter().enumerate() {
                        path.push(Step::Index(i));
                        let section = self.section(inner, path, text);
                        self.walk(inner, path, section, text);
                        path.pop();
                    }
                }
            }
            path.pop();
        }
    }

    /// The section of a table. One that is implied by its sub-tables has no lines and gets none.
    fn section(&mut self, table: &toml_edit::Table, path: &[Step], text: &str) -> usize {
        match table.span() {
            Some(span) if !table.is_implicit() => {
                let header = line_start(text, span.start)..line_end(text, span.end);
                self.sections.push(Section { path: path.to_vec(), end: header.end, header });
                self.sections.len() - 1
            }
            _ => 0,
        }
    }

    fn in_order(mut self) -> Self {
        let mut order: Vec<usize> = (0..self.sections.len()).collect();
        order.sort_by_key(|i| (self.sections[*i].header.start, self.sections[*i].header.end));
        let mut place = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = new;
        }
        self.sections = order.iter().map(|i| self.sections[*i].clone()).collect();
        for entry in &mut self.entries {
            entry.section = place[entry.section];
        }
        self.entries.sort_by_key(|e| e.lines.start);
        self
    }

    /// The section of exactly this table.
    pub(crate) fn section_of(&self, path: &[Step]) -> Option<usize> {
        self.sections.iter().position(|s| s.path == path)
    }

    /// The entry whose value is what stands at the path, or holds it.
    pub(crate) fn value_around(&self, path: &[Step]) -> Option<&Entry> {
        self.entries.iter().find(|e| path.starts_with(&e.path))
    }

    /// The last section of a table or of anything in it.
    pub(crate) fn last_below(&self, path: &[Step]) -> Option<&Section> {
        self.sections.iter().rfind(|s| s.path.starts_with(path))
    }

    /// The table as dotted keys, where it is written so.
    pub(crate) fn dotted(&self, path: &[Step], text: &str) -> Option<Dotted> {
        let inside = |e: &&Entry| {
            let section = &self.sections[e.section].path;
            section.len() < path.len() && e.path.len() > path.len() && e.path.starts_with(path)
        };
        let last = self.entries.iter().rfind(inside)?;
        Some(Dotted {
            section: self.sections[last.section].path.clone(),
            at: last.lines.end,
            indent: indent_at(text, last.lines.start).to_owned(),
        })
    }

    /// Where a new table goes behind a section: after the comments that directly follow its keys, unless these lead to
    /// the next header.
    pub(crate) fn tail(section: &Section, text: &str) -> usize {
        let mut at = section.end;
        while at < text.len() {
            let line = &text[at..line_end(text, at)];
            if is_blank(line) {
                return at;
            }
            if !is_comment(line) {
                return section.end;
            }
            at += line.len();
        }
        at
    }
}
