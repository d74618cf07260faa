//! Rules of the engine that no recipe can leave out.
//!
//! No API Manager starts, and no job runs in its home, unless it needs every Identity Server of the fleet ready and comes
//! after their start (promise 3). No database is changed by a script or a migration unless every old server must be down and
//! nobody else in any database (10, rule 16). Every database is worked on from its own node.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::action::{Action, Exchange, ServerOp};
use cavalcade_common::codes::plan as codes;
use cavalcade_common::id::{NodeId, StepKey};
use cavalcade_common::plan::{Need, PlanStage, PlanStep, Role};
use cavalcade_common::written::Mark;

use super::name::NodeNames;
use super::{Input, Readers};

/// Checks all steps.
pub(super) fn check(
    input: &Input<'_>,
    nodes: &[NodeNames<'_>],
    stages: &[PlanStage],
    marks: &BTreeMap<StepKey, Mark>,
    r: &mut Readers,
) {
    let known = Known::of(nodes, stages);
    for stage in stages {
        for step in &stage.steps {
            let Some(node) = nodes.iter().find(|n| n.node.id == step.key.node) else { continue };
            let mark = marks.get(&step.key).copied().unwrap_or_default();
            r.recipe.node = Some(step.key.node.to_string());
            r.recipe.step = Some(step.name.to_string());
            homes(step, node, mark, r);
            own_node(input, step, mark, r);
            identity_servers_first(stage, step, node, &known, mark, r);
            old_servers_down(step, node, &known, mark, r);
            nobody_else(step, node, mark, r);
            no_hidden_launch(step, &known, mark, r);
            verify_only_looks(stage, step, mark, r);
            r.recipe.node = None;
            r.recipe.step = None;
        }
    }
}

struct Known {
    identity_servers: BTreeSet<NodeId>,
    old: BTreeSet<NodeId>,
    /// File names of start scripts.
    scripts: BTreeSet<String>,
    /// Stages in which each Identity Server is started.
    started_in: BTreeMap<NodeId, BTreeSet<u32>>,
    /// All stages before each stage.
    before: BTreeMap<u32, BTreeSet<u32>>,
}

impl Known {
    fn of(nodes: &[NodeNames<'_>], stages: &[PlanStage]) -> Self {
        let ids = |keep: &dyn Fn(&NodeNames<'_>) -> bool| -> BTreeSet<NodeId> {
            nodes.iter().filter(|n| keep(n)).map(|n| n.node.id.clone()).collect()
        };
        let mut started_in: BTreeMap<NodeId, BTreeSet<u32>> = BTreeMap::new();
        let mut before: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for stage in stages {
            let earlier = stage.after.iter().filter_map(|n| before.get(n)).flatten().chain(&stage.after).copied().collect();
            before.insert(stage.number, earlier);
            for step in &stage.steps {
                if launches(step, nodes) && matches!(&step.action, Action::Server(_)) {
                    started_in.entry(step.key.node.clone()).or_default().insert(stage.number);
                }
            }
        }
        let scripts = nodes.iter().flat_map(|n| &n.names.homes).filter_map(|h| h.script.as_deref());
        Self {
            identity_servers: ids(&|n| n.node.role == Role::IdentityServer && n.node.new.is_some()),
            old: ids(&|n| n.node.old.is_some()),
            scripts: scripts.map(|s| file_name(s).to_owned()).collect(),
            started_in,
            before,
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a step starts a process in the new home of its node.
fn launches(step: &PlanStep, nodes: &[NodeNames<'_>]) -> bool {
    let new = nodes.iter().find(|n| n.node.id == step.key.node).and_then(|n| n.node.new.as_ref());
    match (&step.action, new) {
        (Action::Server(s), Some(new)) => s.op == ServerOp::Start && s.home == new.home,
        (Action::Job(j), Some(new)) => j.home == new.home,
        _ => false,
    }
}

/// Servers and jobs work in a home of their own node.
fn homes(step: &PlanStep, node: &NodeNames<'_>, mark: Mark, r: &mut Readers) {
    let (home, starts) = match &step.action {
        Action::Server(s) => (&s.home, s.op == ServerOp::Start),
        Action::Job(j) => (&j.home, true),
        _ => return,
    };
    let is_new = node.node.new.as_ref().is_some_and(|s| s.home == *home);
    let is_old = node.node.old.as_ref().is_some_and(|s| s.home == *home);
    if starts && !is_new {
        let message = format!("{home} is not the new home of `{}`; nothing is started elsewhere", node.node.id);
        r.recipe.fault(codes::WRONG_HOME, mark, message);
    } else if !is_new && !is_old {
        r.recipe.fault(codes::WRONG_HOME, mark, format!("{home} is no home of `{}`", node.node.id));
    }
}

/// Steps on a database run on the node that it names.
fn own_node(input: &Input<'_>, step: &PlanStep, mark: Mark, r: &mut Readers) {
    let database = match &step.action {
        Action::Sql(s) => &s.database,
        Action::Query(q) => &q.database,
        Action::Backup(b) => &b.database,
        Action::Restore(b) => &b.database,
        Action::Exchange(Exchange { query: Some(query), .. }) => &query.database,
        _ => return,
    };
    let Some(from) = input.fleet.databases.get(&database.name).map(|d| &d.from) else { return };
    if *from != step.key.node {
        let message = format!("`{}` works on `{}` from `{}`, its node is `{from}`", step.name, database.name, step.key.node);
        r.recipe.fault(codes::WRONG_NODE, mark, message);
    }
}

fn identity_servers_first(stage: &PlanStage, step: &PlanStep, node: &NodeNames<'_>, known: &Known, mark: Mark, r: &mut Readers) {
    if node.node.role != Role::ApiManager || !launches(step, std::slice::from_ref(node)) {
        return;
    }
    let needed: BTreeSet<&NodeId> = step
        .needs
        .iter()
        .filter_map(|n| match n {
            Need::Ready { nodes, .. } => Some(nodes),
            Need::Down { .. } | Need::Alone { .. } => None,
        })
        .flatten()
        .collect();
    let missing: Vec<&str> = known.identity_servers.iter().filter(|id| !needed.contains(id)).map(NodeId::as_str).collect();
    if !missing.is_empty() || known.identity_servers.is_empty() {
        let which = if missing.is_empty() { "the fleet has none".to_owned() } else { missing.join(", ") };
        let message =
            format!("missing IS-before-API-M edge: `{}` would start without Identity Servers ready: {which}", step.name);
        let help = "add `needs: [identity-servers-ready]` to the step or its stage".to_owned();
        r.recipe.fault_with(codes::NO_IS_BEFORE_AM, mark, message, Some(help));
    }
    let earlier = known.before.get(&stage.number);
    let before = |started: &BTreeSet<u32>| earlier.is_some_and(|e| started.iter().any(|s| e.contains(s)));
    let late = known.identity_servers.iter().filter(|id| !known.started_in.get(*id).is_some_and(before));
    let late: Vec<&str> = late.map(NodeId::as_str).collect();
    if !late.is_empty() {
        let message = format!(
            "missing IS-before-API-M edge: the stage `{}` does not come after the start of {}",
            stage.id,
            late.join(", ")
        );
        let help = "start every Identity Server in a stage before it".to_owned();
        r.recipe.fault_with(codes::NO_IS_BEFORE_AM, mark, message, Some(help));
    }
}

/// By construction a need of this kind is about every database of the fleet.
fn nobody_else(step: &PlanStep, node: &NodeNames<'_>, mark: Mark, r: &mut Readers) {
    let changes = match &step.action {
        Action::Sql(_) => true,
        Action::Job(_) => launches(step, std::slice::from_ref(node)),
        _ => false,
    };
    if changes && !step.needs.iter().any(|need| matches!(need, Need::Alone { .. })) {
        let message = format!("`{}` changes databases while others may be in them", step.name);
        let help = "add a need with `alone: {}` to the step or its stage".to_owned();
        r.recipe.fault_with(codes::NO_ALONE_BEFORE, mark, message, Some(help));
    }
}

fn old_servers_down(step: &PlanStep, node: &NodeNames<'_>, known: &Known, mark: Mark, r: &mut Readers) {
    let changes = match &step.action {
        Action::Sql(_) | Action::Restore(_) => true,
        Action::Job(_) => launches(step, std::slice::from_ref(node)),
        _ => false,
    };
    if !changes {
        return;
    }
    let down: BTreeSet<&NodeId> = step
        .needs
        .iter()
        .filter_map(|n| match n {
            Need::Down { nodes } => Some(nodes),
            Need::Ready { .. } | Need::Alone { .. } => None,
        })
        .flatten()
        .collect();
    let missing: Vec<&str> = known.old.iter().filter(|id| !down.contains(id)).map(NodeId::as_str).collect();
    if !missing.is_empty() {
        let message = format!("`{}` changes databases while old servers may run: {}", step.name, missing.join(", "));
        let help = "add `needs: [old-servers-down]` to the step or its stage".to_owned();
        r.recipe.fault_with(codes::NO_DOWN_BEFORE, mark, message, Some(help));
    }
}

/// Stages that run alone at any time change nothing.
fn verify_only_looks(stage: &PlanStage, step: &PlanStep, mark: Mark, r: &mut Readers) {
    if stage.verify && !step.action.only_looks() {
        let message = format!("`{}` would change something, and the stage `{}` says `verify: true`", step.name, stage.id);
        r.recipe.fault(codes::VERIFY_ACTS, mark, message);
    }
}

fn no_hidden_launch(step: &PlanStep, known: &Known, mark: Mark, r: &mut Readers) {
    let Action::Command(command) = &step.action else { return };
    let words = command.command.iter().flat_map(|w| w.split_ascii_whitespace());
    if let Some(script) = words.map(file_name).find(|w| known.scripts.contains(*w)) {
        let message = format!("`{}` runs the start script {script} as a command", step.name);
        r.recipe.fault(codes::HIDDEN_LAUNCH, mark, message);
    }
}
