//! Which ledger is used: one of its own in a folder of its own, or the agent's (10, rule 18).

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cavalcade_common::codes::agent as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::AttemptId;

use super::input::Input;
use super::{Exit, Options, Stopped, homes};
use crate::daemon::LEDGER;
use crate::host::real::RealHost;
use crate::ledger::state::LedgerState;
use crate::ledger::{Ledger, LedgerError};
use crate::link::identity::Identity;

/// The state folder.
pub(super) struct Chosen {
    /// Where it is.
    pub(super) dir: PathBuf,
    /// Whether it is the agent's.
    pub(super) taken_over: bool,
}

/// Chooses the state folder; nothing is made yet.
///
/// # Errors
/// A take-over that is needed or not possible, names of another host, no folder.
pub(super) fn choose(options: &Options, input: &Input) -> Result<Chosen, Stopped> {
    if options.take_over {
        let dir = absolute(options.state.as_ref().unwrap_or(&options.agent_state))?;
        if !dir.join(LEDGER).exists() {
            return Err(Stopped::refused(Fault::new(
                codes::NO_LEDGER_HERE,
                format!("{} holds no agent's ledger", dir.display()),
            )));
        }
        same_host(&dir, input)?;
        return Ok(Chosen { dir, taken_over: true });
    }
    let dir = match &options.state {
        Some(dir) => absolute(dir)?,
        None => own()?,
    };
    let agent = absolute(&options.agent_state)?;
    if Identity::exists(&dir).unwrap_or(false) || dir == agent {
        let text = format!("{} is the state folder of this host's agent", dir.display());
        return Err(Stopped::refused(Fault::new(codes::TAKE_OVER_NEEDED, text)));
    }
    agent_has_it(&agent, input)?;
    Ok(Chosen { dir, taken_over: false })
}

fn absolute(dir: &Path) -> Result<PathBuf, Stopped> {
    std::path::absolute(dir).map_err(|e| unusable(dir, &e))
}

/// The state folder that a run would use, if it can be told; for a preview.
pub(super) fn dir_of(options: &Options) -> Option<PathBuf> {
    match (&options.state, options.take_over) {
        (Some(dir), _) => Some(dir.clone()),
        (None, true) => Some(options.agent_state.clone()),
        (None, false) => own().ok(),
    }
}

/// What its ledger says, without opening it; `None` where there is none.
pub(super) fn look(options: &Options) -> Option<LedgerState> {
    let bytes = std::fs::read(dir_of(options)?.join(LEDGER)).ok()?;
    Ledger::peek(&bytes).ok()
}

/// The user's own folder.
fn own() -> Result<PathBuf, Stopped> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    base.map(|base| base.join("cavalcade-step")).ok_or_else(|| {
        let fault = Fault::new(codes::SPOOL, "there is no folder for the ledger: neither XDG_STATE_HOME nor HOME is set");
        Stopped::new(Exit::Usage, fault.help("name one with --state"))
    })
}

/// The names are those of a node of this agent's host: an effect's key holds the host.
fn same_host(dir: &Path, input: &Input) -> Result<(), Stopped> {
    if !Identity::exists(dir).unwrap_or(false) {
        return Ok(());
    }
    let identity = Identity::load(dir).map_err(|e| Stopped::refused(e.fault()))?;
    if *identity.host() == input.names.host {
        return Ok(());
    }
    let text = format!("the names are of host {}, the agent's host is {}", input.names.host, identity.host());
    let fault = Fault::new(codes::OTHER_HOST, text);
    Err(Stopped::refused(if input.named { fault } else { fault.help("give the node's --node file") }))
}

/// Refuses where the agent's ledger is the one that must be used.
fn agent_has_it(agent: &Path, input: &Input) -> Result<(), Stopped> {
    let needed = |text: String| Stopped::refused(Fault::new(codes::TAKE_OVER_NEEDED, text));
    let bytes = match std::fs::read(agent.join(LEDGER)) {
        Ok(bytes) => bytes,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(e) => return Err(needed(format!("the agent's ledger in {} cannot be read: {e}", agent.display()))),
    };
    if bytes.is_empty() {
        return Ok(());
    }
    if let Some(step) = input.list.steps.iter().find(|s| s.effect.is_some()) {
        let text =
            format!("`{}` must happen at most once on this host, and its agent has a ledger in {}", step.name, agent.display());
        return Err(needed(text));
    }
    let state = Ledger::peek(&bytes).map_err(|e| Stopped::refused(e.fault()))?;
    let touched = homes::touched(input);
    match open_here(&state, input, &touched) {
        Some(attempt) => Err(needed(format!("the agent has the attempt {attempt} open on {}", input.names.node))),
        None => Ok(()),
    }
}

fn open_here(state: &LedgerState, input: &Input, touched: &BTreeSet<PathBuf>) -> Option<AttemptId> {
    let here = |attempt: &&AttemptId| {
        let home = state.attempts.get(*attempt).and_then(|a| a.offer.as_ref()?.home.as_ref().map(PathBuf::from));
        attempt.step.node == input.names.node || home.is_some_and(|home| touched.contains(&home))
    };
    state.open().find(here).cloned()
}

/// Opens the ledger; in a folder of its own it is made where there is none.
///
/// # Errors
/// Somebody else has it, or it cannot be used.
pub(super) fn open(place: &Chosen) -> Result<Ledger, Stopped> {
    let path = place.dir.join(LEDGER);
    let host = RealHost::default();
    let opened = if place.taken_over {
        Ledger::open(&host, &path)
    } else {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&place.dir).map_err(|e| unusable(&place.dir, &e))?;
        let new = std::fs::metadata(&path).map_or(true, |meta| meta.len() == 0);
        if new { Ledger::create(&host, &path) } else { Ledger::open(&host, &path) }
    };
    opened.map_err(|error| Stopped::refused(not_opened(&error, place)))
}

fn not_opened(error: &LedgerError, place: &Chosen) -> Fault {
    let dir = place.dir.display();
    match error {
        LedgerError::Io(e) if e.kind() == io::ErrorKind::WouldBlock && place.taken_over => {
            Fault::new(codes::AGENT_RUNS, format!("the agent is running and has its ledger in {dir}; stop it first"))
        }
        LedgerError::Io(e) if e.kind() == io::ErrorKind::WouldBlock => {
            Fault::new(codes::STATE_IN_USE, format!("another process has the ledger in {dir}"))
        }
        _ => error.fault(),
    }
}

fn unusable(dir: &Path, error: &io::Error) -> Stopped {
    Stopped::new(Exit::Failed, Fault::new(codes::SPOOL, format!("the state folder {}: {error}", dir.display())))
}
