//! `preview`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cavalcade_common::id::NodeId;
use clap::Args;
use futures_util::StreamExt;
use serde_json::json;

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{Format, OutputArgs, emit, line, say};
use super::plan;
use crate::operate::request::{PreviewItem, PreviewRequest};
use crate::rpc::method::Method;
use crate::view::diff::{self, Tally};
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct PreviewArgs {
    /// The plan file.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Only this node; may be given again.
    #[arg(long, value_name = "NODE")]
    node: Vec<String>,
    /// Show all context of the diffs and every step without a change.
    #[arg(long)]
    full: bool,
    /// End with exit code 3 where something would change.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: PreviewArgs, context: &Context) -> Result<Exit, Failure> {
    let (plan, text) = plan::read(&args.plan)?;
    let nodes = args.node.iter().map(|node| plan::node(&plan.plan, node)).collect::<Result<Vec<NodeId>, _>>()?;
    let only: BTreeSet<&NodeId> = nodes.iter().collect();
    let expected = plan.plan.steps().filter(|(_, s)| only.is_empty() || only.contains(&s.key.node)).count();
    let controller = Controller::connect(context).await?;
    say(&format!("Asking the agents about {expected} steps; nothing is changed ..."));
    let request = PreviewRequest { plan: text, nodes: (!nodes.is_empty()).then_some(nodes) };
    let lines = args.output.output == Format::Jsonl;
    let told = |item: &PreviewItem| if lines { line("cavalcade.preview-item/1", item) } else { Ok(()) };
    let Some(items) = asked(&controller, &request, told).await? else { return Ok(Exit::Left) };
    let tally = Tally::of(&items, expected);
    if !lines {
        let document = json!({
            "schema": "cavalcade.preview/1",
            "plan": plan.sha256,
            "items": items,
            "counts": tally,
        });
        emit(args.output.output, &document, || {
            diff::preview(&plan.plan, &items, tally, diff::Show { full: args.full, colour: context.colour_out })
        })?;
    }
    let unreachable = |item: &PreviewItem| item.preview.as_ref().is_err_and(|f| Exit::of(f) == Exit::Unreachable);
    Ok(match () {
        () if items.iter().any(unreachable) => Exit::Unreachable,
        () if tally.faults > 0 || tally.unanswered > 0 => Exit::Failed,
        () if args.exit_code && tally.change > 0 => Exit::Changes,
        () => Exit::Done,
    })
}

/// All answers, each told as it comes; `None`: the person left.
pub(super) async fn asked(
    controller: &Controller,
    request: &PreviewRequest,
    told: impl Fn(&PreviewItem) -> Result<(), Failure>,
) -> Result<Option<Vec<PreviewItem>>, Failure> {
    let mut answers = controller.stream::<PreviewItem>(Method::Preview, request).await?;
    let mut items: Vec<PreviewItem> = Vec::new();
    loop {
        let item = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Ok(None),
            item = answers.next() => item,
        };
        let Some(item) = item.transpose()? else { return Ok(Some(items)) };
        told(&item)?;
        items.push(item);
    }
}
