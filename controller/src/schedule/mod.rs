//! The scheduler: (plan, state, world) -> what to do now and what everything else waits for. Pure: no I/O, no clock, no
//! hidden memory; the same inputs give the same answer.

pub mod alone;
pub(crate) mod secrets;
pub mod wait;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cavalcade_common::action::{Action, Class};
use cavalcade_common::id::{AttemptId, HostId, NodeId, RunId, StepKey};
use cavalcade_common::message::Seen;
use cavalcade_common::plan::{Need, PlanNode, PlanStage, PlanStep};
use jiff::Timestamp;

use crate::event::RunResult;
use crate::state::step::{Phase, StepState};
use crate::state::transition::may_close;
use crate::state::{Mode, RunState, State};
use alone::{Look, Strangers};
use wait::{Wait, WaitKind};
pub use window::{expected, never_interrupted};

/// Oldest probe that still counts (promise 3).
pub const PROBE_AGE: Duration = Duration::from_secs(60);
/// A need that is not shown is looked at again after this long.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// A new server that was up once is looked at again after this long, for the record: nothing else may ask for a look.
const WATCH_EVERY: Duration = Duration::from_secs(60);

/// What the controller sees now and does not journal.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Monotonic time.
    pub now: Duration,
    /// Hosts with an open session.
    pub connected: BTreeSet<HostId>,
    /// Hosts whose last session was refused, and why.
    pub refused: BTreeMap<HostId, String>,
    /// Last probe of each node's servers, with the monotonic time that its evidence counts from.
    pub seen: BTreeMap<NodeId, (Duration, Seen)>,
    /// When each node was asked last.
    pub asked: BTreeMap<NodeId, Duration>,
    /// Last look at who is in a database, with the monotonic time that it counts from.
    pub sessions: BTreeMap<Look, (Duration, Strangers)>,
    /// Looks at databases that are under way, and since when.
    pub looking: BTreeMap<Look, Duration>,
    /// Steps that are not offered again before this time.
    pub not_before: BTreeMap<StepKey, Duration>,
    /// By run: secrets that only the controller has and cannot give now, with what ends that.
    pub secrets: BTreeMap<RunId, BTreeMap<String, String>>,
    /// Whether the journal is in its reserve of disk space: nothing new is dispatched.
    pub no_room: bool,
    /// Wall clock, for maintenance windows and alarms and for nothing else.
    pub wall: Timestamp,
}

/// What steps wait for while the journal is in its reserve.
const NO_ROOM: &str = "room on the controller's disk: its journal keeps a reserve, and begins nothing without it";

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Offer a new attempt of this step.
    Offer {
        /// Which.
        attempt: AttemptId,
        /// The host.
        host: HostId,
    },
    /// Look at a node's servers.
    Probe {
        /// The run whose plan says how.
        run: RunId,
        /// The node.
        node: NodeId,
    },
    /// Look who is in a database.
    Look {
        /// Which look.
        look: Look,
        /// The node that the database is worked on from.
        from: NodeId,
    },
    /// The retry policy gives a failed step another attempt.
    Retry {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
    },
    /// A step that nothing of ours interrupts takes longer than planned: a word to persons, and nothing else.
    Alarm {
        /// The attempt.
        attempt: AttemptId,
        /// What was planned.
        planned: Duration,
    },
    /// The run is over.
    Close {
        /// The run.
        run: RunId,
        /// How.
        result: RunResult,
    },
}

/// The scheduler's answer for one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// What to do.
    pub decisions: Vec<Decision>,
    /// What the rest waits for.
    pub waits: Vec<Wait>,
}

/// Decides for one run.
#[must_use]
pub fn schedule(state: &State, run: &RunState, world: &World) -> Schedule {
    let finished = run.stages_finished();
    let mut s =
        Scheduler { state, run, world, finished, out: Schedule::default(), probes: BTreeSet::new(), looks: BTreeSet::new() };
    if let Some(result) = may_close(run) {
        s.out.decisions.push(Decision::Close { run: run.id.clone(), result });
        return s.out;
    }
    s.under_way();
    s.watch();
    match &run.mode {
        Mode::Closed(_) => return s.out,
        Mode::Paused { by } => {
            s.wait_stage(0, WaitKind::Paused, format!("paused by {by}: cavalcade resume"));
            // What a person orders meanwhile is meant to be done now.
            s.extra();
        }
        Mode::Cancelling { .. } => s.wait_stage(0, WaitKind::Child, "cancelled: what is under way ends first".to_owned()),
        Mode::Going => {
            s.extra();
            for stage in &run.plan.plan.stages {
                s.stage(stage);
            }
        }
    }
    s.out
}

struct Scheduler<'a> {
    state: &'a State,
    run: &'a RunState,
    world: &'a World,
    /// Stages that are done, with everything before them.
    finished: BTreeSet<u32>,
    out: Schedule,
    probes: BTreeSet<NodeId>,
    looks: BTreeSet<Look>,
}

impl Scheduler<'_> {
    fn wait_stage(&mut self, stage: u32, kind: WaitKind, why: String) {
        self.out.waits.push(Wait::new(None, stage, kind, why));
    }

    fn wait(&mut self, step: &PlanStep, kind: WaitKind, why: String) {
        self.out.waits.push(Wait::new(Some(&step.key), step.key.stage, kind, why));
    }

    /// Names what steps wait for that are at an agent: a link that is gone, a secret that it may need again.
    fn under_way(&mut self) {
        for step in self.run.all_steps() {
            let Some(state) = self.run.step(&step.key).filter(|s| s.phase.is_under_way()) else { continue };
            self.alarm(step, state);
            if !self.world.connected.contains(&step.host) {
                let why = format!("{} is unreachable; its work there may still go on", step.host);
                self.wait(step, WaitKind::Link, why);
            } else if let Some(why) = self.secret(step).or_else(|| self.lacking(|| secrets::hidden(self.run, step))) {
                self.wait(step, WaitKind::Secret, why);
            }
        }
    }

    /// Looks at the new servers that were up: one that goes down again is seen.
    fn watch(&mut self) {
        let (run, world) = (self.run, self.world);
        let old = |at: &Duration| world.now.saturating_sub(*at) >= WATCH_EVERY;
        for node in run.plan.plan.nodes.iter().filter(|n| run.services.was_up(&n.id)) {
            let seen = world.seen.get(&node.id).is_some_and(|(at, _)| !old(at));
            if !seen && world.asked.get(&node.id).is_none_or(old) {
                self.probe(node);
            }
        }
    }

    /// The wall clock is good enough, and holds over a restart: an alarm is a word to a person.
    fn alarm(&mut self, step: &PlanStep, state: &StepState) {
        let planned = match &step.action {
            Action::Job(job) => step.timeout.min(job.alarm_after),
            _ => step.timeout,
        };
        let due = never_interrupted(&step.action) && state.phase == Phase::Running && self.run.alarm(&step.key).is_none();
        let runs = Duration::try_from(self.world.wall.duration_since(state.at)).unwrap_or_default();
        if due && runs > planned {
            let attempt = AttemptId { run: self.run.id.clone(), step: step.key.clone(), number: state.attempt };
            self.out.decisions.push(Decision::Alarm { attempt, planned });
        }
    }

    /// What of its secrets the controller cannot give now.
    fn secret(&self, step: &PlanStep) -> Option<String> {
        self.lacking(|| secrets::names(step))
    }

    /// What of these the controller cannot give now.
    fn lacking(&self, names: impl FnOnce() -> Vec<String>) -> Option<String> {
        let missing = self.world.secrets.get(&self.run.id).filter(|m| !m.is_empty())?;
        names().iter().find_map(|name| missing.get(name).cloned())
    }

    /// Steps that persons ordered beside the plan.
    fn extra(&mut self) {
        for step in self.run.extra.values() {
            self.ordered(step);
        }
    }

    /// A step that a person ordered beside the plan.
    fn ordered(&mut self, step: &PlanStep) {
        let Some(state) = self.run.step(&step.key) else { return };
        match state.phase {
            // No window holds it back: a restore is the way back.
            Phase::Pending => self.pending(step, state),
            Phase::Failed | Phase::Indeterminate => {
                self.wait(step, WaitKind::Person, "a person: the step that was ordered did not succeed".to_owned());
            }
            Phase::Offered | Phase::Accepted | Phase::Running | Phase::Succeeded | Phase::Skipped | Phase::Cancelled => {}
        }
    }

    fn stage(&mut self, stage: &PlanStage) {
        // What a person ordered comes first: the stages go on when it is done.
        if self.run.extra.keys().any(|k| self.run.step(k).is_some_and(|s| !s.phase.is_finished())) {
            return self.wait_stage(stage.number, WaitKind::Ordered, "a step that a person ordered".to_owned());
        }
        if self.finished.contains(&stage.number) {
            return;
        }
        let stages = &self.run.plan.plan.stages;
        let before = stage
            .after
            .iter()
            .filter_map(|n| stages.iter().find(|g| g.number == *n))
            .find(|g| !self.finished.contains(&g.number));
        if let Some(before) = before {
            let why = format!("stage {} {}", before.number, before.id);
            return self.wait_stage(stage.number, WaitKind::Stage, why);
        }
        if self.run.scope.until.is_some_and(|until| stage.number > until) {
            let why = "a wider scope: it lies behind --until; cavalcade apply without it goes on";
            return self.wait_stage(stage.number, WaitKind::Scope, why.to_owned());
        }
        if let Some(approval) = &stage.approval
            && !self.run.approvals.contains_key(&stage.number)
        {
            let why = format!("approval of {}: cavalcade approve {}", approval.by, stage.number);
            return self.wait_stage(stage.number, WaitKind::Approval, why);
        }
        self.batch(stage);
    }

    /// Lets as many nodes work as batch, canary and failure budget allow.
    fn batch(&mut self, stage: &PlanStage) {
        let mut done = 0;
        let mut failed = Vec::new();
        let mut active: Vec<&NodeId> = Vec::new();
        let mut fresh: Vec<&NodeId> = Vec::new();
        for node in &stage.nodes {
            let mut steps = stage.steps.iter().filter(|s| &s.key.node == node).filter_map(|s| self.run.step(&s.key)).peekable();
            let phases: Vec<Phase> = steps.by_ref().map(|s| s.phase).collect();
            if phases.iter().all(|p| p.is_finished()) {
                done += 1;
            } else if phases.iter().any(|p| matches!(p, Phase::Failed | Phase::Indeterminate)) {
                failed.push(node);
                active.push(node);
            } else if phases.iter().any(|p| *p != Phase::Pending) {
                active.push(node);
            } else {
                fresh.push(node);
            }
        }
        for node in &active {
            self.node(stage, node);
        }
        let budget = stage.batch.failure_budget as usize;
        if failed.len() > budget && !fresh.is_empty() {
            let why = format!(
                "{} {} done, {} failed, {} not started; budget {budget}, used up",
                stage.nodes.len(),
                done,
                failed.len(),
                fresh.len()
            );
            return self.wait_stage(stage.number, WaitKind::Person, why);
        }
        let width = if done < stage.batch.canary as usize { 1 } else { stage.batch.size.max(1) as usize };
        let at_work = active.len() - failed.len();
        let inside = |n: &&NodeId| self.run.scope.nodes.as_ref().is_none_or(|only| only.contains(n));
        let (fresh, outside): (Vec<&NodeId>, Vec<&NodeId>) = fresh.into_iter().partition(inside);
        let (next, later) = fresh.split_at(fresh.len().min(width.saturating_sub(at_work)));
        for node in next {
            self.node(stage, node);
        }
        for node in later {
            self.first(stage, node, WaitKind::Batch, &format!("its turn: {width} of {} nodes at a time", stage.nodes.len()));
        }
        for node in outside {
            self.first(stage, node, WaitKind::Scope, "a wider scope: it lies beside --node; cavalcade apply without it goes on");
        }
    }

    /// The wait of a node that has not begun the stage.
    fn first(&mut self, stage: &PlanStage, node: &NodeId, kind: WaitKind, why: &str) {
        if let Some(step) = stage.steps.iter().find(|s| &s.key.node == node) {
            self.wait(step, kind, why.to_owned());
        }
    }

    /// The first step of a node that is not finished.
    fn node(&mut self, stage: &PlanStage, node: &NodeId) {
        let next = stage.steps.iter().filter(|s| &s.key.node == node).find(|s| !self.run.finished(s));
        let Some(step) = next else { return };
        let Some(state) = self.run.step(&step.key) else { return };
        match state.phase {
            Phase::Pending => match window::too_short(self.run, stage, step, self.world.wall) {
                Some(why) => self.wait(step, WaitKind::Window, why),
                None => self.pending(step, state),
            },
            Phase::Failed => self.failed(step, state),
            Phase::Indeterminate => {
                self.wait(step, WaitKind::Person, format!("a person: cavalcade resolve {}", step.key));
            }
            Phase::Cancelled => self.wait(step, WaitKind::Person, "cancelled".to_owned()),
            Phase::Offered | Phase::Accepted | Phase::Running | Phase::Succeeded | Phase::Skipped => {}
        }
    }

    fn failed(&mut self, step: &PlanStep, state: &StepState) {
        let may_repeat = step.action.class() != Class::Operator && state.failures <= step.retry.times;
        if !may_repeat && !state.was_refused_a_permit(step) {
            let way = match unrestored(self.run, step) {
                Some(database) => format!("restore {database} --why TEXT"),
                None => format!("retry {}", step.key),
            };
            let why = format!("a person: it failed; cavalcade {way}");
            return self.wait(step, WaitKind::Person, why);
        }
        if self.too_early(&step.key) {
            return self.wait(step, WaitKind::Retry, "the pause before its next attempt".to_owned());
        }
        self.out.decisions.push(Decision::Retry { run: self.run.id.clone(), step: step.key.clone() });
    }

    fn too_early(&self, key: &StepKey) -> bool {
        self.world.not_before.get(key).is_some_and(|t| *t > self.world.now)
    }

    fn pending(&mut self, step: &PlanStep, state: &StepState) {
        if !self.world.connected.contains(&step.host) {
            let refused = self.world.refused.get(&step.host).map(|why| format!(" (refused: {why})"));
            let why = format!("the agent of {} is not connected{}", step.host, refused.unwrap_or_default());
            return self.wait(step, WaitKind::Link, why);
        }
        if let Some(why) = self.secret(step) {
            return self.wait(step, WaitKind::Secret, why);
        }
        if let Some(why) = self.begun_before(step, state) {
            return self.wait(step, WaitKind::Person, why);
        }
        for need in &step.needs {
            if let Some(missing) = self.missing(need) {
                return self.wait(step, WaitKind::Permit, missing);
            }
        }
        if self.too_early(&step.key) {
            let why = state
                .given_back
                .as_deref()
                .map_or_else(|| "its next attempt".to_owned(), |why| format!("its next attempt ({why})"));
            return self.wait(step, WaitKind::Retry, why);
        }
        if self.world.no_room {
            return self.wait(step, WaitKind::Room, NO_ROOM.to_owned());
        }
        let attempt = AttemptId { run: self.run.id.clone(), step: step.key.clone(), number: state.attempt + 1 };
        self.out.decisions.push(Decision::Offer { attempt, host: step.host.clone() });
    }

    /// What a person has to decide, or to restore, before a step begins: what it would do was begun before, or a job left a
    /// database half changed.
    fn begun_before(&self, step: &PlanStep, state: &StepState) -> Option<String> {
        let holder = self.state.holder(self.run, step);
        if let Some(database) = unrestored(self.run, step) {
            let restore = format!("{database} as it was before its last attempt: cavalcade restore {database} --why TEXT");
            let other = holder.filter(|h| h.run != self.run.id);
            return Some(other.map_or(restore.clone(), |holder| {
                format!("a person: {holder} began this effect before. Where it came to its end: cavalcade resolve {} --done; else {restore}", step.key)
            }));
        }
        let script = matches!(step.action, Action::Sql(_));
        let half = |name: &&String| script && step.action.changes(name) && self.run.half_changed(name) && self.run.backs_up(name);
        if let Some(database) = self.run.incarnations.keys().find(half) {
            return Some(format!("{database} as it was before a job half changed it: cavalcade restore {database} --why TEXT"));
        }
        let holder = holder.filter(|holder| state.approved.as_ref().is_none_or(|a| &a.replaces != *holder))?;
        Some(format!("a person: {holder} began this effect before; cavalcade resolve {} --done or --not-done", step.key))
    }

    /// What of a need is not shown now, after asking for a new look.
    fn missing(&mut self, need: &Need) -> Option<String> {
        let (nodes, ready) = match need {
            Need::Ready { nodes, .. } => (nodes, true),
            Need::Down { nodes } => (nodes, false),
            Need::Alone { databases, but_from } => return self.not_alone(databases, but_from),
        };
        let mut missing = Vec::new();
        for id in nodes {
            let Some(node) = self.run.plan.plan.node(id) else {
                missing.push(format!("{id} is not in the plan"));
                continue;
            };
            let seen = self.world.seen.get(id).filter(|(at, _)| self.world.now.saturating_sub(*at) <= PROBE_AGE);
            let shown = seen.is_some_and(|(_, seen)| if ready { self.counts_as_ready(id, seen) } else { seen.old_down });
            if !shown {
                missing.push(describe(node, ready, seen.map(|(_, s)| s), self.world));
            }
            // What is shown must still be fresh when the launch comes: look again in time.
            let fresh = seen.is_some_and(|(at, _)| self.world.now.saturating_sub(*at) < PROBE_AGE / 2);
            if !(shown && fresh) {
                self.probe(node);
            }
        }
        (!missing.is_empty()).then(|| missing.join("; "))
    }

    /// Ready by its probe, and the process is the one in the journal.
    fn counts_as_ready(&self, node: &NodeId, seen: &Seen) -> bool {
        seen.ready && self.state.servers.get(node) == Some(&seen.process)
    }

    fn probe(&mut self, node: &PlanNode) {
        let asked_just_now = self.world.asked.get(&node.id).is_some_and(|t| self.world.now.saturating_sub(*t) < PROBE_EVERY);
        if !asked_just_now && self.world.connected.contains(&node.host) && self.probes.insert(node.id.clone()) {
            self.out.decisions.push(Decision::Probe { run: self.run.id.clone(), node: node.id.clone() });
        }
    }
}

fn describe(node: &PlanNode, ready: bool, seen: Option<&Seen>, world: &World) -> String {
    let what = if ready { "to be up" } else { "old server down" };
    if !world.connected.contains(&node.host) {
        return format!("{} {what} (its agent is not connected)", node.id);
    }
    let found = seen.and_then(|s| s.evidence.iter().find(|e| !e.holds)).map(|e| format!(" ({}: {})", e.what, e.found));
    format!("{} {what}{}", node.id, found.unwrap_or_default())
}

/// A database that a job may have changed without a ledger of ours, and that was not restored since (10, rule 6): each of
/// them must be before it runs again. Databases that the plan never backed up are a person's own matter.
pub(crate) fn unrestored<'p>(run: &RunState, step: &'p PlanStep) -> Option<&'p str> {
    let Action::Job(job) = &step.action else { return None };
    let begun = run.step(&step.key)?.begun?;
    let restored = |name: &str| run.restored.get(name).is_some_and(|at| *at > begun);
    job.databases.iter().map(String::as_str).find(|name| run.backs_up(name) && !restored(name))
}
