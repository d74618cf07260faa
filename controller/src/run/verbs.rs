//! The operator's verbs: each checks, then says its event. What it refuses, it refuses with who acted or what is missing.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::action::{Action, Class, Restore};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, Generation, NodeId, RunId, StepKey, StepName};
use cavalcade_common::message::ToAgent;
use cavalcade_common::plan::{HashedPlan, Need, PlanStep, Retry};
use cavalcade_common::report::{Ending, Evidence, Report};

use super::RunLoop;
use super::input::{Done, Verb};
use crate::event::{Event, Resolution, RunResult, Scope, Who};
use crate::state::RunState;
use crate::state::step::{Phase, StepState};
use crate::state::transition::Illegal;

impl RunLoop {
    pub(super) fn verb(&mut self, who: &Who, verb: Verb) -> Result<Done, Fault> {
        if let Verb::Apply { plan, scope, waived, supersedes } = verb {
            return self.apply(who, *plan, scope, waived, supersedes);
        }
        let run = self.the_open_run()?.id.clone();
        let by = who.clone();
        match verb {
            Verb::Apply { .. } => Err(Fault::new(codes::run::REFUSED, "apply is handled before")),
            Verb::Pause => {
                self.say(&run, Event::Paused { run: run.clone(), by }, "Paused: nothing new is offered; what is under way ends.")
            }
            Verb::Resume => self.say(&run, Event::Resumed { run: run.clone(), by }, "The run goes on."),
            Verb::Cancel { why } => self.cancel(run, by, why),
            Verb::Approve { stage, says } => {
                self.say(&run, Event::Approved { run: run.clone(), stage, by, says }, &format!("Stage {stage} is approved."))
            }
            Verb::Retry { step, why, at } => self.retry(run, step, by, why, at),
            Verb::Skip { step, why, at } => self.skip(run, step, by, why, at),
            Verb::Resolve { step, resolution, why, at } => self.resolve(run, step, by, resolution, why, at),
            Verb::Rejudge { step, evidence } => self.rejudge(run, step, by, evidence),
            Verb::StopJob { step, why, at } => self.stop_job(run, step, by, why, at),
            Verb::Restore { database, why } => self.restore(run, &database, by, why),
        }
    }

    /// The one open run. Several fleets may have one each: then the operator names it by its plan (a later verb does).
    fn the_open_run(&self) -> Result<&RunState, Fault> {
        let mut open = self.state.open_runs();
        match (open.next(), open.next()) {
            (Some(run), None) => Ok(run),
            (None, _) => Err(Fault::new(codes::run::NO_RUN, "no run is open")),
            (Some(a), Some(b)) => Err(Fault::new(codes::run::NO_RUN, format!("several runs are open ({}, {}, ...)", a.id, b.id))),
        }
    }

    fn say(&mut self, run: &RunId, event: Event, says: &str) -> Result<Done, Fault> {
        self.happen(event).map_err(|why| illegal(&why))?;
        Ok(self.done(run, says))
    }

    fn done(&self, run: &RunId, says: &str) -> Done {
        Done { run: run.clone(), position: self.head + self.events.len() as u64, says: says.to_owned() }
    }

    fn apply(
        &mut self,
        who: &Who,
        plan: HashedPlan,
        scope: Scope,
        waived: Vec<String>,
        supersedes: Option<RunId>,
    ) -> Result<Done, Fault> {
        if let Some(run) = self.state.runs.values().find(|r| r.plan.sha256 == plan.sha256) {
            let id = run.id.clone();
            if run.is_closed() || run.scope == scope {
                return Ok(self.done(&id, "This plan has a run already."));
            }
            let event = Event::ScopeChanged { run: id.clone(), by: who.clone(), scope };
            return self.say(&id, event, "The run of this plan goes on.");
        }
        let open = self.state.open_run(&plan.plan.fleet).or_else(|| self.busy_with(&plan));
        let (generation, carried) = match (open, &supersedes) {
            (Some(open), Some(old)) if &open.id == old => {
                if open.any_under_way() {
                    return Err(Fault::new(
                        codes::run::STILL_DRAINING,
                        format!("run {old} still has steps under way; pause it and wait for their end"),
                    )
                    .help("cavalcade pause, then this command again when `cavalcade status` shows none running"));
                }
                (Generation(open.generation.0 + 1), carried_over(open, &plan))
            }
            (Some(open), _) => {
                return Err(Fault::new(
                    codes::run::RUN_OPEN,
                    format!(
                        "fleet {} has the open run {}, started by {} at {}",
                        open.plan.plan.fleet, open.id, open.by, open.opened_at
                    ),
                ));
            }
            (None, Some(old)) => return Err(Fault::new(codes::run::NO_RUN, format!("there is no open run {old} to supersede"))),
            (None, None) => (Generation(0), Vec::new()),
        };
        let run =
            RunId::new(format!("run-{}", plan.sha256.short())).map_err(|e| Fault::new(codes::run::REFUSED, e.to_string()))?;
        if let Some(old) = supersedes {
            self.happen(Event::RunClosed { run: old, result: RunResult::Superseded }).map_err(|why| illegal(&why))?;
        }
        let event = Event::RunOpened {
            run: run.clone(),
            sha256: plan.sha256,
            plan: Box::new(plan.plan),
            generation,
            by: who.clone(),
            scope,
            waived,
            carried,
        };
        self.say(&run, event, "The run is open.")
    }

    /// Another fleet's open run that uses one of the plan's homes or databases (10, rule 19).
    fn busy_with(&self, plan: &HashedPlan) -> Option<&RunState> {
        let homes = |p: &HashedPlan| -> Vec<(String, String)> {
            let sides =
                p.plan.nodes.iter().flat_map(|n| n.new.iter().chain(&n.old).map(move |s| (n.host.to_string(), s.home.clone())));
            let databases = p.plan.databases.values().map(|d| (format!("{}:{}", d.host, d.port), d.database.clone()));
            sides.chain(databases).collect()
        };
        let wanted = homes(plan);
        self.state.open_runs().find(|r| homes(&r.plan).iter().any(|h| wanted.contains(h)))
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

    fn retry(&mut self, run: RunId, step: StepKey, by: Who, why: String, at: Option<u64>) -> Result<Done, Fault> {
        let (planned, state) = self.seen_step(&run, &step, at)?;
        if let Action::Job(job) = &planned.action
            && !job.databases.is_empty()
            && state.attempt > 0
        {
            let names = job.databases.join(", ");
            return Err(Fault::new(
                codes::run::RESTORE_FIRST,
                format!("{step} changed {names} in a way that no ledger of ours knows: restore first"),
            )
            .in_step(&step)
            .help(format!("cavalcade restore {} opens this step again", job.databases.first().map_or("", String::as_str))));
        }
        let says = format!("{step} gets another attempt.");
        self.say(&run, Event::Retried { run: run.clone(), step, by, why }, &says)
    }

    fn skip(&mut self, run: RunId, step: StepKey, by: Who, why: String, at: Option<u64>) -> Result<Done, Fault> {
        let (planned, _) = self.seen_step(&run, &step, at)?;
        if let Some(what) = never_skipped(planned) {
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
        resolution: Resolution,
        why: String,
        at: Option<u64>,
    ) -> Result<Done, Fault> {
        let (planned, state) = self.seen_step(&run, &step, at)?;
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

    fn stop_job(&mut self, run: RunId, step: StepKey, by: Who, why: String, at: Option<u64>) -> Result<Done, Fault> {
        let (planned, state) = self.seen_step(&run, &step, at)?;
        if !matches!(planned.action, Action::Job(_)) || state.phase != Phase::Running {
            return Err(Fault::new(codes::run::NO_JOB, format!("{step} is no running job")).in_step(&step));
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
        if state.step(&backup.key).is_none_or(|s| s.phase != Phase::Succeeded) {
            return Err(Fault::new(
                codes::run::NO_BACKUP,
                format!("the backup of {database} ({}) has not succeeded", backup.key),
            ));
        }
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
                from: format!("{}/{run}", of.to.trim_end_matches('/')),
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
        let database = &restore.database.name;
        let reopened = run
            .plan
            .plan
            .steps()
            .map(|(_, s)| s)
            .filter(|s| s.action.changes(database) || s.action.asserts(database))
            .map(|s| s.key.clone())
            .collect();
        Some(Event::DatabaseRestored { run: run.id.clone(), database: database.clone(), by: Who::policy(), reopened })
    }
}

/// What a step is that nobody may leave out (10, rule 17).
fn never_skipped(step: &PlanStep) -> Option<&'static str> {
    use cavalcade_common::action::ServerOp;
    match &step.action {
        Action::Server(s) if s.op == ServerOp::Down => Some("a proof that an old server is down"),
        Action::Server(s) if s.op == ServerOp::Wait => Some("a proof that a server is up"),
        Action::Backup(_) => Some("a backup"),
        _ if !step.needs.is_empty() && step.action.class() != Class::Redo => Some("a launch behind a permit"),
        _ => None,
    }
}

/// Finished steps of the old run whose id, node and digest are equal in the new plan (10, rule 5).
fn carried_over(old: &RunState, plan: &HashedPlan) -> Vec<StepKey> {
    let finished: BTreeMap<(String, NodeId), cavalcade_common::id::Digest> = old
        .plan
        .plan
        .steps()
        .filter(|(_, s)| old.finished(s))
        .map(|(stage, s)| ((format!("{}/{}", stage.id, s.name), s.key.node.clone()), s.digest()))
        .collect();
    plan.plan
        .steps()
        .filter(|(stage, s)| finished.get(&(format!("{}/{}", stage.id, s.name), s.key.node.clone())) == Some(&s.digest()))
        .map(|(_, s)| s.key.clone())
        .collect()
}

fn illegal(why: &Illegal) -> Fault {
    let code = match why {
        Illegal::NoRun(_) => codes::run::NO_RUN,
        Illegal::NoStep(_) => codes::run::NO_STEP,
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
