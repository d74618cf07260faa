//! `across`: what several nodes' facts say, as every node's names see it.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::expression;
use cavalcade_common::id::NodeId;
use cavalcade_common::plan::Decided;
use cavalcade_common::template::Reads;
use serde_json::{Map, Value};

use super::name::{answered, before_facts};
use super::{Input, Readers, custom};
use crate::fleet::FleetNode;
use crate::recipe::AcrossWritten;

/// The lists by name, and what they were made from.
#[derive(Default)]
pub(super) struct Across {
    lists: Map<String, Value>,
    /// By dotted name (`across.x`): the facts that decided it, each with its node.
    behind: BTreeMap<String, Vec<Decided>>,
    /// Names of which a node's part is not known.
    open: BTreeSet<String>,
}

impl Across {
    /// Of all nodes. A part that cannot be told is a fault, but for that of a node without facts: its own fault stands there.
    pub(super) fn of(input: &Input<'_>, r: &mut Readers) -> Self {
        let mut across = Self::default();
        if input.recipe.across.is_empty() {
            return across;
        }
        for name in input.recipe.across.keys() {
            across.lists.insert(name.clone(), Value::Array(Vec::new()));
        }
        for node in &input.fleet.nodes {
            r.recipe.node = Some(node.id.to_string());
            across.add(input, node, r);
            r.recipe.node = None;
        }
        across
    }

    /// The root name `across`.
    pub(super) fn value(&self) -> Value {
        Value::Object(self.lists.clone())
    }

    /// The same without names of which a part is not known: a check that asks for one did not look.
    pub(super) fn whole(&self) -> Value {
        let known = self.lists.iter().filter(|(name, _)| !self.open.contains(*name));
        Value::Object(known.map(|(name, list)| (name.clone(), list.clone())).collect())
    }

    pub(super) fn into_behind(self) -> BTreeMap<String, Vec<Decided>> {
        self.behind
    }

    fn add(&mut self, input: &Input<'_>, node: &FleetNode, r: &mut Readers) {
        let before = before_facts(input, node);
        let Some(facts) = input.facts.get(&node.id) else {
            for (name, written) in &input.recipe.across {
                let mut quiet = Readers::new(input);
                if written.nodes.as_ref().is_none_or(|c| c.decide(&before, &mut quiet.recipe).is_none_or(|v| v.holds)) {
                    self.open.insert(name.clone());
                }
            }
            return;
        };
        // What its own facts lack is said where its own names are made.
        let (answers, facts) = answered(input, node, &facts.value, &mut Readers::new(input));
        let made_from = custom::made_from(&facts);
        let scope = before.with("facts", facts);
        for (name, written) in &input.recipe.across {
            match part(written, &scope, r) {
                Some((value, reads)) => {
                    if let (Some(value), Some(Value::Array(list))) = (value, self.lists.get_mut(name)) {
                        list.push(value);
                    }
                    let decided = decided(&node.id, &answers, &made_from, &BTreeMap::new(), &reads);
                    self.behind.entry(format!("across.{name}")).or_default().extend(decided);
                }
                None => {
                    self.open.insert(name.clone());
                }
            }
        }
    }
}

/// A node's part of a list, with what was read; `None` inside for a node that is not meant, outside for a fault.
fn part(written: &AcrossWritten, scope: &expression::Scope, r: &mut Readers) -> Option<(Option<Value>, Reads)> {
    let mut reads = Reads::new();
    if let Some(nodes) = &written.nodes {
        let verdict = nodes.decide(scope, &mut r.recipe)?;
        reads.extend(verdict.reads);
        if !verdict.holds {
            return Some((None, reads));
        }
    }
    match expression::evaluate(written.value.text().unwrap_or_default(), scope) {
        Ok(done) => {
            reads.extend(done.reads);
            Some((Some(done.value), reads))
        }
        Err(error) => {
            expression::note(&written.value, &error, &mut r.recipe);
            None
        }
    }
}

/// The facts behind names that were read, each with the node that told it.
pub(super) fn decided(
    node: &NodeId,
    answers: &Value,
    made_from: &BTreeMap<String, Reads>,
    across: &BTreeMap<String, Vec<Decided>>,
    reads: &Reads,
) -> Vec<Decided> {
    let mut open: Vec<(&String, &Value)> = reads.iter().collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some((name, value)) = open.pop() {
        if !seen.insert(name) {
            continue;
        }
        if let Some(behind) = made_from.get(name) {
            open.extend(behind);
        } else if let Some(of_others) = across.get(name) {
            found.extend(of_others.iter().cloned());
        } else if let Some(path) = name.strip_prefix("facts.") {
            let mut answer = answers;
            let answered = path.split('.').all(|part| match answer.get(part) {
                Some(next) => {
                    answer = next;
                    true
                }
                None => false,
            });
            found.push(Decided { node: node.clone(), path: name.clone(), value: value.clone(), answered, decides: Vec::new() });
        }
    }
    found
}
