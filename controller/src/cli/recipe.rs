//! `recipe`: for people who write their own. Needs no controller and no fleet.

use std::path::{Path, PathBuf};

use cavalcade_common::error::Faults;
use cavalcade_common::render::{self, Sources};
use cavalcade_common::written::read_limited;
use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::failure::{Failure, NOTHING};
use super::output::{OutputArgs, emit, print, put, say};
use crate::recipe::lint::{Linted, lint};
use crate::recipe::{BUILT_IN, order, schema};
use crate::view::recipe_graph;
use cavalcade_common::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum RecipeCommand {
    /// Show every fault of a recipe, and what is odd about it.
    Lint(LintArgs),
    /// Show the stages in their order, with what they wait for.
    Graph(GraphArgs),
    /// Write the JSON Schema of recipes, for editors.
    Schema(SchemaArgs),
}

#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// The recipe file, or the name of a built-in recipe.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// End with exit code 1 where there are warnings.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct GraphArgs {
    /// The recipe file, or the name of a built-in recipe.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// In the language of Graphviz (dot -Tsvg).
    #[arg(long)]
    dot: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(command: RecipeCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        RecipeCommand::Lint(args) => look(&args, context),
        RecipeCommand::Graph(args) => graph(&args, context),
        RecipeCommand::Schema(args) => {
            let text = serde_json::to_string_pretty(&schema::schema());
            let text = text.map_err(|error| Failure::usage(format!("the schema cannot be written: {error}")))?;
            put(args.out.as_deref(), &format!("{text}\n"))?;
            Ok(Exit::Done)
        }
    }
}

/// Name for messages and content of a file, or of a built-in recipe.
fn content(file: &Path) -> Result<(String, Vec<u8>), Failure> {
    let built_in = BUILT_IN.iter().find(|(name, _)| file.as_os_str() == *name && !file.exists());
    match built_in {
        Some((name, text)) => Ok(((*name).to_owned(), text.as_bytes().to_vec())),
        None => Ok((file.display().to_string(), read_limited(file)?)),
    }
}

fn look(args: &LintArgs, context: &Context) -> Result<Exit, Failure> {
    let (name, bytes) = content(&args.file)?;
    let Linted { recipe, faults, warnings } = lint(&bytes, &name);
    let sources = Sources::from([(name.clone(), String::from_utf8_lossy(&bytes).into_owned())]);
    let document = json!({
        "schema": "cavalcade.lint/1",
        "file": name,
        "recipe": recipe.as_ref().map(|r| &r.name),
        "faults": faults.0,
        "warnings": warnings,
    });
    emit(args.output.output, &document, || told(&faults, &warnings, &sources, context.colour_out))?;
    Ok(match () {
        () if !faults.is_empty() => Exit::Usage,
        () if args.strict && !warnings.is_empty() => Exit::Failed,
        () => Exit::Done,
    })
}

fn told(faults: &Faults, warnings: &[cavalcade_common::error::Fault], sources: &Sources, colour: bool) -> String {
    if !faults.is_empty() {
        return render::faults(faults, sources, NOTHING, colour);
    }
    let verdict = match warnings.len() {
        0 => "The recipe is sound.".to_owned(),
        1 => "The recipe can be used; 1 warning.".to_owned(),
        n => format!("The recipe can be used; {n} warnings."),
    };
    render::warnings(warnings, sources, colour) + &verdict
}

fn graph(args: &GraphArgs, context: &Context) -> Result<Exit, Failure> {
    let (name, bytes) = content(&args.file)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let recipe = crate::recipe::read(&bytes, &name).map_err(|faults| Failure::from(faults).with(&name, &text))?;
    let order = match order(&recipe.stages) {
        Ok(order) => order,
        Err(circle) => {
            let names: Vec<&str> = circle.iter().map(|s| s.id.as_str()).collect();
            say(&format!("These stages wait for each other: {}.", names.join(", ")));
            return Ok(Exit::Usage);
        }
    };
    if args.dot {
        print(recipe_graph::dot(&recipe, &order).trim_end())?;
        return Ok(Exit::Done);
    }
    let document = recipe_graph::document(&recipe, &order);
    emit(args.output.output, &document, || recipe_graph::text(&recipe, &order, context.colour_out))?;
    Ok(Exit::Done)
}
