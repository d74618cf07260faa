//! Answers to questions for permits, where no controller is asked: what this machine sees at the moment of the launch.

use std::path::Path;
use std::sync::Arc;

use cavalcade_common::id::{AttemptId, RunId};
use cavalcade_common::plan::{Need, PlanStep};
use cavalcade_common::report::Evidence;

use crate::executor::Executor;
use crate::probe;

/// Who answers.
pub(super) struct Answerer {
    /// Where questions come from.
    pub(super) executor: Arc<Executor>,
    /// The run of this invocation.
    pub(super) run: RunId,
    /// Its steps.
    pub(super) steps: Vec<PlanStep>,
    /// The node's old home.
    pub(super) old_home: Option<String>,
}

impl Answerer {
    /// Answers for ever. The desk itself makes the checks of `via` behind each answer, from this machine.
    pub(super) async fn serve(self) {
        loop {
            for (nonce, attempt) in self.executor.permits.questions() {
                self.executor.permits.answer(&nonce, self.answer(&attempt));
            }
            self.executor.permits.asked.notified().await;
        }
    }

    fn answer(&self, attempt: &AttemptId) -> Result<Vec<Evidence>, String> {
        let step = self.steps.iter().find(|s| attempt.run == self.run && s.key == attempt.step);
        let step = step.ok_or_else(|| format!("{attempt} is no step of this file"))?;
        let mut evidence = Vec::new();
        for need in &step.needs {
            match need {
                Need::Ready { nodes, via } if via.is_empty() => {
                    return Err(format!("nothing says where {} answer", names(nodes)));
                }
                Need::Ready { nodes, .. } => {
                    let what = format!("{} asked without a controller", names(nodes));
                    evidence.push(Evidence::holds(what, "by their addresses, from this node"));
                }
                Need::Down { nodes } => evidence.push(self.down(nodes)?),
            }
        }
        Ok(evidence)
    }

    fn down(&self, nodes: &[cavalcade_common::id::NodeId]) -> Result<Evidence, String> {
        let home = match (nodes, &self.old_home) {
            ([only], Some(home)) if self.steps.first().is_some_and(|s| s.key.node == *only) => home,
            _ => return Err(format!("that the old servers of {} are down cannot be seen from here", names(nodes))),
        };
        let seen = probe::no_process(self.executor.host.as_ref(), Path::new(home));
        if seen.holds { Ok(seen) } else { Err(format!("the old server runs: {}", seen.found)) }
    }
}

fn names(nodes: &[cavalcade_common::id::NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
