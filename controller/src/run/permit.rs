//! Permits: an agent that is about to launch asks; every server that it needs is looked at now, by its own agent, and
//! the answer goes back with the agent's nonce (10, rules 15 and 16).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cavalcade_common::id::{AttemptId, HostId, NodeId};
use cavalcade_common::message::Seen;
use cavalcade_common::plan::{Need, PlanStep};
use cavalcade_common::report::Evidence;

use crate::schedule::alone::{Look, Strangers, against};

/// A permit is refused when not all looks came back within this time.
pub(super) const PERMIT_LIMIT: Duration = Duration::from_secs(20);

/// A question for a permit, while the looks are under way.
#[derive(Debug)]
pub(super) struct PermitQuery {
    /// The host that asks.
    pub(super) host: HostId,
    /// The attempt that launches.
    pub(super) attempt: AttemptId,
    /// When it is refused.
    pub(super) deadline: Duration,
    ready: BTreeSet<NodeId>,
    down: BTreeSet<NodeId>,
    shown: BTreeMap<NodeId, Vec<Evidence>>,
    /// Looks at databases, with the node that each is worked on from.
    looks: BTreeMap<Look, NodeId>,
    looked: BTreeMap<Look, Evidence>,
}

impl PermitQuery {
    pub(super) fn new(host: HostId, attempt: AttemptId, step: &PlanStep, now: Duration) -> Self {
        let (mut ready, mut down, mut looks) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        for need in &step.needs {
            match need {
                Need::Ready { nodes, .. } => ready.extend(nodes.iter().cloned()),
                Need::Down { nodes } => down.extend(nodes.iter().cloned()),
                Need::Alone { databases, but_from } => looks.extend(databases.iter().map(|(database, from)| {
                    let (run, database, but_from) = (attempt.run.clone(), database.clone(), but_from.clone());
                    (Look { run, database, but_from }, from.clone())
                })),
            }
        }
        let (shown, looked) = (BTreeMap::new(), BTreeMap::new());
        Self { host, attempt, deadline: now + PERMIT_LIMIT, ready, down, shown, looks, looked }
    }

    /// All nodes that must be looked at.
    pub(super) fn nodes(&self) -> BTreeSet<NodeId> {
        self.ready.union(&self.down).cloned().collect()
    }

    /// All looks at databases, with the node that each is made from.
    pub(super) fn looks(&self) -> &BTreeMap<Look, NodeId> {
        &self.looks
    }

    /// Nodes and databases of which nothing was shown yet.
    pub(super) fn missing(&self) -> Vec<String> {
        let nodes = self.ready.union(&self.down).filter(|n| !self.shown.contains_key(*n)).map(ToString::to_string);
        let looks = self.looks.iter().filter(|(look, _)| !self.looked.contains_key(*look));
        nodes.chain(looks.map(|(look, from)| format!("{from} about {}", look.database))).collect()
    }

    /// Takes in who is in a database.
    ///
    /// # Errors
    /// Who may not be there, or why nobody can tell.
    pub(super) fn take_look(&mut self, look: &Look, found: &Strangers) -> Result<(), String> {
        if let Some(against) = against(&look.database, found) {
            return Err(against);
        }
        let whom =
            if look.but_from.is_empty() { "ours".to_owned() } else { format!("ours and those of {}", look.but_from.join(", ")) };
        self.looked.insert(look.clone(), Evidence::holds(format!("sessions in {}", look.database), format!("none but {whom}")));
        Ok(())
    }

    /// Takes a look in. `journaled` is the process that the journal holds for the node.
    ///
    /// # Errors
    /// What is not as needed.
    pub(super) fn take(&mut self, node: &NodeId, seen: &Seen, journaled: Option<&String>) -> Result<(), String> {
        let mut evidence = Vec::new();
        if self.ready.contains(node) {
            // A look tells of the old server too; what was not asked for proves nothing here and refutes nothing.
            evidence.extend(seen.evidence.iter().filter(|e| e.holds).cloned());
            if !seen.ready {
                let found = seen
                    .evidence
                    .iter()
                    .find(|e| !e.holds)
                    .map_or("not ready".to_owned(), |e| format!("{}: {}", e.what, e.found));
                return Err(format!("{node} is not ready ({found})"));
            }
            if journaled != Some(&seen.process) {
                return Err(format!("{node} runs as process {}, which was not seen ready before", seen.process));
            }
            evidence.push(Evidence::holds(format!("{node} is ready"), format!("process {}", seen.process)));
        }
        if self.down.contains(node) {
            if !seen.old_down {
                return Err(format!("the old server of {node} is running"));
            }
            evidence.push(Evidence::holds(format!("old server of {node}"), "no process"));
        }
        self.shown.insert(node.clone(), evidence);
        Ok(())
    }

    /// All that was shown.
    pub(super) fn evidence(self) -> Vec<Evidence> {
        self.shown.into_values().flatten().chain(self.looked.into_values()).collect()
    }
}
