//! Permits: an agent that is about to launch asks; every server that it needs is looked at now, by its own agent, and
//! the answer goes back with the agent's nonce (10, rules 15 and 16).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cavalcade_common::id::{AttemptId, HostId, NodeId};
use cavalcade_common::message::Seen;
use cavalcade_common::plan::{Need, PlanStep};
use cavalcade_common::report::Evidence;

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
}

impl PermitQuery {
    pub(super) fn new(host: HostId, attempt: AttemptId, step: &PlanStep, now: Duration) -> Self {
        let (mut ready, mut down) = (BTreeSet::new(), BTreeSet::new());
        for need in &step.needs {
            match need {
                Need::Ready { nodes, .. } => ready.extend(nodes.iter().cloned()),
                Need::Down { nodes } => down.extend(nodes.iter().cloned()),
            }
        }
        Self { host, attempt, deadline: now + PERMIT_LIMIT, ready, down, shown: BTreeMap::new() }
    }

    /// All nodes that must be looked at.
    pub(super) fn nodes(&self) -> BTreeSet<NodeId> {
        self.ready.union(&self.down).cloned().collect()
    }

    /// Nodes that have not answered.
    pub(super) fn missing(&self) -> Vec<&NodeId> {
        self.ready.union(&self.down).filter(|n| !self.shown.contains_key(*n)).collect()
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
        self.shown.into_values().flatten().collect()
    }
}
