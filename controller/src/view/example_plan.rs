//! A small plan for the tests of the views.

use std::collections::BTreeMap;

use cavalcade_common::plan::Plan;
use serde_json::{Value, json};

fn step(key: &str, host: &str, name: &str, action: Value) -> Value {
    json!({ "key": key, "host": host, "name": name, "action": action, "timeout": "10min" })
}

fn toml() -> Value {
    json!({ "toml": { "file": "/opt/wso2/is/repository/conf/deployment.toml", "set": { "user_store.type": "database" } } })
}

fn server(op: &str) -> Value {
    json!({ "server": { "op": op, "home": "/opt/wso2/is", "script": "bin/wso2server.sh", "within": "10min" } })
}

fn job() -> Value {
    json!({ "job": {
        "effect": "is-migration", "home": "/opt/wso2/is", "command": ["bin/wso2server.sh", "-Dmigrate"],
        "databases": ["am_db"], "ends": ["WSO2 Carbon started in"], "evidence": { "require": ["done"] }, "alarm_after": "4h",
    } })
}

fn node(id: &str, role: &str) -> Value {
    json!({
        "id": id, "host": format!("{id}.example.com"), "role": role,
        "old": { "home": "/opt/wso2/old" }, "new": { "home": "/opt/wso2/new" },
    })
}

fn stage(number: u32, id: &str, title: &str, undo: &str, nodes: &[&str], steps: Vec<Value>) -> Value {
    let after: Vec<u32> = (1..number).rev().take(1).collect();
    json!({
        "number": number, "id": id, "title": title, "after": after, "nodes": nodes, "steps": steps,
        "batch": { "size": 2, "canary": 1, "failure_budget": 1 }, "undo": undo,
        "point_of_no_return": id == "start-gateways",
    })
}

pub(crate) fn plan() -> Plan {
    let nodes = ["is-1", "is-2", "gw-1"];
    let is = ["is-1", "is-2"];
    let on = |nodes: &[&str], number: &str, name: &str, action: &dyn Fn() -> Value| -> Vec<Value> {
        nodes.iter().map(|n| step(&format!("{number}@{n}"), &format!("{n}.example.com"), name, action())).collect()
    };
    let mut set_up = stage(2, "set-up-is", "set up IS", "files", &is, on(&is, "2.1", "user-store-jdbc", &toml));
    for (at, node) in is.iter().enumerate() {
        let mut second = step(&format!("2.2@{node}"), &format!("{node}.example.com"), "log4j", toml());
        second["row"] = json!(format!("C{}", at + 2));
        if let Some(steps) = set_up["steps"].as_array_mut() {
            steps.push(second);
        }
    }
    let mut migrate = stage(3, "migrate-is", "migrate IS", "backup", &["is-1"], on(&["is-1"], "3.1", "migrate", &job));
    migrate["approval"] = json!({ "by": "dba", "says": "the backup was restored once" });
    let mut gateways = stage(
        4,
        "start-gateways",
        "start gateways in the order of the load balancer",
        "files",
        &["gw-1"],
        on(&["gw-1"], "4.1", "start", &|| server("start")),
    );
    gateways["after"] = json!([2, 3]);
    gateways["steps"][0]["needs"] = json!([{ "ready": { "nodes": is } }]);
    let made = json!({
        "schema": "cavalcade.plan/1", "id": "0193-example", "fleet": "emea-production",
        "recipe": { "name": "wso2-is-km-5.10.0-to-5.11.0", "sha256": "ab".repeat(32) },
        "made_at": "2026-11-23T01:00:00Z", "made_by": "anna", "made_with": "0.1.0", "facts_at": "2026-11-23T00:59:00Z",
        "nodes": [node("is-1", "identity-server"), node("is-2", "identity-server"), node("gw-1", "api-manager")],
        "databases": BTreeMap::<String, Value>::new(),
        "stages": [
            stage(1, "old-servers-down", "old servers down", "start-again", &nodes, on(&nodes, "1.1", "down", &|| server("down"))),
            set_up, migrate, gateways,
        ],
        "omitted": [
            { "stage": "migrate-apim", "step": "am-db-script", "row": "D6", "nodes": [], "why": "on-purpose", "reason": "done in stage 3" },
            { "stage": "set-up-is", "step": "user-store", "row": "C2", "nodes": ["is-2"], "why": "condition",
              "reason": "facts.user_store.type = ldap" },
        ],
        "decided_by": [
            { "node": "is-1", "path": "facts.symmetric_encryption", "value": true, "answered": true },
            { "node": "is-2", "path": "facts.symmetric_encryption", "value": true, "answered": true },
        ],
        "secrets": {}, "artifacts": [], "hide": [],
        "findings": [
            { "check": "port-free", "area": "network", "severity": "error", "nodes": ["is-1"],
              "found": "the process 4711 listens on port 9443", "remedy": "stop what listens there" },
            { "check": "open-files", "area": "machines", "severity": "unseen", "nodes": ["is-1"],
              "found": "facts.limits.open_files", "remedy": "look there" },
        ],
        "remarks": ["gw-1: the profile gateway-worker keeps its name"],
    });
    serde_json::from_value(made).unwrap_or_else(|error| panic!("the example is no plan: {error}"))
}
