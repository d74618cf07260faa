//! `explain`.

use std::path::PathBuf;

use cavalcade_common::codes;
use cavalcade_common::error::{Code, Fault};
use cavalcade_common::written::nearest;
use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::output::{OutputArgs, emit, put};
use crate::preflight::{self, Explained};
use crate::view::{checks, manual};
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The code (CVL-1107 or 1107), or the name of a check (agent-connected).
    #[arg(value_name = "CODE", required_unless_present_any = ["all_markdown", "preflight_markdown"])]
    code: Option<String>,
    /// Write the page of all codes (docs/errors.md).
    #[arg(long, hide = true)]
    all_markdown: bool,
    /// Write the page of all checks (docs/preflight.md).
    #[arg(long, hide = true)]
    preflight_markdown: bool,
    /// Write to this file.
    #[arg(long, hide = true, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &ExplainArgs) -> Result<Exit, Failure> {
    if args.all_markdown {
        put(args.out.as_deref(), &manual::errors_markdown())?;
        return Ok(Exit::Done);
    }
    if args.preflight_markdown {
        put(args.out.as_deref(), &checks::markdown())?;
        return Ok(Exit::Done);
    }
    let typed = args.code.as_deref().unwrap_or_default();
    // Recipes may have checks of the same name, each with its own words.
    let all = preflight::explained();
    let checks: Vec<&Explained> = all.iter().filter(|check| check.check == typed).collect();
    if !checks.is_empty() {
        let document = json!({ "schema": "cavalcade.explanation/1", "check": typed, "of": checks });
        emit(args.output.output, &document, || {
            checks.iter().map(|check| checks::explanation(check)).collect::<Vec<_>>().join("\n")
        })?;
        return Ok(Exit::Done);
    }
    let upper = typed.to_uppercase();
    let number = upper.strip_prefix("CVL-").unwrap_or(&upper).parse().ok();
    let explained = number.and_then(|number| codes::explain(Code(number)));
    let Some(e) = explained else {
        let mut fault = Fault::new(codes::operator::USAGE, format!("there is no error code and no check `{typed}`"));
        let near = nearest(typed, all.iter().map(|check| &*check.check)).map(|near| format!("`{near}` exists"));
        fault.help = near.or_else(|| Some("docs/errors.md and docs/preflight.md list them all".to_owned()));
        return Err(fault.into());
    };
    let document = json!({
        "schema": "cavalcade.explanation/1",
        "code": e.code.to_string(),
        "title": e.title,
        "cause": e.cause,
        "certain": e.certain,
        "unknown": e.unknown,
        "remedy": e.remedy,
    });
    emit(args.output.output, &document, || manual::explanation(e))?;
    Ok(Exit::Done)
}
