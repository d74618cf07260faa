//! The status document: the stable, versioned JSON form of a snapshot. Screens are drawn from it, on whichever machine the
//! operator sits.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::action::{Action, ServerOp};
use cavalcade_common::duration;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, NodeId};
use cavalcade_common::plan::{PlanStage, PlanStep};
use cavalcade_common::report::Progress;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::approval::{ApprovalStatus, approval};
use super::budget::budget;
use super::services::{ServiceStatus, ZoneStatus, services};
use crate::event::RunResult;
use crate::run::view::View;
use crate::schedule::wait::{Wait, needs_person};
use crate::state::step::{Phase, StepState};
use crate::state::{AlarmRaised, Counts, Mode, RunState, State};

/// Schema word of the document.
pub const STATUS_SCHEMA: &str = "cavalcade.status/1";

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`STATUS_SCHEMA`].
    pub schema: String,
    /// When it was made, by the controller's clock.
    pub at: Timestamp,
    /// Journal position that it shows.
    pub position: u64,
    /// The controller's term.
    pub epoch: u64,
    /// Hosts that were ever met.
    pub hosts: Vec<HostStatus>,
    /// Runs: the open ones, and the last closed one of each fleet.
    pub runs: Vec<RunStatus>,
    /// New homes that finished runs made, where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upgraded: Vec<Upgraded>,
}

/// A new home that a finished run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The host.
    pub host: String,
    /// The home.
    pub home: String,
    /// The run that made it last.
    pub run: String,
    /// When that run was finished.
    pub at: Timestamp,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// Its name.
    pub host: String,
    /// Whether its agent has a session.
    pub connected: bool,
    /// Version of the agent's program.
    pub program: String,
    /// Seconds since its last message.
    pub quiet_seconds: u64,
    /// Difference of its wall clock to the controller's, in milliseconds.
    pub skew_millis: i64,
    /// Resident memory of the agent in KiB.
    pub resident_kib: u64,
    /// Its time zone; `None` where its agent told none.
    #[serde(default)]
    pub zone: Option<ZoneStatus>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Its id.
    pub run: String,
    /// Journal position that this shows, for `--at` of verbs on the run.
    pub position: u64,
    /// The fleet.
    pub fleet: String,
    /// The recipe.
    pub recipe: String,
    /// Digest of the plan.
    pub plan: String,
    /// Who opened it.
    pub by: String,
    /// When.
    pub opened_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// `going`, `paused`, `cancelling`, `done`, `cancelled`, `superseded`.
    pub mode: String,
    /// Whether nothing moves until a person acts, or the scope ends here.
    pub needs_person: bool,
    /// Counts of steps.
    pub counts: Counts,
    /// Steps that the plan leaves out.
    pub omitted: u32,
    /// Stages in their order.
    pub stages: Vec<StageStatus>,
    /// What waits, and for what.
    pub waits: Vec<Wait>,
    /// Steps that persons ordered beside the plan.
    pub extra: Vec<StepStatus>,
    /// Nodes whose agent is not connected while they have work under way.
    pub unreachable: Vec<String>,
    /// Since when its nodes' services are down and up, as probed.
    #[serde(default)]
    pub services: Vec<ServiceStatus>,
    /// Alarms that were raised, in order.
    #[serde(default)]
    pub alarms: Vec<AlarmStatus>,
}

/// A step that nothing of ours interrupts took longer than planned. Nothing was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmStatus {
    /// `3.2@is-1`.
    pub step: String,
    /// Number of the attempt.
    pub attempt: u32,
    /// When it was raised.
    pub at: Timestamp,
    /// What was planned, in seconds.
    pub planned_seconds: u64,
    /// Whether the attempt is still under way.
    pub open: bool,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub id: String,
    /// Its title.
    pub title: String,
    /// `waits`, `running`, `done`, `failed`, `indeterminate`.
    pub state: String,
    /// Its nodes.
    pub nodes: Vec<String>,
    /// Its steps.
    pub steps: Vec<StepStatus>,
    /// When its first step was touched.
    pub began: Option<Timestamp>,
    /// When its last step ended.
    pub ended: Option<Timestamp>,
    /// Whether its approval must come from somebody else than who opened the run.
    pub second_person: bool,
    /// The approval that it wants, with what a person should know before it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalStatus>,
    /// The arithmetic of its failure budget, as soon as a node failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// Whether a way back from here on loses new data.
    pub point_of_no_return: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepStatus {
    /// `3.2@is-1`.
    pub step: String,
    /// Its name.
    pub name: String,
    /// The guide's row.
    pub row: Option<String>,
    /// The node.
    pub node: String,
    /// The kind of action.
    pub kind: String,
    /// Where it stands: a word of [`Phase`].
    pub state: String,
    /// Number of the last attempt.
    pub attempt: u32,
    /// Journal position of its last change, for `--at`.
    pub position: u64,
    /// When it changed last.
    pub at: Timestamp,
    /// When the effect began and ended, by the node's clock.
    pub began: Option<Timestamp>,
    /// See `began`.
    pub ended: Option<Timestamp>,
    /// Whether it changed anything.
    pub changed: bool,
    /// What went wrong.
    pub fault: Option<Fault>,
    /// What is known and what is not, where a person decides.
    pub known: Vec<String>,
    /// See `known`.
    pub unknown: Vec<String>,
    /// Who decided about it, and why.
    pub decided: Option<String>,
    /// Progress of what runs.
    pub progress: Option<Progress>,
    /// Seconds that it is under way, by the controller's clock.
    pub elapsed_seconds: u64,
    /// Whether nothing of ours interrupts it.
    pub never_interrupted: bool,
    /// Databases that it changes where no ledger of ours sees it: they are restored before it runs again.
    #[serde(default)]
    pub databases: Vec<String>,
}

/// Makes the document.
#[must_use]
pub fn status(view: &View, at: Timestamp) -> Status {
    let hosts = view.state.hosts.keys().map(|host| {
        let connected = view.connected.get(host);
        HostStatus {
            host: host.to_string(),
            connected: connected.is_some(),
            program: connected.map(|c| c.program.clone()).unwrap_or_default(),
            quiet_seconds: connected.map_or(0, |c| view.now.saturating_sub(c.heard).as_secs()),
            skew_millis: connected.map_or(0, |c| c.skew_millis),
            resident_kib: connected.map_or(0, |c| c.resident_kib),
            zone: view.state.zones.get(host).map(ZoneStatus::from),
        }
    });
    let mut shown: Vec<&RunState> = view.state.open_runs().collect();
    let mut last: BTreeMap<&str, &RunState> = BTreeMap::new();
    for run in view.state.runs.values().filter(|r| r.is_closed()) {
        let entry = last.entry(run.plan.plan.fleet.as_str()).or_insert(run);
        if run.opened_at > entry.opened_at {
            *entry = run;
        }
    }
    shown.extend(last.into_values());
    Status {
        schema: STATUS_SCHEMA.to_owned(),
        at,
        position: view.state.position,
        epoch: view.state.epoch.0,
        hosts: hosts.collect(),
        runs: shown.into_iter().map(|r| run_status(view, r, at)).collect(),
        upgraded: Vec::new(),
    }
}

/// The new homes that finished runs made: what was cancelled or superseded finished nothing.
#[must_use]
pub fn upgraded(state: &State) -> Vec<Upgraded> {
    let mut made: BTreeMap<(String, String), Upgraded> = BTreeMap::new();
    for run in state.runs.values().filter(|r| r.mode == Mode::Closed(RunResult::Done)) {
        let Some(at) = run.closed_at else { continue };
        for (node, side) in run.plan.plan.nodes.iter().filter_map(|n| Some((n, n.new.as_ref()?))) {
            let (host, home) = (node.host.to_string(), side.home.clone());
            let one = Upgraded { host: host.clone(), home: home.clone(), run: run.id.to_string(), at };
            let known = made.entry((host, home)).or_insert_with(|| one.clone());
            if known.at < at {
                *known = one;
            }
        }
    }
    made.into_values().collect()
}

/// The document of one run.
#[must_use]
pub fn run_status(view: &View, run: &RunState, at: Timestamp) -> RunStatus {
    let waits = view.schedules.get(&run.id).map(|s| s.waits.clone()).unwrap_or_default();
    let plan = &run.plan.plan;
    let under_way = run.any_under_way();
    let unreachable: std::collections::BTreeSet<&NodeId> = run
        .all_steps()
        .filter(|s| run.step(&s.key).is_some_and(|st| st.phase.is_under_way()) && !view.connected.contains_key(&s.host))
        .map(|s| &s.key.node)
        .collect();
    let finished = run.stages_finished();
    RunStatus {
        run: run.id.to_string(),
        position: view.state.position,
        fleet: plan.fleet.clone(),
        recipe: plan.recipe.name.clone(),
        plan: run.plan.sha256.to_string(),
        by: run.by.to_string(),
        opened_at: run.opened_at,
        closed_at: run.closed_at,
        mode: mode_word(&run.mode).to_owned(),
        needs_person: !run.is_closed() && !under_way && needs_person(&waits),
        counts: run.counts(),
        omitted: u32::try_from(plan.omitted.iter().map(|o| o.nodes.len().max(1)).sum::<usize>()).unwrap_or(u32::MAX),
        stages: plan.stages.iter().map(|g| stage_status(view, run, g, finished.contains(&g.number), at)).collect(),
        waits,
        extra: run.extra.values().filter_map(|s| Some(step_status(view, run, s, run.step(&s.key)?, at))).collect(),
        unreachable: unreachable.into_iter().map(ToString::to_string).collect(),
        services: services(view, run),
        alarms: run.alarms.iter().map(|a| alarm_status(run, a)).collect(),
    }
}

impl AlarmStatus {
    /// What it says, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let planned = duration::format(Duration::from_secs(self.planned_seconds));
        let left = if self.open { "it is left alone" } else { "it was left alone" };
        format!("runs longer than the {planned} that were planned; {left}")
    }
}

fn alarm_status(run: &RunState, alarm: &AlarmRaised) -> AlarmStatus {
    AlarmStatus {
        step: alarm.attempt.step.to_string(),
        attempt: alarm.attempt.number,
        at: alarm.at,
        planned_seconds: alarm.planned_seconds,
        open: run.alarm(&alarm.attempt.step) == Some(alarm),
    }
}

/// The word of a mode.
#[must_use]
pub fn mode_word(mode: &Mode) -> &'static str {
    match mode {
        Mode::Going => "going",
        Mode::Paused { .. } => "paused",
        Mode::Cancelling { .. } => "cancelling",
        Mode::Closed(RunResult::Done) => "done",
        Mode::Closed(RunResult::Cancelled) => "cancelled",
        Mode::Closed(RunResult::Superseded) => "superseded",
    }
}

fn stage_status(view: &View, run: &RunState, stage: &PlanStage, finished: bool, at: Timestamp) -> StageStatus {
    let steps: Vec<StepStatus> =
        stage.steps.iter().filter_map(|s| Some(step_status(view, run, s, run.step(&s.key)?, at))).collect();
    let phases: Vec<Phase> = stage.steps.iter().filter_map(|s| run.step(&s.key)).map(|s| s.phase).collect();
    let state = if finished {
        "done"
    } else if phases.contains(&Phase::Indeterminate) {
        "indeterminate"
    } else if phases.contains(&Phase::Failed) {
        "failed"
    } else if phases.iter().any(|p| *p != Phase::Pending) {
        "running"
    } else {
        "waits"
    };
    let touched = |s: &&StepStatus| s.state != "pending";
    let began = steps.iter().filter(touched).filter_map(|s| s.began.or(Some(s.at))).min();
    let ended = (state == "done").then(|| steps.iter().map(|s| s.at).max()).flatten();
    StageStatus {
        number: stage.number,
        id: stage.id.to_string(),
        title: stage.title.clone(),
        state: state.to_owned(),
        nodes: stage.nodes.iter().map(ToString::to_string).collect(),
        steps,
        began,
        ended,
        second_person: stage.approval.as_ref().is_some_and(|a| a.second_person),
        approval: approval(run, stage),
        budget: budget(run, stage),
        point_of_no_return: stage.point_of_no_return,
    }
}

fn step_status(view: &View, run: &RunState, step: &PlanStep, state: &StepState, at: Timestamp) -> StepStatus {
    let attempt = AttemptId { run: run.id.clone(), step: step.key.clone(), number: state.attempt };
    let progress = view
        .progress
        .get(&attempt)
        .map(|(came, p)| Progress { quiet_seconds: p.quiet_seconds + view.now.saturating_sub(*came).as_secs(), ..p.clone() });
    let outcome = state.outcome.as_deref();
    let elapsed = if state.phase.is_under_way() { at.duration_since(state.at).as_secs() } else { 0 };
    StepStatus {
        step: step.key.to_string(),
        name: step.name.to_string(),
        row: step.row.clone(),
        node: step.key.node.to_string(),
        kind: kind_word(&step.action),
        state: state.phase.word().to_owned(),
        attempt: state.attempt,
        position: state.position,
        at: state.at,
        began: outcome.map(|o| o.began),
        ended: outcome.map(|o| o.ended),
        changed: outcome.is_some_and(|o| o.changed),
        fault: outcome.and_then(|o| o.fault.clone()),
        known: outcome.map(|o| o.known.clone()).unwrap_or_default(),
        unknown: outcome
            .map(|o| o.unknown.clone())
            .filter(|u| !u.is_empty())
            .unwrap_or_else(|| state.given_back.iter().filter(|_| state.phase == Phase::Indeterminate).cloned().collect()),
        decided: state.decided.as_ref().map(|(by, why)| format!("{by}: {why}")),
        progress,
        elapsed_seconds: u64::try_from(elapsed).unwrap_or(0),
        never_interrupted: matches!(step.action, Action::Job(_)),
        databases: match &step.action {
            Action::Job(job) => job.databases.clone(),
            _ => Vec::new(),
        },
    }
}

fn kind_word(action: &Action) -> String {
    match action {
        Action::Server(s) => match s.op {
            ServerOp::Start => "server start",
            ServerOp::Stop => "server stop",
            ServerOp::Wait => "server wait",
            ServerOp::Down => "server down",
        }
        .to_owned(),
        _ => action.kind().to_owned(),
    }
}

/// How old a duration is, for screens: `1h02m`, `3m10s`, `12s`.
#[must_use]
pub fn age(d: Duration) -> String {
    let s = d.as_secs();
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}
