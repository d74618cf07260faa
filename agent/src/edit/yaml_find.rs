//! Finding nodes of a YAML document by path and by content. Scalars compare as the text that stands in the file, so that
//! `order: 2` and `order: "2"` are the same and `5.10` is not `5.1`.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::error::EditError;
use super::path::Segment;
use super::span;
use super::yaml_tree::{Kind, Node};

/// Nodes by the numbers of their anchors.
pub(crate) type Anchors<'a> = BTreeMap<usize, &'a Node>;

/// A node and the way to it: positions of entries and items from the root.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) way: Vec<usize>,
    pub(crate) node: &'a Node,
    /// The key that it stands under, if it stands under one.
    pub(crate) key: Option<&'a Node>,
    /// Anchors of the nodes on the way: what changes in the node changes in their aliases too.
    pub(crate) anchors: Vec<usize>,
}

/// Follows a path that must exist.
pub(crate) fn find<'a>(root: &'a Node, segments: &[Segment], shown: &str, text: &str) -> Result<Found<'a>, EditError> {
    let mut found = Found { way: Vec::new(), node: root, key: None, anchors: Vec::new() };
    for segment in segments {
        let Kind::Map(entries) = &found.node.kind else { return Err(kind(found.node, shown, "a table", text)) };
        let has = |(key, _): &(Node, Node)| matches!(&key.kind, Kind::Scalar(t, _) if *t == segment.key);
        let at = entries.iter().position(has).ok_or_else(|| EditError::NotFound { path: shown.to_owned() })?;
        found.way.push(at);
        found.key = Some(&entries[at].0);
        found.anchors.push(found.node.anchor);
        found.node = &entries[at].1;
        if segment.select.is_empty() {
            continue;
        }
        let Kind::List(items, _) = &found.node.kind else { return Err(kind(found.node, shown, "a list", text)) };
        let wanted = segment.select.iter().map(|(k, v)| (k.clone(), Json::String(v.clone()))).collect();
        let wanted = Json::Object(wanted);
        let anchors = &root.anchors();
        let mut hits = (0..items.len()).filter(|i| contains(anchors, &items[*i], &wanted));
        let first = hits.next().ok_or_else(|| EditError::NotFound { path: shown.to_owned() })?;
        let more = hits.count();
        if more > 0 {
            return Err(EditError::Count { path: shown.to_owned(), found: more + 1, wanted: 1 });
        }
        found.way.push(first);
        found.key = None;
        found.anchors.push(found.node.anchor);
        found.node = &items[first];
    }
    Ok(found)
}

/// The error for a node of another kind. What stands behind an alias is not edited: it would change elsewhere too.
pub(crate) fn kind(node: &Node, shown: &str, wanted: &'static str, text: &str) -> EditError {
    let path = shown.to_owned();
    match node.kind {
        Kind::Alias(_) => {
            let at = Some(span::place(text.as_bytes(), node.span.start));
            EditError::Unsupported { path, what: "an alias", at }
        }
        Kind::Scalar(..) | Kind::List(..) | Kind::Map(..) => EditError::Kind { path, found: node.kind(), wanted },
    }
}

/// Whether a node holds every key of `part` with the same value, at any depth. Aliases count as what they stand for.
pub(crate) fn contains(anchors: &Anchors<'_>, node: &Node, part: &Json) -> bool {
    let node = match node.kind {
        Kind::Alias(anchor) => match anchors.get(&anchor).copied() {
            Some(target) => target,
            None => return false,
        },
        Kind::Scalar(..) | Kind::List(..) | Kind::Map(..) => node,
    };
    match (&node.kind, part) {
        (Kind::Map(entries), Json::Object(part)) => part.iter().all(|(key, wanted)| {
            let has = |k: &Node| matches!(&k.kind, Kind::Scalar(t, _) if t == key);
            entries.iter().any(|(k, v)| has(k) && contains(anchors, v, wanted))
        }),
        (Kind::List(items, _), Json::Array(part)) => {
            items.len() == part.len() && items.iter().zip(part).all(|(i, p)| contains(anchors, i, p))
        }
        (Kind::Scalar(text, _), Json::String(s)) => text == s,
        (Kind::Scalar(text, _), Json::Bool(b)) => *text == b.to_string(),
        (Kind::Scalar(text, _), Json::Number(n)) => *text == n.to_string(),
        (Kind::Scalar(text, _), Json::Null) => matches!(text.as_str(), "" | "~" | "null"),
        _ => false,
    }
}
