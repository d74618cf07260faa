//! Checks before the work: the fleet file against what the agents found. All checks run before the verdict; each has a
//! stable name. Pure: everything comes in as values.
//!
//! A check whose fact is missing says so ([`Severity::Unseen`]): what nobody looked at is never counted as good. Checks
//! that know a product stand in the recipe's `checks`; `written` evaluates them.

mod agents;
mod autostart;
mod behind;
mod database_server;
mod databases;
mod disks;
mod homes;
mod keystores;
mod looks;
mod machines;
mod network;
mod planning;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::action::ArtifactRef;
use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::expression::Scope;
use cavalcade_common::facts::FactsWanted;
use cavalcade_common::finding::{Finding, Severity};
use cavalcade_common::id::{HostId, NodeId};
use cavalcade_common::plan::{Decided, Plan};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::fleet::{Fleet, FleetNode};
use crate::pack::Shipped;
use crate::recipe::{self, BUILT_IN, Recipe};
use crate::resolve::{self, NodeFacts};
use crate::view::document::{HostStatus, Upgraded};
pub use homes::UPGRADED_BEFORE;
use looks::Looks;

/// What the checks look at.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// Its recipe.
    pub recipe: &'a Recipe,
    /// Its artifacts, or why they cannot be read.
    pub artifacts: &'a Result<BTreeMap<String, ArtifactRef>, Faults>,
    /// Names of the entries of those artifacts that are zips or JARs.
    pub contents: &'a BTreeMap<String, BTreeSet<String>>,
    /// Facts of the nodes whose agents answered.
    pub facts: &'a BTreeMap<NodeId, NodeFacts>,
    /// What the hosts were asked for the facts.
    pub asked: &'a BTreeMap<HostId, FactsWanted>,
    /// What old packs shipped, by the name of the artifact that tells it.
    pub shipped: &'a BTreeMap<String, Shipped>,
    /// The plan that is made of all this, or why there is none. `None`: something that it needs is missing, and has a
    /// finding of its own.
    pub planned: Option<&'a Result<Plan, Faults>>,
    /// Agents that did not answer.
    pub unanswered: &'a [Fault],
    /// Hosts as the controller knows them; `None` where it was not asked.
    pub hosts: Option<&'a [HostStatus]>,
    /// New homes that finished runs made; none where the controller was not asked.
    pub upgraded: &'a [Upgraded],
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
    /// How much its findings matter.
    pub severity: Severity,
    /// What it looks at and why, for `explain`.
    pub about: &'static str,
    /// What to do where it finds something.
    pub remedy: &'static str,
    look: fn(&Seen<'_>, &mut Looks<'_>),
}

/// Every check that is code, in the order in which they are shown.
pub const CHECKS: [&[Check]; 10] = [
    agents::CHECKS,
    homes::CHECKS,
    machines::CHECKS,
    disks::CHECKS,
    network::CHECKS,
    autostart::CHECKS,
    keystores::CHECKS,
    databases::CHECKS,
    database_server::CHECKS,
    planning::CHECKS,
];

/// A check, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Stable name.
    pub check: String,
    /// The group that it is shown in.
    pub area: String,
    /// How much its findings matter.
    pub severity: Severity,
    /// What it looks at and why.
    pub looks_at: String,
    /// What to do where it finds something.
    pub remedy: String,
    /// The recipe that it stands in; `None`: it is one of every fleet.
    pub recipe: Option<String>,
}

/// Every check of this program: those that are code, then those of its recipes.
#[must_use]
pub fn explained() -> Vec<Explained> {
    let code = CHECKS.iter().flat_map(|group| group.iter()).map(|check| Explained {
        check: check.name.to_owned(),
        area: check.area.to_owned(),
        severity: check.severity,
        looks_at: check.about.to_owned(),
        remedy: check.remedy.to_owned(),
        recipe: None,
    });
    let mut all: Vec<Explained> = code.collect();
    for (name, text) in BUILT_IN {
        let checks = recipe::read(text.as_bytes(), name).map(|recipe| recipe.checks).unwrap_or_default();
        all.extend(checks.into_iter().map(|check| Explained {
            check: check.name,
            area: check.area,
            severity: check.severity,
            looks_at: check.about,
            remedy: check.remedy,
            recipe: Some(name.to_owned()),
        }));
    }
    all
}

/// The input, with the names of each node as expressions see them: answers of the fleet file lie over the facts.
struct Seen<'a> {
    input: Input<'a>,
    scopes: BTreeMap<NodeId, Scope>,
}

impl<'a> Seen<'a> {
    fn new(input: &Input<'a>) -> Self {
        let mut seen = Self { input: *input, scopes: BTreeMap::new() };
        seen.scopes = resolve::scopes(&seen.wanted());
        seen
    }

    /// What names are made from.
    fn wanted(&self) -> resolve::Input<'a> {
        static NONE: BTreeMap<String, ArtifactRef> = BTreeMap::new();
        let input = self.input;
        resolve::Input {
            fleet: input.fleet,
            recipe: input.recipe,
            facts: input.facts,
            asked: input.asked,
            shipped: input.shipped,
            artifacts: input.artifacts.as_ref().unwrap_or(&NONE),
            plan_id: "",
            made_by: "",
            now: input.now,
        }
    }

    /// Nodes with their facts.
    fn nodes(&self) -> impl Iterator<Item = (&'a FleetNode, &Value)> {
        let nodes = self.input.fleet.nodes.iter();
        nodes.filter_map(|node| Some((node, self.scopes.get(&node.id)?.get("facts")?)))
    }

    /// Nodes whose old home is there, with their facts.
    fn old(&self) -> impl Iterator<Item = (&'a FleetNode, &Value)> {
        let there = |facts: &Value| facts.pointer("/old/exists").and_then(Value::as_bool) == Some(true);
        self.nodes().filter(move |(node, facts)| node.old.is_some() && there(facts))
    }
}

/// What all checks saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Results {
    /// Areas in their order, with the number of looks that found nothing.
    pub ok: Vec<(String, usize)>,
    /// What was found, area by area, errors first in each.
    pub findings: Vec<Finding>,
    /// The facts behind what was found.
    #[serde(skip)]
    pub behind: Vec<Decided>,
}

impl Results {
    /// How many findings have this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }

    fn add(&mut self, name: &str, area: &str, mut looks: Looks<'_>, seen: &Seen<'_>) {
        self.behind.extend(behind::of_recipe(name, &looks.take_read(), seen));
        match self.ok.iter_mut().find(|(known, _)| known == area) {
            Some((_, ok)) => *ok += looks.good(),
            None => self.ok.push((area.to_owned(), looks.good())),
        }
        let findings = looks.into_findings(name, area);
        self.behind.extend(behind::of_code(name, &findings, seen));
        self.findings.extend(findings);
    }

    /// Puts what was found into the plan, with the facts behind it among those that decided something.
    pub fn put_into(self, plan: &mut Plan) {
        for fact in self.behind {
            let same = |d: &&mut Decided| d.node == fact.node && d.path == fact.path;
            match plan.decided_by.iter_mut().find(same) {
                Some(known) => {
                    known.decides.extend(fact.decides.into_iter().filter(|d| !known.decides.contains(d)).collect::<Vec<_>>())
                }
                None => plan.decided_by.push(fact),
            }
        }
        plan.decided_by.sort_by(|a, b| (&a.node, &a.path).cmp(&(&b.node, &b.path)));
        plan.findings = self.findings;
    }
}

/// Runs every check: those that are code, then those of the recipe.
#[must_use]
pub fn run(input: &Input<'_>) -> Results {
    let seen = Seen::new(input);
    let mut results = Results::default();
    for check in CHECKS.iter().flat_map(|group| group.iter()) {
        let mut looks = Looks::new(check.severity, check.remedy);
        (check.look)(&seen, &mut looks);
        results.add(check.name, check.area, looks, &seen);
    }
    for check in &input.recipe.checks {
        let mut looks = Looks::new(check.severity, &check.remedy);
        written::look(check, &seen, &mut looks);
        results.add(&check.name, &check.area, looks, &seen);
    }
    let areas: Vec<&String> = results.ok.iter().map(|(area, _)| area).collect();
    let place = |finding: &Finding| (areas.iter().position(|a| **a == finding.area), finding.severity);
    let mut findings = std::mem::take(&mut results.findings);
    findings.sort_by_key(place);
    results.findings = findings;
    results
}

#[cfg(test)]
mod tests;
