//! `names`: what `cavalcade-agent step run` needs to know of one node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cavalcade_common::error::Faults;
use cavalcade_common::exit::Exit;
use cavalcade_common::id::NodeId;
use cavalcade_common::step::Names;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::context::Context;
use super::controller::Controller;
use super::facts::{self, Gathered};
use super::failure::Failure;
use super::output::{put, say};
use super::plan::{Files, who};
use crate::resolve::{Input, names_of};

#[derive(Debug, Args)]
pub(super) struct NamesArgs {
    /// The node.
    #[arg(value_name = "NODE")]
    node: NodeId,
    /// The fleet file.
    #[arg(long, value_name = "FILE")]
    fleet: PathBuf,
    /// Take saved facts (cavalcade fleet facts) instead of asking the agents: no controller is needed then.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Write the names to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the node's facts to this file: `step run --facts` takes them, corrected by hand, in place of those of the names.
    #[arg(long, value_name = "FILE")]
    facts_out: Option<PathBuf>,
}

pub(super) async fn run(args: NamesArgs, context: &Context) -> Result<Exit, Failure> {
    let files = Files::read(&args.fleet)?;
    let artifacts = files.pin().await?.map_err(|faults| files.explain(faults))?;
    #[expect(clippy::disallowed_methods, reason = "the one clock of a command")]
    let now = Timestamp::now();
    let shipped = files.shipped().await?;
    let asked = files.survey(&shipped, now)?;
    let Gathered { facts, faults } = match &args.facts {
        Some(file) => facts::load(file)?,
        None => facts::gather(&Controller::connect(context).await?, &asked).await?,
    };
    // Other nodes are among the names, so that all of them are needed.
    if !faults.is_empty() {
        return Err(Faults(faults).into());
    }
    let input = Input {
        fleet: &files.fleet,
        recipe: &files.recipe,
        facts: &facts,
        asked: &asked,
        shipped: &shipped,
        artifacts: &artifacts,
        plan_id: "",
        made_by: &who(),
        now,
    };
    let names = names_of(&input, &args.node).map_err(|faults| files.explain(faults))?;
    if let Some(path) = args.facts_out.as_deref() {
        write(Some(path), &facts_of(&names))?;
    }
    write(args.out.as_deref(), &names)?;
    if let Some(path) = &args.out {
        say(&format!("On the machine: cavalcade-agent step run STEPS.yaml --node {}", path.display()));
    }
    Ok(Exit::Done)
}

/// The facts as steps see them: with answers, and with what is known from old packs and other nodes.
fn facts_of(names: &Names) -> BTreeMap<&str, &Value> {
    let facts = names.values.get("facts").and_then(Value::as_object);
    facts.into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

fn write(out: Option<&Path>, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Failure::usage(format!("the names cannot be written: {error}")))?;
    put(out, &format!("{text}\n"))
}
