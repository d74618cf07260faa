//! The checks of a recipe, evaluated on the nodes of a fleet.

use std::collections::BTreeMap;

use cavalcade_common::codes::written as codes;
use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::expression::{Condition, ExpressionError, Scope, evaluate};
use cavalcade_common::template::{self, Reads};
use cavalcade_common::written::{Node, Reader};
use serde_json::Value;

use super::Seen;
use super::looks::Looks;
use crate::fleet::FleetNode;
use crate::logs::Glob;
use crate::recipe::{CheckWritten, Must, Which};

/// What a condition came to.
enum Verdict {
    Holds,
    /// Why, and what was read.
    Fails(String, Reads),
    /// A name in it has no value: these names.
    Open(String),
}

/// One look, at a node or a database of it.
struct At<'a> {
    node: &'a FleetNode,
    scope: Scope,
}

pub(super) fn look(check: &CheckWritten, seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let file = &seen.input.recipe.file;
    let mut at: Vec<At<'_>> = Vec::new();
    for node in &seen.input.fleet.nodes {
        let Some(scope) = seen.scopes.get(&node.id) else { continue };
        match check.nodes.as_ref().map_or(Verdict::Holds, |c| decide(c, scope, file)) {
            Verdict::Holds => at.push(At { node, scope: scope.clone() }),
            Verdict::Fails(..) => {}
            Verdict::Open(names) => looks.unseen(&node.id, names),
        }
    }
    match &check.must {
        Must::Hold(that) => {
            for one in &at {
                hold(check, that, one, file, looks);
            }
        }
        Must::HoldForDatabases(which, that) => {
            for one in &at {
                databases(check, which, that, one, seen, looks);
            }
        }
        Must::BeEqual(same) => equal(check, same, &at, file, looks),
        Must::BeIn(artifact, holds) => {
            for one in &at {
                be_in(artifact, holds, one, seen, looks);
            }
        }
    }
}

fn hold(check: &CheckWritten, that: &Condition, at: &At<'_>, file: &str, looks: &mut Looks<'_>) {
    match decide(that, &at.scope, file) {
        Verdict::Holds => looks.ok(),
        Verdict::Open(names) => looks.unseen(&at.node.id, names),
        Verdict::Fails(because, reads) => {
            looks.read(&at.node.id, reads);
            found(check, at, because, file, looks);
        }
    }
}

fn found(check: &CheckWritten, at: &At<'_>, because: String, file: &str, looks: &mut Looks<'_>) {
    let mut quiet = Reader::new(file);
    let says = check.found.as_ref().map(|says| template::fill(says, &at.scope, &mut Reads::new(), &mut quiet));
    let says = says.as_ref().and_then(Node::text).map_or(because, ToOwned::to_owned);
    looks.note(Some(at.node.id.to_string()), says, None);
}

/// Every database that is meant, on the node where its steps run. One that was not reached has a finding of its own.
fn databases(check: &CheckWritten, which: &Which, that: &Condition, at: &At<'_>, seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let all = seen.input.fleet.databases.iter();
    let wanted = |name: &str| which.names.is_empty() || which.names.iter().any(|n| n == name);
    for (name, _) in all.filter(|(name, database)| wanted(name) && database.from == at.node.id) {
        let path = format!("facts.databases.{name}");
        let (Some(facts), Some(mut database)) = (at.scope.get(&path), at.scope.get(&format!("databases.{name}")).cloned()) else {
            looks.unseen(&at.node.id, path);
            continue;
        };
        let engine = facts.get("engine").and_then(Value::as_str).unwrap_or_default();
        let meant = which.engines.is_empty() || which.engines.iter().any(|e| e == engine);
        if !meant || facts.get("reachable") == Some(&Value::Bool(false)) {
            continue;
        }
        database["key"] = Value::String(name.clone());
        let scope = at.scope.with("seen", facts.clone()).with("database", database);
        match decide(that, &scope, &seen.input.recipe.file) {
            Verdict::Holds => looks.ok(),
            Verdict::Open(names) => looks.unseen(&at.node.id, names.replace("seen.", &format!("{path}."))),
            Verdict::Fails(because, reads) => {
                let of_seen = |name: String| name.replace("seen.", &format!("{path}."));
                looks.read(&at.node.id, reads.into_iter().map(|(name, value)| (of_seen(name), value)).collect());
                found(check, &At { node: at.node, scope }, because, &seen.input.recipe.file, looks);
            }
        }
    }
}

/// The same value everywhere; each value with its nodes is the evidence.
fn equal(check: &CheckWritten, same: &Node, at: &[At<'_>], file: &str, looks: &mut Looks<'_>) {
    let mut values: BTreeMap<String, Vec<(&At<'_>, Reads)>> = BTreeMap::new();
    let source = same.text().unwrap_or_default();
    for one in at {
        match evaluate(source, &one.scope) {
            Ok(done) => match nulls(source, &done.reads) {
                Some(names) => looks.unseen(&one.node.id, names),
                None => values.entry(plain(&done.value)).or_default().push((one, done.reads)),
            },
            Err(error) => looks.unseen(&one.node.id, open(&error)),
        }
    }
    if values.len() < 2 {
        for _ in values.values().flatten() {
            looks.ok();
        }
        return;
    }
    for (value, nodes) in values {
        for (one, reads) in nodes {
            looks.read(&one.node.id, reads);
            let scope = one.scope.with("value", Value::String(value.clone()));
            found(check, &At { node: one.node, scope }, format!("here it is {value}"), file, looks);
        }
    }
}

fn be_in(artifact: &str, holds: &[Node], at: &At<'_>, seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let input = &seen.input;
    let Some(file) = input.fleet.artifacts.get(artifact) else { return };
    let Some(entries) = input.contents.get(artifact) else {
        looks.note(None, format!("{} is no zip and no JAR", file.file), None);
        return;
    };
    for glob in holds {
        let mut quiet = Reader::new(&input.recipe.file);
        let mut reads = Reads::new();
        let filled = template::fill(glob, &at.scope, &mut reads, &mut quiet);
        if let Some(names) = nulls("", &reads) {
            looks.unseen(&at.node.id, names);
            continue;
        }
        let Some(glob) = filled.text().filter(|_| quiet.count() == 0) else {
            looks.unseen(&at.node.id, names(&quiet.into_faults()));
            continue;
        };
        let pattern = Glob::new(glob);
        match entries.iter().any(|entry| pattern.matches(entry)) {
            true => looks.ok(),
            false => looks.note(None, format!("{} holds no {glob}", file.file), None),
        }
    }
}

/// Decides a condition. A null counts as not looked at, unless the condition itself speaks of `none`.
fn decide(condition: &Condition, scope: &Scope, file: &str) -> Verdict {
    let mut r = Reader::new(file);
    let Some(verdict) = condition.decide(scope, &mut r) else {
        return Verdict::Open(names(&r.into_faults()));
    };
    match (nulls(condition.text().unwrap_or_default(), &verdict.reads), verdict.holds) {
        (Some(names), _) => Verdict::Open(names),
        (None, true) => Verdict::Holds,
        (None, false) => Verdict::Fails(verdict.because(), verdict.reads),
    }
}

/// Names without a value, in an expression that does not itself speak of `none`.
fn nulls(source: &str, reads: &Reads) -> Option<String> {
    let told = |name: &str| ["facts.", "seen.", "values.", "database.", "databases."].iter().any(|root| name.starts_with(root));
    let null: Vec<&str> =
        reads.iter().filter(|(name, value)| value.is_null() && told(name)).map(|(name, _)| name.as_str()).collect();
    let speaks = source.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "none");
    (!null.is_empty() && !speaks).then(|| null.join(", "))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// What keeps a condition open: names that do not exist, or the sentence of another fault.
fn names(faults: &Faults) -> String {
    let says = |fault: &Fault| match fault.code == codes::UNKNOWN_NAME {
        true => fault.message.split('`').nth(1).unwrap_or(&fault.message).to_owned(),
        false => fault.message.clone(),
    };
    faults.0.iter().map(says).collect::<Vec<_>>().join(", ")
}

fn open(error: &ExpressionError) -> String {
    match error {
        ExpressionError::UnknownName { name, .. } => name.clone(),
        ExpressionError::Braces { .. }
        | ExpressionError::TooLong(_)
        | ExpressionError::Subscript(_)
        | ExpressionError::Syntax { .. }
        | ExpressionError::Failed { .. }
        | ExpressionError::NotBoolean { .. } => error.to_string(),
    }
}
