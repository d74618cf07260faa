//! One seed from beginning to end: the controller and the agents live, die and come back; persons say what persons say;
//! then the checkers read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cavalcade_agent::answers::HostAnswers;
use cavalcade_agent::executor::{Executor, Parts};
use cavalcade_agent::host::Host;
use cavalcade_agent::ledger::Ledger;
use cavalcade_agent::link::session::{Identity, keep};
use cavalcade_common::id::HostId;
use cavalcade_common::plan::HashedPlan;
use cavalcade_controller::event::{Event, RunResult};
use cavalcade_controller::journal::{Journal, MemoryJournal};
use cavalcade_controller::run::RunLoop;
use cavalcade_controller::run::input::Input;
use cavalcade_controller::run::view::View;
use cavalcade_controller::session::Sessions;
use cavalcade_controller::state::{Mode, RunState};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::SeededBug;
use super::check::{Record, violations};
use super::fleet;
use super::host::SimHost;
use super::machine::World;
use super::network::{SimDial, Switchboard, Weather};
use super::parts::{Nothing, SimClock};
use super::person::Intent;
use super::watch::Silence;

/// Faults happen during this virtual time; then everything is repaired.
const STORM: Duration = Duration::from_secs(1200);
/// After the repair the run must end within this virtual time.
const CALM: Duration = Duration::from_secs(2 * 3600);
/// How long a run that was cancelled is watched: nothing of it may start.
const AFTER: Duration = Duration::from_secs(180);

/// Where an agent's ledger is.
pub(super) const LEDGER: &str = "/state/ledger";

/// What a seed showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The seed.
    pub seed: u64,
    /// One line for each thing that the machines did, and each event of the journal.
    pub lines: Vec<String>,
    /// What was violated.
    pub violations: Vec<String>,
    /// How often each thing happened: deaths, verbs, results.
    pub counts: BTreeMap<String, u32>,
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

pub(super) struct Agent {
    pub(super) host: &'static str,
    /// Nobody starts it again before this time.
    pub(super) down_until: Duration,
    pub(super) executor: Option<Arc<Executor>>,
    pub(super) link: Option<JoinHandle<()>>,
    /// An older state of its ledger, as a snapshot of the machine holds it.
    pub(super) snapshot: Option<Vec<u8>>,
}

pub(super) struct Controller {
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) view: watch::Receiver<Arc<View>>,
    run_loop: JoinHandle<()>,
}

pub(super) struct Simulation {
    pub(super) world: Arc<World>,
    pub(super) journal: Arc<MemoryJournal>,
    pub(super) board: Arc<Switchboard>,
    sessions: watch::Sender<Option<Sessions>>,
    weather: watch::Sender<Weather>,
    pub(super) agents: Vec<Agent>,
    pub(super) controller: Option<Controller>,
    /// The plan that is applied; each superseding one takes its place.
    pub(super) plan: HashedPlan,
    pub(super) plans: usize,
    bug: Option<SeededBug>,
    pub(super) counts: BTreeMap<String, u32>,
    /// What was violated while it ran.
    pub(super) found: Vec<String>,
    /// What a person is about to do.
    pub(super) intent: Option<Intent>,
    /// Whether faults and whims go on.
    pub(super) stormy: bool,
}

async fn run(seed: u64, bug: Option<SeededBug>) -> anyhow::Result<Trace> {
    let mut sim = Simulation::new(seed, bug)?;
    let begin = sim.world.now();
    while sim.world.now() - begin < STORM && !sim.closed() {
        sim.disturb().await?;
        sim.revive().await?;
        let pause = 500 + sim.world.below(15_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        sim.persons().await?;
    }
    sim.stormy = false;
    sim.weather.send_replace(Weather::CALM);
    sim.agents.iter_mut().for_each(|a| a.down_until = Duration::ZERO);
    let (calm, mut silence) = (sim.world.now(), Silence::default());
    while sim.world.now() - calm < CALM && !sim.closed() {
        sim.revive().await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        sim.listen(&mut silence);
        sim.persons().await?;
    }
    let after = sim.world.now();
    while sim.cancelled() && sim.world.now() - after < AFTER {
        sim.revive().await?;
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
    sim.finish(seed).await
}

impl Simulation {
    fn new(seed: u64, bug: Option<SeededBug>) -> anyhow::Result<Self> {
        let hosts = fleet::hosts();
        let world = World::new(seed, &hosts);
        world.lock().keeps_incarnations = bug == Some(SeededBug::IncarnationKept);
        let (sessions, sessions_seen) = watch::channel(None);
        let rough = Weather { lost: world.below(60), doubled: world.below(60), late: world.below(40), stale: world.below(40) };
        let (weather, weather_seen) = watch::channel(rough);
        let board = Arc::new(Switchboard {
            world: world.clone(),
            sessions: sessions_seen,
            controller_tasks: Arc::new(Mutex::new(JoinSet::new())),
            weather: weather_seen,
            carried: Mutex::default(),
            old: Mutex::default(),
        });
        for host in &hosts {
            let sim: Arc<dyn Host> = SimHost::new(&world, host);
            Ledger::create(sim.as_ref(), Path::new(LEDGER))?;
        }
        let agent = |host| Agent { host, down_until: Duration::ZERO, executor: None, link: None, snapshot: None };
        let agents = hosts.into_iter().map(agent).collect();
        let (journal, plan) = (Arc::new(MemoryJournal::new(Arc::new(|_| ()))), fleet::plan(1)?);
        let (counts, found) = (BTreeMap::new(), Vec::new());
        Ok(Self {
            world,
            journal,
            board,
            sessions,
            weather,
            agents,
            controller: None,
            plan,
            plans: 1,
            bug,
            counts,
            found,
            intent: None,
            stormy: true,
        })
    }

    pub(super) fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
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
        // A disk that failed its last write is sound for the next controller.
        self.journal = Arc::new(self.journal.restart(Arc::new(|_| ())));
        let (inputs, taken) = mpsc::channel(256);
        let (publish, view) = watch::channel(Arc::new(View::default()));
        let clock = Arc::new(SimClock(self.world.clone()));
        let Ok(run_loop) = RunLoop::open(self.journal.clone(), clock, taken, publish).await else {
            // Its first write failed.
            self.count("controllers that died at their start");
            return Ok(());
        };
        let run_loop = run_loop.with_bugs(SeededBug::of_controller(self.bug));
        let run_loop = tokio::spawn(async move {
            // A journal that fails ends the controller; the simulation sees that its task ended.
            let _ = run_loop.run().await;
        });
        self.sessions.send_replace(Some(Sessions::new(inputs.clone())));
        self.controller = Some(Controller { inputs, view, run_loop });
        self.apply(None).await;
        Ok(())
    }

    pub(super) fn kill_controller(&mut self) {
        self.count("deaths of controllers");
        self.sessions.send_replace(None);
        if let Some(controller) = self.controller.take() {
            controller.run_loop.abort();
        }
        self.board.controller_tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    fn start_agent(&mut self, i: usize) -> anyhow::Result<()> {
        let name = self.agents[i].host;
        let host: Arc<dyn Host> = SimHost::new(&self.world, name);
        let ledger = Ledger::open(host.as_ref(), Path::new(LEDGER))?;
        let state_dir = PathBuf::from("/state");
        let parts = Parts {
            host: host.clone(),
            state_dir: state_dir.clone(),
            ledger,
            artifacts: Arc::new(Nothing),
            lines: Arc::new(Nothing),
            secrets: Arc::new(Nothing),
            bugs: SeededBug::of_agent(self.bug),
        };
        let executor = Executor::new(parts);
        executor.adopt();
        let identity = Identity { host: HostId::new(name)?, program: "simulated".to_owned() };
        let dial = Arc::new(SimDial { host: identity.host.clone(), board: self.board.clone() });
        let (artifacts, secrets) = (Arc::new(Nothing), Arc::new(Nothing));
        let answers = Arc::new(HostAnswers { host, state_dir, artifacts, secrets, executor: executor.clone() });
        let kept = executor.clone();
        let link = tokio::spawn(async move {
            // Returns when the ledger failed: the agent is dead then, and the simulation brings it back.
            let _ = keep(kept, identity, dial, answers).await;
        });
        self.agents[i].executor = Some(executor);
        self.agents[i].link = Some(link);
        Ok(())
    }

    pub(super) fn kill_agent(&mut self, i: usize) {
        self.count("deaths of agents");
        let pause = if self.stormy && self.world.chance(300) { 30_000 + self.world.below(120_000) } else { 0 };
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

    pub(super) fn view(&self) -> Option<Arc<View>> {
        self.controller.as_ref().map(|c| c.view.borrow().clone())
    }

    /// Whether all runs are over.
    fn closed(&self) -> bool {
        self.view().is_some_and(|view| !view.state.runs.is_empty() && view.state.open_runs().next().is_none())
    }

    /// Whether the run of the last plan was cancelled.
    pub(super) fn cancelled(&self) -> bool {
        let last = |r: &RunState| r.plan.sha256 == self.plan.sha256 && r.mode == Mode::Closed(RunResult::Cancelled);
        self.view().is_some_and(|view| view.state.runs.values().any(last))
    }

    async fn finish(mut self, seed: u64) -> anyhow::Result<Trace> {
        let mut witness = self.world.lock().witness.clone();
        witness.sort_by_key(|(at, _)| *at);
        let mut events = Vec::new();
        for entry in self.journal.read(1, u32::MAX).await? {
            events.push((entry.at, Event::read(entry.kind, entry.body)?));
        }
        let result = if self.cancelled() { "seeds cancelled" } else { "seeds done" };
        self.count(if self.closed() { result } else { "seeds without an end" });
        let mut lines: Vec<String> = witness.iter().map(|(at, w)| format!("{:>8} machine {w:?}", at.as_millis())).collect();
        lines.extend(
            events.iter().filter(|(_, e)| !matches!(e, Event::RunOpened { .. })).map(|(at, e)| format!("{at} journal {e:?}")),
        );
        let carried = self.board.carried.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ledgers = {
            let mut inner = self.world.lock();
            let mut file = |host: &str| inner.machine(host).files.get(Path::new(LEDGER)).cloned();
            fleet::hosts().into_iter().filter_map(|host| Some((host.to_owned(), file(host)?))).collect()
        };
        let record = Record { witness, events, carried, ledgers, open: self.open() };
        let mut all = self.found;
        all.extend(violations(&record));
        Ok(Trace { seed, lines, violations: all, counts: self.counts })
    }
}
