//! `Verify`: the steps of a plan that only look, asked of the agents at any time, outside of any run.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::action::Action;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::HostId;
use cavalcade_common::message::{Answer, Ask};
use cavalcade_common::plan::{HashedPlan, PlanStep};
use cavalcade_common::report::Checked;

use super::ask::{ask, used};
use super::handler::Operations;
use super::request::{VerifyAnswer, VerifyItem, VerifyRequest};

/// What an answer takes beside the steps' own time.
const MARGIN: Duration = Duration::from_secs(60);

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
    let mut by_host: BTreeMap<HostId, Vec<PlanStep>> = BTreeMap::new();
    for step in &steps {
        by_host.entry(step.host.clone()).or_default().push(step.clone());
    }
    let asked = by_host.into_iter().map(|(host, steps)| of_host(operations, &plan, host, steps));
    let mut seen: BTreeMap<_, _> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
    let unasked = || Err(Fault::new(codes::run::AGENT_ANSWER, "the agent's answer leaves this step out"));
    let items = steps.into_iter().map(|step| VerifyItem {
        checked: seen.remove(&step.key).unwrap_or_else(unasked),
        step: step.key,
        name: step.name.to_string(),
        row: step.row,
    });
    let items = items.collect();
    Ok(VerifyAnswer { plan: plan.sha256, fleet: plan.plan.fleet, at: operations.clock.now(), items })
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
    host: HostId,
    steps: Vec<PlanStep>,
) -> Vec<(cavalcade_common::id::StepKey, Result<Checked, Fault>)> {
    let keys: Vec<_> = steps.iter().map(|s| s.key.clone()).collect();
    // Nodes of a host are looked at at once, so that this is more than they can take.
    let limit = steps.iter().map(|s| s.timeout).sum::<Duration>() + MARGIN;
    let (secrets, hide) = (used(&plan.plan.secrets, &steps), plan.plan.hide.clone());
    match ask(&operations.inputs, host, Ask::Check { steps, secrets, hide }, limit).await {
        Ok(Answer::Checked(all)) => keys.into_iter().zip(all.into_iter().map(Ok)).collect(),
        Ok(Answer::Facts(_) | Answer::Previews(_) | Answer::Judged(_)) => {
            let other = || Err(Fault::new(codes::run::AGENT_ANSWER, "another question was answered"));
            keys.into_iter().map(|key| (key, other())).collect()
        }
        Err(fault) => keys.into_iter().map(|key| (key, Err(fault.clone()))).collect(),
    }
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
    step
}
