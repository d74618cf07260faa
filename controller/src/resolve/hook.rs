//! What the hooks of a node do, filled with its names.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::action::Action;
use cavalcade_common::codes::written as codes;
use cavalcade_common::step::Names;
use cavalcade_common::written::nearest;

use super::{Input, Readers, name};
use crate::fleet::FleetNode;

/// The actions of a node's hooks by name.
///
/// Faults are noted in the fleet file. A hook that the recipe never calls is one: whoever wrote it waits for a server to be
/// drained that never is.
pub(super) fn of_node(input: &Input<'_>, node: &FleetNode, names: &Names, r: &mut Readers) -> BTreeMap<String, Action> {
    let called: BTreeSet<&str> = input.recipe.stages.iter().flat_map(|s| &s.steps).filter_map(|s| s.hook()).collect();
    let scope = name::before_facts(input, node);
    let mut found = BTreeMap::new();
    for (name, hook) in &node.hooks {
        if !called.contains(name.as_str()) {
            let message = format!("the recipe {} calls no hook `{name}`", input.recipe.name);
            let help = match nearest(name, called.iter().copied()) {
                Some(near) => format!("`{near}` exists"),
                None if called.is_empty() => "it calls none".to_owned(),
                None => format!("it calls: {}", called.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            r.fleet.fault_with(codes::UNKNOWN_REFERENCE, hook.mark, message, Some(help));
            continue;
        }
        r.fleet.node = Some(node.id.to_string());
        if let Some(action) = hook.resolve(names, &scope, &mut r.fleet) {
            found.insert(name.clone(), action);
        }
        r.fleet.node = None;
    }
    found
}
