//! `retry`.

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::verb::{self, StepArgs};
use crate::operate::request::VerbRequest;
use crate::rpc::method::Method;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    step: StepArgs,
    /// Why; it stands in the journal and the report.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

pub(super) async fn run(args: RetryArgs, context: &Context) -> Result<Exit, Failure> {
    let found = verb::find(&args.step, context).await?;
    found.send(Method::Retry, VerbRequest { why: verb::why(args.why), ..VerbRequest::default() }).await
}
