//! `Verify`: the steps of a plan that only look, asked of the agents at any time, outside of any run.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::action::Action;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{HostId, NodeId};
use cavalcade_common::message::{Answer, Ask};
use cavalcade_common::plan::{HashedPlan, PlanStep};
use cavalcade_common::report::Checked;
use cavalcade_common::secret::SecretRef;

use super::ask::{ask, used};
use super::handler::Operations;
use super::request::{VerifyAnswer, VerifyItem, VerifyRequest};
use crate::vault::Vault;

/// What an answer takes beside the steps' own time.
const MARGIN: Duration = Duration::from_secs(60);
/// What a step with a shortened wait takes beside it: its last look.
const LAST_LOOK: Duration = Duration::from_secs(60);

pub(super) async fn verify(operations: &Operations, request: VerifyRequest) -> Result<VerifyAnswer, Fault> {
    let plan = plan_of(operations, request.plan.as_deref())?;
    let within = request.within_seconds.map(Duration::from_secs);
    let named = |step: &PlanStep| request.nodes.is_empty() || request.nodes.contains(&step.key.node);
    let looking = plan.plan.steps().filter(|(stage, step)| stage.verify && named(step));
    let steps: Vec<PlanStep> = looking.map(|(_, step)| hurried(step, within)).collect();
    if steps.is_empty() {
        let text = "no stage of the plan with `verify` has a step on these nodes";
        return Err(Fault::new(codes::plan::NOTHING_TO_VERIFY, text));
    }
    let (given, asks) = given(&plan, &steps, &request.secrets, &operations.vault);
    if !asks.is_empty() {
        return Ok(VerifyAnswer {
            plan: plan.sha256,
            fleet: plan.plan.fleet,
            at: operations.clock.now(),
            items: Vec::new(),
            asks,
        });
    }
    let mut by_host: BTreeMap<HostId, Vec<PlanStep>> = BTreeMap::new();
    for step in &steps {
        by_host.entry(step.host.clone()).or_default().push(step.clone());
    }
    let asked = by_host.into_iter().map(|(host, steps)| of_host(operations, &plan, &given, host, steps));
    let mut seen: BTreeMap<_, _> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
    let unasked = || Err(Fault::new(codes::run::AGENT_ANSWER, "the agent's answer leaves this step out"));
    let items = steps.into_iter().map(|step| VerifyItem {
        checked: seen.remove(&step.key).unwrap_or_else(unasked),
        step: step.key,
        name: step.name.to_string(),
        row: step.row,
    });
    let items = items.collect();
    Ok(VerifyAnswer { plan: plan.sha256, fleet: plan.plan.fleet, at: operations.clock.now(), items, asks: BTreeMap::new() })
}

/// Values of those secrets of the steps that only the controller has, and what a person has to be asked first. What was
/// typed for this question counts before what the vault holds.
fn given(plan: &HashedPlan, steps: &[PlanStep], typed: &GivenSecrets, vault: &Vault) -> (GivenSecrets, BTreeMap<String, String>) {
    let (mut given, mut asks) = (GivenSecrets::default(), BTreeMap::new());
    for (name, place) in used(&plan.plan.secrets, steps).into_iter().filter(|(_, place)| place.is_brought()) {
        let known = typed.get(&name).cloned().or_else(|| vault.value(&plan.plan.fleet, &name, &place));
        match (known, place) {
            (Some(value), _) => given.insert(name, value),
            (None, SecretRef::Prompt(question)) => drop(asks.insert(name, question)),
            // The agent names a generated one that was never made: no person has it.
            (None, SecretRef::Generate { .. } | SecretRef::File(_) | SecretRef::Env(_) | SecretRef::Exec(_)) => {}
        }
    }
    (given, asks)
}

/// The plan that was named, or that of the newest run.
fn plan_of(operations: &Operations, text: Option<&str>) -> Result<HashedPlan, Fault> {
    if let Some(text) = text {
        return HashedPlan::from_text(text).map_err(|e| Fault::new(codes::plan::PLAN_DAMAGED, e.to_string()));
    }
    let view = operations.now();
    let newest = view.state.runs.values().max_by_key(|r| r.opened_at);
    let none = || Fault::new(codes::run::NO_RUN, "this controller had no run yet").help("name a plan: cavalcade verify PLAN");
    newest.map(|run| (*run.plan).clone()).ok_or_else(none)
}

async fn of_host(
    operations: &Operations,
    plan: &HashedPlan,
    given: &GivenSecrets,
    host: HostId,
    steps: Vec<PlanStep>,
) -> Vec<(cavalcade_common::id::StepKey, Result<Checked, Fault>)> {
    let keys: Vec<_> = steps.iter().map(|s| s.key.clone()).collect();
    let limit = limit(&steps);
    let (secrets, hide) = (used(&plan.plan.secrets, &steps), plan.plan.hide.clone());
    let given = secrets.keys().filter_map(|name| Some((name.clone(), given.get(name)?.clone()))).collect();
    match ask(&operations.inputs, host, Ask::Check { steps, secrets, given, hide }, limit).await {
        Ok(Answer::Checked(all)) => keys.into_iter().zip(all.into_iter().map(Ok)).collect(),
        Ok(Answer::Facts(_) | Answer::Previews(_) | Answer::Judged(_) | Answer::Strangers(_)) => {
            let other = || Err(Fault::new(codes::run::AGENT_ANSWER, "another question was answered"));
            keys.into_iter().map(|key| (key, other())).collect()
        }
        Err(fault) => keys.into_iter().map(|key| (key, Err(fault.clone()))).collect(),
    }
}

/// How long the answer of one host may take: the steps of a node run one after the other, nodes at once.
fn limit(steps: &[PlanStep]) -> Duration {
    let mut by_node: BTreeMap<&NodeId, Duration> = BTreeMap::new();
    for step in steps {
        *by_node.entry(&step.key.node).or_default() += step.timeout;
    }
    by_node.into_values().max().unwrap_or_default() + MARGIN
}

/// The step with a shorter wait: what a run waits for patiently, a person wants to know now.
fn hurried(step: &PlanStep, within: Option<Duration>) -> PlanStep {
    let mut step = step.clone();
    let Some(most) = within else { return step };
    let limit = match &mut step.action {
        Action::Http(gate) => &mut gate.within,
        Action::Tcp(gate) => &mut gate.within,
        Action::Log(gate) => &mut gate.within,
        Action::Exchange(exchange) => &mut exchange.within,
        Action::Server(server) => &mut server.within,
        Action::Query(_)
        | Action::Toml(_)
        | Action::Yaml(_)
        | Action::Text(_)
        | Action::Artifact(_)
        | Action::Unpack(_)
        | Action::Copy(_)
        | Action::Remove(_)
        | Action::Job(_)
        | Action::Command(_)
        | Action::Sql(_)
        | Action::Backup(_)
        | Action::Restore(_)
        | Action::Autostart(_)
        | Action::Undo(_) => return step,
    };
    *limit = most.min(*limit);
    step.timeout = step.timeout.min(most + LAST_LOOK);
    step
}

#[cfg(test)]
mod tests {
    use cavalcade_common::secret::{SecretValue, marker};
    use serde_json::json;

    use super::*;

    fn look(key: &str) -> PlanStep {
        let url = format!("https://is-1/?{}{}{}", marker("asked"), marker("made"), marker("on_host"));
        let action = json!({ "http": { "url": url, "within": "10min" } });
        let step = json!({ "key": key, "host": "h-1", "name": "look", "action": action, "timeout": "15min" });
        serde_json::from_value(step).expect("a step")
    }

    fn plan() -> HashedPlan {
        let mut plan = crate::view::example_plan::plan();
        plan.secrets = BTreeMap::from([
            ("asked".to_owned(), SecretRef::Prompt("the DBA's password".to_owned())),
            ("made".to_owned(), SecretRef::Generate { bytes: 32 }),
            ("on_host".to_owned(), SecretRef::Env("PW".to_owned())),
            ("of_other_steps".to_owned(), SecretRef::Prompt("what nobody needs here".to_owned())),
        ]);
        HashedPlan::new(plan).expect("has a digest")
    }

    #[test]
    fn secrets_of_the_controller_are_brought_and_what_it_lacks_is_asked() {
        let (plan, steps, vault) = (plan(), [look("9.1@is-1")], Vault::in_memory());
        vault.make(&plan.plan.fleet, &plan.plan.secrets).expect("makes");
        let (_, asks) = given(&plan, &steps, &GivenSecrets::default(), &vault);
        assert_eq!(asks, BTreeMap::from([("asked".to_owned(), "the DBA's password".to_owned())]));
        let typed: GivenSecrets = [("asked".to_owned(), SecretValue::new("typed".to_owned()))].into_iter().collect();
        let (brought, asks) = given(&plan, &steps, &typed, &vault);
        assert_eq!((brought.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), asks.len()), (vec!["asked", "made"], 0));
        vault.give(&plan.plan.fleet, "asked", SecretValue::new("kept".to_owned()));
        let (brought, asks) = given(&plan, &steps, &GivenSecrets::default(), &vault);
        assert_eq!((brought.get("asked").map(SecretValue::expose), asks.len()), (Some("kept"), 0));
    }

    #[test]
    fn an_answer_has_the_time_that_the_steps_of_one_node_may_take() {
        let within = Some(Duration::from_secs(30));
        let steps: Vec<_> =
            ["9.1@is-1", "9.2@is-1", "9.3@is-1", "9.1@is-2"].iter().map(|key| hurried(&look(key), within)).collect();
        assert_eq!(limit(&steps), Duration::from_secs(3 * (30 + 60)) + MARGIN);
        assert_eq!(limit(&[look("9.1@is-1")]), Duration::from_secs(15 * 60) + MARGIN);
    }
}
