//! Restores: a step of its own in front of the plan's stages, and what is open again behind it (10, rule 23).

use std::collections::BTreeSet;
use std::time::Duration;

use cavalcade_common::action::{Action, Class, Restore};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{HostId, NodeId, RunId, StepKey, StepName};
use cavalcade_common::plan::{Need, PlanStep, Retry};
use cavalcade_common::report::{Ending, Report};

use super::RunLoop;
use super::input::Done;
use super::verbs::illegal;
use crate::event::{Event, Who};
use crate::state::RunState;
use crate::state::step::Phase;

impl RunLoop {
    /// Orders restores, each as a step of its own in front of the plan's stages. What needs several waits for all of them.
    pub(super) fn restore(&mut self, run: RunId, databases: &[String], by: Who, why: String) -> Result<Done, Fault> {
        let state = self.state.runs.get(&run).ok_or_else(|| Fault::new(codes::run::NO_RUN, "the run is gone"))?;
        if state.any_under_way() {
            return Err(Fault::new(codes::run::STILL_DRAINING, "steps are under way; a restore waits for none of them")
                .help("cavalcade pause, and again when `cavalcade status` shows none running"));
        }
        let first = 1 + u32::try_from(state.extra.len()).unwrap_or(u32::MAX / 2);
        let ordered = (first..).zip(databases).map(|(number, database)| restore_of(state, number, database, (&by, &why)));
        let steps = ordered.collect::<Result<Vec<PlanStep>, Fault>>()?;
        let keys: Vec<String> = steps.iter().map(|s| s.key.to_string()).collect();
        let says = format!(
            "{} restores {}; then every step that changed what is restored is open again.",
            keys.join(", "),
            databases.join(", ")
        );
        for step in steps {
            let event = Event::StepAdded { run: run.clone(), step: Box::new(step), by: by.clone(), why: why.clone() };
            self.happen(event).map_err(|why| illegal(&why))?;
        }
        Ok(self.done(&run, &says))
    }

    /// The event that follows on a restore that succeeded.
    pub(super) fn restored_by(&self, report: &Report) -> Option<Event> {
        let Report::Ended { attempt, outcome } = report else { return None };
        let run = self.state.runs.get(&attempt.run)?;
        let Action::Restore(restore) = &run.plan_step(&attempt.step)?.action else { return None };
        if outcome.ending != Ending::Succeeded {
            return None;
        }
        self.restored(&attempt.run, restore.database.name.clone(), Who::policy())
    }

    /// The events that follow where somebody restored a database by hand on a node of an open run (10, rule 18): its
    /// incarnation is not the one that the run knew.
    pub(super) fn restored_by_hand(&self, host: &HostId, report: &Report) -> Vec<Event> {
        let Report::Ended { attempt, outcome } = report else { return Vec::new() };
        if self.state.runs.contains_key(&attempt.run) || outcome.ending != Ending::Succeeded {
            return Vec::new();
        }
        let open = self.state.open_runs().filter(|run| run.is_open_on(host, &attempt.step.node));
        open.flat_map(|run| {
            let other =
                outcome.incarnations().filter(|(name, found)| run.incarnations.get(*name).is_some_and(|was| was != *found));
            other.filter_map(|(name, _)| self.restored(&run.id, name.to_owned(), Who::by_hand(host)))
        })
        .collect()
    }

    /// A database of a run was restored.
    pub(super) fn restored(&self, run: &RunId, database: String, by: Who) -> Option<Event> {
        let reopened = reopened_by(self.state.runs.get(run)?, &database);
        Some(Event::DatabaseRestored { run: run.clone(), database, by, reopened })
    }
}

/// The step that restores a database from the run's backup.
fn restore_of(state: &RunState, number: u32, database: &str, (by, why): (&Who, &str)) -> Result<PlanStep, Fault> {
    let backup =
        state.plan.plan.steps().map(|(_, s)| s).find(|s| matches!(&s.action, Action::Backup(b) if b.database.name == database));
    let Some((backup, Action::Backup(of))) = backup.map(|s| (s, &s.action)) else {
        return Err(Fault::new(codes::run::NO_BACKUP, format!("the plan makes no backup of {database}")));
    };
    let Some(made) = state.backups.get(database) else {
        let done = state.step(&backup.key).is_some_and(|s| s.phase == Phase::Succeeded);
        let why = if done { "was made when a job had half changed it: it is no way back" } else { "has not succeeded" };
        return Err(Fault::new(codes::run::NO_BACKUP, format!("the backup of {database} ({}) {why}", backup.key)));
    };
    let down: Vec<NodeId> = state.plan.plan.nodes.iter().filter(|n| n.old.is_some()).map(|n| n.id.clone()).collect();
    let key = StepKey { stage: 0, step: number, node: backup.key.node.clone() };
    Ok(PlanStep {
        key,
        host: backup.host.clone(),
        name: StepName::new(format!("restore-{database}")).unwrap_or_else(|_| backup.name.clone()),
        row: None,
        note: Some(format!("ordered by {by}: {why}")),
        action: Action::Restore(Restore {
            effect: format!("restore-{number}"),
            database: of.database.clone(),
            // As the agent names a backup's folder.
            from: format!("{}/{}/{database}", made.to.trim_end_matches('/'), made.run),
        }),
        needs: vec![Need::Down { nodes: down }],
        effect: Some(cavalcade_common::id::EffectKey(format!("restore-{number} {} {database}", state.id))),
        retry: Retry::default(),
        timeout: Duration::from_secs(24 * 3600),
    })
}

/// Steps that are open again when a database is as it was: those that changed it or looked at it, and what was done around
/// and behind them and can be done again. A migration wants its client's files back, which a step behind it removed; a
/// server wants to be started once more.
fn reopened_by(run: &RunState, database: &str) -> Vec<StepKey> {
    let stages = &run.plan.plan.stages;
    let mut affected: BTreeSet<u32> = BTreeSet::new();
    // A stage names only stages above it.
    for stage in stages {
        let changes = stage.steps.iter().any(|s| s.action.changes(database));
        if changes || stage.after.iter().any(|n| affected.contains(n)) {
            affected.insert(stage.number);
        }
    }
    let steps = stages.iter().flat_map(|stage| stage.steps.iter().map(move |s| (stage.number, s)));
    steps
        .filter(|(stage, s)| {
            let left_out = run.step(&s.key).is_some_and(|st| st.phase == Phase::Skipped && !st.carried);
            let again = affected.contains(stage) && can_be_done_again(&s.action) && !left_out;
            s.action.changes(database) || s.action.asserts(database) || again
        })
        .map(|(_, s)| s.key.clone())
        .collect()
}

/// Whether a step is only repeated, or finds what it did. What works on a database is not: each has its own restore.
fn can_be_done_again(action: &Action) -> bool {
    match action {
        Action::Sql(_) | Action::Query(_) | Action::Job(_) | Action::Backup(_) | Action::Restore(_) => false,
        Action::Exchange(exchange) => !exchange.changes,
        other => other.class() != Class::Operator,
    }
}
