//! The arithmetic of a stage's failure budget, from the first failed node on. Pure.

use cavalcade_common::id::NodeId;
use cavalcade_common::plan::PlanStage;

use crate::state::RunState;
use crate::state::step::Phase;

/// Nodes of a stage, as the budget counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Nodes {
    ok: usize,
    failed: usize,
    at_work: usize,
    fresh: usize,
}

/// `gateways 4: 2 ok, 1 failed, 1 not started; budget 1, used 1, the next failure stops`; `None` as long as nothing
/// failed, or where there is one node alone.
pub(super) fn budget(run: &RunState, stage: &PlanStage) -> Option<String> {
    let mut nodes = Nodes::default();
    for node in &stage.nodes {
        *count(run, stage, node, &mut nodes) += 1;
    }
    (nodes.failed > 0 && stage.nodes.len() > 1).then(|| text(stage, nodes))
}

fn count<'n>(run: &RunState, stage: &PlanStage, node: &NodeId, nodes: &'n mut Nodes) -> &'n mut usize {
    let of_node = stage.steps.iter().filter(|s| &s.key.node == node);
    let phases: Vec<Phase> = of_node.filter_map(|s| run.step(&s.key)).map(|s| s.phase).collect();
    match () {
        () if phases.iter().all(|p| p.is_finished()) => &mut nodes.ok,
        () if phases.iter().any(|p| matches!(p, Phase::Failed | Phase::Indeterminate)) => &mut nodes.failed,
        () if phases.iter().any(|p| *p != Phase::Pending) => &mut nodes.at_work,
        () => &mut nodes.fresh,
    }
}

fn text(stage: &PlanStage, nodes: Nodes) -> String {
    let Nodes { ok, failed, at_work, fresh } = nodes;
    let counts: Vec<String> = [(ok, "ok"), (failed, "failed"), (at_work, "at work"), (fresh, "not started")]
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    let budget = stage.batch.failure_budget as usize;
    let next = match budget.checked_sub(failed) {
        _ if fresh == 0 => "every node has begun".to_owned(),
        None => "nothing new begins".to_owned(),
        Some(0) => "the next failure stops".to_owned(),
        Some(more) => format!("{more} more may fail"),
    };
    format!("{} {}: {}; budget {budget}, used {}, {next}", stage.id, stage.nodes.len(), counts.join(", "), failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example_plan::plan;

    #[test]
    fn the_arithmetic_is_shown_whole() {
        let mut stage = plan().stages.remove(0);
        stage.nodes.push("gw-2".parse().unwrap());
        let shown = |budget, ok, failed, fresh| {
            let mut stage = stage.clone();
            stage.batch.failure_budget = budget;
            text(&stage, Nodes { ok, failed, at_work: 0, fresh })
        };
        let one = "old-servers-down 4: 2 ok, 1 failed, 1 not started; budget 1, used 1, the next failure stops";
        assert_eq!(shown(1, 2, 1, 1), one);
        assert_eq!(shown(2, 2, 1, 1).split("; ").last(), Some("budget 2, used 1, 1 more may fail"));
        assert_eq!(shown(0, 2, 1, 1).split("; ").last(), Some("budget 0, used 1, nothing new begins"));
        assert_eq!(shown(0, 3, 1, 0).split("; ").last(), Some("budget 0, used 1, every node has begun"));
    }
}
