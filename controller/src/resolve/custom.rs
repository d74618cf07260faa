//! Files of an old home against what its pack shipped: which are custom, which were changed.

use std::collections::BTreeMap;

use cavalcade_common::codes::plan as codes;
use cavalcade_common::expression::Scope;
use cavalcade_common::template::Reads;
use cavalcade_common::written::Reader;
use serde_json::{Map, Value, json};

use super::{Input, Readers};
use crate::fleet::FleetNode;
use crate::pack::Shipped;

/// Adds `custom` and `changed` to the facts of a node: lists of paths by the names of `old.files`, null where nobody knows
/// what the pack shipped. What an answer gives stands already and is left.
///
/// Where the recipe copies custom files and nobody knows which they are, that is a fault that lists the candidates.
pub(super) fn add(input: &Input<'_>, node: &FleetNode, scope: &Scope, facts: &mut Value, r: &mut Readers) {
    let Some(files) = facts.pointer("/old/files").and_then(Value::as_object).cloned() else { return };
    let (mut shipped, mut asked, mut pack) = (None, Vec::new(), None);
    for written in &input.recipe.facts {
        if written.nodes.decide(scope, &mut r.recipe).is_some_and(|v| v.holds) {
            let named = written.pack.as_ref().map(|(name, _)| name);
            shipped = shipped.or_else(|| named.and_then(|name| input.shipped.get(name)));
            pack = pack.or(named);
            asked.extend(&written.custom);
        }
    }
    let none = Vec::new();
    let drivers = facts.pointer("/old/driver_jars").and_then(Value::as_array).unwrap_or(&none);
    let made = made(input, scope, &files, r);
    let (mut custom, mut changed) = (Map::new(), Map::new());
    for (name, found) in &files {
        let found = found.as_array().map(Vec::as_slice).unwrap_or_default();
        let (own, other) = match shipped {
            Some(shipped) => {
                // The JDBC driver comes as an artifact: an older one beside it would be a second version.
                let own = found.iter().filter(|file| !drivers.contains(&file["path"]) && !made.contains(&file["path"]));
                let own: Vec<Value> = own.cloned().collect();
                (of_kind(&own, shipped, Kind::Custom), of_kind(found, shipped, Kind::Changed))
            }
            None if found.is_empty() => (json!([]), json!([])),
            None => (Value::Null, Value::Null),
        };
        custom.insert(name.clone(), own);
        changed.insert(name.clone(), other);
    }
    lay_under(facts, "custom", custom);
    lay_under(facts, "changed", changed);
    let unknown: Vec<&String> = asked.into_iter().filter(|name| facts["custom"][name.as_str()].is_null()).collect();
    if !unknown.is_empty() {
        ask(node, pack, &unknown, &files, &mut r.fleet);
    }
}

/// Paths of what the old server itself made of other files: the new one makes its own, of what it has.
fn made(input: &Input<'_>, scope: &Scope, files: &Map<String, Value>, r: &mut Readers) -> Vec<Value> {
    let paths = |name: &str| files.get(name).and_then(Value::as_array).into_iter().flatten().map(|file| &file["path"]);
    let mut made = Vec::new();
    for written in &input.recipe.facts {
        if written.made.is_empty() || written.nodes.decide(scope, &mut r.recipe).is_none_or(|v| !v.holds) {
            continue;
        }
        for (name, how) in &written.made {
            let names: Vec<String> = paths(&how.of).filter_map(|path| Some(how.name_of(path.as_str()?))).collect();
            let is_made =
                |path: &&Value| path.as_str().and_then(|p| p.rsplit('/').next()).is_some_and(|p| names.iter().any(|n| n == p));
            made.extend(paths(name).filter(is_made).cloned());
        }
    }
    made
}

/// The facts behind `facts.custom.NAME` and `facts.changed.NAME`: `apply` looks at those again.
pub(super) fn made_from(facts: &Value) -> BTreeMap<String, Reads> {
    let files = facts.pointer("/old/files").and_then(Value::as_object).into_iter().flatten();
    let both = files.flat_map(|(name, found)| ["custom", "changed"].map(|kind| (kind, name, found)));
    let from = |name: &str, found: &Value| Reads::from([(format!("facts.old.files.{name}"), found.clone())]);
    both.map(|(kind, name, found)| (format!("facts.{kind}.{name}"), from(name, found))).collect()
}

/// What the old pack of a node shipped, where that is known.
pub(super) fn pack<'a>(input: &Input<'a>, scope: &Scope, r: &mut Reader) -> Option<&'a Shipped> {
    input.recipe.facts.iter().find_map(|written| {
        let (name, _) = written.pack.as_ref()?;
        let meant = written.nodes.decide(scope, r).is_some_and(|v| v.holds);
        input.shipped.get(name).filter(|_| meant)
    })
}

enum Kind {
    Custom,
    Changed,
}

/// Paths that the pack does not have, or has with another content.
fn of_kind(found: &[Value], shipped: &Shipped, kind: Kind) -> Value {
    let is = |file: &&Value| {
        let (path, digest) = (file["path"].as_str().unwrap_or_default(), file["sha256"].as_str().unwrap_or_default());
        match (shipped.files.get(path), &kind) {
            (None, Kind::Custom) => true,
            (Some(known), Kind::Changed) => known.as_str() != digest,
            (None, Kind::Changed) | (Some(_), Kind::Custom) => false,
        }
    };
    found.iter().filter(is).map(|file| file["path"].clone()).collect()
}

/// Adds names to a mapping of facts without touching what an answer put there.
pub(super) fn lay_under(facts: &mut Value, key: &str, names: Map<String, Value>) {
    let Value::Object(facts) = facts else { return };
    let there = facts.entry(key.to_owned()).or_insert_with(|| json!({}));
    let Value::Object(there) = there else { return };
    for (name, value) in names {
        there.entry(name).or_insert(value);
    }
}

/// Says what a person has to tell.
fn ask(node: &FleetNode, pack: Option<&String>, unknown: &[&String], files: &Map<String, Value>, fleet: &mut Reader) {
    for name in unknown {
        let candidates = files[name.as_str()].as_array().into_iter().flatten();
        let list: Vec<&str> = candidates.filter_map(|file| file["path"].as_str()).collect();
        let message = format!("which of these did the old pack not ship? {}", list.join(", "));
        let pack = pack.map_or_else(String::new, |pack| {
            format!("give the old pack, or its list (cavalcade pack list), as the artifact `{pack}`; or ")
        });
        let help = format!("{pack}answer for the node: custom: {{ {name}: [PATH, ...] }}, an empty list for none");
        fleet.node = Some(node.id.to_string());
        fleet.fault_with(codes::NEEDED_BY_RECIPE, node.mark, message, Some(help));
        fleet.node = None;
    }
}
