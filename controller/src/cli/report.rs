//! `report`.

use std::path::{Path, PathBuf};

use cavalcade_common::plan::HashedPlan;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{put, say};
use super::plan;
use crate::operate::request::{ReportAnswer, ReportRequest};
use crate::rpc::method::Method;
use crate::view::expected::expected;
use crate::view::report::{REPORT_SCHEMA, Report};
use crate::view::report_html::html;
use crate::view::report_junit::junit;
use crate::view::report_text::markdown;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// A plan file, or a run's id, or the beginning of a plan's sha256; without it the newest run.
    #[arg(value_name = "PLAN|RUN")]
    of: Option<String>,
    /// The ticket, for the report's head (CHG0012345).
    #[arg(long, value_name = "TICKET")]
    change: Option<String>,
    /// Form of the report.
    #[arg(short, long, env = "CAVALCADE_REPORT_OUTPUT", default_value = "html", value_name = "FORM")]
    output: Form,
    /// Print how long its never-interrupted steps took, as `expected` for the fleet file of the next night.
    #[arg(long, conflicts_with = "change")]
    expected: bool,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One self-contained page that prints whole.
    Html,
    /// One JSON document with a schema word; stable.
    Json,
    /// Markdown.
    Md,
    /// JUnit XML, each step a test case.
    Junit,
}

/// The run that is meant: a plan file's by its digest, else as it was typed.
fn meant(of: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(of) = of else { return Ok(None) };
    let path = Path::new(of);
    if !path.exists() {
        return Ok(Some(of.to_owned()));
    }
    let (HashedPlan { sha256, .. }, _) = plan::read(path)?;
    Ok(Some(sha256.to_string()))
}

pub(super) async fn run(args: ReportArgs, context: &Context) -> Result<Exit, Failure> {
    let request = ReportRequest { run: meant(args.of.as_deref())? };
    let controller = Controller::connect(context).await?;
    let answer: ReportAnswer = controller.ask(Method::Report, &request).await?;
    if args.expected {
        put(args.out.as_deref(), &expected(&answer))?;
        return Ok(Exit::Done);
    }
    #[expect(clippy::disallowed_methods, reason = "a report says when it was made, by the clock of this terminal")]
    let made_at = Timestamp::now();
    let report = Report { answer: &answer, change: args.change.as_deref(), made_at };
    let text = match args.output {
        Form::Html => html(&report),
        Form::Md => markdown(&report),
        Form::Junit => junit(&report),
        Form::Json => document(&report)?,
    };
    put(args.out.as_deref(), &text)?;
    if let Some(out) = &args.out {
        say(&format!("Saved {}: {}", out.display(), report.verdict().0.to_lowercase()));
    }
    Ok(Exit::Done)
}

fn document(report: &Report) -> Result<String, Failure> {
    let unwritable = |error: serde_json::Error| Failure::usage(format!("the report cannot be written: {error}"));
    let mut document = json!({
        "schema": REPORT_SCHEMA,
        "made_at": report.made_at,
        "change": report.change,
        "verdict": report.verdict().0,
        "downtimes": report.downtimes(),
    });
    let answer = serde_json::to_value(report.answer).map_err(unwritable)?;
    if let (Value::Object(document), Value::Object(answer)) = (&mut document, answer) {
        document.extend(answer);
    }
    serde_json::to_string_pretty(&document).map_err(unwritable)
}
