//! Plans and status documents for the scripts.

use cavalcade_common::plan::{HashedPlan, Plan};
use serde_json::{Value, json};

fn step(key: &str, name: &str, state: &str) -> Value {
    let node = key.split_once('@').expect("a step").1;
    json!({
        "step": key, "name": name, "row": null, "node": node, "kind": "toml", "state": state, "attempt": 1, "position": 8841,
        "at": "2026-11-23T01:10:00Z", "began": null, "ended": null, "changed": true, "fault": null, "known": [], "unknown": [],
        "decided": null, "progress": null, "elapsed_seconds": 0, "never_interrupted": false,
    })
}

fn stage(number: u32, id: &str, state: &str, steps: Vec<Value>) -> Value {
    let mut nodes: Vec<Value> = steps.iter().map(|s| s["node"].clone()).collect();
    nodes.dedup();
    json!({
        "number": number, "id": id, "title": format!("title of {id}"), "state": state, "nodes": nodes, "steps": steps,
        "began": null, "ended": null, "second_person": false, "point_of_no_return": number == 2,
    })
}

/// A plan of two stages on two nodes, from the second on without return.
pub(crate) fn plan(point_of_no_return: bool) -> HashedPlan {
    let node = |id: &str| json!({ "id": id, "host": format!("{id}.example.com"), "role": "identity-server" });
    let step = |key: &str| {
        let node = key.split_once('@').expect("a step").1;
        json!({
            "key": key, "host": format!("{node}.example.com"), "name": "toml", "timeout": "10min",
            "action": { "toml": { "file": "/opt/x.toml", "set": { "a": 1 } } },
        })
    };
    let stage = |number: u32, id: &str| {
        json!({
            "number": number, "id": id, "title": format!("title of {id}"), "after": if number == 1 { vec![] } else { vec![1] },
            "nodes": ["is-1", "is-2"], "steps": [step(&format!("{number}.1@is-1")), step(&format!("{number}.1@is-2"))],
            "batch": { "size": 2, "canary": 0, "failure_budget": 0 }, "undo": "files",
            "point_of_no_return": point_of_no_return && number == 2,
        })
    };
    let plan: Plan = serde_json::from_value(json!({
        "schema": "cavalcade.plan/1", "id": "x", "fleet": "test", "recipe": { "name": "r", "sha256": "ab".repeat(32) },
        "made_at": "2026-11-23T01:00:00Z", "made_by": "anna", "made_with": "0.1.0", "facts_at": "2026-11-23T00:59:00Z",
        "nodes": [node("is-1"), node("is-2")], "databases": {}, "stages": [stage(1, "set-up"), stage(2, "start")],
        "omitted": [], "decided_by": [], "secrets": {}, "artifacts": [], "hide": [], "remarks": [],
    }))
    .expect("a plan");
    HashedPlan::new(plan).expect("has a digest")
}

/// A document with nothing in it.
pub(crate) fn empty() -> Value {
    json!({ "schema": "cavalcade.status/1", "at": "2026-11-23T01:12:40Z", "position": 9000, "epoch": 3, "hosts": [], "runs": [] })
}

/// A document with one run of the plan; its steps have these states, stage by stage on is-1 and is-2.
pub(crate) fn run(plan: &HashedPlan, mode: &str, states: [&str; 4], waits: Value) -> Value {
    let count = |state: &str| states.iter().filter(|s| **s == state).count();
    let step_of = |at: usize| {
        let key = format!("{}.1@is-{}", at / 2 + 1, at % 2 + 1);
        let mut step = step(&key, "toml", states[at]);
        if states[at] == "failed" {
            step["fault"] = json!({ "code": 3103, "message": "what the edit changes is not there" });
        }
        if states[at] == "indeterminate" {
            step["unknown"] = json!(["whether the second column was added"]);
        }
        step
    };
    let closed = matches!(mode, "done" | "cancelled" | "superseded");
    let under_way = count("running") + count("offered") + count("accepted");
    let mut document = empty();
    document["hosts"] = json!([{
        "host": "is-1.example.com", "connected": true, "program": "0.1.0", "quiet_seconds": 1, "skew_millis": 2, "resident_kib": 14000,
    }]);
    document["runs"] = json!([{
        "run": format!("run-{}", plan.sha256.short()), "position": 9000, "fleet": "test", "recipe": "r", "plan": plan.sha256, "by": "anna",
        "opened_at": "2026-11-23T01:00:00Z", "closed_at": if closed { json!("2026-11-23T01:12:00Z") } else { Value::Null },
        "mode": mode, "needs_person": !closed && under_way == 0,
        "counts": {
            "all": 4, "succeeded": count("succeeded"), "skipped": count("skipped"), "failed": count("failed"),
            "indeterminate": count("indeterminate"), "cancelled": count("cancelled"), "under_way": under_way,
            "pending": count("pending"), "retried": 0,
        },
        "omitted": 0,
        "stages": [
            stage(1, "set-up", "running", vec![step_of(0), step_of(1)]), stage(2, "start", "waits", vec![step_of(2), step_of(3)]),
        ],
        "waits": waits, "extra": [], "unreachable": [],
    }]);
    document
}

/// What a person ends.
pub(crate) fn person(step: Option<&str>, stage: u32, why: &str) -> Value {
    let kind = if why.starts_with("approval") { "approval" } else { "person" };
    json!({ "step": step, "stage": stage, "kind": kind, "why": why, "person": true })
}

/// The answer to a verb.
pub(crate) fn verb(plan: &HashedPlan) -> Value {
    json!({ "run": format!("run-{}", plan.sha256.short()), "position": 9001, "says": "So be it." })
}
