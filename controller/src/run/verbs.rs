//! The operator's verbs: each checks, then says its event. What it refuses, it refuses with who acted or what is missing.

use cavalcade_common::action::Action;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, HostId, RunId, StepKey};
use cavalcade_common::message::ToAgent;
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::Evidence;

use super::RunLoop;
use super::input::{Done, Order, Verb, WindowWord};
use super::kept::{Kept, never_skipped};
use crate::event::{Event, Resolution, RunResult, Who};
use crate::schedule::unrestored;
use crate::state::step::{Phase, StepState};
use crate::state::transition::Illegal;
use crate::state::{Mode, RunState};

impl RunLoop {
    pub(super) fn verb(&mut self, who: &Who, order: Order) -> Result<Done, Fault> {
        let Order { run, at, verb } = order;
        let verb = match verb {
            Verb::Apply { plan, scope, waived, supersedes, given } => {
                return self.apply(who, *plan, scope, waived, supersedes, given);
            }
            Verb::HostLost { host, why } => return self.host_lost(host, who.clone(), why),
            other => other,
        };
        let run = self.named_run(run.as_deref())?.id.clone();
        self.seen(&run, &verb, at)?;
        let by = who.clone();
        match verb {
            Verb::Apply { .. } | Verb::HostLost { .. } => Err(Fault::new(codes::run::REFUSED, "it is handled before")),
            Verb::Give { name, value, repin: None } => self.give(run, &name, value, by),
            Verb::Give { name, value, repin: Some(why) } => self.repin(run, &name, value, by, why),
            Verb::Pause => {
                self.say(&run, Event::Paused { run: run.clone(), by }, "Paused: nothing new is offered; what is under way ends.")
            }
            Verb::Resume { window, why } => self.resume(run, by, window, why),
            Verb::Cancel { why } => self.cancel(run, by, why),
            Verb::Approve { stage, says } => self.approve(run, stage, by, says),
            Verb::Retry { step, why } => self.retry(run, step, by, why),
            Verb::Skip { step, why } => self.skip(run, step, by, why),
            Verb::Resolve { step, resolution, evidence, why } => self.resolve(run, step, by, (resolution, evidence), why),
            Verb::Rejudge { step, evidence } => self.rejudge(run, step, by, evidence),
            Verb::StopJob { step, why } => self.stop_job(run, step, by, why),
            Verb::Restore { databases, why } => self.restore(run, &databases, by, why),
        }
    }

    /// The open run that a verb names, or the only one.
    fn named_run(&self, name: Option<&str>) -> Result<&RunState, Fault> {
        let fits = |r: &&RunState| name.is_none_or(|name| r.is_called(name));
        let found: Vec<&RunState> = self.state.open_runs().filter(fits).collect();
        match (&found[..], name) {
            ([run], _) => Ok(run),
            ([], None) => Err(Fault::new(codes::run::NO_RUN, "no run is open")),
            ([], Some(name)) => Err(Fault::new(codes::run::NO_RUN, format!("no open run is called {name}"))),
            (several, _) => {
                let names: Vec<String> = several.iter().map(|r| format!("{} of fleet {}", r.id, r.plan.plan.fleet)).collect();
                Err(Fault::new(codes::run::NO_RUN, format!("several runs are open: {}", names.join(", ")))
                    .help("say which: --run RUN"))
            }
        }
    }

    /// Refuses a verb on what changed since the operator looked (10, rule 19): a step by anybody, a run by a person.
    fn seen(&self, run: &RunId, verb: &Verb, at: Option<u64>) -> Result<(), Fault> {
        match verb {
            Verb::Retry { step, .. }
            | Verb::Skip { step, .. }
            | Verb::Resolve { step, .. }
            | Verb::Rejudge { step, .. }
            | Verb::StopJob { step, .. } => self.seen_step(run, step, at).map(drop),
            // A value that was given twice is the same value or is refused by its pin.
            Verb::Apply { .. } | Verb::HostLost { .. } | Verb::Give { .. } => Ok(()),
            Verb::Pause | Verb::Resume { .. } | Verb::Cancel { .. } | Verb::Approve { .. } | Verb::Restore { .. } => {
                let state = self.state.runs.get(run).ok_or_else(|| Fault::new(codes::run::NO_RUN, "the run is gone"))?;
                let Some((last, at)) = state.last_decision().zip(at).filter(|(last, at)| last.position > *at) else {
                    return Ok(());
                };
                Err(Fault::new(
                    codes::run::STEP_CHANGED,
                    format!("run {run} changed at {} (you saw {at}): {} {} by {}", last.position, last.verb, last.on, last.by),
                ))
            }
        }
    }

    fn resume(&mut self, run: RunId, by: Who, window: Option<WindowWord>, why: String) -> Result<Done, Fault> {
        let Some(window) = window else {
            return self.say(&run, Event::Resumed { run: run.clone(), by }, "The run goes on.");
        };
        let state = self.state.runs.get(&run).ok_or_else(|| Fault::new(codes::run::NO_RUN, "the run is gone"))?;
        if state.plan.plan.window.is_none() && state.window_end.is_none() {
            return Err(Fault::new(codes::run::REFUSED, format!("run {run} has no maintenance window")));
        }
        let paused = matches!(state.mode, Mode::Paused { .. });
        if paused {
            self.happen(Event::Resumed { run: run.clone(), by: by.clone() }).map_err(|why| illegal(&why))?;
        }
        match window {
            WindowWord::Past => {
                self.say(&run, Event::PastWindow { run: run.clone(), by, why }, "The run goes on past its window.")
            }
            WindowWord::Ends(end) => {
                let says = format!("The window of the run ends at {end}.");
                self.say(&run, Event::WindowMoved { run: run.clone(), end, by, why }, &says)
            }
        }
    }

    /// Takes a host that is gone for good out of everybody's way.
    fn host_lost(&mut self, host: HostId, by: Who, why: String) -> Result<Done, Fault> {
        let theirs = |r: &&RunState| r.plan.plan.nodes.iter().any(|n| n.host == host);
        let Some(run) = self.state.open_runs().find(theirs).map(|r| r.id.clone()) else {
            return Err(Fault::new(codes::run::NO_RUN, format!("no open run has a node on {host}")).on(&host));
        };
        if self.links.contains_key(&host) {
            let what = format!("the agent of {host} is connected: what is there is not lost");
            return Err(Fault::new(codes::run::REFUSED, what).on(&host));
        }
        let says = format!(
            "{host} counts as lost. Correct the fleet file, make the plan anew and apply it with --supersedes {run}; an agent \
             on {host} is enrolled anew."
        );
        self.say(&run, Event::HostLost { host, by, why }, &says)
    }

    fn approve(&mut self, run: RunId, stage: u32, by: Who, says: String) -> Result<Done, Fault> {
        let state = self.state.runs.get(&run).ok_or_else(|| Fault::new(codes::run::NO_RUN, "the run is gone"))?;
        let approval = state.plan.plan.stages.iter().find(|g| g.number == stage).and_then(|g| g.approval.as_ref());
        if approval.is_some_and(|a| a.second_person) && state.by == by {
            let what = format!("stage {stage} needs the approval of a second person, and {by} opened this run");
            return Err(Fault::new(codes::run::SECOND_PERSON, what));
        }
        self.say(&run, Event::Approved { run: run.clone(), stage, by, says }, &format!("Stage {stage} is approved."))
    }

    pub(super) fn say(&mut self, run: &RunId, event: Event, says: &str) -> Result<Done, Fault> {
        self.happen(event).map_err(|why| illegal(&why))?;
        Ok(self.done(run, says))
    }

    pub(super) fn done(&self, run: &RunId, says: &str) -> Done {
        Done { run: run.clone(), position: self.head + self.events.len() as u64, says: says.to_owned() }
    }

    fn cancel(&mut self, run: RunId, by: Who, why: String) -> Result<Done, Fault> {
        let done = self.say(
            &run,
            Event::Cancelled { run: run.clone(), by, why },
            "Cancelled: nothing new is offered; what is under way ends.",
        )?;
        let waiting: Vec<(AttemptId, HostId)> = self
            .state
            .runs
            .get(&run)
            .into_iter()
            .flat_map(|r| {
                r.all_steps().filter_map(|s| {
                    let state = r.step(&s.key).filter(|st| matches!(st.phase, Phase::Offered | Phase::Accepted))?;
                    Some((AttemptId { run: r.id.clone(), step: s.key.clone(), number: state.attempt }, s.host.clone()))
                })
            })
            .collect();
        if self.bugs.cancel_waits_for_nothing() {
            self.happen_or_log(Event::RunClosed { run, result: RunResult::Cancelled });
            return Ok(done);
        }
        if self.bugs.cancel_takes_nothing_back() {
            return Ok(done);
        }
        for (attempt, host) in waiting {
            self.outbox.push((host, ToAgent::Withdraw { attempt, epoch: self.state.epoch }));
        }
        Ok(done)
    }

    /// The step, if nothing happened to it since the operator looked.
    fn seen_step(&self, run: &RunId, key: &StepKey, at: Option<u64>) -> Result<(&PlanStep, &StepState), Fault> {
        let run = self.state.runs.get(run).ok_or_else(|| Fault::new(codes::run::NO_RUN, "the run is gone"))?;
        let (Some(step), Some(state)) = (run.plan_step(key), run.step(key)) else {
            return Err(Fault::new(codes::run::NO_STEP, format!("the plan has no step {key}")));
        };
        if let Some(at) = at
            && state.position > at
            && !self.bugs.verbs_ignore_what_was_seen()
        {
            let who = state.decided.as_ref().map_or_else(|| "its agent".to_owned(), |(by, _)| by.to_string());
            return Err(Fault::new(
                codes::run::STEP_CHANGED,
                format!("step {key} changed at {} (you saw {at}): it is {} now, by {who}", state.position, state.phase.word()),
            )
            .in_step(key));
        }
        Ok((step, state))
    }

    fn retry(&mut self, run: RunId, step: StepKey, by: Who, why: String) -> Result<Done, Fault> {
        let (planned, _) = self.seen_step(&run, &step, None)?;
        let changed = self.state.runs.get(&run).and_then(|r| unrestored(r, planned));
        if let Some(database) = changed {
            let what = format!("{step} may have changed {database} in a way that no ledger of ours knows: restore first");
            let help = format!("cavalcade restore {database} --why TEXT opens this step again");
            return Err(Fault::new(codes::run::RESTORE_FIRST, what).in_step(&step).help(help));
        }
        let says = format!("{step} gets another attempt.");
        self.say(&run, Event::Retried { run: run.clone(), step, by, why }, &says)
    }

    fn skip(&mut self, run: RunId, step: StepKey, by: Who, why: String) -> Result<Done, Fault> {
        let (planned, _) = self.seen_step(&run, &step, None)?;
        if let Some((_, what)) = never_skipped(planned) {
            return Err(Fault::new(codes::run::NOT_SKIPPED, format!("{step} is {what}: it cannot be skipped"))
                .in_step(&step)
                .help(format!("cavalcade resolve {step} --done --evidence FILE replaces it by evidence of the same fact")));
        }
        let says = format!("{step} is skipped.");
        self.say(&run, Event::Skipped { run: run.clone(), step, by, why }, &says)
    }

    fn resolve(
        &mut self,
        run: RunId,
        step: StepKey,
        by: Who,
        (resolution, evidence): (Resolution, bool),
        why: String,
    ) -> Result<Done, Fault> {
        let (planned, state) = self.seen_step(&run, &step, None)?;
        let done = resolution != Resolution::NotDone;
        // Nobody can tell whether it took place: a person who can says so. Where it certainly did not, or is a proof, only
        // evidence of the same fact stands in for it (10, rule 17).
        let replaced = match never_skipped(planned) {
            Some((Kept::Proof, what)) => Some(what),
            Some((Kept::Launch, what)) => Some(what).filter(|_| state.phase == Phase::Failed),
            None => None,
        };
        let a_statement = matches!(planned.action, Action::Sql(_)) && !evidence;
        if let Some(what) = replaced.filter(|_| done && !a_statement) {
            if !evidence {
                let text = format!("{step} is {what}: only evidence of the same fact stands in for it");
                let help = format!("cavalcade resolve {step} --done --evidence FILE, by a second person");
                return Err(Fault::new(codes::run::NOT_SKIPPED, text).in_step(&step).help(help));
            }
            if self.state.runs.get(&run).is_some_and(|r| r.by == by) {
                let text = format!("evidence in place of {step} needs a second person, and {by} opened this run");
                return Err(Fault::new(codes::run::SECOND_PERSON, text).in_step(&step));
            }
        }
        let (resolution, says) = match resolution {
            Resolution::NotDone => (resolution, format!("{step} runs again in a new attempt.")),
            Resolution::Done if a_statement && state.phase != Phase::Pending => {
                (resolution, format!("{step} goes on behind the statement that was decided about."))
            }
            Resolution::Done if evidence => (Resolution::Replaced, format!("{step} counts as done.")),
            Resolution::Done | Resolution::Replaced => (resolution, format!("{step} counts as done.")),
        };
        let restored = match &planned.action {
            Action::Restore(restore) if done => Some(restore.database.name.clone()),
            _ => None,
        };
        let event = Event::Resolved { run: run.clone(), step, by: by.clone(), resolution, why };
        self.happen(event).map_err(|why| illegal(&why))?;
        if let Some(event) = restored.and_then(|database| self.restored(&run, database, by)) {
            self.happen(event).map_err(|why| illegal(&why))?;
        }
        Ok(self.done(&run, &says))
    }

    fn rejudge(&mut self, run: RunId, step: StepKey, by: Who, evidence: Vec<Evidence>) -> Result<Done, Fault> {
        let holds = !evidence.is_empty() && evidence.iter().all(|e| e.holds);
        let says = if holds { format!("{step} succeeded by the new patterns.") } else { format!("{step} still lacks evidence.") };
        self.say(&run, Event::Rejudged { run: run.clone(), step, by, holds, evidence }, &says)
    }

    fn stop_job(&mut self, run: RunId, step: StepKey, by: Who, why: String) -> Result<Done, Fault> {
        let (planned, state) = self.seen_step(&run, &step, None)?;
        // The server that a migration ran in stays up when the migration failed: it is ended before its databases are
        // restored and it runs again.
        let lives = match state.phase {
            Phase::Running => true,
            Phase::Failed | Phase::Indeterminate => state.begun.is_some(),
            Phase::Pending | Phase::Offered | Phase::Accepted | Phase::Succeeded | Phase::Cancelled | Phase::Skipped => false,
        };
        if !matches!(planned.action, Action::Job(_)) || !lives {
            return Err(Fault::new(codes::run::NO_JOB, format!("{step} is no job whose server may run")).in_step(&step));
        }
        let host = planned.host.clone();
        if !self.links.contains_key(&host) {
            let text = format!("the agent of {host} is not connected: nothing can be ended there now");
            return Err(Fault::new(codes::run::HOST_UNREACHABLE, text).on(&host).in_step(&step));
        }
        let attempt = AttemptId { run: run.clone(), step: step.clone(), number: state.attempt };
        let (text, epoch) = (format!("{by}: {why}"), self.state.epoch);
        let done = self.say(&run, Event::JobStopped { run: run.clone(), step, by, why }, "TERM goes to the job's server.")?;
        self.outbox.push((host, ToAgent::StopJob { attempt, epoch, why: text }));
        Ok(done)
    }
}

pub(super) fn illegal(why: &Illegal) -> Fault {
    let code = match why {
        Illegal::NoRun(_) => codes::run::NO_RUN,
        Illegal::NoStep(_) => codes::run::NO_STEP,
        Illegal::OtherSecret(_) => codes::run::OTHER_SECRET,
        Illegal::RunExists(_)
        | Illegal::StepExists(_)
        | Illegal::NoNode(_)
        | Illegal::Phase { .. }
        | Illegal::Mode(_)
        | Illegal::NoApproval(_)
        | Illegal::Sequence { .. }
        | Illegal::Epoch => codes::run::REFUSED,
    };
    Fault::new(code, why.to_string())
}
