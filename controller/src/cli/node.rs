//! `node`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{OutputArgs, emit};
use crate::operate::request::StatusRequest;
use crate::rpc::method::Method;
use crate::view::document::{Status, age};
use crate::view::table::table;
use crate::view::text::ranges;
use cavalcade_common::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// List the hosts that were ever met, with their agents and the nodes of open runs.
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(command: NodeCommand, context: &Context) -> Result<Exit, Failure> {
    let NodeCommand::List(args) = command;
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
