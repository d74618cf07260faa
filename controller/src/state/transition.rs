//! The transition function: total over all events. What cannot be is refused, never ignored; what comes late from an
//! agent is kept as superseded and not applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use cavalcade_common::id::{AttemptId, HostId, NodeId, RunId, StepKey};
use cavalcade_common::plan::{HashedPlan, PlanStep};
use cavalcade_common::report::{EFFECT_HELD_BY, Report};
use jiff::Timestamp;

use super::effects::Effects;
use super::services::Services;
use super::step::{Phase, StepState};
use super::{AlarmRaised, HostState, HostZone, Mode, RunState, State};
use crate::event::{Event, RunResult, Who};

/// An event that cannot follow on this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The run is not there.
    #[error("there is no run {0}")]
    NoRun(RunId),
    /// The run is there already.
    #[error("there is a run {0} already")]
    RunExists(RunId),
    /// The node is not in the plan.
    #[error("the run has no node {0}")]
    NoNode(NodeId),
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
            Event::HostMet { host, incarnation, last_seq, mark, other_past } => {
                self.host_met(moment, host, HostState::of(incarnation, *last_seq, mark), *other_past);
            }
            Event::ServerSeen { node, process } => {
                self.servers.insert(node.clone(), process.clone());
            }
            Event::Reported { host, incarnation, seq, mark, report } => {
                self.reported(moment, host, HostState::of(incarnation, *seq, mark), report)?;
            }
            Event::RunOpened { .. } => self.run_opened(moment, event)?,
            Event::Offered { attempt, .. } => self.run_mut(&attempt.run)?.offered(moment, attempt)?,
            Event::Permitted { attempt, .. } => {
                self.run_mut(&attempt.run)?;
            }
            Event::ScopeChanged { run, by, scope } => self.run_mut(run)?.scope_changed(moment, by, scope),
            Event::Approved { run, stage, by, says } => self.run_mut(run)?.approved(moment, *stage, by, says)?,
            Event::Paused { run, by } => self.run_mut(run)?.mode(moment, by, "pause", "", Mode::Paused { by: by.clone() })?,
            Event::Resumed { run, by } => self.run_mut(run)?.mode(moment, by, "resume", "", Mode::Going)?,
            Event::Cancelled { run, by, why } => {
                self.run_mut(run)?.mode(moment, by, "cancel", why, Mode::Cancelling { by: by.clone(), why: why.clone() })?;
            }
            Event::Skipped { run, step, by, why } => self.run_mut(run)?.skipped(moment, step, by, why)?,
            Event::Retried { run, step, by, why } => {
                let holder = self.held(run, step);
                self.run_mut(run)?.retried(moment, step, (by, why), holder)?;
            }
            Event::Resolved { run, step, by, resolution, why } => {
                let holder = self.held(run, step);
                self.run_mut(run)?.resolved(moment, step, (by, why), *resolution, holder)?;
            }
            Event::Rejudged { run, step, by, holds, evidence } => {
                self.run_mut(run)?.rejudged(moment, step, by, *holds, evidence)?;
            }
            Event::JobStopped { run, step, by, why } => self.run_mut(run)?.job_stopped(moment, step, by, why)?,
            Event::DatabaseRestored { run, database, by, reopened } => {
                let steps = reopened.iter().map(|key| (key.clone(), self.held(run, key))).collect();
                self.run_mut(run)?.database_restored(moment, database, by, steps)?;
            }
            Event::HostLost { host, by, why } => self.host_lost(moment, host, by, why),
            Event::Kept { run, steps, by, why } => self.run_mut(run)?.kept(moment, steps, by, why)?,
            Event::WindowMoved { run, end, by, why } => self.run_mut(run)?.window_moved(moment, *end, by, why)?,
            Event::StepAdded { run, step, by, why } => self.run_mut(run)?.step_added(moment, step, by, why)?,
            Event::SecretPinned { run, name, digest, by } => self.run_mut(run)?.secret_pinned(moment, name, digest, by)?,
            Event::TookOver { run, from } => self.took_over(run, from)?,
            Event::SecretRepinned { run, name, digest, by, why } => {
                self.run_mut(run)?.secret_repinned(moment, name, digest, by, why)?;
            }
            Event::PastWindow { run, by, why } => self.run_mut(run)?.past_window(moment, by, why)?,
            Event::ServiceSeen { run, node, home, sight, at } => self.run_mut(run)?.service_seen(node, *home, *sight, *at)?,
            Event::ZoneTold { host, zone, offset_seconds } => {
                self.zones.insert(host.clone(), HostZone { name: zone.clone(), offset_seconds: *offset_seconds });
            }
            Event::Alarmed { attempt, planned_seconds } => {
                let alarm = AlarmRaised { at: moment.at, attempt: attempt.clone(), planned_seconds: *planned_seconds };
                self.run_mut(&attempt.run)?.alarmed(alarm)?;
            }
            Event::RunClosed { run, result } => self.run_mut(run)?.closed(moment, *result),
        }
        self.position = moment.position;
        Ok(())
    }

    /// The attempt that holds the effect of a run's step.
    fn held(&self, run: &RunId, step: &StepKey) -> Option<AttemptId> {
        let run = self.runs.get(run)?;
        self.holder(run, run.plan_step(step)?).cloned()
    }

    pub(super) fn run_mut(&mut self, run: &RunId) -> Result<&mut RunState, Illegal> {
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
            window_end: None,
            restored: BTreeMap::new(),
            services: Services::default(),
            alarms: Vec::new(),
            heir: None,
        };
        self.runs.insert(run.clone(), state);
        Ok(())
    }

    /// A ledger that is new, behind, or has another past says nothing of what was under way: those steps are Indeterminate.
    fn host_met(&mut self, moment: Moment, host: &HostId, came: HostState, other_past: bool) {
        let known = self.hosts.get(host);
        // The same ledger, but set back: a snapshot of the machine was brought back. Its reports count on from where it stands.
        let same = known.is_some_and(|h| h.incarnation == came.incarnation);
        let was_known = known.is_some();
        if same && !other_past && known.is_some_and(|h| h.last_seq <= came.last_seq) {
            return;
        }
        self.hosts.insert(host.clone(), if same { came } else { HostState { last_seq: 0, mark: None, ..came } });
        if !was_known {
            return;
        }
        let why = format!("the ledger of {host} is a new one or was set back: nobody knows what was under way there");
        self.nobody_knows(moment, host, &why);
    }

    /// A person says that a host is gone for good.
    fn host_lost(&mut self, moment: Moment, host: &HostId, by: &Who, why: &str) {
        if let Some(known) = self.hosts.get_mut(host) {
            known.lost = Some((by.clone(), why.to_owned()));
        }
        self.nobody_knows(moment, host, &format!("{by} declared {host} lost: nobody knows what was under way there"));
        let theirs = |run: &&mut RunState| !run.is_closed() && run.plan.plan.nodes.iter().any(|n| &n.host == host);
        for run in self.runs.values_mut().filter(theirs) {
            run.note(moment, by, "node lost", host, why);
        }
    }

    /// What was under way on a host is Indeterminate; it has to be feared that its effects were begun.
    fn nobody_knows(&mut self, moment: Moment, host: &HostId, why: &str) {
        let Self { runs, effects, .. } = self;
        for run in runs.values_mut().filter(|r| !r.is_closed()) {
            let there: Vec<PlanStep> = run.all_steps().filter(|s| &s.host == host).cloned().collect();
            for step in there {
                let key = run.effect_key(&step);
                let Some(state) = run.steps.get_mut(&step.key).filter(|s| s.phase.is_under_way()) else { continue };
                state.enter(Phase::Indeterminate, moment);
                state.begun = Some(moment.position);
                state.given_back = Some(why.to_owned());
                if let Some(key) = key {
                    effects.began(key, &AttemptId { run: run.id.clone(), step: step.key, number: state.attempt });
                }
            }
        }
    }

    fn reported(&mut self, moment: Moment, host: &HostId, came: HostState, report: &Report) -> Result<(), Illegal> {
        let known = self.hosts.get_mut(host).filter(|h| h.incarnation == came.incarnation);
        let last = known.as_ref().map_or(0, |h| h.last_seq);
        if came.last_seq != last + 1 {
            return Err(Illegal::Sequence { host: host.clone(), last, got: came.last_seq });
        }
        if let Some(known) = known {
            (known.last_seq, known.mark) = (came.last_seq, came.mark);
        } else {
            self.hosts.insert(host.clone(), came);
        }
        let Self { runs, effects, .. } = self;
        if let Some(run) = runs.get_mut(&report.attempt().run) {
            note_effect(run, effects, report);
            run.step_reported(moment, report);
        } else {
            // A run that this journal does not know: `step run` on the node, which tells it to the run that is open there.
            for run in runs.values_mut().filter(|run| run.is_open_on(host, &report.attempt().step.node)) {
                run.done_by_hand(moment, host, report);
            }
        }
        Ok(())
    }
}

/// Who holds the effect of a reported step now.
fn note_effect(run: &RunState, effects: &mut Effects, report: &Report) {
    let attempt = report.attempt();
    let key = run.plan_step(&attempt.step).and_then(|step| run.effect_key(step));
    match report {
        Report::Began { .. } => {
            if let Some(key) = key {
                effects.began(key, attempt);
            }
        }
        Report::Abandoned { .. } => effects.abandoned(attempt),
        // An agent refused it: another attempt began it there, maybe without a controller.
        Report::Ended { outcome, .. } => {
            let holder = outcome.evidence.iter().find(|e| e.what == EFFECT_HELD_BY).and_then(|e| e.found.parse().ok());
            if let Some((key, holder)) = key.zip(holder) {
                effects.began(key, &holder);
            }
        }
        Report::Accepted { .. } | Report::WorkEnded { .. } => {}
    }
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
