//! Steps resolved on their nodes, and everything put together into a plan.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::action::{Action, ArtifactRef, ServerOp, SqlScript};
use cavalcade_common::codes::plan as codes;
use cavalcade_common::codes::written;
use cavalcade_common::expression::Scope;
use cavalcade_common::id::{NodeId, StageId, StepKey, StepName};
use cavalcade_common::plan::{
    Approval, Batch, Decided, Need, Omitted, OmittedWhy, PLAN_SCHEMA, Plan, PlanNode, PlanStage, PlanStep, RecipeRef, Takes,
};
use cavalcade_common::secret;
use cavalcade_common::step::{ReadStep, StepBody, WrittenStep};
use cavalcade_common::template::{self, Reads};
use cavalcade_common::written::{FromNode, Mark, nearest};

use super::name::NodeNames;
use super::select::Selected;
use super::{Input, NodeFacts, Readers, across, rule, space};
use crate::recipe::{ApprovalWritten, Size, Stage};

/// What grows while stages are resolved.
#[derive(Default)]
struct Growing<'a> {
    /// Facts as the agents told them.
    told: Option<&'a BTreeMap<NodeId, NodeFacts>>,
    omitted: Vec<Omitted>,
    decided: BTreeMap<(NodeId, String), Decided>,
    marks: BTreeMap<StepKey, Mark>,
}

/// Puts the plan together.
pub(super) fn plan(input: &Input<'_>, nodes: &[NodeNames<'_>], selected: Vec<Selected<'_>>, r: &mut Readers) -> Plan {
    let mut growing = Growing { told: Some(input.facts), ..Growing::default() };
    let mut stages = Vec::new();
    for node in nodes {
        node.read_for.iter().for_each(|(what, reads)| decide(node, reads, what, &mut growing));
    }
    for one in selected {
        let what = format!("the nodes of stage {}", one.stage.id);
        one.reads.iter().for_each(|(node, reads)| decide(&nodes[*node], reads, &what, &mut growing));
        if one.number == 0 {
            growing.omitted.extend(one.stage.steps.iter().map(|s| nobody(one.stage, s)));
        } else {
            stages.push(stage(&one, nodes, &mut growing, r));
        }
    }
    rule::check(input, nodes, &stages, &growing.marks, r);
    let mut remarks = remarks(input, nodes, &mut growing, r);
    remarks.extend(space::check(input, &stages, r));
    remarks.extend(idle_answers(nodes, &growing));
    remarks.extend(problems(input));
    let plan_node =
        |n: &NodeNames<'_>| PlanNode { probe: n.probe.clone(), runtime: n.names.runtime.clone(), ..n.node.to_plan_node() };
    let plan_nodes = nodes.iter().map(plan_node).collect();
    let mut plan = Plan {
        schema: PLAN_SCHEMA.to_owned(),
        id: input.plan_id.to_owned(),
        fleet: input.fleet.name.clone(),
        recipe: RecipeRef { name: input.recipe.name.clone(), sha256: input.recipe.sha256.clone() },
        made_at: input.now,
        made_by: input.made_by.to_owned(),
        made_with: env!("CARGO_PKG_VERSION").to_owned(),
        facts_at: input.facts.values().map(|f| f.gathered_at).min().unwrap_or(input.now),
        nodes: plan_nodes,
        databases: input.fleet.databases.iter().map(|(n, d)| (n.clone(), d.target.clone())).collect(),
        artifacts: artifacts(&stages),
        stages,
        omitted: growing.omitted,
        decided_by: growing.decided.into_values().collect(),
        secrets: BTreeMap::new(),
        hide: input.recipe.hide.clone(),
        settings: nodes.iter().flat_map(|n| n.settings.iter().cloned()).collect(),
        asked: input.asked.clone(),
        findings: Vec::new(),
        window: input.fleet.window.clone(),
        expected: input.fleet.expected.iter().map(|(name, (takes, _))| (name.clone(), Takes(*takes))).collect(),
        remarks,
    };
    plan.secrets = secrets(input, &plan);
    known_durations(input, &plan, r);
    plan
}

fn stage(one: &Selected<'_>, nodes: &[NodeNames<'_>], growing: &mut Growing<'_>, r: &mut Readers) -> PlanStage {
    let mut numbers: BTreeMap<StepName, u32> = BTreeMap::new();
    let mut by_node: BTreeMap<usize, Vec<PlanStep>> = BTreeMap::new();
    for written in &one.stage.steps {
        for &i in &one.nodes {
            let node = &nodes[i];
            r.recipe.node = Some(node.node.id.to_string());
            for turn in written.resolve(&node.names, &node.scope, &mut r.recipe).unwrap_or_default() {
                match turn {
                    ReadStep::Run(body) => {
                        decide(node, &body.reads, &format!("step {}/{}", one.stage.id, body.name), growing);
                        let number = next_number(&mut numbers, &body.name);
                        let key = StepKey { stage: one.number, step: number, node: node.node.id.clone() };
                        if growing.marks.insert(key.clone(), written.mark).is_some() {
                            let message = format!("two steps of the stage `{}` are called `{}`", one.stage.id, body.name);
                            r.recipe.fault(codes::DUPLICATE_ID, written.mark, message);
                        }
                        let body = with_stage_needs(*body, one.stage, node);
                        by_node.entry(i).or_default().push(body.at(key, node.node.host.clone()));
                    }
                    ReadStep::OnPurpose { name, reason } => {
                        leave_out(&one.stage.id, written, name, node, OmittedWhy::OnPurpose, reason, growing);
                    }
                    ReadStep::Condition { name, reason, reads } => {
                        decide(node, &reads, &format!("step {}/{name}, which is left out", one.stage.id), growing);
                        leave_out(&one.stage.id, written, name, node, OmittedWhy::Condition, reason, growing);
                    }
                }
            }
            r.recipe.node = None;
        }
    }
    let steps = one.nodes.iter().filter_map(|i| by_node.remove(i)).flatten().collect();
    // Options are the same for all nodes.
    let any = nodes.get(one.nodes.first().copied().unwrap_or(0));
    PlanStage {
        number: one.number,
        id: one.stage.id.clone(),
        title: one.stage.title.clone(),
        after: one.after.clone(),
        nodes: one.nodes.iter().map(|i| nodes[*i].node.id.clone()).collect(),
        steps,
        approval: one.stage.approval.as_ref().map(|written| approval(written, any.map(|node| &node.scope), r)),
        batch: batch(one),
        undo: one.stage.undo,
        point_of_no_return: one.stage.point_of_no_return,
        verify: one.stage.verify,
    }
}

/// The approval, with what an option says of it.
fn approval(written: &ApprovalWritten, scope: Option<&Scope>, r: &mut Readers) -> Approval {
    let second_person = written.second_person.as_ref().zip(scope).and_then(|(node, scope)| {
        let filled = template::fill(node, scope, &mut Reads::new(), &mut r.recipe);
        bool::from_node(&filled, &mut r.recipe)
    });
    Approval { by: written.by.clone(), says: written.says.clone(), second_person: second_person.unwrap_or(false) }
}

/// The number of a step: the same on every node, in the order in which the steps first appear.
fn next_number(numbers: &mut BTreeMap<StepName, u32>, name: &StepName) -> u32 {
    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX).saturating_add(1);
    *numbers.entry(name.clone()).or_insert(next)
}

/// The needs of the stage, for a step that launches something or works on a database.
fn with_stage_needs(mut body: StepBody, stage: &Stage, node: &NodeNames<'_>) -> StepBody {
    let concerned = match &body.action {
        Action::Server(server) => server.op == ServerOp::Start,
        Action::Job(_) | Action::Sql(_) | Action::Backup(_) | Action::Restore(_) => true,
        Action::Toml(_)
        | Action::Yaml(_)
        | Action::Text(_)
        | Action::Artifact(_)
        | Action::Unpack(_)
        | Action::Copy(_)
        | Action::Remove(_)
        | Action::Command(_)
        | Action::Query(_)
        | Action::Http(_)
        | Action::Tcp(_)
        | Action::Log(_)
        | Action::Exchange(_)
        | Action::Autostart(_)
        | Action::Undo(_) => false,
    };
    if concerned {
        let needs = stage.needs.iter().filter_map(|(word, _)| node.names.needs.get(word));
        let missing: Vec<Need> = needs.filter(|n| !body.needs.contains(n)).cloned().collect();
        body.needs.extend(missing);
    }
    body
}

/// Notes the facts behind names that were read, with what was made from them. What no agent told (an answer, a name that is
/// empty where it does not belong) is not asked again: only an answer is noted.
fn decide(node: &NodeNames<'_>, reads: &Reads, what: &str, growing: &mut Growing<'_>) {
    for found in across::decided(&node.node.id, &node.answers, &node.made_from, &node.across, reads) {
        if !found.answered && !was_told(&found, growing) {
            continue;
        }
        let known = growing.decided.entry((found.node.clone(), found.path.clone())).or_insert(found);
        if !known.decides.iter().any(|d| d == what) {
            known.decides.push(what.to_owned());
        }
    }
}

/// Whether an agent told this value.
fn was_told(found: &Decided, growing: &Growing<'_>) -> bool {
    let Some(told) = growing.told else { return false };
    let path = found.path.strip_prefix("facts.").unwrap_or(&found.path);
    let at = |facts: &NodeFacts| path.split('.').try_fold(&facts.value, |value, key| value.get(key)).cloned();
    let own = told.get(&found.node).and_then(at);
    // What is known of a database comes from the node that works on it.
    let of_others = || path.starts_with("databases.").then(|| told.values().find_map(at)).flatten();
    own.or_else(of_others).is_some_and(|value| value == found.value)
}

fn leave_out(
    stage: &StageId,
    written: &WrittenStep,
    name: StepName,
    node: &NodeNames<'_>,
    why: OmittedWhy,
    reason: String,
    growing: &mut Growing<'_>,
) {
    let same = |o: &&mut Omitted| o.stage == *stage && o.step == name && o.why == why && o.reason == reason;
    match growing.omitted.iter_mut().find(same) {
        Some(omitted) => omitted.nodes.push(node.node.id.clone()),
        None => growing.omitted.push(Omitted {
            stage: stage.clone(),
            step: name,
            row: written.row.clone(),
            nodes: vec![node.node.id.clone()],
            why,
            reason,
        }),
    }
}

fn nobody(stage: &Stage, step: &WrittenStep) -> Omitted {
    Omitted {
        stage: stage.id.clone(),
        step: step.name.clone(),
        row: step.row.clone(),
        nodes: Vec::new(),
        why: OmittedWhy::Condition,
        reason: "the fleet has no such node".to_owned(),
    }
}

fn batch(one: &Selected<'_>) -> Batch {
    let all = u32::try_from(one.nodes.len()).unwrap_or(u32::MAX).max(1);
    let written = one.stage.batch;
    let size = match written.size {
        Size::All => all,
        Size::Count(n) => n.min(all),
        Size::Percent(p) => u32::try_from((u64::from(all) * u64::from(p)).div_ceil(100)).unwrap_or(all).max(1),
    };
    Batch { size, canary: written.canary.min(all), failure_budget: written.failure_budget }
}

fn remarks(input: &Input<'_>, nodes: &[NodeNames<'_>], growing: &mut Growing<'_>, r: &mut Readers) -> Vec<String> {
    let mut found = Vec::new();
    for remark in &input.recipe.remarks {
        let Some(condition) = &remark.nodes else {
            found.extend(remark.says.text().map(ToOwned::to_owned));
            continue;
        };
        let mut says = None;
        let mut concerned = Vec::new();
        for node in nodes {
            r.recipe.node = Some(node.node.id.to_string());
            let verdict = condition.decide(&node.scope, &mut r.recipe);
            let mut reads = verdict.as_ref().map(|v| v.reads.clone()).unwrap_or_default();
            if verdict.is_some_and(|v| v.holds) {
                concerned.push(node.node.id.as_str());
                let filled = template::fill(&remark.says, &node.scope, &mut reads, &mut r.recipe);
                says = says.or_else(|| filled.text().map(ToOwned::to_owned));
            }
            decide(node, &reads, "a remark of the plan", growing);
            r.recipe.node = None;
        }
        found.extend(says.map(|s| format!("{s} ({})", concerned.join(", "))));
    }
    found
}

/// What agents could not read while they gathered facts.
fn problems(input: &Input<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (node, facts) in input.facts {
        let list = facts.value.get("problems").and_then(serde_json::Value::as_array);
        let says = list.into_iter().flatten().filter_map(|p| p.get("message")?.as_str());
        found.extend(says.map(|text| format!("A fact of {node} is missing: {text}")));
    }
    found
}

/// Answers that nothing read: often a misspelt name.
fn idle_answers(nodes: &[NodeNames<'_>], growing: &Growing<'_>) -> Vec<String> {
    let mut idle: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        let mut paths = Vec::new();
        leaves(&node.answers, "facts", &mut paths);
        for path in paths {
            let id = &node.node.id;
            let used = growing.decided.keys().any(|(n, p)| n == id && (covers(p, &path) || covers(&path, p)));
            if !used {
                idle.entry(path).or_default().push(id.as_str());
            }
        }
    }
    // An answer for the whole fleet may concern some nodes only.
    let silent = idle.into_iter().filter(|(path, on)| on.len() == nodes.len() || !elsewhere(nodes, path, on, growing));
    silent.map(|(path, on)| format!("The answer {path} decided nothing ({}).", on.join(", "))).collect()
}

fn elsewhere(nodes: &[NodeNames<'_>], path: &str, idle_on: &[&str], growing: &Growing<'_>) -> bool {
    let others = nodes.iter().filter(|n| !idle_on.contains(&n.node.id.as_str()));
    others.into_iter().any(|n| growing.decided.keys().any(|(id, p)| *id == n.node.id && covers(p, path)))
}

/// Whether one dotted path is the other or its beginning.
fn covers(short: &str, long: &str) -> bool {
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn leaves(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    match value.as_object() {
        Some(map) => map.iter().for_each(|(key, value)| leaves(value, &format!("{path}.{key}"), found)),
        None => found.push(path.to_owned()),
    }
}

/// The artifacts that steps use, each once.
fn artifacts(stages: &[PlanStage]) -> Vec<ArtifactRef> {
    let mut used: BTreeMap<&str, &ArtifactRef> = BTreeMap::new();
    for step in stages.iter().flat_map(|s| &s.steps) {
        let artifact = match &step.action {
            Action::Artifact(a) => &a.artifact,
            Action::Unpack(u) => &u.artifact,
            Action::Sql(SqlScript { script: Some(script), .. }) => script,
            _ => continue,
        };
        used.insert(&artifact.name, artifact);
    }
    used.into_values().cloned().collect()
}

/// A duration that belongs to nothing would let work start that does not end in time.
fn known_durations(input: &Input<'_>, plan: &Plan, r: &mut Readers) {
    let left_out = plan.omitted.iter().map(|o| format!("{}.{}", o.stage, o.step));
    let names: BTreeSet<String> = plan.steps().flat_map(|(stage, step)| stage.names_of(step)).chain(left_out).collect();
    for (name, (_, mark)) in input.fleet.expected.iter().filter(|(name, _)| !names.contains(*name)) {
        let help = nearest(name, names.iter().map(String::as_str)).map(|n| format!("`{n}` exists"));
        r.fleet.fault_with(written::UNKNOWN_REFERENCE, *mark, format!("the plan has no step and no effect `{name}`"), help);
    }
}

/// Where the secrets are found whose markers the plan holds.
fn secrets(input: &Input<'_>, plan: &Plan) -> BTreeMap<String, secret::SecretRef> {
    let text = serde_json::to_string(plan).unwrap_or_default();
    let used: BTreeSet<&str> = secret::markers(&text).into_iter().collect();
    let known = input.fleet.secrets.iter().filter(|(name, _)| used.contains(name.as_str()));
    known.map(|(name, found)| (name.clone(), found.clone())).collect()
}
