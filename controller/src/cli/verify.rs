//! `verify`.

use std::path::PathBuf;
use std::time::Duration;

use cavalcade_common::error::Fault;
use cavalcade_common::id::NodeId;
use clap::Args;
use serde_json::json;

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{OutputArgs, emit, say};
use super::plan;
use crate::exit::Exit;
use crate::operate::request::{VerifyAnswer, VerifyRequest};
use crate::rpc::method::Method;
use crate::view::verification::{Verdicts, verification};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The plan file; without it the plan of the controller's newest run.
    #[arg(value_name = "PLAN")]
    plan: Option<PathBuf>,
    /// Only this node; may be given again.
    #[arg(long, value_name = "NODE")]
    node: Vec<String>,
    /// Longest wait for what does not hold yet.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = cavalcade_common::duration::parse)]
    within: Duration,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let named = args.plan.as_deref().map(plan::read).transpose()?;
    let nodes = args.node.iter().map(|node| match &named {
        Some((plan, _)) => plan::node(&plan.plan, node),
        None => NodeId::new(node.clone()).map_err(|e| Failure::usage(format!("{node}: {e}"))),
    });
    let request = VerifyRequest {
        nodes: nodes.collect::<Result<_, _>>()?,
        plan: named.map(|(_, text)| text),
        within_seconds: Some(args.within.as_secs().max(1)),
    };
    let controller = Controller::connect(context).await?;
    say("Asking the agents; nothing is changed ...");
    let answer = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => return Ok(Exit::Left),
        answer = controller.ask::<VerifyAnswer>(Method::Verify, &request) => answer?,
    };
    let verdicts = Verdicts::of(&answer.items);
    let document = json!({
        "schema": "cavalcade.verification/1",
        "plan": answer.plan,
        "fleet": answer.fleet,
        "at": answer.at,
        "items": answer.items,
        "counts": verdicts,
    });
    emit(args.output.output, &document, || verification(&answer, context.colour_out))?;
    let unreachable = |fault: &Fault| Exit::of(fault) == Exit::Unreachable;
    Ok(match () {
        () if verdicts.open > 0 => Exit::Failed,
        () if answer.items.iter().any(|i| i.checked.as_ref().is_err_and(unreachable)) => Exit::Unreachable,
        () if verdicts.unasked > 0 => Exit::Failed,
        () => Exit::Done,
    })
}
