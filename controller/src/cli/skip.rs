//! `skip`.

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::verb::{self, StepArgs};
use crate::operate::request::VerbRequest;
use crate::rpc::method::Method;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct SkipArgs {
    #[command(flatten)]
    step: StepArgs,
    /// Why; it stands in the journal and the report.
    #[arg(long, value_name = "TEXT")]
    why: String,
}

pub(super) async fn run(args: SkipArgs, context: &Context) -> Result<Exit, Failure> {
    let found = verb::find(&args.step, context).await?;
    found.send(Method::Skip, VerbRequest { why: args.why, ..VerbRequest::default() }).await
}
