//! `resume`.

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::output::OutputArgs;
use super::verb::{self, RunArgs};
use crate::operate::request::VerbRequest;
use crate::rpc::method::Method;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Go on past the end of the maintenance window.
    #[arg(long, requires = "why")]
    past_window: bool,
    /// Move the end of the maintenance window: an RFC 3339 instant such as 2026-11-30T05:00:00Z.
    #[arg(long, value_name = "INSTANT", requires = "why", conflicts_with = "past_window")]
    window_end: Option<jiff::Timestamp>,
    /// Why; it stands in the journal and the report.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    on: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: ResumeArgs, context: &Context) -> Result<Exit, Failure> {
    let request = VerbRequest {
        past_window: args.past_window,
        window_end: args.window_end,
        why: verb::why(args.why),
        ..VerbRequest::default()
    };
    verb::on_run(context, &args.on, &args.output, Method::Resume, request).await
}
