//! The plan that every seed runs: two Identity Servers, one of them migrated, and three API Managers behind them.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::action::{Action, Evidence, HttpCheck, HttpGate, Job, Ready, Runtime, Sequence, Server, ServerOp};
use cavalcade_common::id::{Digest, EffectKey, HostId, NodeId, StageId, StepKey, StepName};
use cavalcade_common::plan::{
    Batch, HashedPlan, Need, PLAN_SCHEMA, Plan, PlanNode, PlanStage, PlanStep, Probe, RecipeRef, Retry, Role, Side, Undo,
};
use jiff::Timestamp;

use super::machine::ORDERS;

/// Identity Servers.
pub const IS: [&str; 2] = ["is-1", "is-2"];
/// API Managers.
pub const AM: [&str; 3] = ["cp-1", "gw-1", "gw-2"];

/// All hosts.
#[must_use]
pub fn hosts() -> Vec<&'static str> {
    IS.iter().chain(&AM).copied().collect()
}

/// The new home of a node.
pub(super) fn home(node: &str) -> String {
    let product = if node.starts_with("is") { "wso2is-5.11.0" } else { "wso2am-4.0.0" };
    format!("/opt/{node}/{product}")
}

fn script(node: &str) -> &'static str {
    if node.starts_with("is") { "bin/wso2server.sh" } else { "bin/api-manager.sh" }
}

#[expect(clippy::expect_used, reason = "constant names that obey the grammar")]
fn node_id(name: &str) -> NodeId {
    NodeId::new(name).expect("a name")
}

fn http(node: &str) -> HttpCheck {
    HttpCheck { url: format!("http://{node}{}", home(node)), status: vec![200], body: Some("health".to_owned()), insecure: true }
}

fn ready(node: &str) -> Ready {
    Ready {
        log: Some("repository/logs/wso2carbon.log".to_owned()),
        started: Some(r"WSO2 Carbon started in (\d+) sec".to_owned()),
        failed: vec!["initialization Failed".to_owned()],
        http: vec![http(node)],
        tcp: Vec::new(),
    }
}

fn runtime() -> Runtime {
    Runtime { run_as: None, java_home: Some("/opt/jdk".to_owned()), env: BTreeMap::new() }
}

fn server(node: &str, op: ServerOp) -> Action {
    Action::Server(Server {
        op,
        home: home(node),
        script: script(node).to_owned(),
        args: Vec::new(),
        service: None,
        runtime: runtime(),
        ready: ready(node),
        within: Duration::from_secs(600),
        apart: Duration::from_secs(30),
    })
}

fn job(node: &str) -> Action {
    Action::Job(Job {
        effect: "migrate".to_owned(),
        home: home(node),
        command: vec!["bin/wso2server.sh".to_owned(), "-Dmigrate".to_owned()],
        runtime: runtime(),
        databases: Vec::new(),
        log: None,
        ends: vec!["WSO2 Carbon started in".to_owned()],
        evidence: Evidence {
            require: vec!["Execution was done".to_owned()],
            forbid: vec!["ERROR".to_owned()],
            sequence: Some(Sequence { pattern: r"of order : (\d+) is starting".to_owned(), from: 1, to: ORDERS }),
        },
        progress: None,
        alarm_after: Duration::from_secs(3600),
    })
}

/// A step: name, action, needs.
type Planned = (&'static str, Action, Vec<Need>);

struct Builder {
    stages: Vec<PlanStage>,
}

impl Builder {
    #[expect(clippy::expect_used, reason = "constant names that obey the grammar")]
    fn stage(&mut self, name: &str, nodes: &[&str], size: u32, steps: &dyn Fn(&str) -> Vec<Planned>) {
        let number = u32::try_from(self.stages.len()).unwrap_or(0) + 1;
        let mut all = Vec::new();
        for node in nodes {
            for (i, (step, action, needs)) in (1..).zip(steps(node)) {
                let effect = matches!(action, Action::Job(_)).then(|| EffectKey(format!("{step} {node}")));
                all.push(PlanStep {
                    key: StepKey { stage: number, step: i, node: node_id(node) },
                    host: HostId::new(*node).expect("a name"),
                    name: StepName::new(step).expect("a name"),
                    row: None,
                    note: None,
                    action,
                    needs,
                    effect,
                    retry: Retry { times: 3, wait: Duration::from_secs(5) },
                    timeout: Duration::from_secs(900),
                });
            }
        }
        self.stages.push(PlanStage {
            number,
            id: StageId::new(name).expect("a name"),
            title: name.to_owned(),
            after: if number > 1 { vec![number - 1] } else { Vec::new() },
            nodes: nodes.iter().map(|n| node_id(n)).collect(),
            steps: all,
            approval: None,
            batch: Batch { size, canary: 0, failure_budget: 0 },
            undo: Undo::Nothing,
            point_of_no_return: false,
            verify: false,
        });
    }
}

/// The plan.
///
/// # Errors
/// None that a constant plan can have.
pub fn plan() -> anyhow::Result<HashedPlan> {
    let mut b = Builder { stages: Vec::new() };
    let needs_is =
        || vec![Need::Ready { nodes: IS.iter().map(|n| node_id(n)).collect(), via: IS.iter().map(|n| http(n)).collect() }];
    b.stage("migrate", &IS[..1], 9, &|n| {
        vec![("migrate-is", job(n), Vec::new()), ("stop-is", server(n, ServerOp::Stop), Vec::new())]
    });
    b.stage("start-is", &IS, 9, &|n| vec![("start", server(n, ServerOp::Start), Vec::new())]);
    b.stage("is-up", &IS, 9, &|n| {
        vec![("seen", Action::Http(HttpGate { check: http(n), within: Duration::from_secs(60) }), Vec::new())]
    });
    b.stage("start-am", &AM, 2, &|n| vec![("start", server(n, ServerOp::Start), needs_is())]);
    b.stage("restart-am", &AM, 1, &|n| {
        vec![("stop", server(n, ServerOp::Stop), Vec::new()), ("start-again", server(n, ServerOp::Start), needs_is())]
    });
    let nodes = hosts()
        .into_iter()
        .map(|n| {
            Ok(PlanNode {
                id: node_id(n),
                host: HostId::new(n)?,
                role: if n.starts_with("is") { Role::IdentityServer } else { Role::ApiManager },
                old: None,
                new: Some(Side { home: home(n), profile: None, service: None }),
                runtime: runtime(),
                probe: n.starts_with("is").then(|| Probe {
                    home: home(n),
                    forbid_args: vec!["-Dmigrate".to_owned()],
                    run_as: None,
                    ready: ready(n),
                }),
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let plan = Plan {
        schema: PLAN_SCHEMA.to_owned(),
        id: "simulated".to_owned(),
        fleet: "simulated".to_owned(),
        recipe: RecipeRef { name: "simulated".to_owned(), sha256: Digest::of(b"simulated") },
        made_at: Timestamp::UNIX_EPOCH,
        made_by: "seed".to_owned(),
        made_with: "simulation".to_owned(),
        facts_at: Timestamp::UNIX_EPOCH,
        nodes,
        databases: BTreeMap::new(),
        stages: b.stages,
        omitted: Vec::new(),
        decided_by: Vec::new(),
        secrets: BTreeMap::new(),
        artifacts: Vec::new(),
        hide: Vec::new(),
        settings: Vec::new(),
        asked: BTreeMap::new(),
        findings: Vec::new(),
        window: None,
        expected: BTreeMap::new(),
        remarks: Vec::new(),
    };
    Ok(HashedPlan::new(plan)?)
}
