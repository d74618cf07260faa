//! What becomes of each old setting: the recipe's table and the fleet's own words, on what the agents found.

use std::collections::BTreeMap;

use cavalcade_common::expression::Scope;
use cavalcade_common::plan::{Fate, Setting};
use cavalcade_common::template::Reads;
use cavalcade_common::written::Reader;
use serde_json::{Map, Value, json};

use super::Input;
use crate::fleet::FleetNode;
use crate::pack::Shipped;

/// Every difference between the old configuration and what its pack shipped, with its fate.
pub(super) fn of_node(
    input: &Input<'_>,
    node: &FleetNode,
    scope: &Scope,
    facts: &Value,
    reads: &mut Reads,
    r: &mut Reader,
) -> Vec<Setting> {
    let Some(found) = facts.pointer("/old/settings").and_then(Value::as_array) else { return Vec::new() };
    let ruled = !input.fleet.settings.is_empty() || !input.recipe.settings.is_empty();
    if ruled || !found.is_empty() {
        reads.insert("facts.old.settings".to_owned(), facts["old"]["settings"].clone());
    }
    // Conditions are decided once for a node, not once for a key.
    let mut rules = Vec::new();
    for rule in input.fleet.settings.iter().chain(&input.recipe.settings) {
        let verdict = rule.nodes.as_ref().map(|condition| condition.decide(scope, r));
        match verdict {
            None => rules.push(rule),
            Some(Some(verdict)) => {
                reads.extend(verdict.reads);
                if verdict.holds {
                    rules.push(rule);
                }
            }
            Some(None) => {}
        }
    }
    found.iter().filter_map(|setting| one(node, setting, &rules)).collect()
}

fn one(node: &FleetNode, found: &Value, rules: &[&crate::recipe::SettingRule]) -> Option<Setting> {
    let key = found.get("key")?.as_str()?.to_owned();
    let change = found.get("change").and_then(Value::as_str).unwrap_or_default().to_owned();
    let value = match found.get("hidden").and_then(Value::as_bool) {
        Some(true) => None,
        _ => found.get("value").cloned(),
    };
    let rule = rules.iter().find(|rule| rule.matches(&key));
    let (fate, to, why) = match rule {
        // What the pack shipped and the old file no longer holds: there is nothing to carry.
        Some(rule) if change == "removed" && matches!(rule.fate, Fate::Carried | Fate::Renamed) => {
            (Fate::Person, None, "the old file left out what its pack shipped".to_owned())
        }
        Some(rule) if matches!(rule.fate, Fate::Carried | Fate::Renamed) && found.get("kept").is_some_and(|k| *k != true) => {
            let why = match found["kept"].is_null() {
                true => "nobody knows which of its elements the old pack shipped",
                false => "the old file changed or left out elements that its pack shipped",
            };
            (Fate::Person, None, why.to_owned())
        }
        Some(rule) => (rule.fate, rule.to.clone(), rule.why.clone()),
        None => (Fate::Person, None, "the recipe does not know this setting".to_owned()),
    };
    Some(Setting { node: node.id.clone(), key, change, value, fate, to, why })
}

/// The fact behind the lists of `settings`.
pub(super) fn made_from(facts: &Value, all: &mut BTreeMap<String, Reads>) {
    let Some(found) = facts.pointer("/old/settings") else { return };
    for list in ["settings.carried", "settings.dropped", "settings.person"] {
        all.insert(list.to_owned(), Reads::from([("facts.old.settings".to_owned(), found.clone())]));
    }
}

/// The name `settings` of a node: lists for steps.
pub(super) fn names(settings: &[Setting], pack: Option<&Shipped>) -> Value {
    let of = |fate: Fate| settings.iter().filter(move |s| s.fate == fate);
    let carried: Vec<Value> = settings
        .iter()
        .filter(|s| matches!(s.fate, Fate::Carried | Fate::Renamed))
        .map(|s| {
            // Of an array of tables only what the pack did not ship: the new pack has its own.
            let shipped = pack.and_then(|p| p.settings.get(&s.key)?.as_array()).filter(|list| list.iter().all(Value::is_object));
            let mut key = json!({ "from": s.key, "to": s.to.as_ref().unwrap_or(&s.key) });
            if let Some(shipped) = shipped.filter(|list| !list.is_empty()) {
                key["without"] = json!(shipped);
            }
            key
        })
        .collect();
    let keys = |fate: Fate| of(fate).map(|s| Value::from(s.key.as_str())).collect::<Vec<_>>();
    Value::Object(Map::from_iter([
        ("carried".to_owned(), Value::Array(carried)),
        ("dropped".to_owned(), Value::Array(keys(Fate::Dropped))),
        ("person".to_owned(), Value::Array(keys(Fate::Person))),
    ]))
}
