//! `status`.

use cavalcade_common::codes::run as codes;
use cavalcade_common::error::Fault;
use clap::Args;
use jiff::tz::TimeZone;

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{OutputArgs, emit};
use crate::view::overview::overview;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Only this run; a run's id or the beginning of its plan's digest.
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Show every step.
    #[arg(long)]
    steps: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: StatusArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = Controller::connect(context).await?;
    let status = controller.status(args.run.as_deref()).await?;
    if let Some(run) = args.run.as_deref().filter(|_| status.runs.is_empty()) {
        let fault = Fault::new(codes::NO_RUN, format!("there is no run {run}"));
        return Err(fault
            .help("only open runs and the last one of each fleet are shown; `cavalcade report RUN` knows all")
            .into());
    }
    let shown = || overview(&status, args.steps, &context.program(), context.colour_out, &TimeZone::system());
    emit(args.output.output, &status, shown)?;
    Ok(Exit::Done)
}
