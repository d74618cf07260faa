//! `fleet`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cavalcade_common::finding::Severity;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::context::Context;
use super::controller::Controller;
use super::facts;
use super::failure::Failure;
use super::output::{OutputArgs, emit, put, say};
use super::plan::Files;
use super::preflight::Ground;
use crate::fleet::schema;
use crate::view::facts::facts_table;
use crate::view::findings::findings;
use cavalcade_common::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum FleetCommand {
    /// Check the fleet file against what the agents find: all findings at once. Changes nothing.
    Check(CheckArgs),
    /// Gather the facts of all nodes, to plan from them later (cavalcade plan --facts FILE).
    Facts(FactsArgs),
    /// Write the JSON Schema of fleet files, for editors.
    Schema(SchemaArgs),
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The fleet file.
    #[arg(value_name = "FLEET")]
    fleet: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct FactsArgs {
    /// The fleet file.
    #[arg(value_name = "FLEET")]
    fleet: PathBuf,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(command: FleetCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        FleetCommand::Check(args) => check(args, context).await,
        FleetCommand::Facts(args) => gather(args, context).await,
        FleetCommand::Schema(args) => {
            let text = serde_json::to_string_pretty(&schema::schema());
            let text = text.map_err(|error| Failure::usage(format!("the schema cannot be written: {error}")))?;
            put(args.out.as_deref(), &format!("{text}\n"))?;
            Ok(Exit::Done)
        }
    }
}

async fn check(args: CheckArgs, context: &Context) -> Result<Exit, Failure> {
    let files = Files::read(&args.fleet)?;
    let controller = Controller::connect(context).await?;
    let pinned = files.pin().await?;
    let status = controller.status_with_upgraded().await?;
    #[expect(clippy::disallowed_methods, reason = "the checks make a plan, which says when it was made")]
    let now = Timestamp::now();
    let shipped = files.shipped().await?;
    let asked = files.survey(&shipped, now)?;
    let gathered = facts::gather(&controller, &asked).await?;
    let ground = Ground {
        artifacts: &pinned,
        facts: &gathered.facts,
        asked: &asked,
        shipped: &shipped,
        unanswered: &gathered.faults,
        status: Some(&status),
        now,
    };
    let (results, planned) = ground.check(&files);
    let planned = matches!(planned, Some(Ok(_)));
    let blocked = results.count(Severity::Error) > 0;
    let ok: serde_json::Map<String, serde_json::Value> = results.ok.iter().map(|(area, n)| (area.clone(), json!(n))).collect();
    let document = json!({
        "schema": "cavalcade.check/1",
        "fleet": files.fleet.name,
        "blocked": blocked,
        "ok": ok,
        "findings": results.findings,
        "facts": gathered.facts.iter().map(|(node, facts)| (node.to_string(), &facts.value)).collect::<BTreeMap<_, _>>(),
    });
    let shown = || facts_table(gathered.facts.iter().map(|(node, facts)| (node, &facts.value)));
    emit(args.output.output, &document, || format!("{}\n\n{}", shown(), findings(&results, planned, context.colour_out)))?;
    Ok(if blocked { Exit::Blocked } else { Exit::Done })
}

async fn gather(args: FactsArgs, context: &Context) -> Result<Exit, Failure> {
    let files = Files::read(&args.fleet)?;
    let controller = Controller::connect(context).await?;
    #[expect(clippy::disallowed_methods, reason = "the one clock of a command")]
    let asked = files.survey(&files.shipped().await?, Timestamp::now())?;
    let (saved, faults) = facts::to_save(&controller, &files.fleet, &asked).await?;
    let text = serde_json::to_string_pretty(&saved);
    let text = text.map_err(|error| Failure::usage(format!("the facts cannot be written: {error}")))?;
    put(args.out.as_deref(), &text)?;
    for fault in &faults {
        say(&crate::view::text::clean(&fault.to_string()));
    }
    Ok(if faults.is_empty() { Exit::Done } else { Exit::Unreachable })
}
