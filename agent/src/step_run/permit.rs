//! Answers to questions for permits, where no controller is asked: what this machine sees at the moment of the launch.

use std::path::Path;
use std::sync::Arc;

use cavalcade_common::id::{AttemptId, RunId};
use cavalcade_common::plan::Need;
use cavalcade_common::report::Evidence;

use super::input::Input;
use crate::answers::databases::strangers;
use crate::executor::{Executor, SecretResolver};
use crate::host::secrets::HostSecrets;
use crate::probe;

/// Who answers.
pub(super) struct Answerer {
    /// Where questions come from.
    pub(super) executor: Arc<Executor>,
    /// The run of this invocation.
    pub(super) run: RunId,
    /// What is known of the node.
    pub(super) input: Arc<Input>,
}

impl Answerer {
    /// Answers for ever. The desk itself makes the checks of `via` behind each answer, from this machine.
    pub(super) async fn serve(self) {
        loop {
            for (nonce, attempt) in self.executor.permits.questions() {
                let answer = self.answer(&attempt).await;
                self.executor.permits.answer(&nonce, answer);
            }
            self.executor.permits.asked.notified().await;
        }
    }

    async fn answer(&self, attempt: &AttemptId) -> Result<Vec<Evidence>, String> {
        let step = self.input.list.steps.iter().find(|s| attempt.run == self.run && s.key == attempt.step);
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
                Need::Alone { databases, but_from } => {
                    for name in databases.keys() {
                        evidence.push(self.alone(name, but_from).await?);
                    }
                }
            }
        }
        Ok(evidence)
    }

    async fn alone(&self, name: &str, but_from: &[String]) -> Result<Evidence, String> {
        let target = self.input.names.databases.get(name).ok_or_else(|| format!("nothing says where {name} is"))?;
        let secrets = self.input.secrets_in(&target.password);
        let book = HostSecrets.resolve(&secrets).await.map_err(|fault| fault.to_string())?;
        let found = strangers(target, but_from.to_vec(), &book).await.map_err(|why| format!("who is in {name}: {why}"))?;
        match found.as_slice() {
            [] => Ok(Evidence::holds(format!("sessions in {name}"), "none but ours and those that may be")),
            some => Err(format!("{} in {name}", some.join(", "))),
        }
    }

    fn down(&self, nodes: &[cavalcade_common::id::NodeId]) -> Result<Evidence, String> {
        let home = match (nodes, self.input.side("old")) {
            ([only], Some(home)) if self.input.names.node == *only => home,
            _ => return Err(format!("that the old servers of {} are down cannot be seen from here", names(nodes))),
        };
        let seen = probe::no_process(self.executor.host.as_ref(), Path::new(home));
        if seen.holds { Ok(seen) } else { Err(format!("the old server runs: {}", seen.found)) }
    }
}

fn names(nodes: &[cavalcade_common::id::NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
