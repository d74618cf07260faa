//! The operator's command line: one file for each command. Arguments as they were typed (`...Args`) and what is made of
//! them are two types. Results go to standard output, talk to standard error.
//!
//! Absences: the commands decide nothing about a run. They ask the controller over its socket and show the answer; what
//! they draw is made by the pure functions of [`crate::view`].

mod apply;
mod approve;
mod artifact;
mod ask;
mod cancel;
mod completions;
mod config;
mod context;
mod controller;
mod explain;
mod facts;
mod failure;
mod find;
mod fleet;
mod follow;
mod keys;
mod logs;
mod man;
mod names;
mod node;
mod output;
mod pack;
mod painter;
mod pause;
mod plan;
mod preflight;
mod preview;
mod progress;
mod recipe;
mod rejudge;
mod report;
mod resolve;
mod restore;
mod resume;
mod retry;
mod secret;
mod serve;
mod skip;
mod status;
mod stop_job;
mod token;
mod verb;
mod verify;
mod watch;

use std::process::ExitCode;

use cavalcade_common::config_file::{self, ConfigFile, Parsed, Refused};
use cavalcade_common::exit::Exit;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use context::{Context, GlobalArgs};
use failure::Failure;

/// Takes a WSO2 fleet through a version upgrade: in order, on every node, with nothing lost and everything recorded.
#[derive(Debug, Parser)]
#[command(name = "cavalcade", version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done or nothing to do, 1 failed, 2 wrong use or invalid file, 3 changes found (preview \
    --exit-code), 4 check blocked, 5 waits for a person, 6 paused or cancelled, 7 indeterminate, 8 unreachable, 9 refused, \
    130 left with Ctrl-C.")]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller: journal, listeners for agents and operators.
    Serve(serve::ServeArgs),
    /// One-time tokens with which agents enrol.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Hosts and nodes.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// The fleet file.
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
    /// Packs, scripts and drivers in the controller's store.
    #[command(subcommand)]
    Artifact(artifact::ArtifactCommand),
    /// Packs of the vendor.
    #[command(subcommand)]
    Pack(pack::PackCommand),
    /// Recipes, for people who write their own.
    #[command(subcommand)]
    Recipe(recipe::RecipeCommand),
    /// Make a plan out of a fleet file, its recipe and the facts of its nodes.
    Plan(plan::PlanArgs),
    /// Write the names of one node, for steps by hand on its machine (cavalcade-agent step run --node FILE).
    Names(names::NamesArgs),
    /// Show what a plan would do, with a real diff for each file and node. Changes nothing.
    Preview(preview::PreviewArgs),
    /// Show whether the upgraded fleet works: the steps of a plan that only look, run now. Changes nothing.
    Verify(verify::VerifyArgs),
    /// Run a plan, or go on with its run, and watch it.
    Apply(apply::ApplyArgs),
    /// Show where the runs stand.
    Status(status::StatusArgs),
    /// Watch the runs live.
    Watch(watch::WatchArgs),
    /// Show the log of all nodes.
    Logs(logs::LogsArgs),
    /// Begin nothing new; what is under way ends.
    Pause(pause::PauseArgs),
    /// Go on with a paused run.
    Resume(resume::ResumeArgs),
    /// End a run: begin nothing new; what is under way ends.
    Cancel(cancel::CancelArgs),
    /// Run a failed step again, in a new attempt.
    Retry(retry::RetryArgs),
    /// Leave a step out, on the record.
    Skip(skip::SkipArgs),
    /// Approve a stage.
    Approve(approve::ApproveArgs),
    /// Say what became of a step that nobody else can judge.
    Resolve(resolve::ResolveArgs),
    /// Judge the stored output of a job by new patterns.
    Rejudge(rejudge::RejudgeArgs),
    /// End a never-interrupted job.
    StopJob(stop_job::StopJobArgs),
    /// Secrets that a run asks of a person.
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Restore a database from the run's proved backup.
    Restore(restore::RestoreArgs),
    /// Report of a run: one file that prints whole.
    Report(report::ReportArgs),
    /// Options that need no flag, and where each comes from.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Explain an error code: cause, what is certain, what is not, what to do.
    Explain(explain::ExplainArgs),
    /// Write the manual pages.
    #[command(hide = true)]
    Man(man::ManArgs),
    /// Write the completions of a shell.
    #[command(hide = true)]
    Completions(completions::CompletionsArgs),
}

/// Runs the program with the arguments of its process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let Parsed { matches, file } = match config_file::parse(&command(), &config::FORM, &arguments) {
        Ok(parsed) => parsed,
        Err(Refused::Line(error)) => return config_file::told(&error),
        Err(Refused::File { faults, sources, matches }) => {
            return match GlobalArgs::from_arg_matches(&matches) {
                Ok(global) => Failure::from(faults).sourced(sources).tell(&Context::new(&global, &matches)).into(),
                Err(error) => config_file::told(&error),
            };
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return config_file::told(&error),
    };
    let context = Context::new(&cli.global, &matches);
    match run(cli.command, &context, &matches, file.as_ref()) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.tell(&context).into(),
    }
}

/// The whole command line, for manual pages and completions.
fn command() -> clap::Command {
    Cli::command()
}

fn run(command: Command, context: &Context, matches: &ArgMatches, file: Option<&ConfigFile>) -> Result<Exit, Failure> {
    match command {
        Command::Config(command) => config::run(command, matches, file),
        Command::Serve(args) => serve::run(args, context, file),
        Command::Pack(command) => pack::run(command),
        Command::Explain(args) => explain::run(&args),
        Command::Recipe(command) => recipe::run(command, context),
        Command::Man(args) => man::run(&args),
        Command::Completions(args) => completions::run(&args),
        asking => {
            // One thread is enough for one conversation.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Failure::usage(format!("this process cannot wait for answers: {error}")))?;
            let exit = runtime.block_on(ask_controller(asking, context));
            // A thread may still read the keyboard; nobody waits for it.
            runtime.shutdown_background();
            exit
        }
    }
}

async fn ask_controller(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Token(command) => token::run(command, context).await,
        Command::Node(command) => node::run(command, context).await,
        Command::Fleet(command) => fleet::run(command, context).await,
        Command::Artifact(command) => artifact::run(command, context).await,
        Command::Plan(args) => plan::run(args, context).await,
        Command::Names(args) => names::run(args, context).await,
        Command::Preview(args) => preview::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Apply(args) => apply::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Watch(args) => watch::run(args, context).await,
        Command::Logs(args) => logs::run(args, context).await,
        Command::Pause(args) => pause::run(args, context).await,
        Command::Resume(args) => resume::run(args, context).await,
        Command::Cancel(args) => cancel::run(args, context).await,
        Command::Retry(args) => retry::run(args, context).await,
        Command::Skip(args) => skip::run(args, context).await,
        Command::Approve(args) => approve::run(args, context).await,
        Command::Resolve(args) => resolve::run(args, context).await,
        Command::Rejudge(args) => rejudge::run(args, context).await,
        Command::StopJob(args) => stop_job::run(args, context).await,
        Command::Restore(args) => restore::run(args, context).await,
        Command::Secret(command) => secret::run(command, context).await,
        Command::Report(args) => report::run(args, context).await,
        Command::Serve(_)
        | Command::Pack(_)
        | Command::Recipe(_)
        | Command::Config(_)
        | Command::Explain(_)
        | Command::Man(_)
        | Command::Completions(_) => Ok(Exit::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_contradict_nothing() {
        command().debug_assert();
    }

    #[test]
    fn the_manual_names_every_command_option_of_the_file_and_exit_code() {
        let manual = include_str!("../../../docs/cli.md");
        for command in command().get_subcommands().filter(|c| !c.is_hide_set()) {
            assert!(manual.contains(&format!("`{}", command.get_name())), "{}", command.get_name());
        }
        let matches = command().get_matches_from(["cavalcade", "config", "show"]);
        for option in config_file::shown(&command(), &matches, None) {
            let row = format!("| `{}` | `{}`", option.key, option.variable);
            assert!(manual.contains(&row), "{row}");
        }
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.number(), exit.meaning());
            assert!(manual.contains(&row), "{row}");
        }
    }
}
