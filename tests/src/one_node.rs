//! A plan for one host: one node, one stage, steps one after the other. For tests and benchmarks of the real parts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cavalcade_common::action::{Action, Runtime};
use cavalcade_common::id::{AttemptId, Digest, Epoch, Generation, HostId, NodeId, RunId, StageId, StepKey, StepName};
use cavalcade_common::message::Offer;
use cavalcade_common::plan::{Batch, PLAN_SCHEMA, Plan, PlanNode, PlanStage, PlanStep, RecipeRef, Retry, Role, Side, Undo};
use jiff::Timestamp;

/// The host, and its only node.
pub const HOST: &str = "one";

/// The steps of these actions, in order.
///
/// # Errors
/// None that constant names can have.
pub fn steps(actions: Vec<Action>) -> anyhow::Result<Vec<PlanStep>> {
    let mut steps = Vec::new();
    for (number, action) in (1..).zip(actions) {
        steps.push(PlanStep {
            key: StepKey { stage: 1, step: number, node: NodeId::new(HOST)? },
            host: HostId::new(HOST)?,
            name: StepName::new(format!("step-{number}"))?,
            row: None,
            note: None,
            action,
            needs: Vec::new(),
            effect: None,
            retry: Retry::default(),
            timeout: Duration::from_secs(60),
        });
    }
    Ok(steps)
}

/// A plan of these actions, for a home that need not exist.
///
/// # Errors
/// None that constant names can have.
pub fn plan(home: &Path, actions: Vec<Action>, made_at: Timestamp) -> anyhow::Result<Plan> {
    let node = NodeId::new(HOST)?;
    let stage = PlanStage {
        number: 1,
        id: StageId::new("only")?,
        title: "The only stage".to_owned(),
        after: Vec::new(),
        nodes: vec![node.clone()],
        steps: steps(actions)?,
        approval: None,
        batch: Batch { size: 1, canary: 0, failure_budget: 0 },
        undo: Undo::Nothing,
        point_of_no_return: false,
        verify: false,
    };
    let side = Side { home: home.display().to_string(), profile: None, service: None };
    Ok(Plan {
        schema: PLAN_SCHEMA.to_owned(),
        id: "one-node".to_owned(),
        fleet: "one-node".to_owned(),
        recipe: RecipeRef { name: "one-node".to_owned(), sha256: Digest::of(b"one-node") },
        made_at,
        made_by: "test".to_owned(),
        made_with: "test".to_owned(),
        facts_at: made_at,
        nodes: vec![PlanNode {
            id: node,
            host: HostId::new(HOST)?,
            role: Role::IdentityServer,
            old: None,
            new: Some(side),
            runtime: Runtime::default(),
            probe: None,
        }],
        databases: BTreeMap::new(),
        stages: vec![stage],
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
    })
}

/// The offer of a step's first attempt, as a controller would send it.
///
/// # Errors
/// None that constant names can have.
pub fn offer(step: PlanStep, home: &Path) -> anyhow::Result<Offer> {
    let run = RunId::new("run-1")?;
    Ok(Offer {
        attempt: AttemptId { run, step: step.key.clone(), number: 1 },
        epoch: Epoch(1),
        generation: Generation(0),
        step,
        home: Some(home.display().to_string()),
        incarnations: std::collections::BTreeMap::new(),
        secrets: BTreeMap::new(),
        also_hide: BTreeMap::new(),
        given: cavalcade_common::given::GivenSecrets::default(),
        hide: Vec::new(),
        approved: None,
        decision: None,
    })
}
