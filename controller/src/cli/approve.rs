//! `approve`.

use clap::Args;
use jiff::tz::TimeZone;

use super::ask;
use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::find;
use super::output::{OutputArgs, say};
use super::verb::{self, RunArgs};
use crate::operate::request::VerbRequest;
use crate::rpc::method::Method;
use crate::view::approval::lines;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    /// The stage: its number or its name.
    #[arg(value_name = "STAGE")]
    stage: String,
    /// What is said; it stands in the journal and the report.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Approve without being asked.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    on: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: ApproveArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = Controller::connect(context).await?;
    let run = controller.open_run(args.on.run.as_deref()).await?;
    let stage = find::stage(&run, &args.stage)?;
    let steps = stage.steps.len();
    say(&format!("plan {}", run.plan));
    say(&format!("{}, opened by {}", run.run, run.by));
    say(&format!("stage {} {}: {steps} steps on {}", stage.number, stage.title, find::names(&stage.nodes)));
    if let Some(approval) = &stage.approval {
        say(lines(approval, 79, &TimeZone::system()).trim_end());
    }
    if stage.point_of_no_return {
        say("From this stage on a way back loses new data.");
    }
    ask::yes(context, &format!("Approve stage {}?", stage.number), args.yes, "--yes")?;
    let request = VerbRequest { stage: Some(stage.number), why: verb::why(args.why), ..VerbRequest::default() };
    verb::send(&controller, Method::Approve, &verb::of_run(&run, &args.on, request), args.output.output).await
}
