//! `apply` through a real controller and a real agent: facts that something was made from, and those behind a finding that is
//! let pass, are gathered again; a changed one stops before the first step and says what it would change.

use std::collections::BTreeMap;
use std::path::Path;

use cavalcade_common::action::{Action, TextEdit};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::facts::{FactsWanted, Look, NodeWanted};
use cavalcade_common::finding::{Finding, Severity};
use cavalcade_common::plan::{Decided, FINDING_OF, HashedPlan, Plan};
use cavalcade_controller::operate::request::{ApplyRequest, ReportAnswer, ReportRequest, VerbAnswer, Waiver};
use cavalcade_controller::rpc::method::Method;
use cavalcade_tests::one_node;
use cavalcade_tests::product::Product;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// Both take their ports from the same address: one after the other.
static TURN: Mutex<()> = Mutex::const_new(());

/// A plan that writes a file; it was made when the new home was there, or not.
fn plan(home: &Path, file: &str, home_was_there: bool, decides: String) -> Plan {
    let content = Some("done\n".to_owned());
    let edit = TextEdit { file: home.join(file).display().to_string(), content, ..TextEdit::default() };
    #[expect(clippy::disallowed_methods, reason = "a plan says when it was made")]
    let mut plan = one_node::plan(home, vec![Action::Text(edit)], Timestamp::now()).expect("a plan");
    let node = plan.nodes[0].clone();
    let (id, host) = (node.id.clone(), node.host.clone());
    let nodes = vec![NodeWanted { node, look: Look::default() }];
    plan.asked = BTreeMap::from([(host, FactsWanted { nodes, ..FactsWanted::default() })]);
    let (path, value) = ("facts.new.exists".to_owned(), json!(home_was_there));
    plan.decided_by = vec![Decided { node: id, path, value, answered: false, decides: vec![decides] }];
    plan
}

async fn apply(product: &Product, plan: &Plan, stale_ok: bool, waive: Vec<Waiver>) -> Result<VerbAnswer, Fault> {
    let plan = HashedPlan::new(plan.clone()).expect("has a digest").to_text().expect("text");
    let request = ApplyRequest {
        plan,
        scope: Default::default(),
        supersedes: None,
        keep: Vec::new(),
        undo: Vec::new(),
        supersede_why: String::new(),
        stale_ok,
        confirm: None,
        waive,
        secrets: Default::default(),
    };
    let request: Value = serde_json::to_value(&request).expect("JSON");
    product.client.call(Method::Apply, &request).await.map(|answer| serde_json::from_value(answer).expect("the answer's form"))
}

async fn until_closed(product: &Product, run: &str) {
    let closed =
        |status: &cavalcade_controller::view::document::Status| status.runs.iter().any(|r| r.run == run && r.closed_at.is_some());
    product.until(closed).await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_is_another_one_now_stops_before_the_first_step() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    std::fs::create_dir(&home).expect("is made");
    let product = Product::start(folder.path()).await.expect("is up");

    let step = || "step only/step-1".to_owned();
    let stale = plan(&home, "stale", false, step());
    let refused = apply(&product, &stale, false, Vec::new()).await.expect_err("is refused");
    assert_eq!(refused.code, codes::run::FACTS_CHANGED);
    let said = "facts.new.exists of one was false when the plan was made";
    assert!(refused.message.starts_with(said), "{refused}");
    assert!(refused.message.ends_with("is true now, which would change step only/step-1"), "{refused}");
    let status = product.until(|_| true).await.expect("a status");
    assert!(status.runs.is_empty() && !home.join("stale").exists(), "nothing was begun");

    let fresh = apply(&product, &plan(&home, "fresh", true, step()), false, Vec::new()).await.expect("runs");
    until_closed(&product, &fresh.run).await;
    assert!(home.join("fresh").exists());

    // A person lets it pass, on the record.
    let passed = apply(&product, &stale, true, Vec::new()).await.expect("runs");
    until_closed(&product, &passed.run).await;
    let request = ReportRequest { run: Some(passed.run) };
    let report: ReportAnswer = product.ask(Method::Report, &request).await.expect("a report");
    assert!(report.waived.iter().any(|w| w.starts_with(said) && w.contains("let pass by")), "{:?}", report.waived);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_is_for_what_was_found() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    std::fs::create_dir(&home).expect("is made");
    let product = Product::start(folder.path()).await.expect("is up");
    let found = |file: &str, home_was_there: bool| {
        let mut plan = plan(&home, file, home_was_there, format!("{FINDING_OF}new-home-free"));
        plan.findings = vec![Finding {
            check: "new-home-free".to_owned(),
            area: "homes".to_owned(),
            severity: Severity::Error,
            nodes: vec![one_node::HOST.to_owned()],
            found: "it is so".to_owned(),
            remedy: "move it away".to_owned(),
        }];
        plan
    };
    let waiver = || vec![Waiver { check: "new-home-free".to_owned(), why: "it is ours".to_owned() }];
    // Without a word the finding stops it; with one, that what was found is another thing now.
    let blocked = apply(&product, &found("a", false), false, Vec::new()).await.expect_err("is blocked");
    assert_eq!(blocked.code, codes::run::CHECKS_BLOCK);
    let changed = apply(&product, &found("a", false), false, waiver()).await.expect_err("is refused");
    assert_eq!(changed.code, codes::run::FACTS_CHANGED);
    assert!(changed.message.ends_with("which would change the finding of new-home-free"), "{changed}");
    let same = apply(&product, &found("b", true), false, waiver()).await.expect("runs");
    until_closed(&product, &same.run).await;
}
