//! A night's documents for the tests of the views.

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::plan::Undo;
use cavalcade_common::report::Progress;
use jiff::{SignedDuration, Timestamp};

use super::approval::ApprovalStatus;
use super::backup::BackupStatus;
use super::document::{AlarmStatus, HostStatus, RunStatus, STATUS_SCHEMA, StageStatus, Status, StepStatus};
use super::services::{OutageStatus, ServiceStatus, ZoneStatus};
use crate::schedule::wait::{Wait, WaitKind};
use crate::state::Counts;

/// When the run was opened.
pub(crate) fn opened() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap_or_default()
}

pub(crate) fn step(key: &str, name: &str, state: &str) -> StepStatus {
    StepStatus {
        step: key.to_owned(),
        name: name.to_owned(),
        row: None,
        node: key.split_once('@').map_or_else(String::new, |(_, node)| node.to_owned()),
        kind: "toml".to_owned(),
        state: state.to_owned(),
        attempt: u32::from(state != "pending"),
        position: 8841,
        at: opened(),
        began: None,
        ended: None,
        changed: true,
        fault: None,
        known: Vec::new(),
        unknown: Vec::new(),
        decided: None,
        progress: None,
        elapsed_seconds: 0,
        never_interrupted: false,
        databases: Vec::new(),
        kept: None,
    }
}

fn stage(number: u32, id: &str, title: &str, state: &str, steps: Vec<StepStatus>) -> StageStatus {
    let mut nodes: Vec<String> = steps.iter().map(|s| s.node.clone()).collect();
    nodes.dedup();
    StageStatus {
        number,
        id: id.to_owned(),
        title: title.to_owned(),
        state: state.to_owned(),
        nodes,
        steps,
        began: None,
        ended: None,
        second_person: false,
        approval: None,
        budget: None,
        point_of_no_return: id == "start-gateways",
    }
}

fn host(name: &str, connected: bool) -> HostStatus {
    HostStatus {
        host: name.to_owned(),
        connected,
        program: "0.1.0".to_owned(),
        quiet_seconds: 1,
        skew_millis: -12,
        resident_kib: 14_000,
        zone: Some(zone()),
    }
}

fn zone() -> ZoneStatus {
    ZoneStatus { name: "Asia/Tokyo".to_owned(), offset_seconds: 9 * 3600 }
}

/// One server came up again, one is down, one was seen by nobody.
fn services() -> Vec<ServiceStatus> {
    let later = |seconds| opened() + SignedDuration::from_secs(seconds);
    let outage = |until| OutageStatus { from: later(70), seen_up_before: true, until };
    let service = |node: &str, outages: Vec<OutageStatus>, says: &str| ServiceStatus {
        node: node.to_owned(),
        zone: (node == "is-1").then(zone),
        down_since: outages.first().map(|o| o.from),
        up_since: outages.last().and_then(|o| o.until),
        down_seconds: outages.last().and_then(|o| o.until).map(|_| 2400),
        outages,
        says: says.to_owned(),
    };
    vec![
        service("is-1", vec![outage(None)], "is down"),
        service("gw-1", vec![outage(Some(later(2470)))], "40m00s"),
        service("gw-3", Vec::new(), "unknown: no probe saw it"),
    ]
}

pub(crate) fn wait(step: Option<&str>, stage: u32, kind: WaitKind, why: &str) -> Wait {
    Wait::new(step.and_then(|s| s.parse().ok()).as_ref(), stage, kind, why)
}

/// A migration runs, an API Manager waits, a gateway is out of reach, one step failed and one is indeterminate.
pub(crate) fn night(at: Timestamp) -> Status {
    let mut migrate = step("4.3@is-1", "migrate", "running");
    migrate.elapsed_seconds = 3720;
    migrate.never_interrupted = true;
    migrate.kind = "job".to_owned();
    migrate.progress = Some(Progress { done: 9, total: 17, label: "GroupsAndRolesMigrator".to_owned(), quiet_seconds: 3 });
    let mut unpack = step("6.1@gw-3", "unpack", "running");
    unpack.elapsed_seconds = 68;
    unpack.progress = Some(Progress { done: 0, total: 0, label: "unpacks wso2am-4.0.0.zip".to_owned(), quiet_seconds: 40 });
    let mut failed = step("6.2@gw-1", "deployment-toml", "failed");
    failed.fault = Some(Fault::new(codes::edit::EDIT_NOT_FOUND, "the file is not what the plan expects"));
    let mut lost = step("3.2@is-1", "upgrade-am-db", "indeterminate");
    lost.row = Some("B4".to_owned());
    lost.fault =
        Some(Fault::new(codes::link::LINK_LOST, "the connection was lost while statement 87 of 214 ran (mysql.sql:912)"));
    lost.known = vec!["the server went on for 40 s; its lock is free now".to_owned(), "AM_API.API_UUID exists".to_owned()];
    lost.unknown = vec!["whether the second column was added".to_owned()];
    let stages = vec![
        stage(3, "upgrade-am-db", "upgrade AM_DB", "indeterminate", vec![step("3.1@is-1", "assert", "succeeded"), lost]),
        stage(4, "migrate-is", "migrate IS", "running", vec![step("4.1@is-1", "jar", "succeeded"), migrate]),
        stage(
            5,
            "start-is",
            "start IS",
            "waits",
            vec![step("5.1@is-1", "start", "pending"), step("5.1@is-2", "start", "pending")],
        ),
        stage(6, "gateways", "set up gateways", "failed", vec![failed, unpack, step("6.1@gw-4", "unpack", "offered")]),
        stage(7, "start-gateways", "start gateways", "waits", vec![step("7.1@gw-1", "start", "pending")]),
    ];
    let mut stages = stages;
    stages[3].budget = Some("gateways 4: 1 ok, 1 failed, 2 at work; budget 1, used 1, the next failure stops".to_owned());
    stages[4].approval = Some(ApprovalStatus {
        by: "dba".to_owned(),
        says: "The backups are proved; from here on new traffic is lost by a restore.".to_owned(),
        given: None,
        backups: vec![BackupStatus {
            database: "am_db".to_owned(),
            step: "2.1@is-1".to_owned(),
            proved_at: Some(opened()),
            counted: Some("214 tables, 1048576 rows".to_owned()),
            restore_seconds: Some(95),
        }],
        undo: Undo::Backup,
        undo_seconds: Some(95),
    });
    let counts = Counts {
        all: 148,
        succeeded: 51,
        skipped: 2,
        failed: 1,
        indeterminate: 1,
        cancelled: 0,
        under_way: 3,
        pending: 90,
        retried: 1,
    };
    let run = RunStatus {
        run: "run-7f3a91c2".to_owned(),
        position: 8841,
        fleet: "emea-production".to_owned(),
        recipe: "wso2-is-km-5.10.0-to-5.11.0".to_owned(),
        plan: "7f3a91c2".repeat(8),
        by: "anna".to_owned(),
        opened_at: opened(),
        closed_at: None,
        mode: "going".to_owned(),
        needs_person: false,
        counts,
        omitted: 4,
        stages,
        waits: vec![
            wait(Some("3.2@is-1"), 3, WaitKind::Person, "a person: cavalcade resolve 3.2@is-1"),
            wait(Some("5.1@is-1"), 5, WaitKind::Permit, "stage 4 migrate-is"),
            wait(Some("5.1@is-2"), 5, WaitKind::Permit, "stage 4 migrate-is"),
            wait(Some("6.1@gw-3"), 6, WaitKind::Link, "gw-3.example.com is unreachable; its work there may still go on"),
            wait(Some("6.2@gw-1"), 6, WaitKind::Person, "a person: it failed; cavalcade retry 6.2@gw-1"),
            wait(None, 7, WaitKind::Approval, "approval of dba: cavalcade approve 7"),
            wait(None, 8, WaitKind::Stage, "stage 7 start-gateways"),
        ],
        extra: Vec::new(),
        unreachable: vec!["gw-3".to_owned()],
        services: services(),
        alarms: vec![AlarmStatus {
            step: "4.3@is-1".to_owned(),
            attempt: 1,
            at: opened() + SignedDuration::from_secs(4300),
            planned_seconds: 900,
            open: true,
        }],
    };
    Status {
        schema: STATUS_SCHEMA.to_owned(),
        at,
        position: 9001,
        epoch: 3,
        hosts: vec![host("is-1.example.com", true), host("gw-3.example.com", false)],
        runs: vec![run],
        upgraded: Vec::new(),
    }
}

/// The same run, over.
pub(crate) fn done(at: Timestamp) -> Status {
    let mut status = night(at);
    for run in &mut status.runs {
        run.mode = "done".to_owned();
        run.closed_at = Some(at - SignedDuration::from_secs(5));
        run.waits.clear();
        run.unreachable.clear();
        run.alarms.iter_mut().for_each(|alarm| alarm.open = false);
        run.counts = Counts { all: 148, succeeded: 146, skipped: 2, retried: 1, ..Counts::default() };
        for step in run.stages.iter_mut().flat_map(|g| &mut g.steps) {
            *step = self::step(&step.step, &step.name, "succeeded");
        }
        for stage in &mut run.stages {
            stage.state = "done".to_owned();
            stage.budget = None;
        }
    }
    status
}
