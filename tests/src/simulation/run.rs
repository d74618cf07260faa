//! One seed from beginning to end: the controller and the agents live, die and come back; a person decides what is left
//! open; then the checkers read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_agent::action::{ArtifactSource, Failure, OutputSink};
use cavalcade_agent::executor::{Executor, LineOrigin, LineSink, Parts, SecretResolver};
use cavalcade_agent::host::Host;
use cavalcade_agent::ledger::Ledger;
use cavalcade_agent::link::session::{Answers, Identity, keep};
use cavalcade_common::action::ArtifactRef;
use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{AttemptId, HostId};
use cavalcade_common::message::{Answer, Ask, Seen};
use cavalcade_common::plan::{HashedPlan, Probe};
use cavalcade_common::secret::{SecretBook, SecretRef};
use cavalcade_controller::event::{Event, Resolution, Scope, Who};
use cavalcade_controller::journal::{Journal, MemoryJournal};
use cavalcade_controller::run::input::{Input, Order, Verb};
use cavalcade_controller::run::view::View;
use cavalcade_controller::run::{RunLoop, WallClock};
use cavalcade_controller::session::Sessions;
use cavalcade_controller::state::step::Phase;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::SeededBug;
use super::check::{Record, violations};
use super::fleet;
use super::host::{SimHost, wall};
use super::machine::{Witnessed, World};
use super::network::{SimDial, Switchboard, Weather};

/// Faults happen during this virtual time; then everything is repaired.
const STORM: Duration = Duration::from_secs(900);
/// After the repair the run must end within this virtual time.
const CALM: Duration = Duration::from_secs(3600);

/// What a seed showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The seed.
    pub seed: u64,
    /// One line for each thing that the machines did, and each event of the journal.
    pub lines: Vec<String>,
    /// What was violated.
    pub violations: Vec<String>,
    /// Deaths of controller and agents.
    pub deaths: u32,
}

/// Runs one seed.
///
/// # Errors
/// Those of building the simulation; violations are in the trace.
pub fn simulate(seed: u64, bug: Option<SeededBug>) -> anyhow::Result<Trace> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let trace = runtime.block_on(run(seed, bug));
    runtime.shutdown_background();
    trace
}

struct SimClock(Arc<World>);

impl WallClock for SimClock {
    fn now(&self) -> Timestamp {
        wall(&self.0)
    }
}

struct Nothing;

#[async_trait]
impl ArtifactSource for Nothing {
    async fn fetch(&self, _: &ArtifactRef, _: &Path, _: &dyn OutputSink) -> Result<PathBuf, Failure> {
        Err(Failure::NotBegun { why: "the simulation has no artifacts".to_owned() })
    }
}

impl LineSink for Nothing {
    fn line(&self, _: &LineOrigin, _: &str, _: &str) {}
}

#[async_trait]
impl SecretResolver for Nothing {
    async fn resolve(&self, _: &std::collections::BTreeMap<String, SecretRef>) -> Result<SecretBook, Fault> {
        Ok(SecretBook::default())
    }
}

struct Looks(Arc<dyn Host>);

#[async_trait]
impl Answers for Looks {
    async fn answer(&self, _: Ask) -> Result<Answer, String> {
        Err("the simulation asks nothing".to_owned())
    }
    async fn probe(&self, probe: Option<Probe>, old_home: Option<String>) -> Seen {
        cavalcade_agent::probe::probe(self.0.as_ref(), probe.as_ref(), old_home.as_deref()).await
    }
    async fn stop_job(&self, _: AttemptId, _: String) {}
}

struct Agent {
    host: &'static str,
    /// Nobody starts it again before this time.
    down_until: Duration,
    executor: Option<Arc<Executor>>,
    link: Option<JoinHandle<()>>,
}

struct Controller {
    inputs: mpsc::Sender<Input>,
    view: watch::Receiver<Arc<View>>,
    run_loop: JoinHandle<()>,
}

struct Simulation {
    world: Arc<World>,
    journal: Arc<MemoryJournal>,
    board: Arc<Switchboard>,
    sessions: watch::Sender<Option<Sessions>>,
    weather: watch::Sender<Weather>,
    agents: Vec<Agent>,
    controller: Option<Controller>,
    plan: HashedPlan,
    bug: Option<SeededBug>,
    deaths: u32,
}

async fn run(seed: u64, bug: Option<SeededBug>) -> anyhow::Result<Trace> {
    let mut sim = Simulation::new(seed, bug)?;
    let begin = sim.world.now();
    while sim.world.now() - begin < STORM && !sim.closed() {
        sim.disturb().await?;
        sim.revive().await?;
        let pause = 500 + sim.world.below(15_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        sim.person().await;
    }
    sim.weather.send_replace(Weather { lost: 0, doubled: 0, late: 0 });
    sim.agents.iter_mut().for_each(|a| a.down_until = Duration::ZERO);
    let calm = sim.world.now();
    while sim.world.now() - calm < CALM && !sim.closed() {
        sim.revive().await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        sim.person().await;
    }
    sim.finish(seed).await
}

impl Simulation {
    fn new(seed: u64, bug: Option<SeededBug>) -> anyhow::Result<Self> {
        let hosts = fleet::hosts();
        let world = World::new(seed, &hosts);
        let (sessions, sessions_seen) = watch::channel(None);
        let rough = Weather { lost: world.below(60), doubled: world.below(60), late: world.below(40) };
        let (weather, weather_seen) = watch::channel(rough);
        let board = Arc::new(Switchboard {
            world: world.clone(),
            sessions: sessions_seen,
            controller_tasks: Arc::new(Mutex::new(JoinSet::new())),
            weather: weather_seen,
        });
        for host in &hosts {
            let sim: Arc<dyn Host> = SimHost::new(&world, host);
            Ledger::create(sim.as_ref(), Path::new("/state/ledger"))?;
        }
        let agents =
            hosts.into_iter().map(|host| Agent { host, down_until: Duration::ZERO, executor: None, link: None }).collect();
        let (journal, plan) = (Arc::new(MemoryJournal::new(Arc::new(|_| ()))), fleet::plan()?);
        Ok(Self { world, journal, board, sessions, weather, agents, controller: None, plan, bug, deaths: 0 })
    }

    /// Brings back whatever is dead, sooner or later.
    async fn revive(&mut self) -> anyhow::Result<()> {
        if self.controller.as_ref().is_some_and(|c| c.run_loop.is_finished()) {
            self.kill_controller();
        }
        if self.controller.is_none() {
            self.start_controller().await?;
        }
        for i in 0..self.agents.len() {
            if self.agents[i].link.as_ref().is_some_and(JoinHandle::is_finished) {
                self.kill_agent(i);
            }
            if self.agents[i].link.is_none() && self.agents[i].down_until <= self.world.now() {
                self.start_agent(i)?;
            }
        }
        Ok(())
    }

    async fn start_controller(&mut self) -> anyhow::Result<()> {
        let (inputs, taken) = mpsc::channel(256);
        let (publish, view) = watch::channel(Arc::new(View::default()));
        let clock = Arc::new(SimClock(self.world.clone()));
        let run_loop = RunLoop::open(self.journal.clone(), clock, taken, publish).await?;
        let run_loop = tokio::spawn(async move {
            // A journal that fails ends the controller; the simulation sees that its task ended.
            let _ = run_loop.run().await;
        });
        self.sessions.send_replace(Some(Sessions::new(inputs.clone())));
        self.controller = Some(Controller { inputs, view, run_loop });
        let plan = Box::new(self.plan.clone());
        let (scope, given) = (Scope::default(), GivenSecrets::default());
        self.verb(Verb::Apply { plan, scope, waived: Vec::new(), supersedes: None, given }, None).await;
        Ok(())
    }

    fn kill_controller(&mut self) {
        self.deaths += 1;
        self.sessions.send_replace(None);
        if let Some(controller) = self.controller.take() {
            controller.run_loop.abort();
        }
        self.board.controller_tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    fn start_agent(&mut self, i: usize) -> anyhow::Result<()> {
        let name = self.agents[i].host;
        let host: Arc<dyn Host> = SimHost::new(&self.world, name);
        let ledger = Ledger::open(host.as_ref(), Path::new("/state/ledger"))?;
        let parts = Parts {
            host: host.clone(),
            state_dir: PathBuf::from("/state"),
            ledger,
            artifacts: Arc::new(Nothing),
            lines: Arc::new(Nothing),
            secrets: Arc::new(Nothing),
            bugs: self.bugs(),
        };
        let executor = Executor::new(parts);
        executor.adopt();
        let identity = Identity { host: HostId::new(name)?, program: "simulated".to_owned() };
        let dial = Arc::new(SimDial { host: identity.host.clone(), board: self.board.clone() });
        let (kept, looks) = (executor.clone(), Arc::new(Looks(host)));
        let link = tokio::spawn(async move {
            // Returns when the ledger failed: the agent is dead then, and the simulation brings it back.
            let _ = keep(kept, identity, dial, looks).await;
        });
        self.agents[i].executor = Some(executor);
        self.agents[i].link = Some(link);
        Ok(())
    }

    fn bugs(&self) -> cavalcade_agent::executor::bugs::Bugs {
        cavalcade_agent::executor::bugs::Bugs {
            dedupe_left_out: self.bug == Some(SeededBug::DedupeLeftOut),
            redo_after_intent: self.bug == Some(SeededBug::RedoAfterIntent),
            permit_left_out: self.bug == Some(SeededBug::PermitLeftOut),
        }
    }

    fn kill_agent(&mut self, i: usize) {
        self.deaths += 1;
        let pause = if self.world.chance(300) { 30_000 + self.world.below(120_000) } else { 0 };
        let agent = &mut self.agents[i];
        agent.down_until = self.world.now() + Duration::from_millis(pause);
        self.world.lock().machine(agent.host).life += 1;
        if let Some(executor) = agent.executor.take() {
            executor.abort();
        }
        if let Some(link) = agent.link.take() {
            link.abort();
        }
    }

    /// One disturbance, as the seed says.
    async fn disturb(&mut self) -> anyhow::Result<()> {
        let which = usize::try_from(self.world.below(self.agents.len() as u64))?;
        match self.world.below(10) {
            0 => self.kill_controller(),
            1 | 2 => self.kill_agent(which),
            3 | 4 => {
                let after = 1 + u32::try_from(self.world.below(6))?;
                let host = self.agents[which].host;
                self.world.lock().machine(host).crash_in = Some(after);
            }
            5 => {
                // An Identity Server is stopped by hand, and perhaps started again: by its plan it should be up.
                let now = self.world.now();
                let name = fleet::IS[usize::try_from(self.world.below(2))?];
                let (is, home) = (name, PathBuf::from(format!("/opt/{name}/wso2is-5.11.0")));
                let mut inner = self.world.lock();
                let migrates =
                    inner.machine(is).servers.get(&home).is_some_and(|s| s.args.iter().any(|a| a.starts_with("-Dmigrate")));
                if !migrates {
                    inner.stop_server(is, &home, now);
                }
            }
            6 => {
                let now = self.world.now();
                let host = self.agents[which].host;
                self.kill_agent(which);
                self.world.lock().power_loss(host, now);
            }
            7 => {
                // All sessions break.
                self.board.controller_tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
            }
            _ => {}
        }
        Ok(())
    }

    fn closed(&self) -> bool {
        self.controller.as_ref().is_some_and(|c| {
            let view = c.view.borrow();
            !view.state.runs.is_empty() && view.state.runs.values().all(cavalcade_controller::state::RunState::is_closed)
        })
    }

    async fn verb(&self, verb: Verb, at: Option<u64>) {
        let Some(controller) = &self.controller else { return };
        let (reply, answer) = oneshot::channel();
        let who = Who("person".to_owned());
        let order = Box::new(Order { run: None, at, verb });
        if controller.inputs.send(Input::Verb { who, order, reply }).await.is_ok() {
            // The controller may die before it answers; the person looks again later.
            let _ = tokio::time::timeout(Duration::from_secs(10), answer).await;
        }
    }

    /// The person at the screen: puts servers up again that were stopped, and decides what only a person can.
    async fn person(&mut self) {
        let Some(controller) = &self.controller else { return };
        let view = controller.view.borrow().clone();
        for run in view.state.open_runs() {
            for step in run.all_steps() {
                let Some(state) = run.step(&step.key) else { continue };
                let verb = match state.phase {
                    Phase::Failed if state.failures > step.retry.times || step.effect.is_some() => {
                        Verb::Retry { step: step.key.clone(), why: "again".to_owned() }
                    }
                    Phase::Indeterminate => {
                        let resolution = if self.work_done() { Resolution::Done } else { Resolution::NotDone };
                        Verb::Resolve { step: step.key.clone(), resolution, evidence: false, why: "looked at it".to_owned() }
                    }
                    _ => continue,
                };
                self.verb(verb, Some(state.position)).await;
            }
        }
        self.raise_identity_servers(&view);
    }

    /// Identity Servers that the run has started and somebody stopped are started again by hand.
    fn raise_identity_servers(&self, view: &View) {
        let started = view.state.open_runs().any(|r| [1, 2].iter().all(|number| r.stages_finished().contains(number)));
        if !started || self.world.chance(800) {
            return;
        }
        let now = self.world.now();
        for name in fleet::IS {
            self.world.lock().start_by_hand(name, &PathBuf::from(format!("/opt/{name}/wso2is-5.11.0")), now);
        }
    }

    fn work_done(&self) -> bool {
        self.world.lock().witness.iter().any(|(_, w)| matches!(w, Witnessed::WorkDone { .. }))
    }

    async fn finish(self, seed: u64) -> anyhow::Result<Trace> {
        let mut witness = self.world.lock().witness.clone();
        witness.sort_by_key(|(at, _)| *at);
        let mut events = Vec::new();
        for entry in self.journal.read(1, u32::MAX).await? {
            events.push((entry.at, Event::read(entry.kind, entry.body)?));
        }
        let silent = self.silent();
        let closed = self.closed();
        let mut lines: Vec<String> = witness.iter().map(|(at, w)| format!("{:>8} machine {w:?}", at.as_millis())).collect();
        lines.extend(
            events.iter().filter(|(_, e)| !matches!(e, Event::RunOpened { .. })).map(|(at, e)| format!("{at} journal {e:?}")),
        );
        let record = Record { witness, events: events.into_iter().map(|(_, e)| e).collect(), closed, silent };
        Ok(Trace { seed, lines, violations: violations(&record), deaths: self.deaths })
    }

    /// Steps that are neither finished nor under way nor named among what waits, with all steps before them finished.
    fn silent(&self) -> Vec<String> {
        let Some(controller) = &self.controller else { return vec!["the controller".to_owned()] };
        let view = controller.view.borrow();
        let mut silent = Vec::new();
        for run in view.state.open_runs() {
            let waits = view.schedules.get(&run.id).map(|s| s.waits.clone()).unwrap_or_default();
            for (stage, step) in run.plan.plan.steps() {
                let phase = run.step(&step.key).map(|s| s.phase);
                let named =
                    waits.iter().any(|w| w.step.as_ref() == Some(&step.key) || (w.step.is_none() && w.stage == stage.number));
                let first = stage.steps.iter().filter(|s| s.key.node == step.key.node).find(|s| !run.finished(s));
                let is_first = first.is_some_and(|f| f.key == step.key);
                if is_first && !named && !phase.is_some_and(Phase::is_under_way) {
                    silent.push(step.key.to_string());
                }
            }
        }
        silent
    }
}
