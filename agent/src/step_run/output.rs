//! The result: one line of JSON a step, or a form for people. docs/step-run.md describes both.

use std::io::Write;
use std::time::Duration;

use cavalcade_common::action::Action;
use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::id::AttemptId;
use cavalcade_common::plan::{OmittedWhy, PlanStep};
use cavalcade_common::render::wrap;
use cavalcade_common::report::{Ending, Evidence, FileDiff, Outcome, Preview, Verdict};
use cavalcade_common::step::LeftOut;
use jiff::Timestamp;
use serde::Serialize;

use super::console::printable;

/// Schema word of each line. Keys may be added; a changed or removed one is another number.
pub const SCHEMA: &str = "cavalcade.step-run/1";

/// Form of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people; not stable.
    Table,
    /// JSON, one line a step.
    Json,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Done, and something was changed.
    Changed,
    /// As wanted already.
    Unchanged,
    /// Not done; nothing of it is still under way.
    Failed,
    /// Nobody can tell without a person.
    Indeterminate,
    /// Not begun: something is missing.
    Refused,
    /// Not begun, since a step before it did not succeed.
    NotRun,
    /// Its condition does not hold, or the file leaves it out on purpose.
    LeftOut,
    /// Preview: it would change something.
    WouldChange,
    /// Preview: it depends on what is not there yet.
    Depends,
    /// Preview: nobody can tell beforehand.
    Opaque,
}

impl Ended {
    /// For people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "FAILED",
            Self::Indeterminate => "INDETERMINATE",
            Self::Refused => "REFUSED",
            Self::NotRun => "not run",
            Self::LeftOut => "left out",
            Self::WouldChange => "would change",
            Self::Depends => "depends",
            Self::Opaque => "opaque",
        }
    }

    fn symbol(self) -> char {
        match self {
            Self::Changed | Self::WouldChange => '~',
            Self::Unchanged => '=',
            Self::Failed | Self::Refused => 'x',
            Self::Indeterminate | Self::Depends => '?',
            Self::NotRun | Self::LeftOut => '-',
            Self::Opaque => '!',
        }
    }
}

/// One step's line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The step's name.
    pub step: String,
    /// Its place among the steps that run, from 1; 0 for one that is left out.
    pub number: u32,
    /// The guide's row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The action's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'static str>,
    /// The attempt (`RUN/STEP#NUMBER`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// What became of it.
    pub outcome: Ended,
    /// Whether anything was changed.
    pub changed: bool,
    /// Whether an earlier invocation, which was interrupted later, did it.
    pub earlier: bool,
    /// In a few words: why, or what.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub says: String,
    /// Files and folders that were changed, with their diffs.
    pub changes: Vec<FileDiff>,
    /// What was looked at and found.
    pub evidence: Vec<Evidence>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Indeterminate: what is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// Indeterminate: what is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// When its effect began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

impl Line {
    /// A line of a step, nothing known yet.
    pub(super) fn new(step: &PlanStep, outcome: Ended, says: impl Into<String>) -> Self {
        Self {
            schema: SCHEMA,
            step: step.name.to_string(),
            number: step.key.step,
            row: step.row.clone(),
            action: Some(Action::kind(&step.action)),
            attempt: None,
            outcome,
            changed: false,
            earlier: false,
            says: says.into(),
            changes: Vec::new(),
            evidence: Vec::new(),
            fault: None,
            known: Vec::new(),
            unknown: Vec::new(),
            began: None,
            ended: None,
        }
    }

    /// The line of an attempt that ended.
    pub(super) fn ended(step: &PlanStep, attempt: &AttemptId, outcome: Outcome) -> Self {
        let ended = match outcome.ending {
            Ending::Succeeded if outcome.changed => Ended::Changed,
            Ending::Succeeded => Ended::Unchanged,
            Ending::Failed => Ended::Failed,
            Ending::Indeterminate => Ended::Indeterminate,
        };
        Self {
            attempt: Some(attempt.to_string()),
            changed: outcome.changed,
            changes: outcome.diffs,
            evidence: outcome.evidence,
            fault: outcome.fault,
            known: outcome.known,
            unknown: outcome.unknown,
            began: Some(outcome.began),
            ended: Some(outcome.ended),
            ..Self::new(step, ended, "")
        }
    }

    /// The line of a preview.
    pub(super) fn preview(step: &PlanStep, preview: Preview) -> Self {
        let outcome = match preview.verdict {
            Verdict::Change => Ended::WouldChange,
            Verdict::Same => Ended::Unchanged,
            Verdict::Maybe => Ended::Depends,
            Verdict::Opaque => Ended::Opaque,
        };
        Self { changes: preview.diffs, ..Self::new(step, outcome, preview.says) }
    }

    /// The line of a step that is left out.
    pub(super) fn left_out(left: &LeftOut) -> Self {
        let why = match left.why {
            OmittedWhy::OnPurpose => "on purpose: ",
            OmittedWhy::Condition => "",
        };
        Self {
            schema: SCHEMA,
            step: left.name.to_string(),
            number: 0,
            row: left.row.clone(),
            action: None,
            attempt: None,
            outcome: Ended::LeftOut,
            changed: false,
            earlier: false,
            says: format!("{why}{}", left.reason),
            changes: Vec::new(),
            evidence: Vec::new(),
            fault: None,
            known: Vec::new(),
            unknown: Vec::new(),
            began: None,
            ended: None,
        }
    }

    /// Prints it.
    pub(super) fn print(&self, format: Format) {
        let text = match format {
            Format::Json => serde_json::to_string(self).unwrap_or_default(),
            Format::Table => self.for_people(),
        };
        result(&text);
    }

    fn for_people(&self) -> String {
        let took = match (self.began, self.ended) {
            (Some(began), Some(ended)) => Duration::try_from(ended.duration_since(began)).ok(),
            _ => None,
        };
        let took = took.map(|t| format!("  {:.1} s", t.as_secs_f64())).unwrap_or_default();
        let row = self.row.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
        let earlier = if self.earlier { ", before the interruption" } else { "" };
        let name = format!("{}{row}", self.step);
        let mut lines = vec![format!(
            "{} {name:<32} {:<8} {}{earlier}{took}",
            self.outcome.symbol(),
            self.action.unwrap_or("-"),
            self.outcome.word()
        )];
        let mut say = |head: &str, text: &str| {
            let next = " ".repeat(head.chars().count() + 4);
            lines.push(wrap(&printable(text), &format!("    {head}"), &next).trim_end().to_owned());
        };
        if !self.says.is_empty() {
            say("", &self.says);
        }
        if let Some(fault) = &self.fault {
            say("", &fault.to_string());
            if let Some(help) = &fault.help {
                say("help: ", help);
            }
            say("", &format!("more: cavalcade explain {}", fault.code));
        }
        self.known.iter().for_each(|known| say("known    ", known));
        self.unknown.iter().for_each(|unknown| say("unknown  ", unknown));
        for change in &self.changes {
            lines.push(format!("    {} {}", printable(&change.path), printable(&change.note)).trim_end().to_owned());
            lines.extend(change.diff.lines().map(|l| format!("      {}", printable(l))));
        }
        if self.outcome != Ended::Unchanged {
            lines.extend(self.evidence.iter().map(|e| {
                let holds = if e.holds { "" } else { "NOT AS WANTED  " };
                let text = printable(&format!("{holds}{}: {}", e.what, e.found));
                wrap(&text, "    ", "      ").trim_end().to_owned()
            }));
        }
        lines.join("\n")
    }
}

/// Faults as one line of JSON.
pub(super) fn print_faults(faults: &Faults, changed: &str) {
    let line = serde_json::json!({ "schema": SCHEMA, "faults": faults, "changed": changed });
    result(&line.to_string());
}

/// To standard output. Whoever closed it does not want it; the work goes on.
fn result(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
