//! `step run`: a list of steps on this machine, without a controller, through the same executor, ledger and actions.
//!
//! ```text
//! read -> what must hold -> state folder (own, or the agent's) -> locks of homes -> ledger -> steps, one after the other
//! ```
//!
//! Nothing is made before everything that was written is read and sound. The person who starts the command again is the
//! confirmation that an interrupted attempt waits for (10, rules 3 and 18).

mod artifacts;
mod console;
mod decisions;
mod homes;
mod input;
mod invocation;
mod output;
mod permit;
mod preview;
mod rules;
mod state;
mod steps;

use std::path::PathBuf;
use std::sync::Arc;

use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::exit::Exit;
use cavalcade_common::id::StepName;
use cavalcade_common::render::{self, Sources};

use crate::host::Host;
use crate::host::real::RealHost;

pub use output::{Format, Line, SCHEMA};

/// What the command was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file of steps.
    pub file: PathBuf,
    /// Say what would be done, and change nothing.
    pub preview: bool,
    /// State folder; `None`: the user's own, or with `take_over` the agent's.
    pub state: Option<PathBuf>,
    /// State folder of the agent of this host.
    pub agent_state: PathBuf,
    /// File with the node's names.
    pub node: Option<PathBuf>,
    /// File with the node's facts.
    pub facts: Option<PathBuf>,
    /// File that says where secrets are found.
    pub secrets: Option<PathBuf>,
    /// Folder with the artifacts.
    pub artifacts: Option<PathBuf>,
    /// Use the agent's ledger.
    pub take_over: bool,
    /// Why a person takes over or starts again.
    pub why: Option<String>,
    /// Steps whose effect a person starts again.
    pub again: Vec<StepName>,
    /// Databases that a person restored since.
    pub restored: Vec<String>,
    /// What a person found of an interrupted statement: `done` or `not-done`.
    pub statement: Option<String>,
    /// Form of the result.
    pub format: Format,
}

/// Why nothing more is done.
#[derive(Debug)]
pub(crate) struct Stopped {
    exit: Exit,
    faults: Faults,
}

impl Stopped {
    fn new(exit: Exit, fault: Fault) -> Self {
        Self { exit, faults: fault.into() }
    }

    fn refused(fault: Fault) -> Self {
        Self::new(Exit::Refused, fault)
    }
}

/// Runs the command. The result goes to standard output, everything else to standard error.
pub async fn run(options: Options) -> Exit {
    let mut sources = Sources::new();
    let format = options.format;
    let mut changed = "Nothing was changed.".to_owned();
    match work(&options, &mut sources, &mut changed).await {
        Ok(exit) => exit,
        Err(stopped) => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
            console::talk(render::faults(&stopped.faults, &sources, &changed, colour).trim_end());
            if format == Format::Json {
                output::print_faults(&stopped.faults, &changed);
            }
            stopped.exit
        }
    }
}

async fn work(options: &Options, sources: &mut Sources, changed: &mut String) -> Result<Exit, Stopped> {
    let mut input = input::read(options, sources)?;
    let host: Arc<dyn Host> = Arc::new(RealHost::default());
    let ruled = rules::apply(&mut input, host.as_ref());
    if options.preview {
        return preview::run(options, &input, ruled.err(), host).await;
    }
    ruled.map_err(|faults| Stopped { exit: Exit::Refused, faults })?;
    let place = state::choose(options, &input)?;
    let held = homes::take(&input, host)?;
    let ledger = state::open(&place)?;
    invocation::run(options, input, place, ledger, held, changed).await
}
