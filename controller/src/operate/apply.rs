//! `apply`: everything that is looked at before a plan becomes a run. Nothing is changed when it refuses.

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::RunId;
use cavalcade_common::plan::{HashedPlan, Plan};
use jiff::SignedDuration;
use serde_json::Value;

use super::ask;
use super::handler::Operations;
use super::request::{ApplyRequest, FactsRequest, VerbAnswer};
use crate::rpc::operator::Operator;
use crate::run::input::{Order, Verb};

/// A plan older than this needs `--stale-ok`.
const PLAN_AGE: SignedDuration = SignedDuration::from_hours(24);
/// Digits of the plan's digest that confirm it.
const CONFIRM_DIGITS: usize = 8;

pub(super) async fn apply(operations: &Operations, who: &Operator, request: ApplyRequest) -> Result<VerbAnswer, Fault> {
    let plan = HashedPlan::from_text(&request.plan).map_err(|e| Fault::new(codes::plan::PLAN_DAMAGED, e.to_string()))?;
    let mut waived = Vec::new();
    let known = operations.now().state.runs.values().any(|r| r.plan.sha256 == plan.sha256);
    if !known {
        confirmed(&plan, request.confirm.as_deref())?;
        let age = operations.clock.now().duration_since(plan.plan.made_at);
        if age > PLAN_AGE {
            let text = format!("the plan is {} h old", age.as_hours());
            if !request.stale_ok {
                return Err(Fault::new(codes::run::PLAN_STALE, text).help("make it again, or let it pass with --stale-ok"));
            }
            waived.push(format!("{text}; let pass by {}", who.name));
        }
        artifacts_present(operations, &plan.plan).await?;
        if let Some(changes) = changed_facts(operations, &plan.plan).await? {
            if !request.stale_ok {
                return Err(Fault::new(codes::run::FACTS_CHANGED, changes)
                    .help("make the plan again; --stale-ok goes on with what was planned"));
            }
            waived.push(format!("{changes}; let pass by {}", who.name));
        }
    }
    let supersedes =
        request.supersedes.map(RunId::new).transpose().map_err(|e| Fault::new(codes::operator::USAGE, e.to_string()))?;
    if !known {
        make_secrets(operations, &plan.plan).await?;
    }
    let verb = Verb::Apply { plan: Box::new(plan), scope: request.scope, waived, supersedes, given: request.secrets };
    let done = operations.order(who, Order { run: None, at: None, verb }).await?;
    Ok(VerbAnswer { run: done.run.to_string(), position: done.position, says: done.says })
}

/// Makes the generated secrets that the fleet does not have yet. They are on disk before the run is open.
async fn make_secrets(operations: &Operations, plan: &Plan) -> Result<(), Fault> {
    let (vault, fleet, refs) = (operations.vault.clone(), plan.fleet.clone(), plan.secrets.clone());
    let made = tokio::task::spawn_blocking(move || vault.make(&fleet, &refs)).await;
    made.map_err(|e| Fault::new(codes::run::SECRET_STORE, e.to_string()))?.map_err(|e| e.fault())
}

/// A plan with a point of no return is confirmed by its digest.
fn confirmed(plan: &HashedPlan, typed: Option<&str>) -> Result<(), Fault> {
    let Some(stage) = plan.plan.stages.iter().find(|s| s.point_of_no_return) else { return Ok(()) };
    let digest = plan.sha256.as_str();
    if typed.is_some_and(|t| t.len() >= CONFIRM_DIGITS && digest.starts_with(t)) {
        return Ok(());
    }
    let what = format!("from stage {} {} on a way back loses new data; the plan must be confirmed", stage.number, stage.id);
    Err(Fault::new(codes::run::NOT_CONFIRMED, what).help(format!("--confirm {}", plan.sha256.short())))
}

async fn artifacts_present(operations: &Operations, plan: &Plan) -> Result<(), Fault> {
    let mut missing = Vec::new();
    for artifact in &plan.artifacts {
        if !operations.artifacts.has(&artifact.sha256).await.map_err(|e| e.fault())? {
            missing.push(format!("{} ({})", artifact.name, artifact.file));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!("the controller's store has no {}", missing.join(", "));
    Err(Fault::new(codes::artifact::ARTIFACT_MISSING, what).help("cavalcade artifact add FILE"))
}

/// Gathers again the facts that decided something; says what differs.
async fn changed_facts(operations: &Operations, plan: &Plan) -> Result<Option<String>, Fault> {
    let deciding: Vec<_> = plan.decided_by.iter().filter(|d| !d.answered).collect();
    if deciding.is_empty() {
        return Ok(None);
    }
    let mut wanted = plan.asked.clone();
    for of_host in wanted.values_mut() {
        of_host.nodes.retain(|n| deciding.iter().any(|d| d.node == n.node.id));
    }
    wanted.retain(|_, of_host| !of_host.nodes.is_empty());
    let now = ask::facts(operations, FactsRequest { wanted }).await;
    if let Some(fault) = now.faults.into_iter().next() {
        return Err(fault);
    }
    let mut changes = Vec::new();
    for d in deciding {
        let found = now.facts.get(&d.node).and_then(|facts| at_path(facts, &d.path)).unwrap_or(&Value::Null);
        if found != &d.value {
            changes.push(format!("{} of {} was {} when the plan was made and is {found} now", d.path, d.node, d.value));
        }
    }
    Ok((!changes.is_empty()).then(|| changes.join("; ")))
}

fn at_path<'a>(facts: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.strip_prefix("facts.").unwrap_or(path);
    path.split('.').try_fold(facts, |value, key| value.get(key))
}
