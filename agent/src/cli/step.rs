//! `step run`: a list of steps on this machine, without a controller.

use std::path::PathBuf;

use cavalcade_agent::step_run::{self, Format, Options};
use cavalcade_common::error::Fault;
use cavalcade_common::exit::Exit;
use cavalcade_common::id::StepName;
use clap::{Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

/// Steps by hand.
#[derive(Debug, Subcommand)]
pub(super) enum StepVerb {
    /// Runs a list of steps, in the recipe's own syntax, on this machine. The same command again finds what is done, takes
    /// up what was interrupted, and starts nothing twice that must happen at most once.
    ///
    /// Exit codes: 0 done or nothing to do, 1 a step failed, 2 wrong use or invalid file, 7 indeterminate, 9 refused,
    /// 130 left with Ctrl-C.
    Run(Box<StepRun>),
}

/// Arguments of `step run`.
#[derive(Debug, clap::Args)]
pub(super) struct StepRun {
    /// File with the steps: a list, or a mapping with the one key `steps`.
    file: PathBuf,
    /// Says what each step would do, with diffs, and changes nothing.
    #[arg(long)]
    preview: bool,
    /// Folder for ledger, cache and attempts [default: $XDG_STATE_HOME/cavalcade-step; with --take-over the agent's].
    #[arg(long, value_name = "DIR", env = "CAVALCADE_STEP_STATE")]
    state: Option<PathBuf>,
    /// State folder of this host's agent.
    #[arg(long, value_name = "DIR", env = "CAVALCADE_AGENT_STATE", default_value = "/var/lib/cavalcade-agent")]
    agent_state: PathBuf,
    /// Names of the node, as `cavalcade names NODE` writes them: `node.*`, homes, artifacts, databases, needs.
    #[arg(long, value_name = "FILE")]
    node: Option<PathBuf>,
    /// Facts of the node, in place of those of the --node file: `facts.*`.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Where secrets are found, by name: `{ file: PATH }`, `{ env: NAME }` or `{ exec: [PROGRAM] }`.
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Folder with the artifacts' files.
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Uses the ledger of this host's agent, which must be stopped; it reports what was done when it is started again.
    #[arg(long, requires = "why")]
    take_over: bool,
    /// Why: kept with what it decided.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Starts the effect of this step once more, although it was started before. A person's decision.
    #[arg(long, value_name = "STEP", requires = "why")]
    again: Vec<StepName>,
    /// With --again: this database of a job was restored by hand since.
    #[arg(long, value_name = "NAME", requires = "again")]
    restored: Vec<String>,
    /// With --again: what a person found of the script's interrupted or refused statement.
    #[arg(long, value_enum, requires = "again")]
    statement: Option<Statement>,
    /// Form of the result on standard output.
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORM")]
    output: Output,
    #[command(flatten)]
    log: super::LogArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Statement {
    /// It took place, was done by hand, or is left out; where statements hang together, all of them.
    Done,
    /// It has no effect, or was undone; where statements hang together, none of them.
    NotDone,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// One line of JSON a step.
    #[value(alias = "jsonl")]
    Json,
}

impl From<StepRun> for Options {
    fn from(run: StepRun) -> Self {
        let statement = run.statement.map(|s| match s {
            Statement::Done => "done".to_owned(),
            Statement::NotDone => "not-done".to_owned(),
        });
        Self {
            file: run.file,
            preview: run.preview,
            state: run.state,
            agent_state: run.agent_state,
            node: run.node,
            facts: run.facts,
            secrets: run.secrets,
            artifacts: run.artifacts,
            take_over: run.take_over,
            why: run.why,
            again: run.again,
            restored: run.restored,
            statement,
            format: match run.output {
                Output::Table => Format::Table,
                Output::Json => Format::Json,
            },
        }
    }
}

/// Runs the verb.
pub(super) fn run(verb: StepVerb) -> Result<Exit, Fault> {
    let StepVerb::Run(run) = verb;
    super::log(run.log.log.clone(), LevelFilter::WARN);
    let runtime = super::runtime()?;
    let exit = runtime.block_on(step_run::run((*run).into()));
    // Blocking work that is still under way ends with the process: the ledger knows where it was.
    runtime.shutdown_background();
    Ok(exit)
}
