//! `checks`: what is looked at before the work, as data. Checks that need code are in `controller/src/preflight/`.

use std::collections::BTreeSet;

use cavalcade_common::codes::written as codes;
use cavalcade_common::expression::{self, Condition, Scope};
use cavalcade_common::finding::Severity;
use cavalcade_common::id::NodeId;
use cavalcade_common::template;
use cavalcade_common::written::{Fields, FromNode, Mark, Node, Reader, nearest};

use super::Recipe;

/// A check of a recipe.
#[derive(Debug, Clone)]
pub struct CheckWritten {
    /// Stable name.
    pub name: String,
    /// The group that it is shown in.
    pub area: String,
    /// What it looks at and why, for `explain`.
    pub about: String,
    /// How much its findings matter.
    pub severity: Severity,
    /// Which nodes; `None`: all.
    pub nodes: Option<Condition>,
    /// What must hold.
    pub must: Must,
    /// What to say where it does not hold. `None`: the check itself knows.
    pub found: Option<Node>,
    /// What to do then.
    pub remedy: String,
    /// Where its name stands.
    pub mark: Mark,
}

/// Databases that a check looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// By name; none: all of the fleet.
    pub names: Vec<String>,
    /// On servers of these engines, as the agent names them; none: any.
    pub engines: Vec<String>,
}

/// What a check wants.
#[derive(Debug, Clone)]
pub enum Must {
    /// The condition holds on each node.
    Hold(Condition),
    /// The condition holds for each of these databases that the fleet has, on the node where its steps run. It sees the database as `database`, and what was found of it as `seen`.
    HoldForDatabases(Which, Condition),
    /// The expression has the same value on all nodes.
    BeEqual(Node),
    /// The artifact, a zip or a JAR, holds an entry for each of these globs.
    BeIn(String, Vec<Node>),
}

pub(super) fn check(node: &Node, r: &mut Reader) -> Option<CheckWritten> {
    let mut f = Fields::of(node, "an element of `checks`", r)?;
    let name_at = f.req_node("check", r);
    let name: Option<NodeId> = name_at.and_then(|n| FromNode::from_node(n, r));
    let mark = name_at.map_or(node.mark, |n| n.mark);
    let area = f.or("area", "product".to_owned(), r);
    let about = f.req("about", r);
    let severity = f.req_node("severity", r).and_then(|n| severity(n, r));
    let nodes = f.node("nodes").and_then(|n| Condition::of(n, r));
    let must = must(&mut f, mark, r);
    let found = f.node("found").cloned();
    let remedy = f.req("remedy", r);
    f.finish(r);
    let must = must?;
    if found.is_none() && !matches!(must, Must::BeIn(..)) {
        r.fault(codes::MISSING_KEY, mark, "the check needs `found`: what to say where it does not hold");
        return None;
    }
    let (name, about, remedy) = (name?.to_string(), about?, remedy?);
    Some(CheckWritten { name, area, about, severity: severity?, nodes, must, found, remedy, mark })
}

fn severity(node: &Node, r: &mut Reader) -> Option<Severity> {
    match node.text() {
        Some("error") => Some(Severity::Error),
        Some("warning") => Some(Severity::Warning),
        _ => {
            r.fault(codes::BAD_VALUE, node.mark, "the severity is `error` or `warning`");
            None
        }
    }
}

fn must(f: &mut Fields<'_>, mark: Mark, r: &mut Reader) -> Option<Must> {
    let that = f.node("that").and_then(|n| Condition::of(n, r));
    let databases = f.opt::<Vec<String>>("databases", r);
    let engines = f.or("engines", Vec::new(), r);
    let same = f.node("same").cloned();
    let artifact: Option<String> = f.opt("artifact", r);
    let holds = f.node("holds").and_then(|n| match &n.content {
        cavalcade_common::written::Content::List(globs) => Some(globs.clone()),
        _ => {
            r.fault(codes::WRONG_KIND, n.mark, format!("`holds` is a list of globs, this is {}", n.kind()));
            None
        }
    });
    match (that, databases, same, artifact, holds) {
        (Some(that), None, None, None, None) => Some(Must::Hold(that)),
        (Some(that), Some(names), None, None, None) => Some(Must::HoldForDatabases(Which { names, engines }, that)),
        (None, None, Some(same), None, None) => Some(Must::BeEqual(same)),
        (None, None, None, Some(artifact), Some(holds)) => Some(Must::BeIn(artifact, holds)),
        _ => {
            let message = "a check has `that` (with `databases` or without), or `same`, or `artifact` with `holds`";
            r.fault(codes::BAD_VALUE, mark, message);
            None
        }
    }
}

/// Checks the forms of all checks, and that the names in them exist.
pub(super) fn check_forms(recipe: &Recipe, scope: &Scope, later: &[&str], r: &mut Reader) {
    let later: Vec<&str> = later.iter().copied().chain(["database", "seen", "value"]).collect();
    let mut names = BTreeSet::new();
    for check in &recipe.checks {
        if !names.insert(&check.name) {
            r.fault(codes::DUPLICATE_KEY, check.mark, format!("two checks are called `{}`", check.name));
        }
        for condition in check.nodes.iter() {
            condition.check(scope, &later, r);
        }
        if let Some(found) = &check.found {
            template::check(found, scope, &later, r);
        }
        match &check.must {
            Must::Hold(that) => that.check(scope, &later, r),
            Must::HoldForDatabases(which, that) => {
                that.check(scope, &later, r);
                for name in &which.names {
                    known("database", name, recipe.databases.keys(), check.mark, r);
                }
            }
            Must::BeEqual(same) => {
                if let Some(Err(error)) = same.text().map(|source| expression::check(source, scope, &later)) {
                    expression::note(same, &error, r);
                }
            }
            Must::BeIn(artifact, holds) => {
                known("artifact", artifact, recipe.artifacts.keys(), check.mark, r);
                for glob in holds {
                    template::check(glob, scope, &later, r);
                }
            }
        }
    }
}

fn known<'a>(what: &str, name: &str, all: impl Iterator<Item = &'a String> + Clone, mark: Mark, r: &mut Reader) {
    if !all.clone().any(|known| known == name) {
        let help = nearest(name, all.map(String::as_str)).map(|n| format!("`{n}` exists"));
        r.fault_with(codes::UNKNOWN_REFERENCE, mark, format!("the recipe has no {what} `{name}`"), help);
    }
}
