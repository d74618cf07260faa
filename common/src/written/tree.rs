//! The tree: scalars with their types, lists, mappings in their order, each with its place.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::Place;

/// A place inside one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters, quotes counted; 0 where it is unknown.
    pub length: u32,
}

impl Mark {
    /// The place in a named file.
    #[must_use]
    pub fn in_file(self, file: &str) -> Place {
        Place { file: file.to_owned(), line: self.line, column: self.column, length: self.length }
    }
}

/// One value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub content: Content,
    /// Where it stands.
    pub mark: Mark,
    /// Whether a template gave it: a number from a template may then stand for a text.
    pub filled: bool,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Null, boolean, number or text.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the file.
    Map(Vec<Entry>),
    /// A template whose value is not known yet; fits everywhere. Stands for it when a recipe is checked without a fleet.
    Open,
}

/// One line of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub mark: Mark,
    /// Its value.
    pub value: Node,
}

/// A file, read.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file as the person named it.
    pub file: Arc<str>,
    /// Its content.
    pub root: Node,
}

impl Node {
    /// A node that no file holds.
    #[must_use]
    pub fn scalar(value: Value, mark: Mark) -> Self {
        Self { content: Content::Scalar(value), mark, filled: false }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null))
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(s)) => Some(s),
            _ => None,
        }
    }

    /// The lines, if it is a mapping.
    #[must_use]
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key, if it is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|e| e.key == key).map(|e| &e.value)
    }

    /// The same value without places.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(v) => v.clone(),
            Content::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Content::Map(entries) => {
                Value::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_value())).collect::<Map<_, _>>())
            }
            Content::Open => Value::Null,
        }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(Value::Bool(_)) => "true or false",
            Content::Scalar(Value::Number(_)) => "a number",
            Content::Scalar(_) => "a text",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
            Content::Open => "a template",
        }
    }
}
