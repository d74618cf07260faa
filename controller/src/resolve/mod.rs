//! Fleet, recipe and facts become a plan, or all reasons why not.
//!
//! Every condition is decided here and every template filled: execution has no choices left. Pure but for the digests of
//! artifacts and the facts, which come in as values.

mod absent;
mod across;
mod assemble;
mod custom;
mod hook;
mod jdbc;
mod name;
mod need;
mod rule;
mod run_as;
mod select;
mod settings;
mod space;
mod survey;
mod wanted;

use std::collections::BTreeMap;

use cavalcade_common::action::ArtifactRef;
use cavalcade_common::codes::plan as codes;
use cavalcade_common::error::Faults;
use cavalcade_common::expression::Scope;
use cavalcade_common::facts::FactsWanted;
use cavalcade_common::id::{HostId, NodeId};
use cavalcade_common::plan::{Decided, Plan};
use cavalcade_common::step::Names;
use cavalcade_common::template::Reads;
use cavalcade_common::written::Reader;
use jiff::Timestamp;
use serde_json::Value;

use crate::fleet::{Fleet, FleetNode};
use crate::pack::Shipped;
use crate::recipe::Recipe;

pub use survey::survey;

/// What an agent found out about one node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFacts {
    /// The facts; docs/recipes.md describes their shape.
    pub value: Value,
    /// When they were gathered.
    pub gathered_at: Timestamp,
}

/// Everything that a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Facts by node.
    pub facts: &'a BTreeMap<NodeId, NodeFacts>,
    /// What the hosts were asked for the facts.
    pub asked: &'a BTreeMap<HostId, FactsWanted>,
    /// What old packs shipped, by the name of the artifact that tells it.
    pub shipped: &'a BTreeMap<String, Shipped>,
    /// Artifacts, pinned.
    pub artifacts: &'a BTreeMap<String, ArtifactRef>,
    /// A random id for the plan.
    pub plan_id: &'a str,
    /// Who makes it.
    pub made_by: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// Faults of the two files, each noted in its own.
struct Readers {
    fleet: Reader,
    recipe: Reader,
}

impl Readers {
    fn new(input: &Input<'_>) -> Self {
        Self { fleet: Reader::new(&input.fleet.file), recipe: Reader::new(&input.recipe.file) }
    }
    fn count(&self) -> usize {
        self.fleet.count() + self.recipe.count()
    }
    fn into_faults(self) -> Faults {
        self.fleet.into_faults().0.into_iter().chain(self.recipe.into_faults().0).collect()
    }
}

/// Makes a plan.
///
/// # Errors
/// All faults that could be found, not only the first. Where names are missing, steps that use them are not looked at.
pub fn resolve(input: &Input<'_>) -> Result<Plan, Faults> {
    let mut r = Readers::new(input);
    wanted::check(input, &mut r);
    let mut nodes = name::nodes(input, &mut r);
    // Without facts or names every step would fail once more for the same reason.
    if r.count() > 0 {
        return Err(r.into_faults());
    }
    need::requirements(input, &mut nodes, &mut r);
    let stages = select::stages(input, &nodes, &mut r);
    if r.count() > 0 {
        return Err(r.into_faults());
    }
    let plan = assemble::plan(input, &nodes, stages, &mut r);
    r.into_faults().into_result(plan)
}

/// The names of one node, as `step run --node FILE` reads them.
///
/// # Errors
/// The faults of names; a node that the fleet does not have is [`codes::UNKNOWN_NODE`].
pub fn names_of(input: &Input<'_>, node: &NodeId) -> Result<Names, Faults> {
    let mut r = Readers::new(input);
    wanted::check(input, &mut r);
    let nodes = name::nodes(input, &mut r);
    let found = nodes.into_iter().find(|n| n.names.node == *node);
    if found.is_none() && r.count() == 0 {
        let message = format!("the fleet has no node `{node}`");
        r.fleet.note(cavalcade_common::error::Fault::new(codes::UNKNOWN_NODE, message));
    }
    match found {
        Some(node) if r.count() == 0 => Ok(Names { values: node.scope.to_values(), ..node.names }),
        _ => Err(r.into_faults()),
    }
}

/// The names of each node with facts, for checks: what cannot be made is missing from them.
#[must_use]
pub fn scopes(input: &Input<'_>) -> BTreeMap<NodeId, Scope> {
    let across = across::Across::of(input, &mut Readers::new(input)).whole();
    let nodes = input.fleet.nodes.iter();
    nodes.filter_map(|n| Some((n.id.clone(), name::as_far(input, n, &input.facts.get(&n.id)?.value, &across).scope))).collect()
}

/// The facts behind names that a check read on a node, each with the node that told it.
#[must_use]
pub fn facts_behind(input: &Input<'_>, node: &FleetNode, reads: &Reads) -> Vec<Decided> {
    let Some(facts) = input.facts.get(&node.id) else { return Vec::new() };
    let across = across::Across::of(input, &mut Readers::new(input));
    let known = name::as_far(input, node, &facts.value, &across.whole());
    across::decided(&node.id, &known.answers, &known.made_from, &across.into_behind(), reads)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
#[path = "custom_files_tests.rs"]
mod custom_files;

#[cfg(test)]
#[path = "distributed_tests.rs"]
mod distributed;

#[cfg(test)]
#[path = "identity_only_tests.rs"]
mod identity_only;

#[cfg(test)]
#[path = "latest_user_store_tests.rs"]
mod latest_user_store;

#[cfg(test)]
#[path = "across_tests.rs"]
mod across_lists;

#[cfg(test)]
#[path = "alone_tests.rs"]
mod alone;

#[cfg(test)]
#[path = "run_as_tests.rs"]
mod run_as_unsaid;

#[cfg(test)]
#[path = "decided_tests.rs"]
mod decided;

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod conditions;

#[cfg(test)]
#[path = "users_tests.rs"]
mod users;

#[cfg(test)]
#[path = "other_meaning_tests.rs"]
mod other_meaning;

#[cfg(test)]
#[path = "remark_tests.rs"]
mod remark;

#[cfg(test)]
#[path = "survey_tests.rs"]
mod survey_of_the_example;
