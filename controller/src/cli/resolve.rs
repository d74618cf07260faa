//! `resolve`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::context::Context;
use super::failure::Failure;
use super::verb::{self, StepArgs};
use crate::event::Resolution;
use crate::operate::request::VerbRequest;
use crate::rpc::method::Method;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["done", "not_done"])))]
pub(super) struct ResolveArgs {
    #[command(flatten)]
    step: StepArgs,
    /// Its effect is there: go on behind it.
    #[arg(long)]
    done: bool,
    /// Its effect is not there: run it again, in a new attempt.
    #[arg(long)]
    not_done: bool,
    /// Why; it stands in the journal and the report.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// What shows it; the file's name, digest and beginning stand in the journal.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
}

pub(super) async fn run(args: ResolveArgs, context: &Context) -> Result<Exit, Failure> {
    let evidence = args.evidence.as_deref().map(verb::evidence_text).transpose()?;
    let evidenced = evidence.is_some();
    let why: Vec<String> = args.why.into_iter().chain(evidence).collect();
    let resolution = if args.done { Resolution::Done } else { Resolution::NotDone };
    let found = verb::find(&args.step, context).await?;
    let request = VerbRequest { why: why.join("; "), resolution: Some(resolution), evidenced, ..VerbRequest::default() };
    found.send(Method::Resolve, request).await
}
