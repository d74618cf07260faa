//! `verify`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use cavalcade_common::codes::operator as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::NodeId;
use clap::Args;
use serde_json::json;

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{OutputArgs, emit, say};
use super::{plan, secret};
use crate::operate::request::{VerifyAnswer, VerifyRequest};
use crate::rpc::method::Method;
use crate::view::verification::{Verdicts, verification};
use cavalcade_common::exit::Exit;

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
    let mut request = VerifyRequest {
        nodes: nodes.collect::<Result<_, _>>()?,
        plan: named.map(|(_, text)| text),
        within_seconds: Some(args.within.as_secs().max(1)),
        secrets: GivenSecrets::default(),
    };
    let controller = Controller::connect(context).await?;
    say("Asking the agents; nothing is changed ...");
    let Some(mut answer) = ask(&controller, &request).await? else { return Ok(Exit::Left) };
    if !answer.asks.is_empty() {
        let Some(secrets) = asked(context, &answer.asks).await? else { return Ok(Exit::Left) };
        request.secrets = secrets;
        let Some(with_secrets) = ask(&controller, &request).await? else { return Ok(Exit::Left) };
        answer = with_secrets;
    }
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

/// One question; `None`: the person left.
async fn ask(controller: &Controller, request: &VerifyRequest) -> Result<Option<VerifyAnswer>, Failure> {
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Ok(None),
        answer = controller.ask(Method::Verify, request) => answer.map(Some),
    }
}

/// Asks for the secrets that the controller does not have; `None`: the person left.
async fn asked(context: &Context, asks: &BTreeMap<String, String>) -> Result<Option<GivenSecrets>, Failure> {
    if !context.asks {
        let names: Vec<&str> = asks.keys().map(String::as_str).collect();
        let names = names.join(", ");
        let help = format!("run it at a terminal, or while a run is open that got them: {} secret give", context.program());
        let fault = Fault::new(codes::USAGE, format!("nobody can be asked here: the steps want the secrets {names}"));
        return Err(fault.help(help).into());
    }
    let mut given = GivenSecrets::default();
    for (name, question) in asks {
        let Some(value) = secret::asked(&format!("Secret {name} ({question}):")).await? else { return Ok(None) };
        given.insert(name.clone(), value);
    }
    Ok(Some(given))
}
