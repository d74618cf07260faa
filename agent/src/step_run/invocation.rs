//! One invocation: which run it is, the executor that it works with, and how it ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use cavalcade_common::codes::agent as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{Digest, RunId};
use cavalcade_common::plan::PlanStep;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::artifacts::Folder;
use super::console::{Console, talk};
use super::decisions;
use super::homes::HeldHomes;
use super::input::Input;
use super::permit::Answerer;
use super::state::Chosen;
use super::steps::Runner;
use super::{Exit, Options, Stopped};
use crate::artifact_cache::ArtifactCache;
use crate::executor::bugs::Bugs;
use crate::executor::{Executor, LineOrigin, Parts};
use crate::host::Host;
use crate::host::secrets::HostSecrets;
use crate::host::spool::Spool;
use crate::ledger::Ledger;
use crate::ledger::state::{LedgerState, Phase};
use crate::logs::SpooledLines;

/// Beginning of the names of runs by hand.
const RUN_PREFIX: &str = "step-";

/// Runs all steps.
///
/// # Errors
/// Those before the first step, and those of the ledger.
pub(super) async fn run(
    options: &Options,
    input: Input,
    place: Chosen,
    ledger: Ledger,
    held: HeldHomes,
    changed: &mut String,
) -> Result<Exit, Stopped> {
    let input = Arc::new(input);
    decisions::check(options, &input.list.steps, ledger.state())?;
    let mut signals = Signals::new()?;
    let run = run_of(ledger.state(), &input.list.steps)?;
    let host: Arc<dyn Host> = Arc::new(held);
    let console = console(&input, &run, &place, &host)?;
    let executor = Executor::new(Parts {
        host: host.clone(),
        state_dir: place.dir.clone(),
        ledger,
        artifacts: Arc::new(ArtifactCache::new(host, Folder(options.artifacts.clone()))),
        lines: console.clone(),
        secrets: Arc::new(HostSecrets),
        bugs: Bugs::default(),
    });
    if place.taken_over {
        let why = options.why.as_deref().unwrap_or_default();
        console.say(&origin(&input, &run), &format!("{} takes over with step run: {why}", decisions::who()));
    }
    drop_unbegun(&executor, &run)?;
    others_open(executor.ledger().state(), &run, &input);
    executor.adopt();
    let answerer = Answerer { executor: executor.clone(), run: run.clone(), input: input.clone() };
    let answers = tokio::spawn(answerer.serve());
    let mut runner = Runner::new(options, input, executor.clone(), console, run);
    let ended = tokio::select! {
        biased;
        () = signals.any() => None,
        ended = runner.all(changed) => Some(ended),
    };
    answers.abort();
    executor.abort();
    ended.unwrap_or_else(|| {
        talk(&format!("left. {changed}"));
        talk("Servers and jobs that were started go on. The same command again takes up what is open.");
        Ok(Exit::Left)
    })
}

/// The run: one for each invocation of the same resolved steps. An invocation that was interrupted in the middle of a step
/// goes on as the same run.
fn run_of(state: &LedgerState, steps: &[PlanStep]) -> Result<RunId, Stopped> {
    let digest = Digest::of(&serde_json::to_vec(steps).unwrap_or_default());
    let prefix = format!("{RUN_PREFIX}{}-", &digest.as_str()[..12]);
    let ours = state.attempts.iter().filter_map(|(id, attempt)| {
        let number: u64 = id.run.as_str().strip_prefix(&prefix)?.parse().ok()?;
        Some((number, matches!(attempt.phase, Phase::Accepted | Phase::Intended)))
    });
    let (last, open) = ours.fold((0, false), |(last, open), (number, is_open)| match number.cmp(&last) {
        std::cmp::Ordering::Less => (last, open),
        std::cmp::Ordering::Equal => (last, open || is_open),
        std::cmp::Ordering::Greater => (number, is_open),
    });
    let number = if open { last } else { last + 1 };
    RunId::new(format!("{prefix}{number}"))
        .map_err(|e| Stopped::new(Exit::Failed, Fault::new(codes::SPOOL, format!("the run has no name: {e}"))))
}

fn console(input: &Input, run: &RunId, place: &Chosen, host: &Arc<dyn Host>) -> Result<Arc<Console>, Stopped> {
    let steps = input.list.steps.iter();
    let names: BTreeMap<_, _> =
        steps.map(|s| ((run.to_string(), format!("{}.{}", s.key.stage, s.key.step)), s.name.to_string())).collect();
    let spool = if place.taken_over {
        let spool = Spool::open(&place.dir.join("spool"))
            .map_err(|e| Stopped::new(Exit::Failed, Fault::new(codes::SPOOL, format!("the agent's spool: {e}"))))?;
        Some(SpooledLines { host: host.clone(), spool: Arc::new(spool) })
    } else {
        None
    };
    Ok(Console::new(names, spool))
}

fn origin(input: &Input, run: &RunId) -> LineOrigin {
    LineOrigin { node: input.names.node.clone(), run: run.clone(), step: String::new(), attempt: 0 }
}

/// Attempts of other invocations in which nothing began: nobody comes back to them, since the same steps begin anew.
fn drop_unbegun(executor: &Executor, run: &RunId) -> Result<(), Stopped> {
    let (unbegun, epoch) = {
        let ledger = executor.ledger();
        let state = ledger.state();
        let others = state.attempts.iter().filter(|(id, attempt)| {
            attempt.phase == Phase::Accepted && id.run.as_str().starts_with(RUN_PREFIX) && id.run != *run
        });
        (others.map(|(id, _)| id.clone()).collect::<Vec<_>>(), state.epoch)
    };
    unbegun.iter().try_for_each(|attempt| executor.withdraw(attempt, epoch)).map_err(|e| Stopped::new(Exit::Failed, e.fault()))
}

/// Says what else is open in this ledger. What lives of it is followed, and steps of the same node wait for its end;
/// nothing of it is begun here.
fn others_open(state: &LedgerState, run: &RunId, input: &Input) {
    let others = state.attempts.iter().filter(|(id, a)| id.run != *run && matches!(a.phase, Phase::Accepted | Phase::Intended));
    for (id, attempt) in others {
        let name = attempt.offer.as_ref().map_or_else(|| id.step.to_string(), |o| o.step.name.to_string());
        let waits = if id.step.node == input.names.node { "; if it lives, these steps wait for its end" } else { "" };
        talk(&format!("open in this ledger: {name} ({id}){waits}"));
    }
}

/// Signals that mean: leave. A hang-up keeps its default, so that `nohup` works: it ends this process, which is the same.
struct Signals([Signal; 2]);

impl Signals {
    fn new() -> Result<Self, Stopped> {
        let cannot = |e| Stopped::new(Exit::Failed, Fault::new(codes::SPOOL, format!("signals cannot be heard: {e}")));
        let of = |kind| signal(kind).map_err(cannot);
        Ok(Self([of(SignalKind::interrupt())?, of(SignalKind::terminate())?]))
    }

    async fn any(&mut self) {
        let [int, term] = &mut self.0;
        tokio::select! {
            biased;
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    }
}
