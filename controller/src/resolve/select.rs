//! Stages in their order, with their nodes.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::codes::plan as codes;
use cavalcade_common::codes::written;
use cavalcade_common::expression::{self, Scope};
use cavalcade_common::id::StageId;
use cavalcade_common::template::Reads;
use cavalcade_common::written::{Mark, Node, nearest};
use serde_json::Value;

use super::name::{NodeNames, fleet_scope, with_values};
use super::{Input, Readers};
use crate::recipe::{self, Stage};

/// A stage with its place in the plan.
pub(super) struct Selected<'a> {
    /// From 1; 0 where no node matches and none needs to.
    pub(super) number: u32,
    /// The stage as written.
    pub(super) stage: &'a Stage,
    /// Numbers of the stages before it.
    pub(super) after: Vec<u32>,
    /// Its nodes, as indexes into all nodes.
    pub(super) nodes: Vec<usize>,
    /// What was read of which node to tell whether it is one of them.
    pub(super) reads: Vec<(usize, Reads)>,
}

/// All stages in an order that respects every `after`.
pub(super) fn stages<'a>(input: &Input<'a>, nodes: &[NodeNames<'_>], r: &mut Readers) -> Vec<Selected<'a>> {
    let Some(order) = order(&input.recipe.stages, r) else { return Vec::new() };
    let scope = with_values(input, &fleet_scope(input));
    let mut selected: Vec<Selected<'a>> = Vec::new();
    // The stages that one stands for: itself, or what it waits for where it is left out.
    let mut stands_for: BTreeMap<&StageId, BTreeSet<u32>> = BTreeMap::new();
    for (stage, before) in order {
        let (members, reads) = members(stage, nodes, &scope, r);
        let after: BTreeSet<u32> = before.iter().filter_map(|id| stands_for.get(id)).flatten().copied().collect();
        if members.is_empty() {
            stands_for.insert(&stage.id, after);
            selected.push(Selected { number: 0, stage, after: Vec::new(), nodes: members, reads });
            continue;
        }
        let number = 1 + selected.iter().map(|s| s.number).max().unwrap_or(0);
        stands_for.insert(&stage.id, BTreeSet::from([number]));
        selected.push(Selected { number, stage, after: after.into_iter().collect(), nodes: members, reads });
    }
    selected
}

/// Stages with the ids before them, sorted; ties go by the order of the file.
fn order<'a>(stages: &'a [Stage], r: &mut Readers) -> Option<Vec<(&'a Stage, Vec<&'a StageId>)>> {
    match recipe::order(stages) {
        Ok(sorted) => Some(sorted),
        Err(circle) => {
            let names: Vec<&str> = circle.iter().map(|s| s.id.as_str()).collect();
            let mark = circle.first().map_or(Mark::default(), |s| s.mark);
            r.recipe.fault(codes::STAGE_CYCLE, mark, format!("these stages wait for each other: {}", names.join(", ")));
            None
        }
    }
}

fn members(stage: &Stage, nodes: &[NodeNames<'_>], scope: &Scope, r: &mut Readers) -> (Vec<usize>, Vec<(usize, Reads)>) {
    let before = r.count();
    let mut reads = Vec::new();
    let mut found: Vec<usize> = match (&stage.on, &stage.nodes) {
        (Some(on), _) => named(on, nodes, scope, r),
        (None, Some(condition)) => {
            let mut matching = Vec::new();
            for (i, node) in nodes.iter().enumerate() {
                r.recipe.node = Some(node.node.id.to_string());
                if let Some(verdict) = condition.decide(&node.scope, &mut r.recipe) {
                    matching.extend(verdict.holds.then_some(i));
                    reads.push((i, verdict.reads));
                }
                r.recipe.node = None;
            }
            matching
        }
        (None, None) => Vec::new(),
    };
    if stage.once {
        found.truncate(1);
    }
    if found.is_empty() && !stage.may_be_empty && r.count() == before {
        let message = format!("no node of the fleet matches the stage `{}`", stage.id);
        let mark = stage.nodes.as_ref().map_or(stage.mark, expression::Condition::mark);
        r.recipe.fault(codes::EMPTY_STAGE, mark, message);
    }
    (found, reads)
}

/// The nodes that an expression names.
fn named(on: &Node, nodes: &[NodeNames<'_>], scope: &Scope, r: &mut Readers) -> Vec<usize> {
    let value = match expression::evaluate(on.text().unwrap_or_default(), scope) {
        Ok(done) => done.value,
        Err(error) => {
            expression::note(on, &error, &mut r.recipe);
            return Vec::new();
        }
    };
    let names = match value {
        Value::String(one) => vec![one],
        Value::Array(several) if several.iter().all(Value::is_string) => {
            several.iter().filter_map(|v| v.as_str().map(ToOwned::to_owned)).collect()
        }
        _ => {
            r.recipe.fault(written::WRONG_KIND, on.mark, "`on` gives the name of a node, or a list of names");
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for name in names {
        match nodes.iter().position(|n| n.node.id.as_str() == name) {
            Some(i) if found.contains(&i) => {}
            Some(i) => found.push(i),
            None => {
                let near = nearest(&name, nodes.iter().map(|n| n.node.id.as_str()));
                let help = near.map(|n| format!("`{n}` exists"));
                r.recipe.fault_with(codes::UNKNOWN_NODE, on.mark, format!("`{name}` is no node of the fleet"), help);
            }
        }
    }
    found
}
