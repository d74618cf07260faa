//! Plans from the example fleet with canned facts, and every reason why there is none.

use std::fmt::Write as _;

use cavalcade_common::id::Digest;
use cavalcade_common::plan::{HashedPlan, PlanStage, PlanStep};
use serde_json::json;

use super::*;
use crate::{fleet, recipe};

pub(super) const FLEET: &str = include_str!("../../../deploy/examples/fleet.yaml");
pub(super) const RECIPE: &str = recipe::BUILT_IN[0].1;

fn facts_of(node: &crate::fleet::FleetNode) -> Value {
    let database = |name: &str| {
        json!({
            "type": "mysql",
            "url": format!("jdbc:mysql://db1.example.com:3306/{name}?autoReconnect=true&amp;useSSL=false"),
            "username": "wso2carbon",
            "driver": "com.mysql.cj.jdbc.Driver",
        })
    };
    let is = node.role == cavalcade_common::plan::Role::IdentityServer;
    json!({
        "old": {
            "exists": node.old.is_some(),
            "version": if is { "5.10.0" } else { "3.1.0" },
            "product": if is { "wso2is-km" } else { "wso2am" },
            "offset": 0,
            "running": [],
            "autostart": [],
            "databases": { "apim_db": database("am_db"), "shared_db": database("shared_db") },
            "files": {
                "bundles": [], "libraries": [], "webapps": [], "scripts": [], "configuration": [], "email": [],
                "sequences": [], "templates": [], "pkcs12": [], "deployment": [],
            },
            "folders": { "webapps": [], "jaggery_apps": [] },
            "trees": {
                "tenants": { "files": 0, "bytes": 0, "names": [] }, "user_stores": { "files": 0, "bytes": 0, "names": [] },
                "published": { "files": 0, "bytes": 0, "names": [] },
            },
            "keystores": [],
            "weak_key": false,
            "values": {
                "cipher_transformation": null, "versioning_properties": "false", "versioning_comments": "false",
                "versioning_tags": "false", "versioning_ratings": "false",
            },
            "conf": {
                "encryption_provider": null, "encryption_type": null, "encryption_key": null, "vault": null, "realm": null, "keystore_name": null, "keystore_file": null,
                "keystore_alias": null, "internal_keystore": null, "keystore_key_password": null,
                "token_encryption": null, "token_hashing": null, "token_processor": null, "re_indexing": null, "revoke_endpoint": null,
                "gateway_labels": null, "cors_headers": null,
                "gateway_environments": [{ "name": "Production and Sandbox", "type": "hybrid" }],
            },
            "settings": [],
        },
        "new": node.new.as_ref().map(|_| json!({ "exists": false, "made_by_us": false, "version": null, "autostart": [] })),
        "user_store": { "type": "database" },
        "java": { "home": "/opt/java/jdk-11", "version": "11.0.20" },
        "disks": [{ "path": "/opt/wso2", "mount": "/", "free_bytes": 50u64 << 30, "fs": "ext4" }],
        "databases": { "am_db": { "bytes": 1u64 << 30 }, "shared_db": { "bytes": 1u64 << 28, "asked": { "tenants": "0" } } },
        "host": { "cpus": 4, "memory_bytes": 8u64 << 30 },
        "problems": [],
    })
}

/// Makes a plan from these texts; `change` may alter the facts of each node.
pub(super) fn plan_with(fleet: &str, recipe: &str, change: impl Fn(&str, &mut Value)) -> Result<Plan, Faults> {
    plan_knowing(fleet, recipe, &BTreeMap::new(), change)
}

/// The same, where old packs are known.
pub(super) fn plan_knowing(
    fleet: &str,
    recipe: &str,
    shipped: &BTreeMap<String, Shipped>,
    change: impl Fn(&str, &mut Value),
) -> Result<Plan, Faults> {
    let fleet = fleet::read(fleet.as_bytes(), "fleet.yaml")?;
    let recipe = recipe::read(recipe.as_bytes(), "recipe.yaml")?;
    let gathered_at: Timestamp = "2026-11-23T01:00:00Z".parse().expect("is an instant");
    let mut facts = BTreeMap::new();
    for node in &fleet.nodes {
        let mut value = facts_of(node);
        change(node.id.as_str(), &mut value);
        if !value.is_null() {
            facts.insert(node.id.clone(), NodeFacts { value, gathered_at });
        }
    }
    let artifacts = fleet.artifacts.iter().map(|(name, a)| {
        let file = a.file.rsplit('/').next().unwrap_or_default().to_owned();
        (name.clone(), ArtifactRef { name: name.clone(), sha256: Digest::of(name.as_bytes()), size: 400 << 20, file })
    });
    let artifacts = artifacts.collect();
    let now = "2026-11-23T01:03:00Z".parse().expect("is an instant");
    let input = Input {
        fleet: &fleet,
        recipe: &recipe,
        facts: &facts,
        asked: &BTreeMap::new(),
        shipped,
        artifacts: &artifacts,
        plan_id: "plan-1",
        made_by: "alice",
        now,
    };
    resolve(&input)
}

fn example() -> Plan {
    plan_with(FLEET, RECIPE, |_, _| {}).unwrap_or_else(|f| panic!("{f}"))
}

/// The first fault as (code, file, line, column).
fn refused(found: Result<Plan, Faults>) -> (u16, String, u32, u32) {
    let fault = found.expect_err("must be refused").0.remove(0);
    let place = fault.place.expect("has a place");
    (fault.code.0, place.file, place.line, place.column)
}

fn with_fleet(find: &str, with: &str) -> (u16, String, u32, u32) {
    assert!(FLEET.contains(find), "{find}");
    refused(plan_with(&FLEET.replacen(find, with, 1), RECIPE, |_, _| {}))
}

/// The code of the first fault, with the line of the recipe that it stands in.
fn with_recipe(find: &str, with: &str) -> (u16, String) {
    assert!(RECIPE.contains(find), "{find}");
    let text = RECIPE.replacen(find, with, 1);
    let (code, file, line, _) = refused(plan_with(FLEET, &text, |_, _| {}));
    assert_eq!(file, "recipe.yaml");
    let line = text.lines().nth(usize::try_from(line).unwrap_or(1) - 1).unwrap_or_default().trim();
    (code, line.to_owned())
}

fn stage<'p>(plan: &'p Plan, id: &str) -> &'p PlanStage {
    plan.stages.iter().find(|s| s.id.as_str() == id).expect("is a stage")
}

pub(super) fn step<'p>(plan: &'p Plan, id: &str, node: &str, name: &str) -> &'p PlanStep {
    let mut steps = stage(plan, id).steps.iter();
    steps.find(|s| s.key.node.as_str() == node && s.name.as_str() == name).expect("is a step")
}

fn outline(plan: &Plan) -> String {
    let mut out = String::new();
    for s in &plan.stages {
        let nodes: Vec<&str> = s.nodes.iter().map(NodeId::as_str).collect();
        let _ = writeln!(out, "{} {} after {:?} on {}", s.number, s.id, s.after, nodes.join(" "));
        let b = &s.batch;
        let _ = write!(out, "  batch {} canary {} budget {}; undo {:?}", b.size, b.canary, b.failure_budget, s.undo);
        let approval = s.approval.as_ref().map(|a| format!("; approval {}", a.by)).unwrap_or_default();
        let _ = writeln!(out, "{approval}{}", if s.point_of_no_return { "; point of no return" } else { "" });
        for p in &s.steps {
            let needs: Vec<String> = p.needs.iter().map(need).collect();
            let effect = p.effect.as_ref().map(|e| format!(" = {e}")).unwrap_or_default();
            let row = p.row.as_deref().unwrap_or("-");
            let _ = writeln!(out, "  {} {row} {} {}{effect} {}", p.key, p.name, p.action.kind(), needs.join(" "));
        }
    }
    for o in &plan.omitted {
        let nodes: Vec<&str> = o.nodes.iter().map(NodeId::as_str).collect();
        let row = o.row.as_deref().unwrap_or("-");
        let _ = writeln!(out, "omitted {} {} {row} {:?}: {} [{}]", o.stage, o.step, o.why, o.reason, nodes.join(" "));
    }
    for d in &plan.decided_by {
        let _ = writeln!(out, "decided {} {} = {}{}", d.node, d.path, d.value, if d.answered { " (answer)" } else { "" });
    }
    for remark in &plan.remarks {
        let _ = writeln!(out, "remark {remark}");
    }
    let secrets: Vec<&String> = plan.secrets.keys().collect();
    let artifacts: Vec<&str> = plan.artifacts.iter().map(|a| a.name.as_str()).collect();
    let _ = writeln!(out, "secrets {secrets:?}\nartifacts {artifacts:?}");
    out.lines().map(|l| format!("{}\n", l.trim_end())).collect()
}

fn need(need: &cavalcade_common::plan::Need) -> String {
    let list = |nodes: &[NodeId]| nodes.iter().map(NodeId::as_str).collect::<Vec<_>>().join(",");
    match need {
        cavalcade_common::plan::Need::Ready { nodes, via } => format!("ready({} via {})", list(nodes), via.len()),
        cavalcade_common::plan::Need::Down { nodes } => format!("down({})", list(nodes)),
        cavalcade_common::plan::Need::Alone { databases, but_from } => {
            let names = databases.keys().map(String::as_str).collect::<Vec<_>>().join(",");
            format!("alone({names} but {})", but_from.join(","))
        }
    }
}

#[test]
fn the_example_fleet_gives_this_plan() {
    insta::assert_snapshot!(outline(&example()));
}

#[test]
fn its_actions_are_these() {
    let plan = example();
    for node in ["is-1", "cp-1", "gw-2"] {
        let steps = plan.steps().filter(|(_, s)| s.key.node.as_str() == node);
        let actions: Vec<Value> = steps.map(|(_, s)| json!({ s.key.to_string(): s.action })).collect();
        insta::assert_json_snapshot!(node, actions);
    }
    insta::assert_json_snapshot!("probes", plan.nodes);
}

#[test]
fn a_plan_survives_its_file() {
    let hashed = HashedPlan::new(example()).expect("is written");
    let text = hashed.to_text().expect("is written");
    assert_eq!(HashedPlan::from_text(&text).expect("is read"), hashed);
    assert!(HashedPlan::from_text(&text.replacen("alice", "mallory", 1)).is_err());
}

#[test]
fn the_same_input_gives_the_same_plan() {
    assert_eq!(example(), example());
}

#[test]
fn names_of_a_node_read_the_same_steps() {
    let fleet = fleet::read(FLEET.as_bytes(), "fleet.yaml").expect("is valid");
    let recipe = recipe::read(RECIPE.as_bytes(), "recipe.yaml").expect("is valid");
    let now: Timestamp = "2026-11-23T01:03:00Z".parse().expect("is an instant");
    let facts = fleet.nodes.iter().map(|n| (n.id.clone(), NodeFacts { value: facts_of(n), gathered_at: now })).collect();
    let artifacts = example().artifacts.into_iter().map(|a| (a.name.clone(), a)).collect();
    let (plan_id, made_by) = ("p", "alice");
    let input = Input {
        fleet: &fleet,
        recipe: &recipe,
        facts: &facts,
        asked: &BTreeMap::new(),
        shipped: &BTreeMap::new(),
        artifacts: &artifacts,
        plan_id,
        made_by,
        now,
    };
    let names = names_of(&input, &NodeId::new("cp-1").expect("is a name")).unwrap_or_else(|f| panic!("{f}"));
    let steps = "- step: start\n  needs: [identity-servers-ready]\n  server: { start: '{{ node.new.home }}', args: ['{{ values.is_url }}'] }\n";
    let list = cavalcade_common::step::read_steps(steps.as_bytes(), "s.yaml", &names).unwrap_or_else(|f| panic!("{f}"));
    let planned = example();
    assert_eq!(list.steps[0].needs, step(&planned, "start-control-plane", "cp-1", "start").needs);
}

#[test]
fn the_user_store_decides_and_answers_override() {
    let ldap = plan_with(FLEET, RECIPE, |_, facts| facts["user_store"]["type"] = json!("read_write_ldap_unique_id"));
    let plan = ldap.unwrap_or_else(|f| panic!("{f}"));
    let omitted = plan.omitted.iter().find(|o| o.step.as_str() == "user-store-jdbc").expect("is left out");
    assert_eq!(omitted.reason, "facts.user_store.type = read_write_ldap_unique_id");
    assert_eq!(omitted.nodes.len(), 2);
    let answered = FLEET.replacen("answers: {}", "answers: { user_store: { type: jdbc } }", 1);
    let plan =
        plan_with(&answered, RECIPE, |_, facts| facts["user_store"]["type"] = json!("ldap")).unwrap_or_else(|f| panic!("{f}"));
    let decided = plan.decided_by.iter().find(|d| d.path == "facts.user_store.type").expect("decides");
    assert_eq!((decided.value.clone(), decided.answered), (json!("jdbc"), true));
}

#[test]
fn an_option_of_the_fleet_demands_a_second_person() {
    let of = |fleet: &str| {
        let plan = plan_with(fleet, RECIPE, |_, _| ()).unwrap_or_else(|f| panic!("{f}"));
        let approvals: Vec<bool> = plan.stages.iter().filter_map(|g| g.approval.as_ref()).map(|a| a.second_person).collect();
        approvals
    };
    assert_eq!(of(FLEET), [false]);
    assert_eq!(of(&FLEET.replacen("options:\n", "options:\n  second_person: true\n", 1)), [true]);
    let wrong = FLEET.replacen("options:\n", "options:\n  second_person: maybe\n", 1);
    assert!(plan_with(&wrong, RECIPE, |_, _| ()).is_err());
}

#[test]
fn unique_ids_need_a_person() {
    let unique = |_: &str, facts: &mut Value| facts["user_store"]["type"] = json!("database_unique_id");
    let faults = plan_with(FLEET, RECIPE, unique).expect_err("must be refused");
    assert!(faults.0.iter().all(|f| f.code == codes::REQUIREMENT), "{faults}");
    assert!(faults.0[0].message.contains("options.is_user_store_type"), "{faults}");
    let decided = FLEET.replacen("options:\n", "options:\n  is_user_store_type: database_unique_id\n", 1);
    let plan = plan_with(&decided, RECIPE, unique).unwrap_or_else(|f| panic!("{f}"));
    let cavalcade_common::action::Action::Toml(edit) = &step(&plan, "set-up-is", "is-2", "user-store-jdbc").action else {
        panic!("is an edit")
    };
    assert_eq!(edit.set["user_store.type"], json!("database_unique_id"));
}

#[test]
fn a_fleet_without_traffic_managers_and_gateways_has_a_plan() {
    let cut = FLEET.find("  tm-1:").expect("is there");
    let end = FLEET.find("# What a person").expect("is there");
    let small = format!("{}{}", &FLEET[..cut], &FLEET[end..]).replace("profile: control-plane", "profile: default");
    let plan = plan_with(&small, RECIPE, |_, _| {}).unwrap_or_else(|f| panic!("{f}"));
    let ids: Vec<&str> = plan.stages.iter().map(|s| s.id.as_str()).collect();
    assert!(!ids.contains(&"start-gateways") && !ids.contains(&"set-profiles"), "{ids:?}");
    assert!(plan.omitted.iter().any(|o| o.stage.as_str() == "start-gateways" && o.nodes.is_empty()));
    let numbers: Vec<u32> = plan.stages.iter().map(|s| s.number).collect();
    assert_eq!(numbers, (1..=u32::try_from(plan.stages.len()).expect("few")).collect::<Vec<_>>());
    let last = plan.stages.last().expect("has stages");
    assert_eq!(last.after, [last.number - 1]);
}

#[test]
fn retired_nodes_are_stopped_and_nothing_more() {
    let gone = FLEET.replacen("    new: { home: /opt/wso2/wso2am-4.0.0, profile: traffic-manager }", "    new: retired", 1);
    let plan = plan_with(&gone, RECIPE, |_, _| {}).unwrap_or_else(|f| panic!("{f}"));
    let stages: Vec<&str> =
        plan.stages.iter().filter(|s| s.nodes.iter().any(|n| n.as_str() == "tm-1")).map(|s| s.id.as_str()).collect();
    assert_eq!(stages, ["stop-old-am"]);
    assert!(plan.remarks.iter().any(|r| r.starts_with("Retired") && r.ends_with("(tm-1)")), "{:?}", plan.remarks);
    let servers = "the old servers\n    nodes: node.role == \"api-manager\"";
    let kept = RECIPE.replacen(&format!("{servers} and node.new.exists\n"), &format!("{servers}\n"), 1);
    assert_eq!(refused(plan_with(&gone, &kept, |_, _| {})).0, 1114);
}

#[test]
fn what_the_fleet_file_lacks_is_named() {
    let file = "fleet.yaml".to_owned();
    let line = |text: &str| {
        let at = FLEET.lines().position(|l| l.starts_with(text)).expect("stands in the example");
        u32::try_from(at + 1).expect("is small")
    };
    assert_eq!(with_fleet("  am_script:", "  am_scrpt:"), (1207, file.clone(), 0, 0));
    assert_eq!(with_fleet("  shared_db:\n", "  shard_db:\n"), (1207, file.clone(), 0, 0));
    assert_eq!(with_fleet("  is_url: https", "  is_ulr: https"), (1206, file.clone(), line("  is_url:"), 3));
    assert_eq!(
        with_fleet("profile: gateway-worker }\n    hooks", "profile: gateway }\n    hooks"),
        (1219, file.clone(), line("  gw-[1:2]:"), 3)
    );
    assert_eq!(with_fleet("  is_url:", "  is_user_store_type: ldap\n  is_url:"), (1110, file.clone(), line("  is_url:"), 3));
    assert_eq!(
        refused(plan_with(FLEET, RECIPE, |id, f| if id == "tm-1" {
            *f = Value::Null
        })),
        (1215, file.clone(), line("  tm-1:"), 3)
    );
    let small = |id: &str, f: &mut Value| {
        if id == "gw-1" {
            f["disks"][0]["free_bytes"] = json!(1u64 << 30)
        }
    };
    assert_eq!(refused(plan_with(FLEET, RECIPE, small)), (1216, file.clone(), line("  gw-[1:2]:"), 3));
}

#[test]
fn a_hook_is_filled_with_the_names_of_its_node_and_called_by_the_recipe() {
    let place = |text: &str| {
        let line = FLEET.lines().position(|l| l.trim_start().starts_with(text)).expect("stands in the example");
        (u32::try_from(line + 1).expect("is small"), "fleet.yaml".to_owned())
    };
    let (line, file) = place("drain:");
    assert_eq!(with_fleet("      drain:", "      drian:"), (1118, file.clone(), line, 7));
    let (code, at, on, _) = with_fleet("[/opt/lb/drain, \"{{ node.address }}\"]", "[/opt/lb/drain, \"{{ node.adress }}\"]");
    assert_eq!((code, at, on), (1107, file.clone(), line));
    // A step never sees a name that no hook may read.
    let (code, at, on, _) = with_fleet("[/opt/lb/drain, \"{{ node.address }}\"]", "[/opt/lb/drain, \"{{ facts.old.owner }}\"]");
    assert_eq!((code, at, on), (1107, file, line));
    let plan = plan_with(FLEET, RECIPE, |_, _| {}).unwrap_or_else(|f| panic!("{f}"));
    let of_gw = |stage: &str| {
        let stage = plan.stages.iter().find(|s| s.id.as_str() == stage).expect("is there");
        stage.steps.iter().filter(|s| s.key.node.as_str() == "gw-1").map(|s| s.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of_gw("stop-old-am")[0], "drain");
    assert_eq!(of_gw("start-gateways"), ["start", "deployed-apis", "gateway-call", "enrol"], "enrolled last");
    assert!(plan.omitted.iter().any(|o| o.step.as_str() == "enrol" && o.nodes.iter().any(|n| n.as_str() == "tm-1")));
}

#[test]
fn an_api_manager_never_starts_without_identity_servers() {
    let needs = "old-servers-down, nobody-but-is-in-databases]\n";
    let (code, line) = with_recipe(&format!("    needs: [identity-servers-ready, {needs}"), &format!("    needs: [{needs}"));
    assert_eq!((code, line.as_str()), (1212, "- step: migrate"));
    let gateways = RECIPE.find("- stage: start-gateways").expect("is there");
    let (before, rest) = RECIPE.split_at(gateways);
    let text = format!("{before}{}", rest.replacen("    needs: [identity-servers-ready]\n", "", 1));
    assert_eq!(refused(plan_with(FLEET, &text, |_, _| {})).0, 1212);
    let early = ("  - stage: start-control-plane\n", "  - stage: start-control-plane\n    after: [migrate-is]\n");
    let (code, line) = with_recipe(early.0, early.1);
    assert_eq!((code, line.as_str()), (1212, "- step: start"));
    let one = ("    ready: node.role == \"identity-server\" and node.new.exists", "    ready: node.id == \"is-1\"");
    assert_eq!(with_recipe(one.0, one.1).0, 1212);
}

#[test]
fn databases_are_not_touched_while_old_servers_may_run() {
    let at = RECIPE.find("- stage: upgrade-am-db").expect("is there");
    let (before, rest) = RECIPE.split_at(at);
    let text = format!("{before}{}", rest.replacen("    needs: [old-servers-down, ", "    needs: [", 1));
    assert_eq!(refused(plan_with(FLEET, &text, |_, _| {})).0, 1213);
    assert_eq!(with_recipe("down: node.old.exists", "down: node.id == \"is-1\"").0, 1213);
}

#[test]
fn recipes_that_cannot_be_meant_are_refused() {
    let cycle = ("  - stage: set-up-is\n", "  - stage: set-up-is\n    after: [is-up]\n");
    assert_eq!(with_recipe(cycle.0, cycle.1), (1208, "- stage: set-up-is".to_owned()));
    let empty = (
        "    nodes: node.role == \"identity-server\" and node.new.exists\n    undo: files",
        "    nodes: node.role == \"x\"\n    undo: files",
    );
    assert_eq!(with_recipe(empty.0, empty.1), (1211, "nodes: node.role == \"x\"".to_owned()));
    assert_eq!(with_recipe("on: databases.am_db.from", "on: \"'is-9'\""), (1202, "on: \"'is-9'\"".to_owned()));
    assert_eq!(with_recipe("{{ node.old.home }}", "{{ node.old.hom }}").0, 1107);
    assert_eq!(with_recipe("facts.user_store.type in", "facts.user_stor.type in").0, 1107);
    assert_eq!(with_recipe("artifact: am_pack", "artifact: am_pak").0, 1118);
    assert_eq!(with_recipe("database: am_db, script: am_script", "database: amdb, script: am_script").0, 1118);
    assert_eq!(with_recipe("server: { stop: \"{{ node.old.home }}\"", "server: { stop: /opt/else").0, 1218);
    let hidden = (
        "{ wait: \"{{ node.new.home }}\", within: \"{{ options.start_within }}\" }",
        "{ start: \"{{ node.old.home }}\", script: bin/x.sh, ready: { tcp: [\"a:1\"] } }",
    );
    assert_eq!(with_recipe(hidden.0, hidden.1).0, 1218);
    let sly = "command: { command: [/bin/sh, \"{{ node.new.home }}/bin/wso2server.sh\"], cwd: /tmp }";
    let wait = "server: { wait: \"{{ node.new.home }}\", within: \"{{ options.start_within }}\" }";
    assert_eq!(with_recipe(wait, sly).0, 1214);
    assert_eq!(
        with_recipe("  - nodes: node.role == \"identity-server\"\n    script", "  - nodes: node.id == \"x\"\n    script").0,
        1221
    );
}

#[test]
fn databases_are_worked_on_from_their_node() {
    let elsewhere = FLEET.replacen("from: is-1  ", "from: is-2  ", 1);
    assert!(plan_with(&elsewhere, RECIPE, |_, _| {}).is_ok());
    let (code, line) = with_recipe("    on: databases.am_db.from\n    needs", "    on: \"'is-2'\"\n    needs");
    assert_eq!((code, line.as_str()), (1222, "- step: am-db-script"));
}

#[test]
fn a_stage_runs_once_where_it_says_so() {
    let text = RECIPE.replacen("  - stage: is-up\n", "  - stage: is-up\n    once: true\n", 1);
    let plan = plan_with(FLEET, &text, |_, _| {}).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(stage(&plan, "is-up").nodes, [NodeId::new("is-1").expect("is a name")]);
}

#[test]
fn facts_that_are_missing_are_told_and_never_guessed() {
    let told = |id: &str, f: &mut Value| {
        if id == "gw-1" {
            f["problems"] = json!([{ "code": 3210, "message": "/opt/x: permission denied" }]);
        }
    };
    let plan = plan_with(FLEET, RECIPE, told).unwrap_or_else(|f| panic!("{f}"));
    assert!(plan.remarks.contains(&"A fact of gw-1 is missing: /opt/x: permission denied".to_owned()), "{:?}", plan.remarks);
    let hidden = |_: &str, f: &mut Value| f["old"]["databases"]["apim_db"]["url"] = json!("jdbc:mysql://u:(secret)@db/am");
    let faults = plan_with(FLEET, RECIPE, hidden).expect_err("must be refused");
    assert_eq!(faults.0[0].code, codes::NEEDED_BY_RECIPE);
    let none = |_: &str, f: &mut Value| f["old"] = json!({ "exists": true, "version": null });
    let faults = plan_with(FLEET, RECIPE, none).expect_err("must be refused");
    assert!(faults.0.iter().all(|f| f.code.0 == 1107 || f.code == codes::NEEDED_BY_RECIPE), "{faults}");
}

#[test]
fn an_answer_that_decides_nothing_is_told() {
    let answers = "answers: { user_stor: { type: jdbc }, user_store: { type: jdbc } }";
    let plan = plan_with(&FLEET.replacen("answers: {}", answers, 1), RECIPE, |_, _| {}).unwrap_or_else(|f| panic!("{f}"));
    let told: Vec<&String> = plan.remarks.iter().filter(|r| r.starts_with("The answer")).collect();
    assert_eq!(told, ["The answer facts.user_stor.type decided nothing (is-1, is-2, cp-1, tm-1, gw-1, gw-2)."]);
}

#[test]
fn a_person_sees_the_place_and_the_way_out() {
    let text = RECIPE.replacen("facts.user_store.type in", "facts.user_stor.type in", 1);
    let faults = plan_with(FLEET, &text, |_, _| {}).expect_err("must be refused");
    let sources = [("recipe.yaml".to_owned(), text)].into();
    insta::assert_snapshot!(cavalcade_common::render::faults(&faults, &sources, "Nothing was changed.", false));
}

#[test]
fn all_reasons_come_at_once() {
    let text = RECIPE.replacen("unpack:\n          artifact: am_pack\n", "unpack:\n          artifact: am_pak\n", 1).replacen(
        "database: am_db, script: am_script",
        "database: am_db, script: am_scrip",
        1,
    );
    let faults = plan_with(FLEET, &text, |_, _| {}).expect_err("must be refused");
    let codes: Vec<u16> = faults.0.iter().map(|f| f.code.0).collect();
    assert_eq!(codes, [1118, 1118], "{faults}");
}

#[test]
fn no_secret_and_no_template_is_left_in_a_plan() {
    let text = serde_json::to_string(&example()).expect("is written");
    assert!(!text.contains("{{"), "a template is left");
    assert!(text.contains("\u{2039}secret:server_password\u{203a}"));
}

#[test]
fn a_large_fleet_is_planned_in_reasonable_time() {
    let large = FLEET.replacen("gw-[1:2]", "gw-[1:120]", 1);
    let began = std::time::Instant::now();
    let plan = plan_with(&large, RECIPE, |_, _| {}).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(stage(&plan, "start-gateways").batch.size, 30);
    assert!(began.elapsed().as_secs() < 300, "{:?}", began.elapsed());
}

#[test]
fn what_an_old_pack_shipped_is_asked_for_where_nobody_knows_it() {
    let own = "repository/components/dropins/own.jar";
    let found = |_: &str, facts: &mut Value| {
        facts["old"]["files"]["bundles"] = json!([{ "path": own, "sha256": "ab".repeat(32), "bytes": 1 }]);
    };
    let faults = plan_with(FLEET, RECIPE, found).expect_err("must be asked for").0;
    assert!(faults.iter().all(|f| f.code == codes::NEEDED_BY_RECIPE && f.message.contains(own)), "{faults:?}");
    assert!(
        faults[0].help.as_ref().is_some_and(|h| h.contains("is_old_pack") && h.contains("cavalcade pack list")),
        "{faults:?}"
    );
    let answers = format!("answers: {{ custom: {{ bundles: [{own}] }} }}");
    let plan = plan_with(&FLEET.replacen("answers: {}", &answers, 1), RECIPE, found).unwrap_or_else(|f| panic!("{f}"));
    let cavalcade_common::action::Action::Copy(copy) = &step(&plan, "set-up-is", "is-1", "custom-bundles").action else {
        panic!("is a copy")
    };
    assert_eq!(copy.paths, [own]);
    assert!(plan.decided_by.iter().any(|d| d.path == "facts.old.files.bundles"), "apply looks at the files again");
}
