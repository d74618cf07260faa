//! Steps that only look, run for a question: outside of any run, without a ledger, with nothing left behind.

use std::collections::BTreeMap;

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::NodeId;
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::{Checked, Evidence};
use cavalcade_common::secret::SecretBook;

use crate::action::{self, Context, Failure};
use crate::preview::Previewer;

/// Why these steps are refused for a question; `None`: all of them only look.
#[must_use]
pub fn refused(steps: &[PlanStep]) -> Option<String> {
    let acting = steps.iter().find(|s| !s.action.only_looks())?;
    Some(format!("{} ({}) would change something, and this question changes nothing", acting.name, acting.key))
}

/// What each step sees. Steps of one node run in their order, and each runs whatever the one before it saw; nodes run at
/// once. The caller made sure that all of them only look.
pub async fn all(with: &Previewer, steps: &[PlanStep]) -> Vec<Checked> {
    let mut by_node: BTreeMap<&NodeId, Vec<(usize, &PlanStep)>> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        by_node.entry(&step.key.node).or_default().push((at, step));
    }
    let nodes = by_node.into_values().map(|steps| async move {
        let mut seen = Vec::with_capacity(steps.len());
        for (at, step) in steps {
            seen.push((at, one(with, step).await));
        }
        seen
    });
    let mut seen: Vec<(usize, Checked)> = futures_util::future::join_all(nodes).await.into_iter().flatten().collect();
    seen.sort_by_key(|(at, _)| *at);
    seen.into_iter().map(|(_, checked)| checked).collect()
}

async fn one(with: &Previewer, step: &PlanStep) -> Checked {
    let looked = match with.context(step) {
        Ok(cx) => match tokio::time::timeout(step.timeout, look(&cx)).await {
            Ok(looked) => looked,
            Err(_) => {
                let limit = cavalcade_common::duration::format(step.timeout);
                let text = format!("{} did not end within {limit}", step.action.kind());
                Err(Fault::new(codes::agent::STEP_TIMEOUT, text).into())
            }
        },
        Err(fault) => Err(fault.into()),
    };
    let checked = match looked {
        // What was seen counts one by one: no action may let evidence pass that does not hold.
        Ok(evidence) => Checked { holds: evidence.iter().all(|e| e.holds), evidence, fault: None },
        Err(Failure::Failed { fault, evidence, .. }) => Checked { holds: false, evidence, fault: Some(fault) },
        Err(Failure::Indeterminate { fault, .. }) => Checked { holds: false, evidence: Vec::new(), fault: Some(fault) },
        Err(Failure::NotBegun { why }) => {
            let fault = Fault::new(codes::server::GATE_CLOSED, why);
            Checked { holds: false, evidence: Vec::new(), fault: Some(fault) }
        }
    };
    redacted(checked, &with.secrets)
}

/// As for a step of a run: apply, then verify. Both look.
async fn look(cx: &Context) -> Result<Vec<Evidence>, Failure> {
    let act = action::of(&cx.step.action);
    let mut evidence = act.apply(cx).await?.evidence;
    // What looks the same both times is told once.
    let again = act.verify(cx).await?.into_iter().filter(|seen| !evidence.contains(seen)).collect::<Vec<_>>();
    evidence.extend(again);
    Ok(evidence)
}

fn redacted(mut checked: Checked, secrets: &SecretBook) -> Checked {
    for evidence in &mut checked.evidence {
        evidence.found = secrets.redact(&evidence.found);
    }
    if let Some(fault) = &mut checked.fault {
        fault.message = secrets.redact(&fault.message);
    }
    checked
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
