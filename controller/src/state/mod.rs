//! The controller's state: the fold of its events, and nothing else. What is not in the journal (sessions, probes,
//! progress) is not here.

pub mod effects;
mod inherited;
pub mod services;
pub mod step;
mod steps;
pub mod transition;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cavalcade_common::action::Action;
use cavalcade_common::id::{AttemptId, Digest, EffectKey, Epoch, Generation, HostId, Incarnation, Mark, NodeId, RunId, StepKey};
use cavalcade_common::plan::{HashedPlan, PlanStep};
use jiff::Timestamp;

use crate::event::{RunResult, Scope, Who};
use effects::Effects;
use services::Services;
use step::{Phase, StepState};

/// The whole.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Position of the last event in it.
    pub position: u64,
    /// Current term.
    pub epoch: Epoch,
    /// Agents that were met.
    pub hosts: BTreeMap<HostId, HostState>,
    /// Processes seen as the new servers of nodes.
    pub servers: BTreeMap<NodeId, String>,
    /// All runs, by id.
    pub runs: BTreeMap<RunId, RunState>,
    /// Effects that were begun, over all runs.
    pub effects: Effects,
    /// Time zones that hosts told.
    pub zones: BTreeMap<HostId, HostZone>,
}

/// A host's time zone, as its agent told it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostZone {
    /// Its name; empty where the host has none.
    pub name: String,
    /// Seconds east of UTC.
    pub offset_seconds: i32,
}

/// One agent's ledger as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostState {
    /// Identity.
    pub incarnation: Incarnation,
    /// Highest sequence in the journal.
    pub last_seq: u64,
    /// What the ledger held up to it, where its agent told that.
    pub mark: Option<Mark>,
    /// Who declared the host lost, and why. Its ledger counts no more; one that is enrolled anew does.
    pub lost: Option<(Who, String)>,
}

impl HostState {
    fn of(incarnation: &Incarnation, last_seq: u64, mark: &Option<Mark>) -> Self {
        Self { incarnation: incarnation.clone(), last_seq, mark: mark.clone(), lost: None }
    }
}

/// Whether a run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// It goes on.
    Going,
    /// Nothing new is offered until somebody resumes it.
    Paused {
        /// Who.
        by: Who,
    },
    /// What is under way ends, then the run is closed.
    Cancelling {
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// It is over.
    Closed(RunResult),
}

/// An approval that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalGiven {
    /// Who.
    pub by: Who,
    /// What they said.
    pub says: String,
    /// When.
    pub at: Timestamp,
}

/// A never-interrupted step that took longer than planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmRaised {
    /// When, by the controller's clock.
    pub at: Timestamp,
    /// The attempt.
    pub attempt: AttemptId,
    /// What was planned, in seconds.
    pub planned_seconds: u64,
}

/// A decision of a person, for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionTaken {
    /// When.
    pub at: Timestamp,
    /// Journal position.
    pub position: u64,
    /// Who.
    pub by: Who,
    /// One word: the verb.
    pub verb: &'static str,
    /// The step or stage, as text.
    pub on: String,
    /// Why.
    pub why: String,
}

/// Where a backup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePoint {
    /// The run that made it: its folder is named so.
    pub run: RunId,
    /// The folder that this run's plan named for its backups.
    pub to: String,
}

/// One run.
#[derive(Debug, Clone)]
pub struct RunState {
    /// Its id.
    pub id: RunId,
    /// Its plan.
    pub plan: Arc<HashedPlan>,
    /// Number of the superseding plan.
    pub generation: Generation,
    /// Who opened it.
    pub by: Who,
    /// When.
    pub opened_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// How far it may go.
    pub scope: Scope,
    /// Whether it goes on.
    pub mode: Mode,
    /// Steps that persons ordered beside the plan.
    pub extra: BTreeMap<StepKey, PlanStep>,
    /// State of its steps, of those beside the plan too.
    pub steps: BTreeMap<StepKey, StepState>,
    /// Approvals by stage number.
    pub approvals: BTreeMap<u32, ApprovalGiven>,
    /// Incarnations of its databases, as backups and restores showed them.
    pub incarnations: BTreeMap<String, String>,
    /// The backup of each database that a restore brings back: made by this run, or by one that it took over from.
    pub backups: BTreeMap<String, RestorePoint>,
    /// What persons decided, in order.
    pub decisions: Vec<DecisionTaken>,
    /// What was let pass when it was opened.
    pub waived: Vec<String>,
    /// Outcomes that came too late and were not applied, as text.
    pub superseded: Vec<String>,
    /// Keyed digests of the values that secrets of the controller have in this run.
    pub pins: BTreeMap<String, Digest>,
    /// Whether a person lets it go on past its maintenance window.
    pub past_window: bool,
    /// The end of the window, where a person moved it.
    pub window_end: Option<Timestamp>,
    /// Databases that were restored, with the journal position of the last time.
    pub restored: BTreeMap<String, u64>,
    /// What was seen of its nodes' servers, and when.
    pub services: Services,
    /// Steps that took longer than planned, in order.
    pub alarms: Vec<AlarmRaised>,
    /// The run that knows what this one did to databases and goes on from there.
    pub heir: Option<RunId>,
}

impl RunState {
    /// Whether it is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.mode, Mode::Closed(_))
    }

    /// Whether an operator means this run: by its id, or by at least eight digits of its plan's digest.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.id.as_str() == name || (name.len() >= 8 && self.plan.sha256.as_str().starts_with(name))
    }

    /// One step's state.
    #[must_use]
    pub fn step(&self, key: &StepKey) -> Option<&StepState> {
        self.steps.get(key)
    }

    /// One step, of the plan or beside it.
    #[must_use]
    pub fn plan_step(&self, key: &StepKey) -> Option<&PlanStep> {
        self.plan.plan.step(key).or_else(|| self.extra.get(key))
    }

    /// All steps, of the plan and beside it.
    pub fn all_steps(&self) -> impl Iterator<Item = &PlanStep> {
        self.extra.values().chain(self.plan.plan.steps().map(|(_, s)| s))
    }

    /// Numbers of the stages whose every step is finished on all its nodes, and all stages before them too: a stage
    /// without steps opens nothing that stands behind it earlier.
    #[must_use]
    pub fn stages_finished(&self) -> BTreeSet<u32> {
        let mut done = BTreeSet::new();
        // A stage names only stages above it.
        for stage in &self.plan.plan.stages {
            if stage.after.iter().all(|n| done.contains(n)) && stage.steps.iter().all(|s| self.finished(s)) {
                done.insert(stage.number);
            }
        }
        done
    }

    /// The whole key of a step's effect: the plan's, and the incarnations of the databases that it changes (10, rule 1). A
    /// restored database is another one.
    #[must_use]
    pub fn effect_key(&self, step: &PlanStep) -> Option<EffectKey> {
        let changed = self.incarnations.iter().filter(|(name, _)| step.action.changes(name));
        let effect = step.effect.as_ref()?;
        Some(changed.fold(effect.clone(), |key, (name, incarnation)| EffectKey(format!("{key} {name}@{incarnation}"))))
    }

    /// The alarm of a step's present attempt.
    #[must_use]
    pub fn alarm(&self, step: &StepKey) -> Option<&AlarmRaised> {
        let number = self.steps.get(step).filter(|s| s.phase.is_under_way())?.attempt;
        self.alarms.iter().find(|a| a.attempt.step == *step && a.attempt.number == number)
    }

    /// Whether a step is finished.
    #[must_use]
    pub fn finished(&self, step: &PlanStep) -> bool {
        self.steps.get(&step.key).is_some_and(|s| s.phase.is_finished())
    }

    /// The last decision of a person about it: what `--at` of a verb on the run is compared with (10, rule 19).
    #[must_use]
    pub fn last_decision(&self) -> Option<&DecisionTaken> {
        let policy = Who::policy();
        self.decisions.iter().rev().find(|d| d.by != policy)
    }

    /// A backup's step succeeded: it is what a restore brings back from here on.
    fn backed_up(&mut self, key: &StepKey) {
        let Some(Action::Backup(backup)) = self.plan.plan.step(key).map(|s| &s.action) else { return };
        let (database, to) = (backup.database.name.clone(), backup.to.clone());
        if !self.half_changed(&database) {
            self.backups.insert(database, RestorePoint { run: self.id.clone(), to });
        }
    }

    /// Whether any step is under way at an agent.
    #[must_use]
    pub fn any_under_way(&self) -> bool {
        self.steps.values().any(|s| s.phase.is_under_way())
    }

    /// Counts of steps by phase, for screens: (finished, under way, failed, indeterminate, all).
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut c = Counts::default();
        for s in self.steps.values() {
            c.all += 1;
            match s.phase {
                Phase::Succeeded => c.succeeded += 1,
                Phase::Skipped => c.skipped += 1,
                Phase::Failed => c.failed += 1,
                Phase::Indeterminate => c.indeterminate += 1,
                Phase::Cancelled => c.cancelled += 1,
                Phase::Offered | Phase::Accepted | Phase::Running => c.under_way += 1,
                Phase::Pending => c.pending += 1,
            }
            c.retried += u32::from(s.attempt > 1);
        }
        c
    }
}

/// Numbers of steps by phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// All steps.
    pub all: u32,
    /// Succeeded.
    pub succeeded: u32,
    /// Skipped by a person.
    pub skipped: u32,
    /// Failed.
    pub failed: u32,
    /// Indeterminate.
    pub indeterminate: u32,
    /// Cancelled.
    pub cancelled: u32,
    /// At an agent.
    pub under_way: u32,
    /// Not yet offered.
    pub pending: u32,
    /// With more than one attempt.
    pub retried: u32,
}

impl State {
    /// The open run of a fleet, if there is one.
    #[must_use]
    pub fn open_run(&self, fleet: &str) -> Option<&RunState> {
        self.runs.values().find(|r| !r.is_closed() && r.plan.plan.fleet == fleet)
    }

    /// The attempt that holds the effect of a step: it is not begun again without a person's word that replaces it.
    #[must_use]
    pub fn holder(&self, run: &RunState, step: &PlanStep) -> Option<&AttemptId> {
        self.effects.holder(&run.effect_key(step)?)
    }

    /// The highest generation of all runs: agents refuse a lower one, and one agent may serve several fleets.
    #[must_use]
    pub fn highest_generation(&self) -> Generation {
        self.runs.values().map(|run| run.generation).max().unwrap_or(Generation(0))
    }

    /// All open runs, oldest first.
    pub fn open_runs(&self) -> impl Iterator<Item = &RunState> {
        self.runs.values().filter(|r| !r.is_closed())
    }
}
