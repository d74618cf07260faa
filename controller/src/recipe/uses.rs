//! What a recipe's expressions, templates and actions name, each with the first place where they do.

use std::collections::BTreeMap;

use cavalcade_common::written::{Content, Entry, Mark, Node};
use cavalcade_common::{expression, template};

/// Keys whose text is an expression without braces.
const EXPRESSIONS: [&str; 9] = ["nodes", "on", "for", "when", "that", "ready", "down", "same", "at"];
/// Sections that only declare.
const DECLARE: [&str; 8] = ["schema", "recipe", "title", "options", "artifacts", "ports", "profiles", "hide"];

/// What is named, and where first.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Dotted names: `options.apart`, `facts.user_store.type`.
    pub(super) names: BTreeMap<String, Place>,
    /// Artifacts, databases and needs by their plain names.
    pub(super) artifacts: BTreeMap<String, Mark>,
    pub(super) databases: BTreeMap<String, Mark>,
    pub(super) needs: BTreeMap<String, Mark>,
    /// Effects with every place.
    pub(super) effects: BTreeMap<String, Vec<Place>>,
}

/// A place, and the step in which it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) mark: Mark,
    pub(super) step: Option<String>,
}

impl Uses {
    /// Of a whole recipe.
    pub(super) fn of(root: &Node) -> Self {
        let mut uses = Self::default();
        for entry in root.entries().unwrap_or_default() {
            match entry.key.as_str() {
                key if DECLARE.contains(&key) => {}
                "across" => {
                    for list in entry.value.entries().unwrap_or_default() {
                        list.value.entries().unwrap_or_default().iter().for_each(|part| uses.expression(&part.value, None));
                    }
                }
                "values" => {
                    for value in entry.value.entries().unwrap_or_default() {
                        uses.expression(&value.value, None);
                    }
                }
                _ => uses.node(&entry.value, None),
            }
        }
        uses
    }

    /// Whether something reads a name below this dotted one, or the whole of it or of what it is in.
    pub(super) fn reads(&self, name: &str) -> bool {
        let root = name.split('.').next().unwrap_or(name);
        self.names.keys().any(|n| n == root || n == name || n.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    }

    fn node(&mut self, node: &Node, step: Option<&str>) {
        match &node.content {
            Content::Scalar(_) | Content::Open => self.template(node, step),
            Content::List(items) => items.iter().for_each(|item| self.node(item, step)),
            Content::Map(entries) => {
                let own = entries.iter().find(|e| e.key == "step").and_then(|e| e.value.text());
                for entry in entries {
                    self.entry(entry, entries, own.or(step));
                }
            }
        }
    }

    fn entry(&mut self, entry: &Entry, beside: &[Entry], step: Option<&str>) {
        let (key, value) = (entry.key.as_str(), &entry.value);
        let has = |key: &str| beside.iter().any(|e| e.key == key);
        match key {
            "when" if value.entries().is_some() => {
                for fact in value.entries().unwrap_or_default() {
                    self.name(format!("facts.{}", fact.key), fact.mark, step);
                }
            }
            "artifact" | "pack" => texts(value).for_each(|(name, mark)| note(&mut self.artifacts, name, mark)),
            "script" if has("database") => texts(value).for_each(|(name, mark)| note(&mut self.artifacts, name, mark)),
            "database" | "databases" => texts(value).for_each(|(name, mark)| note(&mut self.databases, name, mark)),
            "needs" => texts(value).for_each(|(name, mark)| note(&mut self.needs, name, mark)),
            // The items of a list that is written out may name either.
            "for" => {
                for (name, mark) in texts(value) {
                    note(&mut self.artifacts, name, mark);
                    note(&mut self.databases, name, mark);
                }
            }
            "effect" => {
                let place = |mark| Place { mark, step: step.map(ToOwned::to_owned) };
                texts(value).for_each(|(name, mark)| self.effects.entry(name.to_owned()).or_default().push(place(mark)));
            }
            _ => {}
        }
        if EXPRESSIONS.contains(&key) && value.text().is_some_and(|t| !template::is_template(t)) {
            self.expression(value, step);
        } else {
            self.node(value, step);
        }
    }

    fn expression(&mut self, node: &Node, step: Option<&str>) {
        for name in node.text().map(expression::names_in).unwrap_or_default() {
            self.name(name, node.mark, step);
        }
    }

    fn template(&mut self, node: &Node, step: Option<&str>) {
        for name in node.text().map(template::names_in).unwrap_or_default() {
            self.name(name, node.mark, step);
        }
    }

    fn name(&mut self, name: String, mark: Mark, step: Option<&str>) {
        self.names.entry(name).or_insert_with(|| Place { mark, step: step.map(ToOwned::to_owned) });
    }
}

fn note(all: &mut BTreeMap<String, Mark>, name: &str, mark: Mark) {
    all.entry(name.to_owned()).or_insert(mark);
}

/// A text, or those of a list.
fn texts(node: &Node) -> impl Iterator<Item = (&str, Mark)> {
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        Content::Scalar(_) | Content::Map(_) | Content::Open => std::slice::from_ref(node),
    };
    items.iter().filter_map(|n| Some((n.text()?, n.mark)))
}
