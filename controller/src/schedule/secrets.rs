//! Which secrets a step has to do with.

use cavalcade_common::plan::PlanStep;
use cavalcade_common::secret::markers;

use crate::state::RunState;

/// The secrets that a step names.
pub(crate) fn names(step: &PlanStep) -> Vec<String> {
    let text = serde_json::to_string(&step.action).unwrap_or_default();
    markers(&text).into_iter().map(str::to_owned).collect()
}

/// The secrets that its lines may show: those of every step of its node, where programs of the node may print them.
pub(crate) fn hidden(run: &RunState, step: &PlanStep) -> Vec<String> {
    if !step.action.tells_lines() {
        return Vec::new();
    }
    run.all_steps().filter(|other| other.key.node == step.key.node).flat_map(names).collect()
}
