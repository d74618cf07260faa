//! `watch`.

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::follow::{Course, Following, follow};
use super::output::{Format, OutputArgs};
use super::painter::Stream;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// Only this run; a run's id or the beginning of its plan's digest.
    #[arg(value_name = "RUN")]
    run: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: WatchArgs, context: &Context) -> Result<Exit, Failure> {
    let course = match args.output.output {
        Format::Table => Course::On(Stream::Out),
        Format::Json | Format::Jsonl => Course::Jsonl,
        Format::Yaml => return Err(Failure::usage("a run is watched as table or jsonl")),
    };
    Ok(follow(context, Following { run: args.run, goal: None, course, opened: false }).await?.exit)
}
