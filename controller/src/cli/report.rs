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
use super::{plan, preview};
use crate::operate::request::{PreviewRequest, ReportAnswer, ReportRequest};
use crate::rpc::method::Method;
use crate::view::before::Before;
use crate::view::diff::Tally;
use crate::view::expected::expected;
use crate::view::report::{REPORT_SCHEMA, Report};
use crate::view::report_databases::{databases, way_back};
use crate::view::report_html::html;
use crate::view::report_junit::junit;
use crate::view::report_text::markdown;
use crate::view::{before_html, before_text};
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
    /// The report for the change board, before anything is done: out of the plan and of the agents' previews of it.
    #[arg(long, requires = "of", conflicts_with = "expected")]
    before: bool,
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

/// The report before a run. Changes nothing.
async fn before(args: &ReportArgs, plan: &Path, context: &Context) -> Result<Exit, Failure> {
    let (HashedPlan { plan, sha256 }, text) = plan::read(plan)?;
    if args.output == Form::Junit {
        return Err(Failure::usage("--before is written as html, md or json"));
    }
    let steps = plan.steps().count();
    let controller = Controller::connect(context).await?;
    say(&format!("Asking the agents about {steps} steps; nothing is changed ..."));
    let request = PreviewRequest { plan: text, nodes: None };
    let Some(items) = preview::asked(&controller, &request, |_| Ok(())).await? else { return Ok(Exit::Left) };
    #[expect(clippy::disallowed_methods, reason = "a report says when it was made, by the clock of this terminal")]
    let made_at = Timestamp::now();
    let tally = Tally::of(&items, steps);
    let before = Before { plan: &plan, sha256: sha256.as_str(), items: &items, tally, change: args.change.as_deref(), made_at };
    let text = match args.output {
        Form::Html => before_html::html(&before),
        Form::Md | Form::Junit => before_text::markdown(&before),
        Form::Json => serde_json::to_string_pretty(&before.document()).map_err(|e| unwritable(&e))?,
    };
    put(args.out.as_deref(), &text)?;
    if let Some(out) = &args.out {
        say(&format!("Saved {}: {}", out.display(), before.summary()));
    }
    // The document names what nobody could tell; it is whole all the same.
    Ok(if tally.faults + tally.unanswered > 0 { Exit::Unreachable } else { Exit::Done })
}

fn unwritable(error: &serde_json::Error) -> Failure {
    Failure::usage(format!("the report cannot be written: {error}"))
}

pub(super) async fn run(args: ReportArgs, context: &Context) -> Result<Exit, Failure> {
    if let Some(plan) = args.of.as_deref().filter(|_| args.before) {
        return before(&args, Path::new(plan), context).await;
    }
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
    let mut document = json!({
        "schema": REPORT_SCHEMA,
        "made_at": report.made_at,
        "change": report.change,
        "verdict": report.verdict().0,
        "downtimes": report.downtimes(),
        "databases": databases(report),
        "way_back": way_back(report),
    });
    let answer = serde_json::to_value(report.answer).map_err(|e| unwritable(&e))?;
    if let (Value::Object(document), Value::Object(answer)) = (&mut document, answer) {
        document.extend(answer);
    }
    serde_json::to_string_pretty(&document).map_err(|e| unwritable(&e))
}
