//! `pause`.

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::output::OutputArgs;
use super::verb::{self, RunArgs};
use crate::operate::request::VerbRequest;
use crate::rpc::method::Method;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    on: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: PauseArgs, context: &Context) -> Result<Exit, Failure> {
    verb::on_run(context, &args.on, &args.output, Method::Pause, VerbRequest::default()).await
}
