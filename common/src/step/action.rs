//! The mapping under an action's word, decoded. A key that the action does not have is a fault.

use std::time::Duration;

use super::{Cx, edit, exchange, unknown_reference, work};
use crate::action::{Action, ArtifactRef, DbTarget, Runtime};
use crate::codes::written as codes;
use crate::written::{AbsolutePath, Content, Fields, FromNode, Node, Pattern, Reader};

/// Decodes an action, its templates filled. `None` means that a fault was noted, or that only the form was looked at.
pub(super) fn decode(kind: &str, node: &Node, cx: &Cx<'_>, r: &mut Reader) -> Option<Action> {
    if kind == "remove" {
        return edit::remove(node, r).map(Action::Remove);
    }
    let mut fields = Fields::of(node, format!("`{kind}`"), r)?;
    let f = &mut fields;
    let action = match kind {
        "toml" => edit::toml(f, r).map(Action::Toml),
        "yaml" => edit::yaml(f, r).map(Action::Yaml),
        "text" => edit::text(f, r).map(Action::Text),
        "artifact" => edit::artifact(f, cx, r).map(Action::Artifact),
        "unpack" => edit::unpack(f, cx, r).map(Action::Unpack),
        "copy" => edit::copy(f, r).map(Action::Copy),
        "server" => work::server(f, cx, r).map(Action::Server),
        "job" => work::job(f, cx, r).map(Action::Job),
        "command" => work::command(f, cx, r).map(Action::Command),
        "sql" => work::sql(f, cx, r).map(Action::Sql),
        "query" => work::query(f, cx, r).map(Action::Query),
        "backup" => work::backup(f, cx, r).map(Action::Backup),
        "restore" => work::restore(f, cx, r).map(Action::Restore),
        "http" => work::http(f, r).map(Action::Http),
        "tcp" => work::tcp(f, r).map(Action::Tcp),
        "log" => work::log(f, r).map(Action::Log),
        "exchange" => exchange::exchange(f, cx, r).map(Action::Exchange),
        "autostart" => work::autostart(f, r).map(Action::Autostart),
        _ => None,
    };
    fields.finish(r);
    action
}

/// An absolute path.
pub(super) fn path(f: &mut Fields<'_>, key: &'static str, r: &mut Reader) -> Option<String> {
    f.req::<AbsolutePath>(key, r).map(|p| p.0)
}

/// Regular expressions; none where the key is absent.
pub(super) fn patterns(f: &mut Fields<'_>, key: &'static str, r: &mut Reader) -> Vec<String> {
    f.opt::<Vec<Pattern>>(key, r).unwrap_or_default().into_iter().map(|p| p.0).collect()
}

/// A list of texts that must not be empty.
pub(super) fn words(f: &mut Fields<'_>, key: &'static str, r: &mut Reader) -> Option<Vec<String>> {
    let node = f.req_node(key, r)?;
    let words: Vec<String> = Vec::from_node(node, r)?;
    if words.is_empty() && !matches!(node.content, Content::Open) {
        r.fault(codes::BAD_VALUE, node.mark, format!("`{key}` must not be empty"));
        return None;
    }
    Some(words)
}

/// How long something may take.
pub(super) fn within(f: &mut Fields<'_>, default: Duration, r: &mut Reader) -> Duration {
    let Some(node) = f.node("within") else { return default };
    let found = Duration::from_node(node, r).unwrap_or(default);
    if found.is_zero() {
        r.fault(codes::BAD_VALUE, node.mark, "`within` must be longer than nothing");
    }
    found
}

/// The artifact that a key names.
pub(super) fn artifact_ref(f: &mut Fields<'_>, key: &'static str, cx: &Cx<'_>, r: &mut Reader) -> Option<ArtifactRef> {
    let node = f.req_node(key, r)?;
    let name = String::from_node(node, r)?;
    let names = cx.names?;
    let found = names.artifacts.get(&name).cloned();
    if found.is_none() {
        unknown_reference("artifact", &name, node.mark, names.artifacts.keys(), r);
    }
    found
}

/// The database that a node names.
pub(super) fn database_at(node: &Node, cx: &Cx<'_>, r: &mut Reader) -> Option<DbTarget> {
    let name = String::from_node(node, r)?;
    let names = cx.names?;
    let found = names.databases.get(&name).cloned();
    if found.is_none() {
        unknown_reference("database", &name, node.mark, names.databases.keys(), r);
    }
    found
}

/// User, JAVA_HOME and environment: the node's, with what the step says itself.
pub(super) fn runtime(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Runtime {
    let mut runtime = cx.names.map(|n| n.runtime.clone()).unwrap_or_default();
    if let Some(user) = f.opt("run_as", r) {
        runtime.run_as = Some(user);
    }
    if let Some(home) = f.opt::<AbsolutePath>("java_home", r) {
        runtime.java_home = Some(home.0);
    }
    runtime.env.extend(f.opt::<std::collections::BTreeMap<String, String>>("env", r).unwrap_or_default());
    runtime
}
