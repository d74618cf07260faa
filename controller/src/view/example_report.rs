//! A report for the tests of its forms.

use std::collections::BTreeMap;

use cavalcade_common::plan::{Plan, PlanStep};
use cavalcade_common::report::{Ending, Evidence, FileDiff, Outcome, RESTORE_TOOK, RESTORED_ONCE};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::example;
use super::example_plan::plan;
use super::report::Report;
use crate::operate::request::{DecisionLine, LogRange, ReportAnswer};
use crate::state::Counts;
use crate::view::document::{RunStatus, StageStatus, StepStatus};

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
        observed: Vec::new(),
    }
}

fn run() -> RunStatus {
    let plan = with_database();
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
            approval: None,
            budget: None,
            point_of_no_return: stage.point_of_no_return,
        })
        .collect();
    run.extra = vec![StepStatus { kind: "restore".to_owned(), ..example::step("0.1@is-1", "restore-am_db", "succeeded") }];
    for step in run.stages.iter_mut().flat_map(|g| &mut g.steps) {
        step.kind = match step.name.as_str() {
            "backup" | "assert" => step.name.clone(),
            "migrate" => "job".to_owned(),
            _ => step.kind.clone(),
        };
    }
    let skipped = &mut run.stages[1].steps[3];
    skipped.state = "skipped".to_owned();
    skipped.decided = Some("ben: merged by hand | see <b>".to_owned());
    run.stages[2].steps[0].attempt = 2;
    run.counts = Counts { all: 9, succeeded: 8, skipped: 1, retried: 1, ..Counts::default() };
    run
}

/// The example plan with a backup before its migration and a query behind it.
fn with_database() -> Plan {
    let mut plan = plan();
    let database = json!({ "name": "am_db", "engine": "mysql", "host": "db", "port": 3306, "database": "am_db", "user": "u", "password": "p" });
    let step = |key: &str, name: &str, action: Value| -> PlanStep {
        let step = json!({ "key": key, "host": "is-1.example.com", "name": name, "action": action, "timeout": "1h" });
        serde_json::from_value(step).unwrap_or_else(|error| panic!("{name} is no step: {error}"))
    };
    plan.stages[1].steps.push(step("2.3@is-1", "backup", json!({ "backup": { "database": database, "to": "/backup" } })));
    let asserts = json!([{ "says": "versions are 5.11.0", "select": "SELECT 1", "equals": "1" }]);
    plan.stages[2].steps.push(step("3.2@is-1", "assert", json!({ "query": { "database": database, "asserts": asserts } })));
    plan.databases.insert("am_db".to_owned(), serde_json::from_value(database).unwrap_or_else(|error| panic!("{error}")));
    plan
}

fn found(outcome: Outcome, evidence: &[(&str, &str)]) -> Outcome {
    Outcome { evidence: evidence.iter().map(|(what, found)| Evidence::holds(*what, *found)).collect(), ..outcome }
}

pub(crate) fn answer() -> ReportAnswer {
    let at = example::opened();
    let later = |minutes| at + SignedDuration::from_mins(minutes);
    let diff = "@@ -1,2 +1,2 @@\n [user_store]\n-type = \"jdbc\"\n+type = \"database\"\n";
    ReportAnswer {
        run: run(),
        plan: Box::new(with_database()),
        outcomes: BTreeMap::from([
            ("1.1@gw-1".to_owned(), outcome(at, 30, "")),
            ("2.1@is-1".to_owned(), outcome(at + SignedDuration::from_secs(60), 1, diff)),
            (
                "2.3@is-1".to_owned(),
                found(
                    outcome(later(5), 300, ""),
                    &[("incarnation of am_db", "one"), (RESTORED_ONCE, "214 tables, 1048576 rows"), (RESTORE_TOOK, "95 s")],
                ),
            ),
            ("3.1@is-1".to_owned(), found(outcome(later(20), 600, ""), &[("log line", "GroupsAndRolesMigrator done")])),
            ("3.2@is-1".to_owned(), found(outcome(later(32), 1, ""), &[("versions are 5.11.0", "1")])),
            ("0.1@is-1".to_owned(), found(outcome(later(15), 95, ""), &[("incarnation of am_db", "two")])),
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
        excerpts: BTreeMap::from([(
            "3.1@is-1".to_owned(),
            vec!["is-1:8840 01:12:40Z ERROR <b> refused".to_owned(), "    \tat org.wso2.X".to_owned()],
        )]),
    }
}

pub(crate) fn report(answer: &ReportAnswer) -> Report<'_> {
    Report { answer, change: Some("CHG0012345"), made_at: example::opened() + SignedDuration::from_hours(2) }
}
