//! `stop-job`.

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::verb::{self, StepArgs};
use crate::operate::request::VerbRequest;
use crate::rpc::method::Method;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct StopJobArgs {
    #[command(flatten)]
    step: StepArgs,
    /// Say that you mean it: the job gets TERM, and what it has done so far stays half done.
    #[arg(long)]
    confirm: bool,
    /// Why; it stands in the journal and the report.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

pub(super) async fn run(args: StopJobArgs, context: &Context) -> Result<Exit, Failure> {
    if !args.confirm {
        return Err(Failure::usage(format!(
            "stop-job ends a job that is never interrupted, in the middle of its work; say it with: cavalcade stop-job {} --confirm",
            args.step.step
        )));
    }
    let found = verb::find(&args.step, context).await?;
    found.send(Method::StopJob, VerbRequest { why: verb::why(args.why), ..VerbRequest::default() }).await
}
