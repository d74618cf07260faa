//! `rejudge`.

use std::path::PathBuf;

use cavalcade_common::action::Evidence;
use cavalcade_common::codes::operator as codes;
use cavalcade_common::error::{Fault, Place};
use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::verb::{self, StepArgs};
use crate::operate::request::VerbRequest;
use crate::rpc::method::Method;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct RejudgeArgs {
    #[command(flatten)]
    step: StepArgs,
    /// YAML with `require`, `forbid` and `sequence` as in a recipe's job; without it the plan's own patterns.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
}

pub(super) async fn run(args: RejudgeArgs, context: &Context) -> Result<Exit, Failure> {
    let evidence = args.evidence.map(|path| patterns(&path)).transpose()?;
    let found = verb::find(&args.step, context).await?;
    found.send(Method::Rejudge, VerbRequest { evidence, ..VerbRequest::default() }).await
}

fn patterns(path: &std::path::Path) -> Result<Evidence, Failure> {
    let bytes = verb::read_small(path)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    serde_yaml::from_str(&text).map_err(|error| {
        let number = |n: usize| u32::try_from(n).unwrap_or(0);
        let (line, column) = error.location().map_or((0, 0), |at| (number(at.line()), number(at.column())));
        let file = path.display().to_string();
        let fault = Fault::new(codes::USAGE, format!("the file holds no patterns: {error}"));
        Failure::from(fault.at(Place { file: file.clone(), line, column, length: 1 })).with(&file, &text)
    })
}
