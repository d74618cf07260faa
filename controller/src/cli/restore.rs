//! `restore`.

use clap::Args;

use super::ask;
use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::OutputArgs;
use super::verb::{self, RunArgs};
use crate::operate::request::VerbRequest;
use crate::rpc::method::Method;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The databases, as the fleet file names them. What needs several of them waits for all.
    #[arg(value_name = "DATABASE", required = true)]
    databases: Vec<String>,
    /// Why; it stands in the journal and the report.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Restore without being asked.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    on: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: RestoreArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = Controller::connect(context).await?;
    let run = verb::shown_run(&controller, &args.on).await?;
    let question = format!(
        "Restore {} from the run's backup? What was written since is lost, and every step that changed it is open again.",
        args.databases.join(", ")
    );
    ask::yes(context, &question, args.yes, "--yes")?;
    let request = VerbRequest { databases: args.databases, why: verb::why(args.why), ..VerbRequest::default() };
    verb::send(&controller, Method::Restore, &verb::of_run(&run, &args.on, request), args.output.output).await
}
