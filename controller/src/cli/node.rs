//! `node`.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::id::HostId;
use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{OutputArgs, emit};
use super::verb;
use crate::operate::request::{RevokeAnswer, RevokeRequest, StatusRequest, VerbRequest};
use crate::rpc::method::Method;
use crate::view::document::{Status, age};
use crate::view::table::table;
use crate::view::text::ranges;
use cavalcade_common::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// List the hosts that were ever met, with their agents and the nodes of open runs.
    List(ListArgs),
    /// Declare a host lost for good: what was under way there is indeterminate, and a superseding plan can do without it.
    Lost(LostArgs),
    /// Revoke the certificates of a host: its agent is cut off at once and refused from then on. Its servers and jobs go on.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct LostArgs {
    /// The host, as its certificate names it.
    #[arg(value_name = "HOST")]
    host: String,
    /// Why; it stands in the journal and the report.
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The host, as `node list` shows it.
    #[arg(value_name = "HOST")]
    host: HostId,
    /// Why: kept with the host's certificates.
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(command: NodeCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        NodeCommand::List(args) => list(args, context).await,
        NodeCommand::Lost(args) => {
            let controller = Controller::connect(context).await?;
            let request = VerbRequest { host: Some(args.host), why: args.why, ..VerbRequest::default() };
            verb::send(&controller, Method::NodeLost, &request, args.output.output).await
        }
        NodeCommand::Revoke(args) => revoke(args, context).await,
    }
}

async fn revoke(args: RevokeArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = Controller::connect(context).await?;
    let request = RevokeRequest { host: args.host.to_string(), why: args.why };
    let answer: RevokeAnswer = controller.order(Method::HostRevoke, &request).await?;
    let RevokeAnswer { certificates, connections } = answer;
    let document = json!({
        "schema": "cavalcade.revoked/1", "host": args.host, "certificates": certificates, "connections": connections,
    });
    emit(args.output.output, &document, || revoked(&args.host, certificates, connections))?;
    Ok(Exit::Done)
}

fn revoked(host: &HostId, certificates: usize, connections: usize) -> String {
    if certificates == 0 {
        return format!("{host} had no good certificate. Nothing was changed.");
    }
    let cut = match connections {
        0 => "it was not connected",
        _ => "its connection was cut",
    };
    format!(
        "Revoked {host}; {cut}. What runs there goes on, and nobody watches it.\n\
         To take it in again: cavalcade token create --host {host}"
    )
}

async fn list(args: ListArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = Controller::connect(context).await?;
    let status: Status = controller.ask(Method::NodeList, &StatusRequest::default()).await?;
    let document = json!({ "schema": "cavalcade.hosts/1", "at": status.at, "hosts": status.hosts });
    emit(args.output.output, &document, || listed(&status))?;
    Ok(Exit::Done)
}

fn listed(status: &Status) -> String {
    if status.hosts.is_empty() {
        return "No agent has connected yet: cavalcade token create --host HOST".to_owned();
    }
    let mut at_work: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for step in status.runs.iter().flat_map(|r| &r.stages).flat_map(|g| &g.steps) {
        if matches!(step.state.as_str(), "offered" | "accepted" | "running") {
            at_work.entry(step.node.as_str()).or_default().push(&step.step);
        }
    }
    let rows: Vec<Vec<String>> = status
        .hosts
        .iter()
        .map(|host| {
            let shown = |text: String| if host.connected { text } else { "-".to_owned() };
            vec![
                host.host.clone(),
                if host.connected { "connected" } else { "not connected" }.to_owned(),
                shown(host.program.clone()),
                shown(format!("{} ago", age(Duration::from_secs(host.quiet_seconds)))),
                shown(format!("{:+} ms", host.skew_millis)),
                shown(format!("{} MiB", host.resident_kib / 1024)),
            ]
        })
        .collect();
    let hosts = table(&["HOST", "AGENT", "VERSION", "HEARD", "CLOCK", "MEMORY"], &rows, &[4, 5]);
    match at_work.is_empty() {
        true => hosts,
        false => format!("{hosts}\n\nAt work: {}", ranges(at_work.into_keys())),
    }
}
