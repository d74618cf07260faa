//! The maintenance window: work that nothing of ours interrupts does not start when it, and its way back, would not end in
//! time. Pure: the wall clock comes in.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::action::{Action, ServerOp};
use cavalcade_common::duration;
use cavalcade_common::plan::{Plan, PlanStage, PlanStep, Undo};
use jiff::{SignedDuration, Timestamp};

use crate::state::RunState;

/// Why a step does not start in this window; `None` where it may. A stage that holds such work waits at its border: what
/// prepares the work does not begin either, so that nothing stands half done until another night.
pub(super) fn too_short(run: &RunState, stage: &PlanStage, step: &PlanStep, wall: Timestamp) -> Option<String> {
    let plan = &run.plan.plan;
    if run.past_window {
        return None;
    }
    let left = run.window_end.or(plan.window.as_ref().map(|w| w.end))?.duration_since(wall);
    if begins_the_downtime(run, step) {
        return downtime_too_short(plan, left);
    }
    let begun = stage.steps.iter().any(|s| run.step(&s.key).is_some_and(|st| st.attempt > 0));
    let ahead: Vec<&PlanStep> = match begun {
        false => stage.steps.iter().filter(|s| never_interrupted(&s.action)).collect(),
        true => Some(step).filter(|s| never_interrupted(&s.action)).into_iter().collect(),
    };
    ahead.into_iter().filter(|s| !run.finished(s)).find_map(|s| work_too_short(plan, s, left))
}

/// Why the time that is left is too short for one step and its way back.
fn work_too_short(plan: &Plan, step: &PlanStep, left: SignedDuration) -> Option<String> {
    let takes = expected(plan, step);
    let back = way_back(plan, step);
    let wanted = SignedDuration::try_from(takes.unwrap_or_default() + back.unwrap_or_default()).unwrap_or(SignedDuration::MAX);
    if left >= wanted && left.is_positive() {
        return None;
    }
    let mut wants = format!("{} takes {}", step.name, takes.map_or_else(|| "an unknown time".to_owned(), short));
    if let Some(back) = back {
        wants.push_str(&format!(" and its way back {}", short(back)));
    }
    Some(another_night(left, &format!(", {wants}")))
}

/// What is left of the window, what was wanted, and the ways on.
fn another_night(left: SignedDuration, wants: &str) -> String {
    let left = match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => format!("ends in {}", short(left)),
        _ => "is over".to_owned(),
    };
    format!(
        "another night: the window {left}{wants}; cavalcade resume --window-end INSTANT --why TEXT, or --past-window --why TEXT"
    )
}

/// Whether a step is of a stage that takes away what serves, and no such stage was begun yet.
fn begins_the_downtime(run: &RunState, step: &PlanStep) -> bool {
    let stops = |step: &PlanStep| matches!(&step.action, Action::Server(server) if server.op == ServerOp::Stop);
    let takes_away = |stage: &&PlanStage| stage.undo == Undo::StartAgain && stage.steps.iter().any(stops);
    let stages: Vec<&PlanStage> = run.plan.plan.stages.iter().filter(takes_away).collect();
    let begun = stages.iter().flat_map(|g| &g.steps).any(|s| run.step(&s.key).is_some_and(|st| st.attempt > 0));
    !begun && stages.iter().any(|g| g.number == step.key.stage)
}

/// A downtime that begins has to end in the same night: all that nothing of ours interrupts lies in it.
fn downtime_too_short(plan: &Plan, left: SignedDuration) -> Option<String> {
    let mut slowest: BTreeMap<(u32, u32), Duration> = BTreeMap::new();
    for (_, step) in plan.steps().filter(|(_, s)| never_interrupted(&s.action)) {
        let takes = expected(plan, step).unwrap_or_default();
        let longest = slowest.entry((step.key.stage, step.key.step)).or_default();
        *longest = takes.max(*longest);
    }
    let wanted: Duration = slowest.values().sum();
    if left.is_positive() && Duration::try_from(left).is_ok_and(|left| left >= wanted) {
        return None;
    }
    let known = if wanted.is_zero() { String::new() } else { format!(", the work of the downtime takes {}", short(wanted)) };
    Some(another_night(left, &known))
}

/// To the second: what is shown changes no oftener.
fn short(d: Duration) -> String {
    duration::format(Duration::from_secs(d.as_secs()))
}

/// What nothing of ours interrupts once it began.
#[must_use]
pub fn never_interrupted(action: &Action) -> bool {
    matches!(action, Action::Job(_) | Action::Sql(_) | Action::Backup(_) | Action::Restore(_))
}

/// How long a step takes, as the fleet file says.
#[must_use]
pub fn expected(plan: &Plan, step: &PlanStep) -> Option<Duration> {
    let stage = plan.stages.iter().find(|g| g.number == step.key.stage)?;
    stage.names_of(step).find_map(|name| plan.expected.get(&name)).map(|takes| takes.0)
}

/// How long its way back takes: the databases that it changes are restored one after the other, each as long as its backup
/// and the proof of it took.
fn way_back(plan: &Plan, step: &PlanStep) -> Option<Duration> {
    let backups = plan.steps().map(|(_, s)| s).filter(|s| match &s.action {
        Action::Backup(backup) => step.action.changes(&backup.database.name),
        _ => false,
    });
    // A backup of a database may be made twice: the last one is the one that is restored.
    let mut by_database = BTreeMap::new();
    for backup in backups {
        if let (Action::Backup(of), Some(takes)) = (&backup.action, expected(plan, backup)) {
            by_database.insert(of.database.name.as_str(), takes);
        }
    }
    (!by_database.is_empty()).then(|| by_database.values().sum())
}
