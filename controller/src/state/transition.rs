//! The transition function: total over all events. What cannot be is refused, never ignored; what comes late from an
//! agent is kept as superseded and not applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use cavalcade_common::action::Action;
use cavalcade_common::id::{AttemptId, Digest, HostId, Incarnation, RunId, StepKey};
use cavalcade_common::message::ApprovedRepeat;
use cavalcade_common::plan::{HashedPlan, PlanStep};
use cavalcade_common::report::{Ending, INCARNATION_OF, Outcome, Report};
use jiff::Timestamp;

use super::step::{Phase, StepState};
use super::{ApprovalGiven, DecisionTaken, HostState, Mode, RunState, State};
use crate::event::{Event, Resolution, RunResult, Who};

/// An event that cannot follow on this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The run is not there.
    #[error("there is no run {0}")]
    NoRun(RunId),
    /// The run is there already.
    #[error("there is a run {0} already")]
    RunExists(RunId),
    /// The step is not in the plan.
    #[error("the run has no step {0}")]
    NoStep(StepKey),
    /// The step is there already.
    #[error("the run has a step {0} already")]
    StepExists(StepKey),
    /// The step's phase does not allow it.
    #[error("step {step} is {phase}; {wanted}")]
    Phase {
        /// The step.
        step: StepKey,
        /// Where it stands.
        phase: &'static str,
        /// What would be needed.
        wanted: &'static str,
    },
    /// The run's mode does not allow it.
    #[error("the run is {0}")]
    Mode(&'static str),
    /// The stage is not in the plan or needs no approval.
    #[error("stage {0} needs no approval")]
    NoApproval(u32),
    /// The run has another value of this secret.
    #[error("this run was begun with another value of the secret `{0}`")]
    OtherSecret(String),
    /// A report out of order.
    #[error("report {got} of {host} does not follow {last}")]
    Sequence {
        /// The host.
        host: HostId,
        /// In the journal.
        last: u64,
        /// What came.
        got: u64,
    },
    /// A term that is not higher.
    #[error("the term does not rise")]
    Epoch,
}

/// Where and when an event happened.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Journal position.
    pub position: u64,
    /// The controller's wall clock.
    pub at: Timestamp,
}

impl State {
    /// Takes one event in.
    ///
    /// # Errors
    /// [`Illegal`] if it cannot follow; the state is as it was then.
    pub fn apply(&mut self, moment: Moment, event: &Event) -> Result<(), Illegal> {
        match event {
            Event::EpochTaken { epoch } => {
                if *epoch <= self.epoch {
                    return Err(Illegal::Epoch);
                }
                self.epoch = *epoch;
            }
            Event::HostMet { host, incarnation, last_seq } => self.host_met(moment, host, incarnation, *last_seq),
            Event::ServerSeen { node, process } => {
                self.servers.insert(node.clone(), process.clone());
            }
            Event::Reported { host, incarnation, seq, report } => self.reported(moment, host, incarnation, *seq, report)?,
            Event::RunOpened { .. } => self.run_opened(moment, event)?,
            Event::Offered { attempt, .. } => self.run_mut(&attempt.run)?.offered(moment, attempt)?,
            Event::Permitted { attempt, .. } => {
                self.run_mut(&attempt.run)?;
            }
            Event::ScopeChanged { run, by, scope } => {
                let state = self.run_mut(run)?;
                state.scope = scope.clone();
                state.note(moment, by, "apply", "run", "with another scope");
            }
            Event::Approved { run, stage, by, says } => self.run_mut(run)?.approved(moment, *stage, by, says)?,
            Event::Paused { run, by } => self.run_mut(run)?.mode(moment, by, "pause", "", Mode::Paused { by: by.clone() })?,
            Event::Resumed { run, by } => self.run_mut(run)?.mode(moment, by, "resume", "", Mode::Going)?,
            Event::Cancelled { run, by, why } => {
                self.run_mut(run)?.mode(moment, by, "cancel", why, Mode::Cancelling { by: by.clone(), why: why.clone() })?;
            }
            Event::Skipped { run, step, by, why } => self.run_mut(run)?.skipped(moment, step, by, why)?,
            Event::Retried { run, step, by, why } => self.run_mut(run)?.retried(moment, step, by, why)?,
            Event::Resolved { run, step, by, resolution, why } => {
                self.run_mut(run)?.resolved(moment, step, by, *resolution, why)?;
            }
            Event::Rejudged { run, step, by, holds, evidence } => {
                self.run_mut(run)?.rejudged(moment, step, by, *holds, evidence)?;
            }
            Event::JobStopped { run, step, by, why } => {
                let state = self.run_mut(run)?;
                state.step_mut(step)?;
                state.note(moment, by, "stop-job", step, why);
            }
            Event::DatabaseRestored { run, database, by, reopened } => {
                self.run_mut(run)?.database_restored(moment, database, by, reopened)?;
            }
            Event::StepAdded { run, step, by, why } => self.run_mut(run)?.step_added(moment, step, by, why)?,
            Event::SecretPinned { run, name, digest, by } => self.run_mut(run)?.secret_pinned(moment, name, digest, by)?,
            Event::TookOver { run, from } => self.took_over(run, from)?,
            Event::SecretRepinned { run, name, digest, by, why } => {
                let state = self.run_mut(run)?;
                state.open()?;
                state.pins.insert(name.clone(), digest.clone());
                state.note(moment, by, "repin", format!("secret {name}"), why);
            }
            Event::PastWindow { run, by, why } => {
                let state = self.run_mut(run)?;
                state.open()?;
                state.past_window = true;
                state.note(moment, by, "resume --past-window", "run", why);
            }
            Event::RunClosed { run, result } => {
                let state = self.run_mut(run)?;
                state.mode = Mode::Closed(*result);
                state.closed_at = Some(moment.at);
            }
        }
        self.position = moment.position;
        Ok(())
    }

    fn run_mut(&mut self, run: &RunId) -> Result<&mut RunState, Illegal> {
        self.runs.get_mut(run).ok_or_else(|| Illegal::NoRun(run.clone()))
    }

    fn run_opened(&mut self, moment: Moment, event: &Event) -> Result<(), Illegal> {
        let Event::RunOpened { run, plan, sha256, generation, by, scope, waived, carried } = event else { return Ok(()) };
        if self.runs.contains_key(run) {
            return Err(Illegal::RunExists(run.clone()));
        }
        let mut steps: BTreeMap<_, _> =
            plan.steps().map(|(_, s)| (s.key.clone(), StepState::new(moment.position, moment.at))).collect();
        for key in carried {
            let step = steps.get_mut(key).ok_or_else(|| Illegal::NoStep(key.clone()))?;
            step.phase = Phase::Skipped;
            step.carried = true;
            step.decided = Some((by.clone(), "carried over from the superseded run, which finished it".to_owned()));
        }
        let state = RunState {
            id: run.clone(),
            plan: Arc::new(HashedPlan { plan: (**plan).clone(), sha256: sha256.clone() }),
            generation: *generation,
            by: by.clone(),
            opened_at: moment.at,
            closed_at: None,
            scope: scope.clone(),
            mode: Mode::Going,
            extra: BTreeMap::new(),
            steps,
            approvals: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            backups: BTreeMap::new(),
            decisions: Vec::new(),
            waived: waived.clone(),
            superseded: Vec::new(),
            pins: BTreeMap::new(),
            past_window: false,
        };
        self.runs.insert(run.clone(), state);
        Ok(())
    }

    /// What was done to a database is known by its incarnation: without that a migration could begin a second time.
    fn took_over(&mut self, run: &RunId, from: &RunId) -> Result<(), Illegal> {
        let old = self.runs.get(from).ok_or_else(|| Illegal::NoRun(from.clone()))?;
        let made = old.plan.plan.steps().filter_map(|(_, step)| match &step.action {
            Action::Backup(backup) if old.step(&step.key).is_some_and(|s| s.phase == Phase::Succeeded) => {
                Some((backup.database.name.clone(), old.id.clone()))
            }
            _ => None,
        });
        let backups: BTreeMap<_, _> = old.backups.clone().into_iter().chain(made).collect();
        let incarnations = old.incarnations.clone();
        let state = self.run_mut(run)?;
        (state.backups, state.incarnations) = (backups, incarnations);
        Ok(())
    }

    /// A ledger that is new or behind says nothing of what was under way: those steps are Indeterminate.
    fn host_met(&mut self, moment: Moment, host: &HostId, incarnation: &Incarnation, last_seq: u64) {
        let known = self.hosts.get(host);
        let continues = known.is_some_and(|h| &h.incarnation == incarnation && h.last_seq <= last_seq);
        let was_known = known.is_some();
        // The same ledger, but behind: a snapshot of the machine was brought back. It counts on from where it stands.
        let set_back = known.is_some_and(|h| &h.incarnation == incarnation);
        if continues {
            return;
        }
        self.hosts
            .insert(host.clone(), HostState { incarnation: incarnation.clone(), last_seq: if set_back { last_seq } else { 0 } });
        if !was_known {
            return;
        }
        for run in self.runs.values_mut().filter(|r| !r.is_closed()) {
            let there: Vec<StepKey> = run.all_steps().filter(|s| &s.host == host).map(|s| s.key.clone()).collect();
            for key in there {
                if let Some(state) = run.steps.get_mut(&key)
                    && state.phase.is_under_way()
                {
                    state.phase = Phase::Indeterminate;
                    state.begun = Some(moment.position);
                    state.position = moment.position;
                    state.at = moment.at;
                    state.given_back =
                        Some(format!("the ledger of {host} is a new one or was set back: nobody knows what was under way there"));
                }
            }
        }
    }

    fn reported(
        &mut self,
        moment: Moment,
        host: &HostId,
        incarnation: &Incarnation,
        seq: u64,
        report: &Report,
    ) -> Result<(), Illegal> {
        let known = self.hosts.get_mut(host);
        let last = known.as_ref().filter(|h| &h.incarnation == incarnation).map_or(0, |h| h.last_seq);
        if seq != last + 1 {
            return Err(Illegal::Sequence { host: host.clone(), last, got: seq });
        }
        if let Some(known) = known.filter(|h| &h.incarnation == incarnation) {
            known.last_seq = seq;
        } else {
            self.hosts.insert(host.clone(), HostState { incarnation: incarnation.clone(), last_seq: seq });
        }
        // A report of a run that this journal does not know (`step run` on the node) is kept in the journal alone.
        if let Some(run) = self.runs.get_mut(&report.attempt().run) {
            run.step_reported(moment, report);
        }
        Ok(())
    }
}

impl RunState {
    fn step_mut(&mut self, key: &StepKey) -> Result<&mut StepState, Illegal> {
        self.steps.get_mut(key).ok_or_else(|| Illegal::NoStep(key.clone()))
    }

    fn open(&self) -> Result<(), Illegal> {
        if self.is_closed() { Err(Illegal::Mode("over")) } else { Ok(()) }
    }

    fn note(&mut self, moment: Moment, by: &Who, verb: &'static str, on: impl ToString, why: &str) {
        let (at, position) = (moment.at, moment.position);
        self.decisions.push(DecisionTaken { at, position, by: by.clone(), verb, on: on.to_string(), why: why.to_owned() });
    }

    fn mode(&mut self, moment: Moment, by: &Who, verb: &'static str, why: &str, to: Mode) -> Result<(), Illegal> {
        match (&self.mode, &to) {
            (Mode::Closed(_), _) => return Err(Illegal::Mode("over")),
            (Mode::Cancelling { .. }, _) => return Err(Illegal::Mode("being cancelled")),
            (Mode::Going | Mode::Paused { .. }, _) => {}
        }
        self.note(moment, by, verb, "run", why);
        self.mode = to;
        Ok(())
    }

    fn approved(&mut self, moment: Moment, stage: u32, by: &Who, says: &str) -> Result<(), Illegal> {
        let needed = self.plan.plan.stages.iter().any(|s| s.number == stage && s.approval.is_some());
        if !needed {
            return Err(Illegal::NoApproval(stage));
        }
        self.approvals.insert(stage, ApprovalGiven { by: by.clone(), says: says.to_owned(), at: moment.at });
        self.note(moment, by, "approve", format!("stage {stage}"), says);
        Ok(())
    }

    fn step_added(&mut self, moment: Moment, step: &PlanStep, by: &Who, why: &str) -> Result<(), Illegal> {
        if self.steps.contains_key(&step.key) {
            return Err(Illegal::StepExists(step.key.clone()));
        }
        self.steps.insert(step.key.clone(), StepState::new(moment.position, moment.at));
        self.extra.insert(step.key.clone(), step.clone());
        self.note(moment, by, "order", &step.name, why);
        Ok(())
    }

    fn secret_pinned(&mut self, moment: Moment, name: &str, digest: &Digest, by: &Who) -> Result<(), Illegal> {
        self.open()?;
        if self.pins.get(name).is_some_and(|pinned| pinned != digest) {
            return Err(Illegal::OtherSecret(name.to_owned()));
        }
        if self.pins.insert(name.to_owned(), digest.clone()).is_none() && *by != Who::policy() {
            self.note(moment, by, "give", format!("secret {name}"), "");
        }
        Ok(())
    }

    fn offered(&mut self, moment: Moment, attempt: &AttemptId) -> Result<(), Illegal> {
        let step = self.step_mut(&attempt.step)?;
        if step.phase != Phase::Pending || attempt.number != step.attempt + 1 {
            return Err(refused(&attempt.step, step, "only a pending step is offered, each attempt once"));
        }
        step.enter(Phase::Offered, moment);
        step.attempt = attempt.number;
        step.work_ended = false;
        Ok(())
    }

    /// A report about a known run. One about an attempt that is not the current one, or for a step that was decided in
    /// the meantime, came too late: it is shown and not applied (10, rule 6).
    fn step_reported(&mut self, moment: Moment, report: &Report) {
        let attempt = report.attempt();
        let current = self.steps.get_mut(&attempt.step).filter(|s| s.attempt == attempt.number && s.phase.is_under_way());
        let Some(step) = current else {
            if let Report::Ended { outcome, .. } = report {
                self.superseded.push(format!("{attempt} ended {:?} after it was decided otherwise", outcome.ending));
            }
            return;
        };
        match report {
            Report::Accepted { .. } => {
                if step.phase == Phase::Offered {
                    step.enter(Phase::Accepted, moment);
                }
            }
            Report::Began { .. } => {
                step.enter(Phase::Running, moment);
                step.begun_before = step.begun;
                step.begun = Some(moment.position);
            }
            Report::WorkEnded { .. } => step.work_ended = true,
            Report::Ended { outcome, .. } => {
                step.ended(moment, outcome);
                let shown = outcome.evidence.iter().filter_map(|e| Some((e.what.strip_prefix(INCARNATION_OF)?, &e.found)));
                self.incarnations.extend(shown.map(|(name, found)| (name.to_owned(), found.clone())));
            }
            Report::Abandoned { why, .. } => {
                step.enter(Phase::Pending, moment);
                step.given_back = Some(why.clone());
            }
        }
    }

    fn skipped(&mut self, moment: Moment, key: &StepKey, by: &Who, why: &str) -> Result<(), Illegal> {
        let step = self.step_mut(key)?;
        match step.phase {
            Phase::Pending | Phase::Failed | Phase::Cancelled => {}
            Phase::Offered | Phase::Accepted | Phase::Running => return Err(refused(key, step, "it is under way")),
            Phase::Indeterminate => return Err(refused(key, step, "resolve it: nobody knows whether it took place")),
            Phase::Succeeded | Phase::Skipped => return Err(refused(key, step, "it is finished")),
        }
        step.enter(Phase::Skipped, moment);
        step.decided = Some((by.clone(), why.to_owned()));
        self.note(moment, by, "skip", key, why);
        Ok(())
    }

    fn retried(&mut self, moment: Moment, key: &StepKey, by: &Who, why: &str) -> Result<(), Illegal> {
        let run = self.id.clone();
        let effect = self.plan_step(key).and_then(|s| s.effect.clone());
        let policy = *by == Who::policy();
        let step = self.step_mut(key)?;
        if step.phase != Phase::Failed {
            return Err(refused(key, step, "only a failed step is retried"));
        }
        step.reopen(moment, &run, key, effect, by, why);
        step.failures = if policy { step.failures } else { 0 };
        step.decided = Some((by.clone(), why.to_owned()));
        self.note(moment, by, "retry", key, why);
        Ok(())
    }

    fn resolved(&mut self, moment: Moment, key: &StepKey, by: &Who, resolution: Resolution, why: &str) -> Result<(), Illegal> {
        let run = self.id.clone();
        let planned = self.plan_step(key);
        let effect = planned.and_then(|s| s.effect.clone());
        // A script goes on behind or at the statement that was decided about: the word is for the next attempt.
        let script = planned.is_some_and(|s| matches!(s.action, Action::Sql(_)));
        let step = self.step_mut(key)?;
        if !matches!(step.phase, Phase::Indeterminate | Phase::Failed) {
            return Err(refused(key, step, "only an indeterminate or failed step is resolved"));
        }
        let word = match resolution {
            Resolution::Done => "done",
            Resolution::NotDone => "not-done",
        };
        if resolution == Resolution::Done && !(script && step.phase == Phase::Indeterminate) {
            step.enter(Phase::Succeeded, moment);
        } else {
            step.reopen(moment, &run, key, effect, by, why);
            step.decision = Some(word.to_owned());
        }
        step.decided = Some((by.clone(), why.to_owned()));
        let verb = match resolution {
            Resolution::Done => "resolve --done",
            Resolution::NotDone => "resolve --not-done",
        };
        self.note(moment, by, verb, key, why);
        Ok(())
    }

    fn rejudged(
        &mut self,
        moment: Moment,
        key: &StepKey,
        by: &Who,
        holds: bool,
        evidence: &[cavalcade_common::report::Evidence],
    ) -> Result<(), Illegal> {
        let step = self.step_mut(key)?;
        if !matches!(step.phase, Phase::Failed | Phase::Indeterminate | Phase::Succeeded) {
            return Err(refused(key, step, "only a step that ended is judged again"));
        }
        if let Some(outcome) = &step.outcome {
            let mut outcome = (**outcome).clone();
            outcome.evidence = evidence.to_vec();
            outcome.ending = if holds { Ending::Succeeded } else { Ending::Failed };
            step.outcome = Some(Arc::new(outcome));
        }
        step.enter(if holds { Phase::Succeeded } else { Phase::Failed }, moment);
        step.decided = Some((by.clone(), "new patterns judged the stored output".to_owned()));
        self.note(moment, by, "rejudge", key, if holds { "all evidence holds" } else { "evidence is missing" });
        Ok(())
    }

    fn database_restored(&mut self, moment: Moment, database: &str, by: &Who, reopened: &[StepKey]) -> Result<(), Illegal> {
        let run = self.id.clone();
        let effects: BTreeMap<_, _> = self.plan.plan.steps().map(|(_, s)| (s.key.clone(), s.effect.clone())).collect();
        for key in reopened {
            let effect = effects.get(key).cloned().flatten();
            let step = self.step_mut(key)?;
            if step.phase.is_under_way() {
                return Err(refused(key, step, "it is under way"));
            }
            if step.phase != Phase::Pending {
                step.reopen(moment, &run, key, effect, by, &format!("database {database} was restored"));
            }
        }
        self.note(moment, by, "restore", database, &format!("{} steps are open again", reopened.len()));
        Ok(())
    }
}

impl StepState {
    fn enter(&mut self, phase: Phase, moment: Moment) {
        self.phase = phase;
        self.position = moment.position;
        self.at = moment.at;
    }

    fn ended(&mut self, moment: Moment, outcome: &Outcome) {
        let phase = match outcome.ending {
            Ending::Succeeded => Phase::Succeeded,
            Ending::Failed => Phase::Failed,
            Ending::Indeterminate => Phase::Indeterminate,
        };
        self.failures += u32::from(phase == Phase::Failed);
        if phase == Phase::Failed && !outcome.changed {
            self.begun = self.begun_before;
        }
        self.given_back = None;
        self.outcome = Some(Arc::new(outcome.clone()));
        self.enter(phase, moment);
    }

    /// Opens the step for another attempt, with a licence for the effect that the last attempt may have started: one
    /// decision, one start (10, rule 1).
    fn reopen(
        &mut self,
        moment: Moment,
        run: &RunId,
        key: &StepKey,
        effect: Option<cavalcade_common::id::EffectKey>,
        by: &Who,
        why: &str,
    ) {
        self.approved = effect.filter(|_| self.attempt > 0).map(|effect| ApprovedRepeat {
            effect,
            replaces: AttemptId { run: run.clone(), step: key.clone(), number: self.attempt },
            says: format!("{by}: {why}"),
        });
        self.given_back = None;
        // A word about one statement must not be taken for one about the next that is open.
        self.decision = None;
        self.enter(Phase::Pending, moment);
    }
}

fn refused(key: &StepKey, step: &StepState, wanted: &'static str) -> Illegal {
    Illegal::Phase { step: key.clone(), phase: step.phase.word(), wanted }
}

/// Whether the run can be closed as it stands: finished, or cancelled with nothing under way.
#[must_use]
pub fn may_close(run: &RunState) -> Option<RunResult> {
    match &run.mode {
        Mode::Closed(_) => None,
        Mode::Cancelling { .. } => (!run.any_under_way()).then_some(RunResult::Cancelled),
        Mode::Going | Mode::Paused { .. } => run.steps.values().all(|s| s.phase.is_finished()).then_some(RunResult::Done),
    }
}
