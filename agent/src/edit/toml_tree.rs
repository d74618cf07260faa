//! The values of a TOML document without its layout, and what an edit makes of them.
//!
//! The intended document is computed here, on values only; the text is changed elsewhere, by other code, and must then
//! parse to exactly this.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::error::EditError;
use super::path::{self, Segment, Step};

/// One value.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Table(Table),
    /// Elements, and whether they are written as `[[...]]` tables.
    Array(Vec<Tree>, bool),
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Datetime(toml_edit::Datetime),
}

/// A table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) entries: BTreeMap<String, Tree>,
    /// Whether it is written by itself. One that is only implied by its keys and sub-tables goes with the last of them.
    pub(crate) shown: bool,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Table(a), Self::Table(b)) => a.entries == b.entries,
            (Self::Array(a, _), Self::Array(b, _)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Datetime(a), Self::Datetime(b)) => a == b,
            (
                Self::Table(_)
                | Self::Array(..)
                | Self::String(_)
                | Self::Integer(_)
                | Self::Float(_)
                | Self::Bool(_)
                | Self::Datetime(_),
                _,
            ) => false,
        }
    }
}

impl Tree {
    /// The values of a parsed document.
    pub(crate) fn of(table: &toml_edit::Table) -> Self {
        let entries = table.iter().filter_map(|(k, item)| Some((k.to_owned(), of_item(item)?))).collect();
        Self::Table(Table { entries, shown: !table.is_implicit() && !table.is_dotted() })
    }

    /// A value of an edit. `path` is for the message.
    pub(crate) fn of_json(json: &Json, path: &[Step]) -> Result<Self, EditError> {
        let wrong = |what| EditError::Operation { path: path::show(path), what };
        Ok(match json {
            Json::Null => return Err(wrong("TOML has no null")),
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => match (n.as_i64(), n.as_f64()) {
                (Some(i), _) => Self::Integer(i),
                (None, Some(f)) if n.is_f64() => Self::Float(f),
                (None, _) => return Err(wrong("the number does not fit 64 bits with a sign")),
            },
            Json::String(s) => Self::String(s.clone()),
            Json::Array(items) => Self::Array(items.iter().map(|i| Self::of_json(i, path)).collect::<Result<_, _>>()?, false),
            Json::Object(map) => {
                let mut table = Table { entries: BTreeMap::new(), shown: true };
                for (key, value) in map {
                    if table.entries.insert(path::literal(key)?, Self::of_json(value, path)?).is_some() {
                        return Err(wrong("two keys of the edit are the same"));
                    }
                }
                Self::Table(table)
            }
        })
    }

    /// Name of the kind, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::Array(_, true) => "an array of tables",
            Self::Array(_, false) => "an array",
            Self::String(_) | Self::Integer(_) | Self::Float(_) | Self::Bool(_) | Self::Datetime(_) => "a single value",
        }
    }

    /// The text that a selector compares.
    fn text(&self) -> Option<String> {
        match self {
            Self::String(s) => Some(s.clone()),
            Self::Integer(i) => Some(i.to_string()),
            Self::Float(f) => Some(f.to_string()),
            Self::Bool(b) => Some(b.to_string()),
            Self::Datetime(d) => Some(d.to_string()),
            Self::Table(_) | Self::Array(..) => None,
        }
    }

    /// What stands at a path.
    pub(crate) fn get(&self, steps: &[Step]) -> Option<&Tree> {
        let Some((step, rest)) = steps.split_first() else { return Some(self) };
        match (self, step) {
            (Self::Table(t), Step::Key(key)) => t.entries.get(key)?.get(rest),
            (Self::Array(a, _), Step::Index(i)) => a.get(*i)?.get(rest),
            _ => None,
        }
    }

    /// Takes away what stands at a path, with the implied tables and the arrays of tables that this leaves empty.
    pub(crate) fn remove(&mut self, steps: &[Step]) {
        let Some((step, rest)) = steps.split_first() else { return };
        match (self, step) {
            (Self::Table(table), Step::Key(key)) => {
                let Some(child) = table.entries.get_mut(key) else { return };
                child.remove(rest);
                let hollow = match child {
                    Self::Table(t) => !t.shown && t.entries.is_empty(),
                    Self::Array(a, tables) => *tables && a.is_empty(),
                    _ => false,
                };
                if rest.is_empty() || hollow {
                    table.entries.remove(key);
                }
            }
            (Self::Array(items, _), Step::Index(i)) if *i < items.len() => {
                if rest.is_empty() {
                    items.remove(*i);
                } else {
                    items[*i].remove(rest);
                }
            }
            _ => {}
        }
    }

    /// Puts a value at a path, making the tables on the way. A table is never replaced by another value.
    pub(crate) fn set(&mut self, steps: &[Step], value: Tree) -> Result<(), EditError> {
        self.set_below(steps, 0, value)
    }

    fn set_below(&mut self, steps: &[Step], depth: usize, value: Tree) -> Result<(), EditError> {
        let found = self.kind();
        let wrong = |wanted| Err(EditError::Kind { path: path::show(&steps[..depth]), found, wanted });
        let Some(step) = steps.get(depth) else {
            let single = |t: &Tree| !matches!(t, Self::Table(_) | Self::Array(_, true));
            if *self == value {
                return Ok(());
            }
            if !single(self) || matches!(value, Self::Table(_)) {
                return wrong(if single(self) { "a table" } else { "a value that can be replaced" });
            }
            *self = value;
            return Ok(());
        };
        match (self, step) {
            (Self::Table(table), Step::Key(key)) => match table.entries.get_mut(key) {
                Some(child) => child.set_below(steps, depth + 1, value),
                None if depth + 1 == steps.len() => {
                    table.entries.insert(key.clone(), value);
                    Ok(())
                }
                None => {
                    let mut child = Tree::Table(Table::default());
                    child.set_below(steps, depth + 1, value)?;
                    table.entries.insert(key.clone(), child);
                    Ok(())
                }
            },
            (Self::Array(items, _), Step::Index(i)) if *i < items.len() => items[*i].set_below(steps, depth + 1, value),
            (Self::Array(..), _) => wrong("a table; name one element as in name[key=value]"),
            _ => wrong("a table"),
        }
    }

    /// Sets every key of an object, sub-tables likewise, and leaves the others.
    pub(crate) fn merge(&mut self, steps: &[Step], values: &serde_json::Map<String, Json>) -> Result<(), EditError> {
        match self.get(steps) {
            Some(Self::Table(_)) => {}
            Some(other) => {
                let found = other.kind();
                return Err(EditError::Kind { path: path::show(steps), found, wanted: "a table" });
            }
            None => self.set(steps, Tree::Table(Table { entries: BTreeMap::new(), shown: true }))?,
        }
        let mut below = steps.to_vec();
        for (key, value) in values {
            below.push(Step::Key(path::literal(key)?));
            match value {
                Json::Object(inner) => self.merge(&below, inner)?,
                single => self.set(&below, Tree::of_json(single, &below)?)?,
            }
            below.pop();
        }
        Ok(())
    }

    /// Whether this holds every key of `part` with the same value, at any depth.
    pub(crate) fn contains(&self, part: &Tree) -> bool {
        match (self, part) {
            (Self::Table(whole), Self::Table(part)) => {
                part.entries.iter().all(|(k, v)| whole.entries.get(k).is_some_and(|w| w.contains(v)))
            }
            _ => self == part,
        }
    }

    /// Resolves the selectors of a path. Keys that are missing stay as they are; a selector must pick exactly one.
    pub(crate) fn resolve(&self, segments: &[Segment], shown: &str) -> Result<Vec<Step>, EditError> {
        let mut steps = Vec::new();
        for segment in segments {
            steps.push(Step::Key(segment.key.clone()));
            if segment.select.is_empty() {
                continue;
            }
            let items = match self.get(&steps) {
                Some(Self::Array(items, _)) => items,
                Some(other) => {
                    let found = other.kind();
                    return Err(EditError::Kind { path: path::show(&steps), found, wanted: "an array" });
                }
                None => return Err(EditError::NotFound { path: shown.to_owned() }),
            };
            let holds = |item: &Tree, (key, text): &(String, String)| {
                item.get(&[Step::Key(key.clone())]).and_then(Tree::text).as_ref() == Some(text)
            };
            let mut hits = (0..items.len()).filter(|i| segment.select.iter().all(|s| holds(&items[*i], s)));
            let first = hits.next().ok_or_else(|| EditError::NotFound { path: shown.to_owned() })?;
            let more = hits.count();
            if more > 0 {
                return Err(EditError::Count { path: shown.to_owned(), found: more + 1, wanted: 1 });
            }
            steps.push(Step::Index(first));
        }
        Ok(steps)
    }
}

fn of_item(item: &toml_edit::Item) -> Option<Tree> {
    Some(match item {
        toml_edit::Item::None => return None,
        toml_edit::Item::Value(value) => of_value(value),
        toml_edit::Item::Table(table) => Tree::of(table),
        toml_edit::Item::ArrayOfTables(array) => Tree::Array(array.iter().map(Tree::of).collect(), true),
    })
}

fn of_value(value: &toml_edit::Value) -> Tree {
    match value {
        toml_edit::Value::String(s) => Tree::String(s.value().clone()),
        toml_edit::Value::Integer(i) => Tree::Integer(*i.value()),
        toml_edit::Value::Float(f) => Tree::Float(*f.value()),
        toml_edit::Value::Boolean(b) => Tree::Bool(*b.value()),
        toml_edit::Value::Datetime(d) => Tree::Datetime(*d.value()),
        toml_edit::Value::Array(array) => Tree::Array(array.iter().map(of_value).collect(), false),
        toml_edit::Value::InlineTable(table) => {
            let entries = table.iter().map(|(k, v)| (k.to_owned(), of_value(v))).collect();
            Tree::Table(Table { entries, shown: !table.is_dotted() })
        }
    }
}
