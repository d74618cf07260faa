//! Whether an operator who waits for a run has to wait on, and with which exit code they leave. Pure.

use std::collections::BTreeSet;

use super::document::RunStatus;
use crate::schedule::wait::needs_person;
use cavalcade_common::exit::Exit;

/// How far the operator wants to see the run come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Goal {
    /// Number of the last stage.
    pub until: Option<u32>,
    /// Only these nodes.
    pub nodes: Option<BTreeSet<String>>,
}

/// Where a run stands for one who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It moves, or will by itself.
    Moves,
    /// Nothing moves; something may yet by itself (an agent that comes back, a server that comes up).
    Stuck(Exit),
    /// Nothing moves and nothing will by itself.
    Settled(Exit),
}

/// Judges a document.
#[must_use]
pub fn standing(run: &RunStatus, goal: &Goal) -> Standing {
    match run.mode.as_str() {
        "done" => return Standing::Settled(Exit::Done),
        "cancelled" | "superseded" => return Standing::Settled(Exit::Stopped),
        _ => {}
    }
    let moves = |state: &str| matches!(state, "offered" | "accepted" | "running");
    let steps = || run.extra.iter().chain(run.stages.iter().flat_map(|g| &g.steps));
    if run.counts.under_way > 0 || steps().any(|s| moves(&s.state)) {
        return Standing::Moves;
    }
    if reached(run, goal) {
        return Standing::Settled(Exit::Done);
    }
    if !needs_person(&run.waits) {
        return Standing::Moves;
    }
    let exit = if run.counts.indeterminate > 0 || steps().any(|s| s.state == "indeterminate") {
        Exit::Indeterminate
    } else if run.counts.failed > 0 || steps().any(|s| s.state == "failed") {
        Exit::Failed
    } else if run.mode == "paused" {
        Exit::Stopped
    } else {
        Exit::Person
    };
    let by_itself = run.waits.iter().any(|w| w.kind.may_end_by_itself());
    if by_itself { Standing::Stuck(exit) } else { Standing::Settled(exit) }
}

/// Whether everything inside the goal is finished.
fn reached(run: &RunStatus, goal: &Goal) -> bool {
    if goal.until.is_none() && goal.nodes.is_none() {
        return false;
    }
    let inside = run.stages.iter().filter(|g| goal.until.is_none_or(|until| g.number <= until));
    let finished = |state: &str| matches!(state, "succeeded" | "skipped");
    let Some(nodes) = &goal.nodes else {
        return inside.flat_map(|g| &g.steps).all(|s| finished(&s.state));
    };
    // A stage behind one that other nodes have not finished does not begin: barriers count all nodes of the plan.
    let barred = |number: u32| run.waits.iter().any(|w| w.step.is_none() && w.stage == number && !w.person);
    inside.filter(|g| !barred(g.number)).flat_map(|g| &g.steps).all(|s| !nodes.contains(&s.node) || finished(&s.state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::wait::WaitKind;
    use crate::view::example::{night, opened, wait};

    /// A run with nothing under way.
    fn still() -> RunStatus {
        let mut run = night(opened()).runs.remove(0);
        run.counts.under_way = 0;
        for step in run.stages.iter_mut().flat_map(|g| &mut g.steps) {
            if step.state != "succeeded" {
                step.state = "pending".to_owned();
            }
        }
        (run.counts.failed, run.counts.indeterminate) = (0, 0);
        run.waits = vec![wait(None, 7, WaitKind::Approval, "approval of dba")];
        run
    }

    #[test]
    fn a_run_with_work_under_way_moves() {
        assert_eq!(standing(&night(opened()).runs[0], &Goal::default()), Standing::Moves);
    }

    #[test]
    fn what_stops_a_run_gives_the_code() {
        let mut run = still();
        assert_eq!(standing(&run, &Goal::default()), Standing::Settled(Exit::Person));
        run.waits.push(wait(Some("5.1@is-1"), 5, WaitKind::Permit, "is-2 to be up"));
        assert_eq!(standing(&run, &Goal::default()), Standing::Stuck(Exit::Person));
        run.waits.pop();
        run.mode = "paused".to_owned();
        assert_eq!(standing(&run, &Goal::default()), Standing::Settled(Exit::Stopped));
        run.counts.failed = 1;
        assert_eq!(standing(&run, &Goal::default()), Standing::Settled(Exit::Failed));
        run.counts.indeterminate = 1;
        assert_eq!(standing(&run, &Goal::default()), Standing::Settled(Exit::Indeterminate));
        run.mode = "cancelled".to_owned();
        assert_eq!(standing(&run, &Goal::default()), Standing::Settled(Exit::Stopped));
    }

    #[test]
    fn a_goal_is_reached_when_all_inside_is_finished() {
        let mut run = still();
        let until = |n| Goal { until: Some(n), nodes: None };
        assert_eq!(standing(&run, &until(3)), Standing::Settled(Exit::Person), "3.2 is open");
        for step in run.stages.iter_mut().filter(|g| g.number == 3).flat_map(|g| &mut g.steps) {
            step.state = "succeeded".to_owned();
        }
        assert_eq!(standing(&run, &until(3)), Standing::Settled(Exit::Done));
        run.waits = vec![wait(None, 5, WaitKind::Stage, "stage 4 x"), wait(None, 6, WaitKind::Stage, "stage 5 x")];
        let node = |n: &str| Goal { until: None, nodes: Some(BTreeSet::from([n.to_owned()])) };
        assert_eq!(standing(&run, &node("is-1")), Standing::Moves, "4.3@is-1 can begin");
        assert_eq!(standing(&run, &node("is-2")), Standing::Settled(Exit::Done), "5 waits for 4 on another node");
    }
}
