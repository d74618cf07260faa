//! A report for the tests of its forms.

use std::collections::BTreeMap;

use cavalcade_common::report::{Ending, Evidence, FileDiff, Outcome};
use jiff::{SignedDuration, Timestamp};

use super::example;
use super::example_plan::plan;
use super::report::Report;
use crate::operate::request::{DecisionLine, LogRange, ReportAnswer};
use crate::state::Counts;
use crate::view::document::{RunStatus, StageStatus};

fn outcome(began: Timestamp, seconds: i64, diff: &str) -> Outcome {
    let file = FileDiff { path: "/opt/wso2/is/deployment.toml".to_owned(), diff: diff.to_owned(), note: String::new() };
    Outcome {
        ending: Ending::Succeeded,
        changed: true,
        began,
        ended: began + SignedDuration::from_secs(seconds),
        evidence: vec![Evidence::holds("log line", "WSO2 Carbon started in 41 s <b>")],
        diffs: if diff.is_empty() { Vec::new() } else { vec![file] },
        fault: None,
        known: Vec::new(),
        unknown: Vec::new(),
    }
}

fn run() -> RunStatus {
    let plan = plan();
    let mut run = example::done(example::opened() + SignedDuration::from_mins(73)).runs.remove(0);
    run.stages = plan
        .stages
        .iter()
        .map(|stage| StageStatus {
            number: stage.number,
            id: stage.id.to_string(),
            title: stage.title.clone(),
            state: "done".to_owned(),
            nodes: stage.nodes.iter().map(ToString::to_string).collect(),
            steps: stage.steps.iter().map(|s| example::step(&s.key.to_string(), s.name.as_str(), "succeeded")).collect(),
            began: Some(example::opened()),
            ended: Some(example::opened() + SignedDuration::from_secs(61)),
            second_person: false,
            point_of_no_return: stage.point_of_no_return,
        })
        .collect();
    let skipped = &mut run.stages[1].steps[3];
    skipped.state = "skipped".to_owned();
    skipped.decided = Some("ben: merged by hand | see <b>".to_owned());
    run.stages[2].steps[0].attempt = 2;
    run.counts = Counts { all: 9, succeeded: 8, skipped: 1, retried: 1, ..Counts::default() };
    run
}

pub(crate) fn answer() -> ReportAnswer {
    let at = example::opened();
    let diff = "@@ -1,2 +1,2 @@\n [user_store]\n-type = \"jdbc\"\n+type = \"database\"\n";
    ReportAnswer {
        run: run(),
        plan: Box::new(plan()),
        outcomes: BTreeMap::from([
            ("1.1@gw-1".to_owned(), outcome(at, 30, "")),
            ("2.1@is-1".to_owned(), outcome(at + SignedDuration::from_secs(60), 1, diff)),
            ("4.1@gw-1".to_owned(), outcome(at + SignedDuration::from_mins(40), 90, "")),
        ]),
        decisions: vec![DecisionLine {
            at: at + SignedDuration::from_mins(5),
            position: 812,
            by: "ben".to_owned(),
            verb: "skip".to_owned(),
            on: "2.2@is-2".to_owned(),
            why: "merged by hand | see <b>".to_owned(),
        }],
        waived: vec!["the plan is 25 h old; let pass by anna".to_owned()],
        superseded: Vec::new(),
        log_ranges: BTreeMap::from([(
            "3.1@is-1".to_owned(),
            LogRange { first: "is-1:12".to_owned(), last: "is-1:8841".to_owned(), lines: 8830 },
        )]),
    }
}

pub(crate) fn report(answer: &ReportAnswer) -> Report<'_> {
    Report { answer, change: Some("CHG0012345"), made_at: example::opened() + SignedDuration::from_hours(2) }
}
