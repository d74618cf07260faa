//! Names that exist everywhere, with nothing in them where there is nothing: so that an expression may ask for the old
//! configuration on a node that has no old server, or for a database that a fleet does not have.
//!
//! What an agent should have told and did not is not among them: that stays missing, and a plan that needs it is refused.

use cavalcade_common::expression::Scope;
use cavalcade_common::written::Reader;
use serde_json::{Map, Value, json};

use super::Input;
use super::custom::{KINDS, lay_under};
use crate::fleet::FleetNode;

/// Adds the facts that the recipe asks of other nodes, empty.
pub(super) fn facts(input: &Input<'_>, node: &FleetNode, scope: &Scope, facts: &mut Value, r: &mut Reader) {
    if node.old.is_none() {
        facts["old"] = json!({
            "exists": false, "version": null, "product": null, "weak_key": null, "keystores": null, "databases": {}, "autostart": [],
        });
    }
    if node.new.is_none() {
        facts["new"] = json!({ "exists": false, "version": null, "autostart": [] });
    }
    for written in &input.recipe.facts {
        if written.nodes.decide(scope, r).is_some_and(|v| v.holds) {
            continue;
        }
        let nothing = |names: &mut dyn Iterator<Item = &String>, value: &Value| -> Map<String, Value> {
            names.map(|name| (name.clone(), value.clone())).collect()
        };
        let lists = nothing(&mut written.files.keys(), &json!([]));
        let folders = nothing(&mut written.folders.keys(), &json!([]));
        for kind in KINDS {
            lay_under(facts, kind, lists.clone());
            lay_under(facts, kind, folders.clone());
        }
        let Some(old) = facts.get_mut("old").filter(|old| old.is_object()) else { continue };
        lay_under(old, "files", lists);
        lay_under(old, "folders", folders);
        lay_under(old, "trees", nothing(&mut written.trees.keys(), &json!({ "files": 0, "bytes": 0, "names": [] })));
        lay_under(old, "values", nothing(&mut written.values.keys(), &Value::Null));
        lay_under(old, "conf", nothing(&mut written.conf.keys(), &Value::Null));
        lay_under(old, "tables", nothing(&mut written.tables.keys(), &Value::Null));
    }
}

/// Adds `exists` to all, and those that the recipe knows and the fleet lacks, every key of them null.
pub(super) fn named<'n>(there: &mut Map<String, Value>, declared: impl Iterator<Item = &'n String>, keys: &[&str]) {
    for value in there.values_mut() {
        if let Value::Object(value) = value {
            value.insert("exists".to_owned(), Value::Bool(true));
        }
    }
    for name in declared.filter(|name| !there.contains_key(*name)).collect::<Vec<_>>() {
        let mut nothing: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
        nothing.insert("exists".to_owned(), Value::Bool(false));
        there.insert(name.clone(), Value::Object(nothing));
    }
}
