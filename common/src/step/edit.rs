//! Actions on files: toml, yaml, text, artifact, unpack, copy, remove.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Cx;
use super::action::{artifact_ref, path};
use crate::action::{
    CopyFiles, PlaceArtifact, RemoveFiles, Table, TextEdit, TextReplace, TomlAppend, TomlCarry, TomlCarryKey, TomlEdit, Unpack,
    YamlEdit, YamlRemove,
};
use crate::codes::written as codes;
use crate::written::{AbsolutePath, Content, Fields, FromNode, Mark, Node, Reader};

const UNPACK_LIMIT: u64 = 16 << 30;

pub(super) fn toml(f: &mut Fields<'_>, r: &mut Reader) -> Option<TomlEdit> {
    let mark = f.mark();
    let file = path(f, "file", r);
    let merge_node = f.node("merge");
    let carry_node = f.node("carry");
    let edit = TomlEdit {
        comment_out: f.or("comment_out", Vec::new(), r),
        remove: f.or("remove", Vec::new(), r),
        merge: merge_node.and_then(|n| table(n, r)).unwrap_or_default(),
        set: f.node("set").and_then(|n| table(n, r)).unwrap_or_default(),
        append: list(f, "append", r, toml_append),
        expect: f.node("expect").and_then(|n| table(n, r)).unwrap_or_default(),
        refuse: f.node("refuse").and_then(|n| table(n, r)).unwrap_or_default(),
        lengths: f.or("lengths", BTreeMap::new(), r),
        carry: carry_node.and_then(|n| toml_carry(n, r)),
        xml: f.or("xml", false, r),
        file: file?,
    };
    if let Some(entries) = merge_node.and_then(Node::entries) {
        for entry in entries.iter().filter(|e| !matches!(e.value.content, Content::Map(_) | Content::Open)) {
            let message = format!("`merge` holds tables; `{}` is {}", entry.key, entry.value.kind());
            r.fault_with(codes::WRONG_KIND, entry.mark, message, Some("a single key belongs under `set`".to_owned()));
        }
    }
    let nothing = edit.comment_out.is_empty() && edit.remove.is_empty() && edit.append.is_empty();
    let reads = !edit.expect.is_empty() || carry_node.is_some();
    nothing_to_do(nothing && merge_node.is_none() && edit.set.is_empty() && !reads, mark, r);
    Some(edit)
}

fn toml_carry(node: &Node, r: &mut Reader) -> Option<TomlCarry> {
    let mut f = Fields::of(node, "`carry`", r)?;
    let from = path(&mut f, "from", r);
    let keys = list(&mut f, "keys", r, toml_carry_key);
    f.finish(r);
    Some(TomlCarry { from: from?, keys })
}

/// A key, or `{ from, to }` where it has another name in the new file or leaves elements behind.
fn toml_carry_key(node: &Node, r: &mut Reader) -> Option<TomlCarryKey> {
    if let Some(key) = node.text() {
        return Some(TomlCarryKey { from: key.to_owned(), to: key.to_owned(), without: Vec::new() });
    }
    let mut f = Fields::of(node, "an element of `keys`", r)?;
    let (from, to) = (f.req("from", r), f.req("to", r));
    let without = f.or("without", Vec::new(), r);
    f.finish(r);
    Some(TomlCarryKey { from: from?, to: to?, without })
}

fn toml_append(node: &Node, r: &mut Reader) -> Option<TomlAppend> {
    let mut f = Fields::of(node, "an element of `append`", r)?;
    let table_name = f.req("table", r);
    let identity: Vec<String> = f.or("identity", Vec::new(), r);
    let values_node = f.req_node("values", r);
    let values = values_node.and_then(|n| table(n, r));
    f.finish(r);
    let (table, values): (String, Table) = (table_name?, values?);
    if let Some(missing) = identity.iter().find(|k| !values.contains_key(*k)) {
        let mark = values_node.map_or(node.mark, |n| n.mark);
        r.fault(codes::BAD_VALUE, mark, format!("`identity` names `{missing}`, which is not among the `values`"));
    }
    Some(TomlAppend { table, identity, values })
}

pub(super) fn yaml(f: &mut Fields<'_>, r: &mut Reader) -> Option<YamlEdit> {
    let mark = f.mark();
    let file = path(f, "file", r);
    let set_node = f.node("set");
    let edit = YamlEdit {
        set: set_node.and_then(|n| table(n, r)).unwrap_or_default(),
        remove_items: list(f, "remove_items", r, yaml_remove),
        file: file?,
    };
    for entry in set_node.and_then(Node::entries).unwrap_or_default() {
        if matches!(entry.value.content, Content::Map(_) | Content::List(_)) {
            let message = format!("`set` replaces scalars; `{}` is given {}", entry.key, entry.value.kind());
            r.fault(codes::WRONG_KIND, entry.value.mark, message);
        }
    }
    nothing_to_do(edit.set.is_empty() && edit.remove_items.is_empty(), mark, r);
    Some(edit)
}

fn yaml_remove(node: &Node, r: &mut Reader) -> Option<YamlRemove> {
    let mut f = Fields::of(node, "an element of `remove_items`", r)?;
    let list = f.req("list", r);
    let contains = f.req_node("contains", r).and_then(|n| table(n, r));
    let count = f.or("count", 1, r);
    f.finish(r);
    Some(YamlRemove { list: list?, contains: contains?, count })
}

pub(super) fn text(f: &mut Fields<'_>, r: &mut Reader) -> Option<TextEdit> {
    let mark = f.mark();
    let file = path(f, "file", r);
    let edit = TextEdit {
        replace: list(f, "replace", r, text_replace),
        remove_arguments: f.or("remove_arguments", Vec::new(), r),
        lines: f.or("lines", Vec::new(), r),
        remove_lines: f.or("remove_lines", Vec::new(), r),
        content: f.opt("content", r),
        file: file?,
    };
    let lines = edit.lines.iter().chain(&edit.remove_lines).chain(&edit.remove_arguments);
    let edits = !edit.replace.is_empty() || lines.count() > 0;
    if edits && edit.content.is_some() {
        r.fault(codes::BAD_VALUE, mark, "`content` gives the whole file and excludes the other operations");
    }
    nothing_to_do(!edits && edit.content.is_none(), mark, r);
    Some(edit)
}

fn text_replace(node: &Node, r: &mut Reader) -> Option<TextReplace> {
    let mut f = Fields::of(node, "an element of `replace`", r)?;
    let (find, with) = (f.req::<String>("find", r), f.req("with", r));
    let count = f.or("count", 1, r);
    f.finish(r);
    let find = find?;
    if find.is_empty() {
        r.fault(codes::BAD_VALUE, node.mark, "`find` must not be empty");
    }
    Some(TextReplace { find, with: with?, count })
}

pub(super) fn artifact(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Option<PlaceArtifact> {
    let artifact = artifact_ref(f, "artifact", cx, r);
    let to = path(f, "to", r);
    let only = f.opt("only", r);
    Some(PlaceArtifact { artifact: artifact?, to: to?, only })
}

pub(super) fn unpack(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Option<Unpack> {
    let artifact = artifact_ref(f, "artifact", cx, r);
    let to = path(f, "to", r);
    let (strip, limit) = (f.or("strip", 0, r), f.or("limit", UNPACK_LIMIT, r));
    let owner = f.opt("owner", r).or_else(|| cx.names?.runtime.run_as.clone());
    let no_more_open_than = f.opt("no_more_open_than", r);
    Some(Unpack { artifact: artifact?, to: to?, strip, owner, no_more_open_than, limit })
}

pub(super) fn copy(f: &mut Fields<'_>, r: &mut Reader) -> Option<CopyFiles> {
    let (from, into) = (path(f, "from", r), path(f, "into", r));
    let copy = CopyFiles {
        paths: f.or("paths", Vec::new(), r),
        as_name: f.opt("as_name", r),
        count: f.opt("count", r),
        exclude: f.or("exclude", Vec::new(), r),
        without: f.or("without", Vec::new(), r),
        only: f.opt("only", r),
        from: from?,
        into: into?,
    };
    Some(copy)
}

/// `remove: [PATH, ...]` or `remove: { paths: [...] }`.
pub(super) fn remove(node: &Node, r: &mut Reader) -> Option<RemoveFiles> {
    let paths: Vec<AbsolutePath> = match &node.content {
        Content::List(_) | Content::Open => Vec::from_node(node, r)?,
        Content::Map(_) | Content::Scalar(_) => {
            let mut f = Fields::of(node, "`remove`", r)?;
            let paths = f.req("paths", r);
            f.finish(r);
            paths?
        }
    };
    nothing_to_do(paths.is_empty() && !matches!(node.content, Content::Open), node.mark, r);
    for path in paths.iter().filter(|p| p.0.matches('/').count() < 2) {
        r.fault(codes::BAD_VALUE, node.mark, format!("`{}` is too near the root to be removed", path.0));
    }
    Some(RemoveFiles { paths: paths.into_iter().map(|p| p.0).collect() })
}

/// A list of mappings.
pub(super) fn list<T>(
    f: &mut Fields<'_>,
    key: &'static str,
    r: &mut Reader,
    read: impl Fn(&Node, &mut Reader) -> Option<T>,
) -> Vec<T> {
    match f.node(key) {
        None => Vec::new(),
        Some(Node { content: Content::List(items), .. }) => items.iter().filter_map(|n| read(n, r)).collect(),
        Some(Node { content: Content::Open, .. }) => Vec::new(),
        Some(other) => {
            r.fault(codes::WRONG_KIND, other.mark, format!("`{key}` is a list, this is {}", other.kind()));
            Vec::new()
        }
    }
}

/// A free tree without nulls: neither TOML nor these edits know a null.
fn table(node: &Node, r: &mut Reader) -> Option<Table> {
    no_nulls(node, r);
    Map::<String, Value>::from_node(node, r)
}

fn no_nulls(node: &Node, r: &mut Reader) {
    match &node.content {
        Content::Scalar(Value::Null) => {
            let help = Some("use `remove` to take a key out".to_owned());
            r.fault_with(codes::BAD_VALUE, node.mark, "a value is missing here", help);
        }
        Content::Scalar(_) | Content::Open => {}
        Content::List(items) => items.iter().for_each(|n| no_nulls(n, r)),
        Content::Map(entries) => entries.iter().for_each(|e| no_nulls(&e.value, r)),
    }
}

fn nothing_to_do(nothing: bool, mark: Mark, r: &mut Reader) {
    if nothing {
        r.fault(codes::BAD_VALUE, mark, "this action has nothing to do");
    }
}
