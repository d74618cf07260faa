//! `cancel`.

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::output::OutputArgs;
use super::verb::{self, RunArgs};
use crate::operate::request::VerbRequest;
use crate::rpc::method::Method;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// Why; it stands in the journal and the report.
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    on: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: CancelArgs, context: &Context) -> Result<Exit, Failure> {
    verb::on_run(context, &args.on, &args.output, Method::Cancel, VerbRequest { why: args.why, ..VerbRequest::default() }).await
}
