//! The agent's commands.

mod heap;
mod step;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use cavalcade_agent::daemon::{AgentConfig, enrol_host, run as run_agent};
use cavalcade_agent::link::dial::Address;
use cavalcade_agent::shim;
use cavalcade_common::codes;
use cavalcade_common::config_file::{self, ConfigFile, Form, Parsed, Refused};
use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::exit::Exit;
use cavalcade_common::render::{self, Sources};
use cavalcade_common::secret::SecretValue;
use cavalcade_common::token::EnrolmentToken;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Does the work of Cavalcade on one host.
#[derive(Debug, Parser)]
#[command(name = "cavalcade-agent", version, about, propagate_version = true, arg_required_else_help = true)]
#[command(
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong use or invalid file, 8 the controller cannot be reached, 9 refused; \
    `step run` gives those of its steps as well."
)]
struct Arguments {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
struct GlobalArgs {
    /// File with options in place of flags (docs/cli.md). Without it agent.yaml in $XDG_CONFIG_HOME/cavalcade
    /// (~/.config/cavalcade), else in /etc/cavalcade; /dev/null is none.
    #[arg(id = config_file::OPTION, long, global = true, env = "CAVALCADE_AGENT_CONFIG", value_name = "FILE")]
    config: Option<OsString>,
}

/// How much is logged. Not of every command: the shim starts whatever stands in the environment.
#[derive(Debug, clap::Args)]
struct LogArgs {
    /// What is logged on standard error: a level, or levels by module (debug, info,cavalcade_agent::link=trace). Without it
    /// info, and warn for `step run`.
    #[arg(long, env = "CAVALCADE_LOG", value_name = "FILTER")]
    log: Option<Targets>,
}

/// The file with options of this program. The shim takes its orders from the agent alone.
const FORM: Form = Form { schema: "cavalcade.agent-config/1", name: "agent.yaml", without: &["shim"] };

#[derive(Debug, Subcommand)]
enum Verb {
    /// Enrol this host with a one-time token, and make its ledger.
    Enroll {
        /// File with the token; without it the environment variable CAVALCADE_TOKEN. Never on the command line, where
        /// every user of the host could read it.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Enrolment listener of the controller.
        #[arg(long, env = "CAVALCADE_ENROL", value_name = "HOST:PORT")]
        controller: Address,
        #[command(flatten)]
        state: StateDir,
    },
    /// Run the agent until TERM; servers and jobs that it started live on.
    Run {
        /// Agents' listener of the controller.
        #[arg(long, env = "CAVALCADE_CONTROLLER", value_name = "HOST:PORT")]
        controller: Address,
        #[command(flatten)]
        state: StateDir,
        #[command(flatten)]
        log: LogArgs,
    },
    /// Steps by hand, without a controller.
    Step {
        #[command(subcommand)]
        verb: step::StepVerb,
    },
    /// Hold one child of the agent; started by the agent itself.
    #[command(hide = true)]
    Shim {
        /// Runs as the main process of a systemd unit.
        #[arg(long)]
        unit: bool,
        /// Folder of the attempt.
        dir: PathBuf,
    },
}

/// Where the agent keeps what must outlive it.
#[derive(Debug, clap::Args)]
struct StateDir {
    /// State folder of the agent.
    #[arg(long = "state", env = "CAVALCADE_AGENT_STATE", default_value = "/var/lib/cavalcade-agent", value_name = "DIR")]
    dir: PathBuf,
}

/// Runs the command of the process's arguments.
pub(crate) fn run() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let (Arguments { verb, .. }, file) = match config_file::parse(&Arguments::command(), &FORM, &arguments) {
        Ok(Parsed { matches, file }) => match Arguments::from_arg_matches(&matches) {
            Ok(arguments) => (arguments, file),
            Err(error) => return config_file::told(&error),
        },
        Err(Refused::Line(error)) => return config_file::told(&error),
        Err(Refused::File { faults, sources, .. }) => return tell(&faults, &sources, "Nothing was changed."),
    };
    let enrols = matches!(verb, Verb::Enroll { .. });
    let result = match verb {
        // Before anything that could start a thread: the shim forks.
        Verb::Shim { unit, dir } => {
            let home = if unit { shim::Home::Unit } else { shim::Home::Agent };
            return ExitCode::from(u8::try_from(shim::run(&dir, home)).unwrap_or(1));
        }
        Verb::Enroll { token_file, controller, state } => enrol(token_file, &controller, &state.dir),
        Verb::Run { controller, state, log } => serve(AgentConfig { state_dir: state.dir, controller }, log.log, file.as_ref()),
        Verb::Step { verb } => step::run(verb),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(fault) => {
            let exit = Exit::of(&fault);
            let changed = if enrols { enrolment_changed(exit, &fault) } else { "Work under way on this host goes on." };
            tell(&fault.into(), &Sources::new(), changed)
        }
    }
}

/// Tells what is wrong on standard error, and gives the exit code.
fn tell(faults: &Faults, sources: &Sources, changed: &str) -> ExitCode {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprintln!("{}", render::faults(faults, sources, changed, colour).trim_end());
    faults.0.iter().map(Exit::of).max().unwrap_or(Exit::Failed).into()
}

/// What an enrolment that failed has changed.
fn enrolment_changed(exit: Exit, fault: &Fault) -> &'static str {
    if fault.code == codes::link::ENROLMENT_ANSWER {
        return "The token is used; this host is not enrolled and stored nothing.";
    }
    match exit {
        Exit::Usage | Exit::Refused => "Nothing was changed.",
        Exit::Unreachable => "This host is not enrolled; the token can be tried again.",
        Exit::Done
        | Exit::Failed
        | Exit::Changes
        | Exit::Blocked
        | Exit::Person
        | Exit::Stopped
        | Exit::Indeterminate
        | Exit::Left => "This host is not enrolled; whether the token is used up is not known.",
    }
}

/// One thread: an agent at rest is to be small, and its work is waiting.
fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build();
    built.map_err(|e| Fault::new(codes::agent::SPOOL, format!("the runtime: {e}")))
}

/// Log to standard error, as much as is wanted, else up to `level`.
fn log(wanted: Option<Targets>, level: LevelFilter) {
    let filter = wanted.unwrap_or_else(|| Targets::new().with_default(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines).with(filter).init();
}

fn token(file: Option<PathBuf>) -> Result<EnrolmentToken, Fault> {
    let bad = |why: String| Fault::new(codes::operator::USAGE, why);
    let text = match file {
        Some(path) => std::fs::read_to_string(&path).map_err(|e| bad(format!("{}: {e}", path.display())))?,
        None => std::env::var("CAVALCADE_TOKEN")
            .map_err(|_| bad("no token: name a --token-file or set CAVALCADE_TOKEN".to_owned()))?,
    };
    let text = SecretValue::new(text);
    EnrolmentToken::read(text.expose().trim()).map_err(|e| bad(e.to_string()))
}

fn enrol(token_file: Option<PathBuf>, controller: &Address, state_dir: &std::path::Path) -> Result<Exit, Fault> {
    let token = token(token_file)?;
    let host = runtime()?.block_on(enrol_host(&token, controller, state_dir))?;
    println!("{host} is enrolled. Next: cavalcade-agent run --controller HOST:PORT --state {}", state_dir.display());
    Ok(Exit::Done)
}

fn serve(config: AgentConfig, wanted: Option<Targets>, file: Option<&ConfigFile>) -> Result<Exit, Fault> {
    heap::keep_small();
    log(wanted, LevelFilter::INFO);
    if let Some(file) = file {
        tracing::info!(file = file.name, "read the file with options");
    }
    let runtime = runtime()?;
    let ended = runtime.block_on(run_agent(config));
    // Blocking work that is still under way ends with the process: the ledger knows where it was.
    runtime.shutdown_background();
    ended.map(|()| Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_contradict_nothing() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_manual_names_every_option_of_the_file() {
        let manual = include_str!("../../../docs/cli.md");
        let (_, manual) = manual.split_once(FORM.schema).expect("it says how the file begins");
        let matches = Arguments::command().get_matches_from(["cavalcade-agent", "shim", "x"]);
        for option in config_file::shown(&Arguments::command(), &matches, None) {
            let row = format!("| `{}` | `{}` |", option.key, option.variable);
            assert!(manual.contains(&row), "{row}");
        }
    }
}
