//! The operator's verbs: each checks, then says its event. What it refuses, it refuses with who acted or what is missing.

use std::collections::BTreeSet;
use std::time::Duration;

use cavalcade_common::action::{Action, Class, Restore};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, NodeId, RunId, StepKey, StepName};
use cavalcade_common::message::ToAgent;
use cavalcade_common::plan::{Need, PlanStep, Retry};
use cavalcade_common::report::{Ending, Evidence, Report};

use super::RunLoop;
use super::input::{Done, Order, Verb};
use crate::event::{Event, Resolution, Who};
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
            other => other,
        };
        let run = self.named_run(run.as_deref())?.id.clone();
        self.seen(&run, &verb, at)?;
        let by = who.clone();
        match verb {
            Verb::Apply { .. } => Err(Fault::new(codes::run::REFUSED, "apply is handled before")),
            Verb::Give { name, value, repin: None } => self.give(run, &name, value, by),
            Verb::Give { name, value, repin: Some(why) } => self.repin(run, &name, value, by, why),
            Verb::Pause => {
                self.say(&run, Event::Paused { run: run.clone(), by }, "Paused: nothing new is offered; what is under way ends.")
            }
            Verb::Resume { past_window } => self.resume(run, by, past_window),
            Verb::Cancel { why } => self.cancel(run, by, why),
            Verb::Approve { stage, says } => self.approve(run, stage, by, says),
            Verb::Retry { step, why } => self.retry(run, step, by, why),
            Verb::Skip { step, why } => self.skip(run, step, by, why),
            Verb::Resolve { step, resolution, why } => self.resolve(run, step, by, resolution, why),
            Verb::Rejudge { step, evidence } => self.rejudge(run, step, by, evidence),
            Verb::StopJob { step, why } => self.stop_job(run, step, by, why),
            Verb::Restore { database, why } => self.restore(run, &database, by, why),
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
            Verb::Apply { .. } | Verb::Give { .. } => Ok(()),
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

    fn resume(&mut self, run: RunId, by: Who, past_window: Option<String>) -> Result<Done, Fault> {
        let Some(why) = past_window else {
            return self.say(&run, Event::Resumed { run: run.clone(), by }, "The run goes on.");
        };
        let paused = self.state.runs.get(&run).is_some_and(|r| matches!(r.mode, Mode::Paused { .. }));
        if paused {
            self.happen(Event::Resumed { run: run.clone(), by: by.clone() }).map_err(|why| illegal(&why))?;
        }
        self.say(&run, Event::PastWindow { run: run.clone(), by, why }, "The run goes on past its window.")
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
        let waiting: Vec<(AttemptId, cavalcade_common::id::HostId)> = self
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
        if let Some(what) = never_skipped(planned) {
            return Err(Fault::new(codes::run::NOT_SKIPPED, format!("{step} is {what}: it cannot be skipped"))
                .in_step(&step)
                .help(format!("cavalcade resolve {step} --done --evidence FILE replaces it by evidence of the same fact")));
        }
        let says = format!("{step} is skipped.");
        self.say(&run, Event::Skipped { run: run.clone(), step, by, why }, &says)
    }

    fn resolve(&mut self, run: RunId, step: StepKey, by: Who, resolution: Resolution, why: String) -> Result<Done, Fault> {
        let (planned, state) = self.seen_step(&run, &step, None)?;
        if resolution == Resolution::Done
            && never_skipped(planned).is_some()
            && self.state.runs.get(&run).is_some_and(|r| r.by == by)
            && state.phase == Phase::Failed
        {
            return Err(Fault::new(
                codes::run::SECOND_PERSON,
                format!("evidence in place of {step} needs a second person, and {by} opened this run"),
            )
            .in_step(&step));
        }
        let says = match resolution {
            Resolution::Done => format!("{step} counts as done."),
            Resolution::NotDone => format!("{step} runs again in a new attempt."),
        };
        self.say(&run, Event::Resolved { run: run.clone(), step, by, resolution, why }, &says)
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
        let attempt = AttemptId { run: run.clone(), step: step.clone(), number: state.attempt };
        let (text, epoch) = (format!("{by}: {why}"), self.state.epoch);
        let done = self.say(&run, Event::JobStopped { run: run.clone(), step, by, why }, "TERM goes to the job's server.")?;
        self.outbox.push((host, ToAgent::StopJob { attempt, epoch, why: text }));
        Ok(done)
    }

    /// Orders a restore as a step of its own in front of the plan's stages.
    fn restore(&mut self, run: RunId, database: &str, by: Who, why: String) -> Result<Done, Fault> {
        let state = self.state.runs.get(&run).ok_or_else(|| Fault::new(codes::run::NO_RUN, "the run is gone"))?;
        if state.any_under_way() {
            return Err(Fault::new(codes::run::STILL_DRAINING, "steps are under way; a restore waits for none of them")
                .help("cavalcade pause, and again when `cavalcade status` shows none running"));
        }
        let backup = state
            .plan
            .plan
            .steps()
            .map(|(_, s)| s)
            .find(|s| matches!(&s.action, Action::Backup(b) if b.database.name == database));
        let Some((backup, Action::Backup(of))) = backup.map(|s| (s, &s.action)) else {
            return Err(Fault::new(codes::run::NO_BACKUP, format!("the plan makes no backup of {database}")));
        };
        let made_before = state.backups.get(database);
        if made_before.is_none() && state.step(&backup.key).is_none_or(|s| s.phase != Phase::Succeeded) {
            return Err(Fault::new(
                codes::run::NO_BACKUP,
                format!("the backup of {database} ({}) has not succeeded", backup.key),
            ));
        }
        let own_backup = state.step(&backup.key).is_some_and(|s| s.phase == Phase::Succeeded);
        let number = 1 + u32::try_from(state.extra.len()).unwrap_or(u32::MAX - 1);
        let down: Vec<NodeId> = state.plan.plan.nodes.iter().filter(|n| n.old.is_some()).map(|n| n.id.clone()).collect();
        let key = StepKey { stage: 0, step: number, node: backup.key.node.clone() };
        let step = PlanStep {
            key: key.clone(),
            host: backup.host.clone(),
            name: StepName::new(format!("restore-{database}")).unwrap_or_else(|_| backup.name.clone()),
            row: None,
            note: Some(format!("ordered by {by}: {why}")),
            action: Action::Restore(Restore {
                effect: format!("restore-{number}"),
                database: of.database.clone(),
                // As the agent names a backup's folder.
                from: format!(
                    "{}/{}/{database}",
                    of.to.trim_end_matches('/'),
                    made_before.filter(|_| !own_backup).unwrap_or(&run)
                ),
            }),
            needs: vec![Need::Down { nodes: down }],
            effect: Some(cavalcade_common::id::EffectKey(format!("restore-{number} {run} {database}"))),
            retry: Retry::default(),
            timeout: Duration::from_secs(24 * 3600),
        };
        let says = format!("{key} restores {database}; then every step that changed it is open again.");
        self.say(&run, Event::StepAdded { run: run.clone(), step: Box::new(step), by, why }, &says)
    }

    /// The event that follows on a restore that succeeded.
    pub(super) fn restored_by(&self, report: &Report) -> Option<Event> {
        let Report::Ended { attempt, outcome } = report else { return None };
        let run = self.state.runs.get(&attempt.run)?;
        let Action::Restore(restore) = &run.plan_step(&attempt.step)?.action else { return None };
        if outcome.ending != Ending::Succeeded {
            return None;
        }
        let database = restore.database.name.clone();
        let reopened = reopened_by(run, &database);
        Some(Event::DatabaseRestored { run: run.id.clone(), database, by: Who::policy(), reopened })
    }
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

/// What a step is that nobody may leave out (10, rule 17).
fn never_skipped(step: &PlanStep) -> Option<&'static str> {
    use cavalcade_common::action::ServerOp;
    match &step.action {
        Action::Server(s) if s.op == ServerOp::Down => Some("a proof that an old server is down"),
        Action::Server(s) if s.op == ServerOp::Wait => Some("a proof that a server is up"),
        Action::Backup(_) => Some("a backup"),
        Action::Query(query) if query.asserts.iter().any(|a| a.no_sessions.is_some()) => {
            Some("a proof that nobody else is in a database")
        }
        _ if !step.needs.is_empty() && step.action.class() != Class::Redo => Some("a launch behind a permit"),
        _ => None,
    }
}

pub(super) fn illegal(why: &Illegal) -> Fault {
    let code = match why {
        Illegal::NoRun(_) => codes::run::NO_RUN,
        Illegal::NoStep(_) => codes::run::NO_STEP,
        Illegal::OtherSecret(_) => codes::run::OTHER_SECRET,
        Illegal::RunExists(_)
        | Illegal::StepExists(_)
        | Illegal::Phase { .. }
        | Illegal::Mode(_)
        | Illegal::NoApproval(_)
        | Illegal::Sequence { .. }
        | Illegal::Epoch => codes::run::REFUSED,
    };
    Fault::new(code, why.to_string())
}
