//! What a run leaves to the one behind it: what began and changed databases, and the way back from there. Without that a
//! migration could begin a second time, on what the first one left (10, rules 1, 6 and 23).

use std::collections::BTreeMap;

use cavalcade_common::action::Action;
use cavalcade_common::id::{EffectKey, RunId};
use cavalcade_common::plan::{Plan, PlanStep};

use super::transition::Illegal;
use super::{Mode, RestorePoint, RunState, State};
use crate::event::RunResult;

impl State {
    /// The last run that is over and began a job which a new plan has too, and whose databases nobody else took over: what
    /// it did to them is known to the run of that plan as well. A superseded run has left it to another one.
    #[must_use]
    pub fn left_by(&self, plan: &Plan) -> Option<&RunState> {
        let jobs: Vec<&str> = jobs_of(plan).filter_map(|(_, key)| key).map(EffectKey::on_databases).collect();
        let began = |run: &&RunState| {
            let mut begun = jobs_of(&run.plan.plan).filter(|(step, _)| run.step(&step.key).is_some_and(|s| s.begun.is_some()));
            begun.any(|(_, key)| key.is_some_and(|k| jobs.contains(&k.on_databases())))
        };
        let over = self.runs.values().filter(|run| run.is_closed() && run.heir.is_none());
        over.filter(began).max_by_key(|run| run.closed_at)
    }

    /// A run begins behind another one. One that supersedes takes all over that was done to databases; one that was planned
    /// afresh makes its own backups, and takes over what jobs began, and the way back of the databases that they changed.
    pub(super) fn took_over(&mut self, run: &RunId, from: &RunId) -> Result<(), Illegal> {
        if !self.runs.contains_key(run) {
            return Err(Illegal::NoRun(run.clone()));
        }
        let old = self.runs.get_mut(from).ok_or_else(|| Illegal::NoRun(from.clone()))?;
        old.heir = Some(run.clone());
        let superseded = matches!(old.mode, Mode::Closed(RunResult::Superseded));
        let began = |step: &PlanStep| old.step(&step.key).and_then(|s| s.begun);
        let counts = |step: &PlanStep| superseded || matches!(step.action, Action::Job(_));
        let begun: Vec<(EffectKey, u64)> = old
            .plan
            .plan
            .steps()
            .filter(|(_, step)| counts(step))
            .filter_map(|(_, step)| Some((step.effect.clone()?, began(step)?)))
            .collect();
        let changed = |name: &str| {
            superseded || jobs_of(&old.plan.plan).any(|(step, _)| step.action.changes(name) && began(step).is_some())
        };
        let backups: BTreeMap<String, RestorePoint> = of_databases(&old.backups, changed);
        let incarnations = of_databases(&old.incarnations, changed);
        let restored = of_databases(&old.restored, changed);
        let services = superseded.then(|| old.services.clone());
        let state = self.run_mut(run)?;
        (state.backups, state.incarnations, state.restored) = (backups, incarnations, restored);
        state.services = services.unwrap_or_default();
        let plan = state.plan.clone();
        for (_, step) in plan.plan.steps() {
            let at = step
                .effect
                .as_ref()
                .and_then(|effect| begun.iter().find(|(key, _)| key.on_databases() == effect.on_databases()).map(|(_, at)| *at));
            if let (Some(at), Some(own)) = (at, state.steps.get_mut(&step.key)) {
                own.begun = Some(at);
            }
        }
        Ok(())
    }
}

impl RunState {
    /// Whether a job began to change a database and neither came to a good end nor was undone by a restore since. What is
    /// saved of it then is no way back (10, rule 23), and no script may work on it.
    #[must_use]
    pub fn half_changed(&self, database: &str) -> bool {
        let began = |step: &PlanStep| self.step(&step.key).filter(|s| !s.phase.is_finished()).and_then(|s| s.begun);
        let restored = self.restored.get(database);
        jobs_of(&self.plan.plan)
            .filter(|(step, _)| step.action.changes(database))
            .filter_map(|(step, _)| began(step))
            .any(|begun| restored.is_none_or(|at| *at < begun))
    }

    /// Whether the plan makes a backup of a database.
    #[must_use]
    pub fn backs_up(&self, database: &str) -> bool {
        self.plan.plan.steps().any(|(_, s)| matches!(&s.action, Action::Backup(b) if b.database.name == database))
    }
}

fn jobs_of(plan: &Plan) -> impl Iterator<Item = (&PlanStep, Option<&EffectKey>)> {
    let jobs = plan.steps().map(|(_, step)| step).filter(|step| matches!(step.action, Action::Job(_)));
    jobs.map(|step| (step, step.effect.as_ref()))
}

fn of_databases<T: Clone>(all: &BTreeMap<String, T>, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, T> {
    all.iter().filter(|(name, _)| wanted(name)).map(|(name, of)| (name.clone(), of.clone())).collect()
}
