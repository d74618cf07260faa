//! What every form of a report shows: verdict, downtimes, the steps that did not go straight through. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::Outcome;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::document::{RunStatus, StepStatus, age};
use super::services::ServiceStatus;
use crate::operate::request::ReportAnswer;

/// Schema word of the JSON form.
pub const REPORT_SCHEMA: &str = "cavalcade.report/1";

/// A report to be written.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What the controller knows.
    pub answer: &'a ReportAnswer,
    /// The ticket, where one was named.
    pub change: Option<&'a str>,
    /// When the report is made.
    pub made_at: Timestamp,
}

/// When a node's service was away, as probed: what `services` says of it, without what is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Downtime {
    /// The node.
    pub node: String,
    /// The first look that found it down.
    pub from: Timestamp,
    /// The look since which it is up again; `None`: not yet.
    pub until: Option<Timestamp>,
}

impl<'a> Report<'a> {
    /// The run.
    #[must_use]
    pub fn run(&self) -> &'a RunStatus {
        &self.answer.run
    }

    /// One word and one sentence.
    #[must_use]
    pub fn verdict(&self) -> (&'static str, String) {
        let run = self.run();
        let c = &run.counts;
        let of = format!("{} of {} steps done, {} skipped, {} retried", c.succeeded, c.all, c.skipped, c.retried);
        let word = match run.mode.as_str() {
            "done" => "DONE",
            "cancelled" => "CANCELLED",
            "superseded" => "SUPERSEDED",
            _ if c.indeterminate > 0 => "INDETERMINATE",
            _ if c.failed > 0 => "FAILED",
            _ => "OPEN",
        };
        (word, format!("{of}, {} failed, {} indeterminate", c.failed, c.indeterminate))
    }

    /// From the first minute to the last, for people.
    #[must_use]
    pub fn took(&self) -> String {
        span(self.run().opened_at, self.run().closed_at.unwrap_or(self.made_at))
    }

    /// All steps with what the plan says of them, in the order of the stages.
    pub fn steps(&self) -> impl Iterator<Item = (&'a StepStatus, Option<&'a PlanStep>)> + use<'a> {
        let planned: BTreeMap<String, &PlanStep> =
            self.answer.plan.steps().map(|(_, step)| (step.key.to_string(), step)).collect();
        let run = &self.answer.run;
        let steps = run.extra.iter().chain(run.stages.iter().flat_map(|g| &g.steps));
        steps.map(move |status| (status, planned.get(&status.step).copied()))
    }

    /// The outcome of a step.
    #[must_use]
    pub fn outcome(&self, step: &str) -> Option<&'a Outcome> {
        self.answer.outcomes.get(step)
    }

    /// Steps that did not go straight through: skipped, repeated, failed, indeterminate, decided by a person.
    #[must_use]
    pub fn remarkable(&self) -> Vec<&'a StepStatus> {
        let straight =
            |s: &StepStatus| matches!(s.state.as_str(), "succeeded" | "pending") && s.attempt <= 1 && s.decided.is_none();
        self.steps().map(|(status, _)| status).filter(|s| !straight(s)).collect()
    }

    /// Downtime of each node whose service a look found down.
    #[must_use]
    pub fn downtimes(&self) -> Vec<Downtime> {
        let down = |s: &ServiceStatus| Some(Downtime { node: s.node.clone(), from: s.down_since?, until: s.up_since });
        let mut all: Vec<Downtime> = self.run().services.iter().filter_map(down).collect();
        all.sort_by(|a, b| a.node.cmp(&b.node));
        all
    }
}

/// A span for people.
#[must_use]
pub fn span(from: Timestamp, until: Timestamp) -> String {
    age(Duration::try_from(until.duration_since(from)).unwrap_or_default())
}

/// An instant for a screen: in the operator's zone, which it names.
#[must_use]
pub fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// An instant for a report: UTC, to the second.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
