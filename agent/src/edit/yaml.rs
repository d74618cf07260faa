//! Edits of YAML files. Only the bytes of what is edited change; see docs/decisions/editing-files.md.

use std::collections::BTreeSet;

use cavalcade_common::action::{YamlEdit, YamlRemove};
use granit_parser::ScalarStyle;
use serde_json::Value as Json;
use serde_yaml::Value;

use super::error::{At, EditError};
use super::path;
use super::span::{self, Splice};
use super::yaml_find::{self as find, Found};
use super::yaml_items as items;
use super::yaml_scalar as scalar;
use super::yaml_tree::{self as tree, Kind, Node};

/// Edits a YAML file of one document.
///
/// Paths are dotted keys with selectors for list items (`versions[version=5.10.0].migratorConfigs`).
///
/// # Errors
/// [`EditError`]; the input stands. An item that was removed before is [`EditError::NotFound`].
pub fn yaml(source: &[u8], edit: &YamlEdit) -> Result<Vec<u8>, EditError> {
    let (mark, text) = span::text(source)?;
    let mut text = text.to_owned();
    for (shown, value) in &edit.set {
        text = set(&text, shown, value)?;
    }
    for remove in &edit.remove_items {
        text = remove_items(&text, remove)?;
    }
    if edit.set.is_empty() && edit.remove_items.is_empty() {
        read(&text)?;
    }
    Ok([mark.as_bytes(), text.as_bytes()].concat())
}

/// Nodes with places, and the values alone. Places come from one parser and values from another: a text that they read
/// differently fails the comparison after the edit.
fn read(text: &str) -> Result<(Option<Node>, Value), EditError> {
    let root = tree::read(text)?;
    let values = serde_yaml::from_str(text).map_err(|e| EditError::Syntax {
        format: "YAML",
        // The parser's own words may hold the value that it refuses.
        what: "its values cannot be read".to_owned(),
        at: e.location().map(|l| At {
            line: u32::try_from(l.line()).unwrap_or(u32::MAX),
            column: u32::try_from(l.column()).unwrap_or(u32::MAX),
        }),
    })?;
    Ok((root, values))
}

fn root<'a>(root: Option<&'a Node>, shown: &str) -> Result<&'a Node, EditError> {
    root.ok_or_else(|| EditError::NotFound { path: shown.to_owned() })
}

fn checked(text: String, wanted: &Value) -> Result<String, EditError> {
    match read(&text) {
        Ok((_, values)) if values == *wanted => Ok(text),
        _ => Err(EditError::Unintended { format: "YAML" }),
    }
}

fn set(text: &str, shown: &str, json: &Json) -> Result<String, EditError> {
    let (node, mut values) = read(text)?;
    let root = root(node.as_ref(), shown)?;
    let segments = path::parse(shown)?;
    let found = match (find::find(root, &segments, shown, text), path::renamed_by_key(&segments, json)) {
        (Err(EditError::NotFound { .. }), Some(renamed)) => find::find(root, &renamed, shown, text)?,
        (found, _) => found?,
    };
    let Kind::Scalar(_, style) = &found.node.kind else {
        return Err(find::kind(found.node, shown, "a single value", text));
    };
    let new = scalar::render(json, *style)
        .ok_or(EditError::Operation { path: shown.to_owned(), what: "`set` takes a single value" })?;
    let wanted = serde_yaml::to_value(json)
        .map_err(|_| EditError::Operation { path: shown.to_owned(), what: "the value cannot be written as YAML" })?;
    let slot = slot(&mut values, &found.way).ok_or(EditError::Unintended { format: "YAML" })?;
    if *slot == wanted {
        return Ok(text.to_owned());
    }
    *slot = wanted;
    let unsupported = |what| {
        let at = Some(span::place(text.as_bytes(), found.node.span.start));
        Err(EditError::Unsupported { path: shown.to_owned(), what, at })
    };
    if found.node.tagged {
        return unsupported("a value with a tag");
    }
    if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
        return unsupported("a block scalar");
    }
    refuse_used_anchors(root, &found.anchors, &[found.node], shown, text)?;
    let splice = match (found.node.span.is_empty(), found.key) {
        (false, _) => Splice::replace(found.node.span.clone(), new),
        (true, Some(key)) if found.node.anchor == 0 => {
            let Some(colon) = text[key.end..].find(':') else { return unsupported("an empty value") };
            Splice::insert(key.end + colon + 1, format!(" {new}"))
        }
        (true, _) => return unsupported("an empty value"),
    };
    checked(span::apply(text, vec![splice]), &values)
}

fn remove_items(text: &str, remove: &YamlRemove) -> Result<String, EditError> {
    let shown = remove.list.as_str();
    let (node, mut values) = read(text)?;
    let root = root(node.as_ref(), shown)?;
    let list = find::find(root, &path::parse(shown)?, shown, text)?;
    let Kind::List(all, _) = &list.node.kind else { return Err(find::kind(list.node, shown, "a list", text)) };
    if remove.contains.is_empty() {
        return Err(EditError::Operation { path: shown.to_owned(), what: "`contains` is empty" });
    }
    let part = Json::Object(remove.contains.clone());
    let known = root.anchors();
    let hits: Vec<usize> = (0..all.len()).filter(|i| find::contains(&known, &all[*i], &part)).collect();
    let wanted = usize::try_from(remove.count).unwrap_or(usize::MAX);
    if hits.len() != wanted {
        return Err(match hits.len() {
            0 => EditError::NotFound { path: shown.to_owned() },
            found => EditError::Count { path: shown.to_owned(), found, wanted },
        });
    }
    let removed: Vec<&Node> = hits.iter().map(|i| &all[*i]).collect();
    let above = [list.anchors.as_slice(), &[list.node.anchor]].concat();
    refuse_used_anchors(root, &above, &removed, shown, text)?;
    let splices = items::removal(&list, &hits, shown, text)?;
    without(&mut values, &list, &hits).ok_or(EditError::Unintended { format: "YAML" })?;
    checked(span::apply(text, splices), &values)
}

fn without(values: &mut Value, list: &Found<'_>, hits: &[usize]) -> Option<()> {
    let items = slot(values, &list.way)?.as_sequence_mut()?;
    for i in hits.iter().rev() {
        if *i >= items.len() {
            return None;
        }
        items.remove(*i);
    }
    Some(())
}

/// The value at a way of positions: both parsers keep the order of the file.
fn slot<'a>(value: &'a mut Value, way: &[usize]) -> Option<&'a mut Value> {
    let Some((first, rest)) = way.split_first() else { return Some(value) };
    let child = match value {
        Value::Mapping(map) => map.iter_mut().nth(*first).map(|(_, v)| v),
        Value::Sequence(items) => items.get_mut(*first),
        _ => None,
    };
    slot(child?, rest)
}

/// Refuses to change nodes where they or what they stand in carry anchors that are used outside them.
fn refuse_used_anchors(root: &Node, above: &[usize], changed: &[&Node], shown: &str, text: &str) -> Result<(), EditError> {
    let mut anchors: BTreeSet<usize> = above.iter().copied().collect();
    for node in changed {
        node.each(&mut |n| {
            anchors.insert(n.anchor);
            true
        });
    }
    let changed: BTreeSet<*const Node> = changed.iter().map(|n| std::ptr::from_ref(*n)).collect();
    let mut used = None;
    root.each(&mut |n| {
        if changed.contains(&std::ptr::from_ref(n)) {
            return false;
        }
        if let Kind::Alias(anchor) = n.kind
            && anchors.contains(&anchor)
        {
            used = used.or(Some(n.span.start));
        }
        true
    });
    match used {
        Some(at) => Err(EditError::AnchorUsed { path: shown.to_owned(), at: span::place(text.as_bytes(), at) }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
