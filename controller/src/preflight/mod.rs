//! Checks before the work: the fleet file against what the agents found. All checks run before the verdict; each has a
//! stable name. Pure: everything comes in as values.

mod agents;
mod homes;
mod machines;
mod planning;

use std::collections::BTreeMap;

use cavalcade_common::action::ArtifactRef;
use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::facts::FactsWanted;
use cavalcade_common::id::{HostId, NodeId};
use jiff::Timestamp;
use serde::Serialize;

use crate::fleet::{Fleet, FleetNode};
use crate::pack::Shipped;
use crate::recipe::Recipe;
use crate::resolve::NodeFacts;
use crate::view::document::HostStatus;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The work must not begin.
    Error,
    /// A person should look.
    Warning,
}

impl Severity {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing found, on one or many nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name of the check.
    pub check: String,
    /// The group that it is shown in.
    pub area: String,
    /// How much it matters.
    pub severity: Severity,
    /// The nodes, or hosts, in the fleet's order; empty for the fleet as a whole.
    pub nodes: Vec<String>,
    /// What was found.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

/// What the checks look at.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// Its recipe.
    pub recipe: &'a Recipe,
    /// Its artifacts, or why they cannot be read.
    pub artifacts: &'a Result<BTreeMap<String, ArtifactRef>, Faults>,
    /// Facts of the nodes whose agents answered.
    pub facts: &'a BTreeMap<NodeId, NodeFacts>,
    /// What the hosts were asked for the facts.
    pub asked: &'a BTreeMap<HostId, FactsWanted>,
    /// What old packs shipped, by the name of the artifact that tells it.
    pub shipped: &'a BTreeMap<String, Shipped>,
    /// Agents that did not answer.
    pub unanswered: &'a [Fault],
    /// Hosts as the controller knows them; `None` where it was not asked.
    pub hosts: Option<&'a [HostStatus]>,
    /// The time.
    pub now: Timestamp,
}

/// A check: what it looks at, and how a look goes.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Stable name.
    pub name: &'static str,
    /// The group that it is shown in.
    pub area: &'static str,
    /// What it looks at and why, for `explain`.
    pub about: &'static str,
    /// What to do where it finds something.
    pub remedy: &'static str,
    look: fn(&Input<'_>, &mut Looks),
}

/// Every check, in the order in which they are shown.
pub const CHECKS: [&[Check]; 4] = [agents::CHECKS, homes::CHECKS, machines::CHECKS, planning::CHECKS];

/// The check of a name.
#[must_use]
pub fn check(name: &str) -> Option<&'static Check> {
    CHECKS.iter().flat_map(|group| group.iter()).find(|check| check.name == name)
}

/// What a check saw.
#[derive(Debug, Default)]
pub struct Looks {
    ok: usize,
    found: Vec<(Severity, Option<String>, String, Option<String>)>,
}

impl Looks {
    fn ok(&mut self) {
        self.ok += 1;
    }
    fn error(&mut self, node: impl ToString, found: impl Into<String>) {
        self.found.push((Severity::Error, Some(node.to_string()), found.into(), None));
    }
    fn warning(&mut self, node: impl ToString, found: impl Into<String>) {
        self.found.push((Severity::Warning, Some(node.to_string()), found.into(), None));
    }
    /// Counts a look that went well, or notes what it found.
    fn expect(&mut self, holds: bool, node: impl ToString, found: impl FnOnce() -> String) {
        if holds { self.ok() } else { self.error(node, found()) }
    }
}

/// What all checks saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Results {
    /// Areas in their order, with the number of looks that found nothing.
    pub ok: Vec<(String, usize)>,
    /// What was found, errors first in each area.
    pub findings: Vec<Finding>,
}

impl Results {
    /// How many findings have this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }
}

/// Runs every check.
#[must_use]
pub fn run(input: &Input<'_>) -> Results {
    let mut results = Results::default();
    for check in CHECKS.iter().flat_map(|group| group.iter()) {
        let mut looks = Looks::default();
        (check.look)(input, &mut looks);
        match results.ok.iter_mut().find(|(area, _)| area == check.area) {
            Some((_, ok)) => *ok += looks.ok,
            None => results.ok.push((check.area.to_owned(), looks.ok)),
        }
        results.findings.extend(merged(check, looks));
    }
    results
}

/// One finding over many nodes once.
fn merged(check: &Check, looks: Looks) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (severity, node, found, remedy) in looks.found {
        let remedy = remedy.unwrap_or_else(|| check.remedy.to_owned());
        let same = |f: &&mut Finding| f.severity == severity && f.found == found && f.remedy == remedy;
        if let Some(finding) = findings.iter_mut().find(same) {
            finding.nodes.extend(node.filter(|n| !finding.nodes.contains(n)));
            continue;
        }
        let (check, area) = (check.name.to_owned(), check.area.to_owned());
        findings.push(Finding { check, area, severity, nodes: node.into_iter().collect(), found, remedy });
    }
    findings.sort_by_key(|f| f.severity);
    findings
}

/// Nodes with their facts.
fn with_facts<'a>(input: &Input<'a>) -> impl Iterator<Item = (&'a FleetNode, &'a serde_json::Value)> {
    let facts = input.facts;
    input.fleet.nodes.iter().filter_map(move |node| Some((node, &facts.get(&node.id)?.value)))
}

#[cfg(test)]
mod tests;
