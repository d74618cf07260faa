//! What a TOML edit means for the values of a document.

use std::collections::BTreeMap;

use cavalcade_common::action::{TomlAppend, TomlEdit};
use serde_json::Value as Json;

use super::error::EditError;
use super::path::{self, Segment, Step};
use super::toml_tree::{Table, Tree};

/// The values after the edit.
///
/// A table to comment out goes first; where the rest of the edit then makes exactly the table that was there, nothing
/// about it changes, which is what "already holds exactly what this edit sets" means.
pub(crate) fn intended(before: &Tree, edit: &TomlEdit) -> Result<Tree, EditError> {
    let mut tree = before.clone();
    for shown in edit.comment_out.iter().chain(&edit.remove) {
        if let Some(steps) = present(&tree, shown)? {
            tree.remove(&steps);
        }
    }
    for (shown, values) in &edit.merge {
        let Json::Object(values) = values else {
            return Err(EditError::Operation { path: shown.clone(), what: "`merge` takes a table of keys" });
        };
        let steps = merged(&tree, shown, values)?;
        tree.merge(&steps, values)?;
    }
    for (shown, value) in &edit.set {
        let steps = set(&tree, shown, value)?;
        tree.set(&steps, Tree::of_json(value, &steps)?)?;
    }
    for append in &edit.append {
        let place = element(&tree, append)?;
        match place.found {
            Some(steps) => tree.merge(&steps, &append.values)?,
            None => push(&mut tree, &place.array, Tree::of_json(&append.values.clone().into(), &place.array)?)?,
        }
    }
    Ok(tree)
}

/// The steps of a table to merge into.
pub(crate) fn merged(tree: &Tree, shown: &str, values: &serde_json::Map<String, Json>) -> Result<Vec<Step>, EditError> {
    let segments = path::parse(shown)?;
    let keys: Vec<(&str, &Json)> = values.iter().map(|(k, v)| (k.as_str(), v)).collect();
    either(tree, shown, &segments, || path::renamed(&segments, &keys))
}

/// The steps of a key to set.
pub(crate) fn set(tree: &Tree, shown: &str, value: &Json) -> Result<Vec<Step>, EditError> {
    let segments = path::parse(shown)?;
    either(tree, shown, &segments, || path::renamed_by_key(&segments, value))
}

fn either(
    tree: &Tree,
    shown: &str,
    segments: &[Segment],
    renamed: impl FnOnce() -> Option<Vec<Segment>>,
) -> Result<Vec<Step>, EditError> {
    match tree.resolve(segments, shown) {
        Err(EditError::NotFound { path }) => match renamed() {
            Some(renamed) => tree.resolve(&renamed, shown),
            None => Err(EditError::NotFound { path }),
        },
        other => other,
    }
}

/// The steps of what a path names, if it is there.
pub(crate) fn present(tree: &Tree, shown: &str) -> Result<Option<Vec<Step>>, EditError> {
    match tree.resolve(&path::parse(shown)?, shown) {
        Ok(steps) => Ok(tree.get(&steps).is_some().then_some(steps)),
        Err(EditError::NotFound { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Where an element stands or goes.
pub(crate) struct Place {
    /// The array.
    pub(crate) array: Vec<Step>,
    /// The element that counts as the same, if there is one.
    pub(crate) found: Option<Vec<Step>>,
}

/// Finds the array and, in it, the element that an append updates.
pub(crate) fn element(tree: &Tree, append: &TomlAppend) -> Result<Place, EditError> {
    let array = tree.resolve(&path::parse(&append.table)?, &append.table)?;
    let wrong = |what| EditError::Operation { path: append.table.clone(), what };
    if !matches!(array.last(), Some(Step::Key(_))) {
        return Err(wrong("`append` takes the path of an array, not of an element"));
    }
    let values = Tree::of_json(&append.values.clone().into(), &array)?;
    let mut identity = BTreeMap::new();
    for key in &append.identity {
        let key = path::literal(key)?;
        let value = values.get(&[Step::Key(key.clone())]).ok_or_else(|| wrong("an identity key is not among the values"))?;
        identity.insert(key, value.clone());
    }
    let part = if identity.is_empty() { values } else { Tree::Table(Table { entries: identity, shown: true }) };
    let items = match tree.get(&array) {
        None => return Ok(Place { array, found: None }),
        Some(Tree::Array(items, _)) if items.iter().all(|i| matches!(i, Tree::Table(_))) => items,
        Some(other) => {
            let (path, found) = (append.table.clone(), other.kind());
            return Err(EditError::Kind { path, found, wanted: "an array of tables" });
        }
    };
    let hits: Vec<usize> = (0..items.len()).filter(|i| items[*i].contains(&part)).collect();
    if hits.len() > 1 && !append.identity.is_empty() {
        return Err(EditError::Count { path: append.table.clone(), found: hits.len(), wanted: 1 });
    }
    let found = hits.first().map(|i| array.iter().cloned().chain([Step::Index(*i)]).collect());
    Ok(Place { array, found })
}

fn push(tree: &mut Tree, array: &[Step], value: Tree) -> Result<(), EditError> {
    let (mut items, tables) = match tree.get(array) {
        Some(Tree::Array(items, tables)) => (items.clone(), *tables),
        _ => (Vec::new(), true),
    };
    items.push(value);
    tree.remove(array);
    tree.set(array, Tree::Array(items, tables))
}
