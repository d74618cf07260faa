//! Transitions of one run and its steps. What cannot be is refused; what comes late from an agent is kept as superseded and
//! not applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use cavalcade_common::action::Action;
use cavalcade_common::id::{AttemptId, Digest, EffectKey, HostId, NodeId, StepKey};
use cavalcade_common::message::ApprovedRepeat;
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::{Ending, Evidence, Outcome, Report, Sight};
use jiff::Timestamp;

use super::services::Sighted;
use super::step::{Phase, StepState};
use super::transition::{Illegal, Moment};
use super::{AlarmRaised, ApprovalGiven, DecisionTaken, Mode, RunState};
use crate::event::{Home, Resolution, RunResult, Scope, Who};

impl RunState {
    pub(super) fn step_mut(&mut self, key: &StepKey) -> Result<&mut StepState, Illegal> {
        self.steps.get_mut(key).ok_or_else(|| Illegal::NoStep(key.clone()))
    }

    pub(super) fn open(&self) -> Result<(), Illegal> {
        if self.is_closed() { Err(Illegal::Mode("over")) } else { Ok(()) }
    }

    pub(super) fn note(&mut self, moment: Moment, by: &Who, verb: &'static str, on: impl ToString, why: &str) {
        let (at, position) = (moment.at, moment.position);
        self.decisions.push(DecisionTaken { at, position, by: by.clone(), verb, on: on.to_string(), why: why.to_owned() });
    }

    pub(super) fn mode(&mut self, moment: Moment, by: &Who, verb: &'static str, why: &str, to: Mode) -> Result<(), Illegal> {
        match (&self.mode, &to) {
            (Mode::Closed(_), _) => return Err(Illegal::Mode("over")),
            (Mode::Cancelling { .. }, _) => return Err(Illegal::Mode("being cancelled")),
            (Mode::Going | Mode::Paused { .. }, _) => {}
        }
        self.note(moment, by, verb, "run", why);
        self.mode = to;
        Ok(())
    }

    pub(super) fn closed(&mut self, moment: Moment, result: RunResult) {
        self.mode = Mode::Closed(result);
        self.closed_at = Some(moment.at);
    }

    pub(super) fn scope_changed(&mut self, moment: Moment, by: &Who, scope: &Scope) {
        self.scope = scope.clone();
        self.note(moment, by, "apply", "run", "with another scope");
    }

    pub(super) fn job_stopped(&mut self, moment: Moment, step: &StepKey, by: &Who, why: &str) -> Result<(), Illegal> {
        self.step_mut(step)?;
        self.note(moment, by, "stop-job", step, why);
        Ok(())
    }

    pub(super) fn secret_repinned(
        &mut self,
        moment: Moment,
        name: &str,
        digest: &Digest,
        by: &Who,
        why: &str,
    ) -> Result<(), Illegal> {
        self.open()?;
        self.pins.insert(name.to_owned(), digest.clone());
        self.note(moment, by, "repin", format!("secret {name}"), why);
        Ok(())
    }

    pub(super) fn past_window(&mut self, moment: Moment, by: &Who, why: &str) -> Result<(), Illegal> {
        self.open()?;
        self.past_window = true;
        self.note(moment, by, "resume --past-window", "run", why);
        Ok(())
    }

    pub(super) fn window_moved(&mut self, moment: Moment, end: Timestamp, by: &Who, why: &str) -> Result<(), Illegal> {
        self.open()?;
        self.window_end = Some(end);
        self.past_window = false;
        self.note(moment, by, "resume --window-end", end, why);
        Ok(())
    }

    pub(super) fn approved(&mut self, moment: Moment, stage: u32, by: &Who, says: &str) -> Result<(), Illegal> {
        let needed = self.plan.plan.stages.iter().any(|s| s.number == stage && s.approval.is_some());
        if !needed {
            return Err(Illegal::NoApproval(stage));
        }
        self.approvals.insert(stage, ApprovalGiven { by: by.clone(), says: says.to_owned(), at: moment.at });
        self.note(moment, by, "approve", format!("stage {stage}"), says);
        Ok(())
    }

    pub(super) fn step_added(&mut self, moment: Moment, step: &PlanStep, by: &Who, why: &str) -> Result<(), Illegal> {
        if self.steps.contains_key(&step.key) {
            return Err(Illegal::StepExists(step.key.clone()));
        }
        self.steps.insert(step.key.clone(), StepState::new(moment.position, moment.at));
        self.extra.insert(step.key.clone(), step.clone());
        self.note(moment, by, "order", &step.name, why);
        Ok(())
    }

    pub(super) fn secret_pinned(&mut self, moment: Moment, name: &str, digest: &Digest, by: &Who) -> Result<(), Illegal> {
        self.open()?;
        if self.pins.get(name).is_some_and(|pinned| pinned != digest) {
            return Err(Illegal::OtherSecret(name.to_owned()));
        }
        if self.pins.insert(name.to_owned(), digest.clone()).is_none() && *by != Who::policy() {
            self.note(moment, by, "give", format!("secret {name}"), "");
        }
        Ok(())
    }

    pub(super) fn service_seen(&mut self, node: &NodeId, home: Home, sight: Sight, at: Timestamp) -> Result<(), Illegal> {
        if self.plan.plan.node(node).is_none() {
            return Err(Illegal::NoNode(node.clone()));
        }
        self.services.note(node, Sighted { at, home, sight });
        Ok(())
    }

    pub(super) fn alarmed(&mut self, alarm: AlarmRaised) -> Result<(), Illegal> {
        let key = &alarm.attempt.step;
        let step = self.step(key).ok_or_else(|| Illegal::NoStep(key.clone()))?;
        if !step.phase.is_under_way() || step.attempt != alarm.attempt.number || self.alarm(key).is_some() {
            return Err(refused(key, step, "each attempt raises one alarm at most, while it is under way"));
        }
        self.alarms.push(alarm);
        Ok(())
    }

    pub(super) fn offered(&mut self, moment: Moment, attempt: &AttemptId) -> Result<(), Illegal> {
        let step = self.step_mut(&attempt.step)?;
        if step.phase != Phase::Pending || attempt.number != step.attempt + 1 {
            return Err(refused(&attempt.step, step, "only a pending step is offered, each attempt once"));
        }
        step.enter(Phase::Offered, moment);
        step.attempt = attempt.number;
        step.begun_before = step.begun;
        step.work_ended = false;
        Ok(())
    }

    /// A report about a known run. One about an attempt that is not the current one, or for a step that was decided in
    /// the meantime, came too late: it is shown and not applied (10, rule 6).
    pub(super) fn step_reported(&mut self, moment: Moment, report: &Report) {
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
                step.begun = Some(moment.position);
            }
            Report::WorkEnded { .. } => step.work_ended = true,
            Report::Ended { outcome, .. } => {
                step.ended(moment, outcome);
                self.see_incarnations(moment, outcome);
                if outcome.ending == Ending::Succeeded {
                    self.backed_up(&attempt.step);
                }
            }
            Report::Abandoned { why, .. } => {
                step.enter(Phase::Pending, moment);
                step.begun = step.begun_before;
                step.given_back = Some(why.clone());
            }
        }
    }

    /// Whether it is open and has this node on this host.
    #[must_use]
    pub fn is_open_on(&self, host: &HostId, node: &NodeId) -> bool {
        !self.is_closed() && self.plan.plan.node(node).is_some_and(|n| &n.host == host)
    }

    /// What somebody did on a node without the controller (`step run --take-over`; 10, rule 18). A database that was
    /// restored so is another one from here on.
    pub(super) fn done_by_hand(&mut self, moment: Moment, host: &HostId, report: &Report) {
        let Report::Ended { attempt, outcome } = report else { return };
        let ending = format!("{:?}", outcome.ending).to_lowercase();
        self.note(moment, &Who::by_hand(host), "step run", attempt, &ending);
        self.see_incarnations(moment, outcome);
    }

    fn see_incarnations(&mut self, moment: Moment, outcome: &Outcome) {
        for (name, found) in outcome.incarnations() {
            // Whatever was done to the former one: this is another database, or one that was restored.
            if self.incarnations.insert(name.to_owned(), found.clone()).is_some_and(|was| &was != found) {
                self.restored.insert(name.to_owned(), moment.position);
            }
        }
    }

    /// Finished steps of the superseded run whose action is another one now: a person says that they stay as they are.
    pub(super) fn kept(&mut self, moment: Moment, steps: &[StepKey], by: &Who, why: &str) -> Result<(), Illegal> {
        for key in steps {
            let step = self.step_mut(key)?;
            if step.phase != Phase::Pending {
                return Err(refused(key, step, "only a pending step is kept as it was"));
            }
            step.enter(Phase::Skipped, moment);
            step.carried = true;
            step.decided = Some((by.clone(), format!("kept as the superseded run left it: {why}")));
            self.note(moment, by, "keep", key, why);
        }
        Ok(())
    }

    pub(super) fn skipped(&mut self, moment: Moment, key: &StepKey, by: &Who, why: &str) -> Result<(), Illegal> {
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

    pub(super) fn retried(
        &mut self,
        moment: Moment,
        key: &StepKey,
        (by, why): (&Who, &str),
        holder: Option<AttemptId>,
    ) -> Result<(), Illegal> {
        let effect = self.plan_step(key).and_then(|s| s.effect.clone());
        let policy = *by == Who::policy();
        let refused_a_permit = |step: &StepState| self.plan_step(key).is_some_and(|planned| step.was_refused_a_permit(planned));
        let unused = self.step(key).filter(|step| policy && refused_a_permit(step)).and_then(|step| step.decision.clone());
        let step = self.step_mut(key)?;
        if step.phase != Phase::Failed {
            return Err(refused(key, step, "only a failed step is retried"));
        }
        step.reopen(moment, effect.zip(holder), by, why);
        // A person's word about a statement was not used: the attempt was refused before it came to one.
        step.decision = unused;
        step.failures = if policy { step.failures } else { 0 };
        step.decided = Some((by.clone(), why.to_owned()));
        self.note(moment, by, "retry", key, why);
        Ok(())
    }

    pub(super) fn resolved(
        &mut self,
        moment: Moment,
        key: &StepKey,
        (by, why): (&Who, &str),
        resolution: Resolution,
        holder: Option<AttemptId>,
    ) -> Result<(), Illegal> {
        let planned = self.plan_step(key);
        let effect = planned.and_then(|s| s.effect.clone());
        // A script goes on behind or at the statement that was decided about: the word is for the next attempt.
        let script = planned.is_some_and(|s| matches!(s.action, Action::Sql(_)));
        let step = self.step_mut(key)?;
        // A pending step waits for a word where another attempt began its effect, here or in another run's home.
        let began_before = holder.is_some() || step.begun.is_some();
        let may = matches!(step.phase, Phase::Indeterminate | Phase::Failed) || (step.phase == Phase::Pending && began_before);
        if !may {
            return Err(refused(key, step, "only an indeterminate or failed step is resolved"));
        }
        let began_here = step.phase != Phase::Pending;
        let (verb, word) = match resolution {
            Resolution::Done => ("resolve --done", (script && began_here).then_some("done")),
            Resolution::NotDone => ("resolve --not-done", Some("not-done")),
            Resolution::Replaced => ("resolve --done --evidence", None),
        };
        match word {
            None => step.enter(Phase::Succeeded, moment),
            Some(word) => {
                step.reopen(moment, effect.zip(holder), by, why);
                step.decision = Some(word.to_owned());
            }
        }
        step.decided = Some((by.clone(), why.to_owned()));
        self.note(moment, by, verb, key, why);
        if word.is_none() {
            self.backed_up(key);
        }
        Ok(())
    }

    pub(super) fn rejudged(
        &mut self,
        moment: Moment,
        key: &StepKey,
        by: &Who,
        holds: bool,
        evidence: &[Evidence],
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

    pub(super) fn database_restored(
        &mut self,
        moment: Moment,
        database: &str,
        by: &Who,
        reopened: Vec<(StepKey, Option<AttemptId>)>,
    ) -> Result<(), Illegal> {
        for (key, _) in &reopened {
            let step = self.step_mut(key)?;
            if step.phase.is_under_way() {
                return Err(refused(key, step, "it is under way"));
            }
        }
        let effects: BTreeMap<_, _> = self.plan.plan.steps().map(|(_, s)| (s.key.clone(), s.effect.clone())).collect();
        self.note(moment, by, "restore", database, &format!("{} steps are open again", reopened.len()));
        self.restored.insert(database.to_owned(), moment.position);
        for (key, holder) in reopened {
            let effect = effects.get(&key).cloned().flatten();
            let step = self.step_mut(&key)?;
            if step.phase != Phase::Pending {
                step.reopen(moment, effect.zip(holder), by, &format!("database {database} was restored"));
            }
        }
        Ok(())
    }
}

impl StepState {
    pub(super) fn enter(&mut self, phase: Phase, moment: Moment) {
        self.phase = phase;
        self.position = moment.position;
        self.at = moment.at;
    }

    pub(super) fn ended(&mut self, moment: Moment, outcome: &Outcome) {
        let phase = match outcome.ending {
            Ending::Succeeded => Phase::Succeeded,
            Ending::Failed => Phase::Failed,
            Ending::Indeterminate => Phase::Indeterminate,
        };
        self.failures += u32::from(phase == Phase::Failed && !outcome.refused_a_permit());
        if phase == Phase::Failed && !outcome.changed {
            self.begun = self.begun_before;
        }
        self.given_back = None;
        self.outcome = Some(Arc::new(outcome.clone()));
        self.enter(phase, moment);
    }

    /// Opens the step for another attempt, with a licence for its effect where another attempt holds that: one decision,
    /// one start (10, rule 1). What was said of a statement was said for one attempt.
    pub(super) fn reopen(&mut self, moment: Moment, held: Option<(EffectKey, AttemptId)>, by: &Who, why: &str) {
        self.approved = held.map(|(effect, holder)| ApprovedRepeat { effect, replaces: holder, says: format!("{by}: {why}") });
        self.given_back = None;
        self.decision = None;
        self.enter(Phase::Pending, moment);
    }
}

fn refused(key: &StepKey, step: &StepState, wanted: &'static str) -> Illegal {
    Illegal::Phase { step: key.clone(), phase: step.phase.word(), wanted }
}
