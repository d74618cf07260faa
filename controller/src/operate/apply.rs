//! `apply`: everything that is looked at before a plan becomes a run. Nothing is changed when it refuses.

use std::collections::BTreeMap;

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::facts::at_rest;
use cavalcade_common::finding::{Finding, Severity};
use cavalcade_common::id::{NodeId, RunId};
use cavalcade_common::plan::{Decided, FINDING_OF, HashedPlan, Plan};
use jiff::SignedDuration;
use serde_json::Value;

use super::ask;
use super::handler::Operations;
use super::request::{ApplyRequest, FactsRequest, VerbAnswer, Waiver};
use crate::rpc::operator::Operator;
use crate::run::input::{Order, Superseding, Verb};
use crate::view::report::instant;

/// A plan older than this needs `--stale-ok`.
const PLAN_AGE: SignedDuration = SignedDuration::from_hours(24);
/// Digits of the plan's digest that confirm it.
const CONFIRM_DIGITS: usize = 8;
/// Most things that are named for one changed fact.
const MOST_NAMED: usize = 6;
/// Longest value of a fact in a sentence, in bytes.
const LONGEST_VALUE: usize = 120;

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
        waived.extend(waive(&plan.plan, &request.waive, &who.name)?);
        artifacts_present(operations, &plan.plan).await?;
        if let Some(changes) = changed_facts(operations, &plan.plan, &request.waive).await? {
            if !request.stale_ok {
                return Err(Fault::new(codes::run::FACTS_CHANGED, changes)
                    .help("make the plan again; --stale-ok goes on with what was planned"));
            }
            waived.push(format!("{changes}; let pass by {}", who.name));
        }
    }
    let supersedes = request.supersedes.map(RunId::new).transpose();
    let supersedes = supersedes.map_err(|e| Fault::new(codes::operator::USAGE, e.to_string()))?;
    let (keep, undo, why) = (request.keep, request.undo, request.supersede_why);
    let supersedes = supersedes.map(|run| Superseding { run, keep, undo, why });
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

/// What is let pass of the plan's findings, a sentence each for the journal. An error that is left refuses the plan.
fn waive(plan: &Plan, waivers: &[Waiver], who: &str) -> Result<Vec<String>, Fault> {
    let stands: Vec<&Finding> = plan.findings.iter().filter(|f| f.severity != Severity::Unseen).collect();
    if let Some(idle) = waivers.iter().find(|w| stands.iter().all(|f| f.check != w.check)) {
        let names: Vec<&str> = stands.iter().filter(|f| f.severity == Severity::Error).map(|f| f.check.as_str()).collect();
        let help = if names.is_empty() { "nothing blocks it".to_owned() } else { format!("it has {}", names.join(", ")) };
        return Err(Fault::new(codes::operator::USAGE, format!("the plan has no finding of `{}`", idle.check)).help(help));
    }
    let waiver = |finding: &Finding| waivers.iter().find(|w| w.check == finding.check);
    let left: Vec<String> = stands
        .iter()
        .filter(|f| f.severity == Severity::Error && waiver(f).is_none())
        .map(|f| format!("{}{}: {}", f.check, on(f), f.found))
        .collect();
    if !left.is_empty() {
        let help = "do what the plan's findings say and make it again, or let one pass: --waive CHECK --why TEXT";
        return Err(Fault::new(codes::run::CHECKS_BLOCK, left.join("; ")).help(help));
    }
    let passed = stands.iter().filter_map(|f| Some((f, waiver(f)?)));
    Ok(passed.map(|(f, w)| format!("{}{}: {}; let pass by {who}: {}", f.check, on(f), f.found, w.why)).collect())
}

fn on(finding: &Finding) -> String {
    if finding.nodes.is_empty() { String::new() } else { format!(" on {}", finding.nodes.join(" ")) }
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

/// Gathers again the facts that decided something; says what differs, and what that would change.
async fn changed_facts(operations: &Operations, plan: &Plan, waivers: &[Waiver]) -> Result<Option<String>, Fault> {
    let deciding = deciding(plan, waivers);
    if deciding.is_empty() {
        return Ok(None);
    }
    let databases = deciding.iter().any(|d| d.path.starts_with("facts.databases"));
    let mut wanted = plan.asked.clone();
    for of_host in wanted.values_mut() {
        of_host.nodes.retain(|n| deciding.iter().any(|d| d.node == n.node.id));
        if !databases {
            of_host.databases.clear();
        }
    }
    wanted.retain(|_, of_host| !of_host.nodes.is_empty() || !of_host.databases.is_empty());
    let now = ask::facts(operations, FactsRequest { wanted }).await;
    if let Some(fault) = now.faults.into_iter().next() {
        return Err(fault);
    }
    let changes = differences(plan, &deciding, waivers, &now.facts);
    Ok((!changes.is_empty()).then(|| changes.join("; ")))
}

/// The facts that decided something, and those behind a finding that is let pass: the others stop `apply` anyway.
fn deciding<'p>(plan: &'p Plan, waivers: &[Waiver]) -> Vec<&'p Decided> {
    let counts = |d: &&Decided| d.decides.is_empty() || d.decides.iter().any(|what| is_meant(what, waivers));
    plan.decided_by.iter().filter(|d| !d.answered).filter(counts).collect()
}

fn is_meant(what: &str, waivers: &[Waiver]) -> bool {
    what.strip_prefix(FINDING_OF).is_none_or(|check| waivers.iter().any(|w| w.check == check))
}

/// A sentence for each fact that is another one now.
fn differences(plan: &Plan, deciding: &[&Decided], waivers: &[Waiver], facts: &BTreeMap<NodeId, Value>) -> Vec<String> {
    let mut changes = Vec::new();
    for d in deciding {
        let own = facts.get(&d.node).and_then(|facts| at_path(facts, &d.path));
        // What is known of a database comes from the node that works on it.
        let found = own.or_else(|| facts.values().find_map(|facts| at_path(facts, &d.path))).unwrap_or(&Value::Null);
        if at_rest(found) == at_rest(&d.value) {
            continue;
        }
        let was = format!("{} of {} was {}", d.path, d.node, brief(&d.value));
        let mut change = format!("{was} when the plan was made ({}) and is {} now", instant(plan.facts_at), brief(found));
        let meant: Vec<&str> = d.decides.iter().map(String::as_str).filter(|what| is_meant(what, waivers)).collect();
        if !meant.is_empty() {
            let more = meant.len().saturating_sub(MOST_NAMED);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            change.push_str(&format!(", which would change {}{more}", meant[..meant.len().min(MOST_NAMED)].join(", ")));
        }
        changes.push(change);
    }
    changes
}

/// A value on one line; of a long one its beginning.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    let end = text.floor_char_boundary(LONGEST_VALUE);
    if end < text.len() { format!("{}... ({} bytes)", &text[..end], text.len()) } else { text }
}

fn at_path<'a>(facts: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.strip_prefix("facts.").unwrap_or(path);
    path.split('.').try_fold(facts, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> Plan {
        let finding = |check: &str, severity, nodes: &[&str]| Finding {
            check: check.to_owned(),
            area: "network".to_owned(),
            severity,
            nodes: nodes.iter().map(ToString::to_string).collect(),
            found: "it is so".to_owned(),
            remedy: "look".to_owned(),
        };
        let mut plan = crate::view::example_plan::plan();
        plan.findings = vec![
            finding("port-free", Severity::Error, &["is-1", "is-2"]),
            finding("port-free", Severity::Error, &["gw-1"]),
            finding("disk-free", Severity::Warning, &[]),
            finding("open-files", Severity::Unseen, &["is-1"]),
        ];
        plan
    }

    fn waiver(check: &str) -> Waiver {
        Waiver { check: check.to_owned(), why: "a test instance".to_owned() }
    }

    #[test]
    fn an_error_blocks_until_it_is_let_pass_by_name() {
        let fault = waive(&plan(), &[], "anna").expect_err("is blocked");
        assert_eq!(fault.code, codes::run::CHECKS_BLOCK);
        assert_eq!(fault.message, "port-free on is-1 is-2: it is so; port-free on gw-1: it is so");
        let passed = waive(&plan(), &[waiver("port-free")], "anna").expect("passes");
        assert_eq!(
            passed,
            [
                "port-free on is-1 is-2: it is so; let pass by anna: a test instance",
                "port-free on gw-1: it is so; let pass by anna: a test instance"
            ]
        );
    }

    #[test]
    fn only_what_was_found_can_be_let_pass() {
        for name in ["port-fre", "open-files", "weak-key"] {
            let fault = waive(&plan(), &[waiver("port-free"), waiver(name)], "anna").expect_err(name);
            assert_eq!((fault.code, fault.message), (codes::operator::USAGE, format!("the plan has no finding of `{name}`")));
        }
        let mut good = plan();
        good.findings.retain(|f| f.severity != Severity::Error);
        assert_eq!(waive(&good, &[], "anna"), Ok(Vec::new()));
        let passed = waive(&good, &[waiver("disk-free")], "anna").expect("passes");
        assert_eq!(passed, ["disk-free: it is so; let pass by anna: a test instance"]);
    }

    fn decided(node: &str, path: &str, value: Value, decides: &[&str]) -> Decided {
        let decides = decides.iter().map(ToString::to_string).collect();
        Decided { node: node.parse().expect("a name"), path: path.to_owned(), value, answered: false, decides }
    }

    #[test]
    fn a_changed_fact_names_what_it_would_change() {
        let mut plan = plan();
        let many: Vec<String> = (1..=8).map(|n| format!("step set-up/s{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        plan.decided_by = vec![
            decided("is-1", "facts.user_store.type", json!("jdbc"), &["step set-up-is/user-store", "a remark of the plan"]),
            decided("is-2", "facts.old.version", json!("5.10.0"), &many),
            decided("is-2", "facts.old.owner", json!("wso2"), &["the user that its servers run as"]),
            decided("is-1", "facts.ports", json!([{ "port": 9443, "free": false }]), &["the finding of port-free"]),
            decided("is-1", "facts.databases.am_db.engine", json!("mysql"), &[]),
        ];
        let facts = |ports: Value| {
            BTreeMap::from([
                ("is-1".parse().expect("a name"), json!({ "user_store": { "type": "ldap" }, "ports": ports })),
                (
                    "is-2".parse().expect("a name"),
                    json!({ "old": { "version": null, "owner": "wso2" }, "databases": { "am_db": { "engine": "mysql" } } }),
                ),
            ])
        };
        let same = facts(json!([{ "port": 9443, "free": false, "pid": 4711 }]));
        let passed = [waiver("port-free")];
        let told = differences(&plan, &deciding(&plan, &passed), &passed, &same);
        assert_eq!(
            told,
            [
                "facts.user_store.type of is-1 was \"jdbc\" when the plan was made (2026-11-23 00:59:00Z) and is \"ldap\" now, which \
                 would change step set-up-is/user-store, a remark of the plan",
                "facts.old.version of is-2 was \"5.10.0\" when the plan was made (2026-11-23 00:59:00Z) and is null now, which would \
                 change step set-up/s1, step set-up/s2, step set-up/s3, step set-up/s4, step set-up/s5, step set-up/s6, and 2 more",
            ],
            "a process id changes by itself"
        );
        // A waiver is for what was found.
        let other = facts(json!([{ "port": 9443, "free": true }]));
        let told = differences(&plan, &deciding(&plan, &passed), &passed, &other);
        assert!(
            told.last().is_some_and(|t| t.contains("facts.ports of is-1") && t.ends_with("the finding of port-free")),
            "{told:?}"
        );
        // A finding that is not let pass stops the plan for itself.
        assert_eq!(differences(&plan, &deciding(&plan, &[]), &[], &other).len(), 2);
        assert!(brief(&json!("\u{fc}".repeat(400))).len() < 150);
    }
}
