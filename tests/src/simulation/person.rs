//! The persons at the screen. Their duties: to decide what only a person can, as the machines really are. Their whims: to
//! pause, cancel, supersede, skip, restore and stop at random moments, twice, and by a screen that is out of date.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cavalcade_agent::host::Host;
use cavalcade_agent::ledger::Ledger;
use cavalcade_common::action::Action;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::AttemptId;
use cavalcade_common::plan::PlanStep;
use cavalcade_controller::event::{Resolution, Scope, Who};
use cavalcade_controller::operate::request::VerbRequest;
use cavalcade_controller::operate::verb;
use cavalcade_controller::rpc::method::Method;
use cavalcade_controller::run::input::{Done, Order, Superseding, Verb};
use cavalcade_controller::run::view::View;
use cavalcade_controller::schedule::wait::WaitKind;
use cavalcade_controller::state::step::{Phase, StepState};
use cavalcade_controller::state::{Mode, RunState};

use super::fleet;
use super::host::SimHost;
use super::machine::{Ender, Fate};
use super::run::{LEDGER, Simulation};
use super::whim::PLANS;

/// A job that shows nothing for this long hangs.
const HANGS: Duration = Duration::from_secs(240);
/// How long the controller's answer is waited for: it may die before.
const ANSWER: Duration = Duration::from_secs(10);

/// What a person is about to do, over several looks at the screen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Intent {
    /// To declare a host lost.
    Lose {
        /// Its agent.
        agent: usize,
        /// Since when it is silent.
        since: Duration,
    },
    /// To supersede the run with another plan.
    Supersede,
}

/// A step that a verb is about, as a person sees it.
pub(super) fn about(run: &RunState, step: &PlanStep, state: &StepState) -> VerbRequest {
    VerbRequest {
        run: Some(run.id.to_string()),
        step: Some(step.key.clone()),
        why: "looked at it".to_owned(),
        at: Some(state.position),
        ..VerbRequest::default()
    }
}

fn resolved(request: VerbRequest, resolution: Resolution) -> (Method, VerbRequest) {
    (Method::Resolve, VerbRequest { resolution: Some(resolution), ..request })
}

fn home_of(step: &PlanStep) -> PathBuf {
    PathBuf::from(fleet::home(step.key.node.as_str()))
}

impl Simulation {
    /// One look at the screen.
    pub(super) async fn persons(&mut self) -> anyhow::Result<()> {
        if self.stormy
            && let Some(view) = self.view()
        {
            self.whim(&view).await?;
        }
        self.pursue().await?;
        self.plan_afresh().await?;
        let Some(view) = self.view() else { return Ok(()) };
        self.enrol_lost(&view)?;
        for run in view.state.open_runs() {
            for step in run.all_steps() {
                let Some(state) = run.step(&step.key) else { continue };
                if let Some((method, request)) = self.duty(&view, run, step, state) {
                    // What is refused is looked at again.
                    let _ = self.say(method, request).await;
                }
            }
            self.resume(run).await;
        }
        self.raise_identity_servers(&view);
        Ok(())
    }

    /// Says a verb as the command line does, below the socket.
    pub(super) async fn say(&mut self, method: Method, request: VerbRequest) -> Result<Done, Fault> {
        let answer = self.asked(method, request).await;
        let word = if answer.is_ok() { "taken" } else { "refused" };
        self.count(format!("{method:?} {word}"));
        answer
    }

    pub(super) async fn asked(&self, method: Method, request: VerbRequest) -> Result<Done, Fault> {
        let verb = verb::verb(method, &request)?;
        self.order(Order { run: request.run, at: request.at, verb }).await
    }

    async fn order(&self, order: Order) -> Result<Done, Fault> {
        let nobody = || Fault::new(codes::operator::NO_CONTROLLER, "no answer");
        let inputs = self.controller.as_ref().map(|c| c.inputs.clone()).ok_or_else(nobody)?;
        let answer = verb::order(&inputs, Who("person".to_owned()), order);
        tokio::time::timeout(ANSWER, answer).await.unwrap_or_else(|_| Err(nobody()))
    }

    /// Applies the plan, or the next one over the open run.
    pub(super) async fn apply(&mut self, words: Option<Superseding>) -> Option<Fault> {
        let plan = match &words {
            None => self.plan.clone(),
            Some(_) => fleet::plan(self.plans + 1).ok()?,
        };
        let superseding = words.is_some();
        let (scope, given) = (Scope::default(), GivenSecrets::default());
        let verb = Verb::Apply { plan: Box::new(plan.clone()), scope, waived: Vec::new(), supersedes: words, given };
        let answer = self.order(Order { run: None, at: None, verb }).await;
        // An answer that was lost is found at the next look: the plan has its run then.
        let open = self.view().is_some_and(|v| v.state.runs.values().any(|r| r.plan.sha256 == plan.sha256));
        if superseding && (answer.is_ok() || open) {
            self.count("superseded");
            self.plans += 1;
            self.plan = plan;
        }
        answer.err()
    }

    /// Behind a run that was cancelled another plan is made on another night, perhaps.
    async fn plan_afresh(&mut self) -> anyhow::Result<()> {
        if self.stormy && self.plans < PLANS && self.cancelled() && self.world.chance(700) {
            self.plans += 1;
            self.plan = fleet::plan(self.plans)?;
            self.count("planned afresh");
            self.apply(None).await;
        }
        Ok(())
    }

    /// What a person has to do about a step.
    fn duty(&mut self, view: &View, run: &RunState, step: &PlanStep, state: &StepState) -> Option<(Method, VerbRequest)> {
        let request = about(run, step, state);
        let waits = view.schedules.get(&run.id)?.waits.iter();
        let why =
            waits.filter(|w| w.step.as_ref() == Some(&step.key) && w.kind == WaitKind::Person).map(|w| w.why.as_str()).next();
        if let Action::Job(_) = &step.action {
            return self.duty_of_job(run, (step, state), why, request);
        }
        match state.phase {
            Phase::Failed if state.failures > step.retry.times || step.effect.is_some() => {
                self.clear_home(step);
                Some((Method::Retry, request))
            }
            Phase::Indeterminate if matches!(step.action, Action::Sql(_)) && self.world.chance(800) => {
                Some(resolved(request, Resolution::Done))
            }
            Phase::Indeterminate => Some(resolved(request, Resolution::NotDone)),
            Phase::Pending if why.is_some_and(|w| w.contains("--why TEXT")) => self.restore(run, step),
            Phase::Pending if why.is_some_and(|w| w.contains("began this effect")) => {
                let ended = self.world.lock().databases.get("am_db").is_some_and(|d| d.script_is_done());
                Some(resolved(request, if ended { Resolution::Done } else { Resolution::NotDone }))
            }
            _ => None,
        }
    }

    fn duty_of_job(
        &mut self,
        run: &RunState,
        (step, state): (&PlanStep, &StepState),
        why: Option<&str>,
        request: VerbRequest,
    ) -> Option<(Method, VerbRequest)> {
        let attempt = AttemptId { run: run.id.clone(), step: step.key.clone(), number: state.attempt };
        let says = |word: &str| why.is_some_and(|w| w.contains(word));
        let migrated = self.world.lock().migrated(&home_of(step));
        match state.phase {
            Phase::Running => self.hangs(step, &attempt).then_some((Method::StopJob, request)),
            Phase::Pending if says("--done") && migrated => Some(resolved(request, Resolution::Done)),
            Phase::Pending if says("--why TEXT") => self.restore(run, step),
            Phase::Pending if says("began this effect") => {
                Some(resolved(request, if migrated { Resolution::Done } else { Resolution::NotDone }))
            }
            Phase::Indeterminate if migrated => Some(resolved(request, Resolution::Done)),
            Phase::Failed | Phase::Indeterminate if self.migrates(step) && self.world.chance(700) => {
                Some((Method::StopJob, request))
            }
            Phase::Failed | Phase::Indeterminate if self.clear_home(step) => None,
            Phase::Failed if says("retry") => Some((Method::Retry, request)),
            Phase::Indeterminate if state.begun.is_none() || self.world.chance(200) => {
                Some(resolved(request, Resolution::NotDone))
            }
            Phase::Failed | Phase::Indeterminate => self.restore(run, step),
            _ => None,
        }
    }

    /// Orders the restore of what a step changes; before that the run has to rest.
    fn restore(&mut self, run: &RunState, step: &PlanStep) -> Option<(Method, VerbRequest)> {
        let name = Some(run.id.to_string());
        if run.any_under_way() {
            let pause = VerbRequest { run: name, ..VerbRequest::default() };
            return matches!(run.mode, Mode::Going).then_some((Method::Pause, pause));
        }
        if run.extra.values().any(|s| !run.finished(s)) {
            return None;
        }
        let databases = match &step.action {
            Action::Job(job) => job.databases.clone(),
            Action::Sql(script) => vec![script.database.name.clone()],
            _ => return None,
        };
        let why = "the migration ended badly".to_owned();
        Some((Method::Restore, VerbRequest { run: name, databases, why, ..VerbRequest::default() }))
    }

    /// A run that rests goes on, once nobody needs it to rest.
    async fn resume(&mut self, run: &RunState) {
        let needed = self.intent.is_some() || self.stormy && self.world.chance(700);
        let waits_for_restore = run.steps.values().any(|s| matches!(s.phase, Phase::Failed | Phase::Indeterminate));
        if matches!(run.mode, Mode::Paused { .. }) && !needed && !(waits_for_restore && run.any_under_way()) {
            // Refused only where somebody acted meanwhile.
            let _ = self.say(Method::Resume, VerbRequest { run: Some(run.id.to_string()), ..VerbRequest::default() }).await;
        }
    }

    /// Whether a job's server migrates now.
    fn migrates(&self, step: &PlanStep) -> bool {
        self.world.lock().server(step.host.as_str(), &home_of(step)).is_some_and(|s| super::machine::migrates(&s.args))
    }

    /// Whether a job under way has shown nothing for long.
    fn hangs(&self, step: &PlanStep, attempt: &AttemptId) -> bool {
        let (now, dir) = (self.world.now(), Path::new("/state/attempts").join(attempt.folder()));
        let mut inner = self.world.lock();
        let held = inner.machine(step.host.as_str()).held.get(&dir).cloned();
        held.is_some_and(|h| h.fate == Fate::Hangs && now.saturating_sub(h.asked) > HANGS)
    }

    /// Ends by hand a server that stands in the way of a step.
    fn clear_home(&mut self, step: &PlanStep) -> bool {
        let (now, host, home) = (self.world.now(), step.host.as_str(), home_of(step));
        let in_the_way = match &step.action {
            Action::Job(_) => true,
            Action::Server(_) => self.migrates(step),
            _ => false,
        };
        let mut inner = self.world.lock();
        let up = in_the_way && inner.server(host, &home).is_some();
        if up {
            inner.stop_server(host, &home, now, Ender::Hand);
        }
        up
    }

    /// Goes on with what a person is about to do.
    async fn pursue(&mut self) -> anyhow::Result<()> {
        match self.intent {
            None => {}
            Some(Intent::Lose { agent, since }) if self.world.now() - since > Duration::from_secs(35) => {
                self.intent = None;
                let host = Some(self.agents[agent].host.to_owned());
                let request = VerbRequest { host, why: "it burned".to_owned(), ..VerbRequest::default() };
                // Whether it was taken, the journal tells.
                let _ = self.say(Method::NodeLost, request).await;
            }
            Some(Intent::Lose { .. }) => {}
            Some(Intent::Supersede) => self.supersede().await,
        }
        Ok(())
    }

    async fn supersede(&mut self) {
        let Some(view) = self.view() else { return };
        let Some(run) = view.state.open_runs().next().filter(|r| !matches!(r.mode, Mode::Cancelling { .. })) else {
            self.intent = None;
            return;
        };
        let drained = !run.any_under_way();
        if !drained && self.world.chance(900) {
            if matches!(run.mode, Mode::Going) {
                // Refused only where somebody acted meanwhile.
                let _ = self.say(Method::Pause, VerbRequest { run: Some(run.id.to_string()), ..VerbRequest::default() }).await;
            }
            if !self.stormy {
                self.intent = None;
            }
            return;
        }
        let all = || vec!["all".to_owned()];
        let (keep, undo) = if self.world.chance(500) { (all(), Vec::new()) } else { (Vec::new(), all()) };
        let words = Superseding { run: run.id.clone(), keep, undo, why: "the recipe was corrected".to_owned() };
        match self.apply(Some(words)).await {
            Some(_) if self.stormy && self.world.chance(800) => self.count("superseding refused"),
            _ => self.intent = None,
        }
    }

    /// A host that counts as lost gets an agent with a new ledger.
    fn enrol_lost(&mut self, view: &View) -> anyhow::Result<()> {
        for i in 0..self.agents.len() {
            let name = self.agents[i].host;
            let lost = view.state.hosts.iter().find(|(host, known)| host.as_str() == name && known.lost.is_some());
            let Some((_, known)) = lost else { continue };
            let bytes = self.world.lock().machine(name).files.get(Path::new(LEDGER)).cloned().unwrap_or_default();
            if Ledger::peek(&bytes)?.incarnation.as_ref() != Some(&known.incarnation) {
                continue;
            }
            self.kill_agent(i);
            self.agents[i].snapshot = None;
            {
                let mut inner = self.world.lock();
                let machine = inner.machine(name);
                machine.files.remove(Path::new(LEDGER));
                machine.crash_in = None;
            }
            let host: Arc<dyn Host> = SimHost::new(&self.world, name);
            Ledger::create(host.as_ref(), Path::new(LEDGER))?;
        }
        Ok(())
    }

    /// Identity Servers that the run has started and somebody stopped are started again by hand.
    fn raise_identity_servers(&self, view: &View) {
        let started = |r: &RunState| {
            let is_up = r.plan.plan.stages.iter().find(|g| g.id.as_str() == "start-is");
            is_up.is_some_and(|g| r.stages_finished().contains(&g.number))
        };
        if !view.state.open_runs().any(started) || self.world.chance(800) {
            return;
        }
        let now = self.world.now();
        for name in fleet::IS {
            let (mut inner, home) = (self.world.lock(), PathBuf::from(fleet::home(name)));
            // Where the steps were skipped that would have done it.
            if inner.server(name, &home).is_some_and(|s| super::machine::migrates(&s.args)) {
                inner.stop_server(name, &home, now, Ender::Hand);
            }
            inner.start_by_hand(name, &home, now);
        }
    }
}
