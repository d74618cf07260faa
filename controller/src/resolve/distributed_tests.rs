//! What nodes of a distributed fleet are told of each other.

use cavalcade_common::action::{Action, TomlEdit};
use cavalcade_common::plan::Plan;
use serde_json::{Value, json};

use super::tests::{FLEET, RECIPE, plan_with};

const MANAGER: &str = "    new: { home: /opt/wso2/wso2am-4.0.0, profile: traffic-manager }";

fn plan(fleet: &str, change: impl Fn(&str, &mut Value)) -> Plan {
    plan_with(fleet, RECIPE, change).unwrap_or_else(|f| panic!("{f}"))
}

/// The edits of a node's steps whose name begins so, in order.
fn edits<'p>(plan: &'p Plan, node: &str, name: &str) -> Vec<&'p TomlEdit> {
    let of = plan.steps().filter(|(_, s)| s.key.node.as_str() == node && s.name.as_str().starts_with(name));
    of.filter_map(|(_, s)| if let Action::Toml(edit) = &s.action { Some(edit) } else { None }).collect()
}

#[test]
fn gateways_ask_the_control_planes_where_nobody_else_throttles() {
    let second = "nodes:\n  dev-1:\n    role: api-manager\n    host: dev-1.example.com\n    offset: 1\n    \
                  old: { home: /opt/wso2/wso2am-3.1.0 }\n    new: { home: /opt/wso2/wso2am-4.0.0, profile: default }\n";
    let fleet = FLEET.replacen(MANAGER, "    new: retired", 1).replacen("nodes:\n", second, 1);
    let plan = plan(&fleet, |_, _| {});
    for gateway in ["gw-1", "gw-2"] {
        let all = edits(&plan, gateway, "throttling");
        assert_eq!(all.len(), 3, "addresses, and a group for each of two");
        assert_eq!(
            all[0].set["apim.throttling.throttle_decision_endpoints"],
            json!(["tcp://dev-1.example.com:5673", "tcp://cp-1.example.com:5672"])
        );
        assert_eq!(all[0].set["apim.throttling.service_url"], json!("https://dev-1.example.com:9444/services/"));
        let groups: Vec<&Value> = all[1..].iter().map(|e| &e.append[0].values["traffic_manager_auth_urls"]).collect();
        assert_eq!(groups, [&json!(["ssl://dev-1.example.com:9712"]), &json!(["ssl://cp-1.example.com:9711"])]);
    }
    let told = "No node is a traffic manager: the control planes throttle (dev-1, cp-1).";
    assert!(plan.remarks.iter().any(|r| r.starts_with(told)), "{:?}", plan.remarks);
}

#[test]
fn a_traffic_manager_throttles_where_there_is_one() {
    let plan = plan(FLEET, |_, _| {});
    let all = edits(&plan, "gw-1", "throttling");
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].set["apim.throttling.throttle_decision_endpoints"], json!(["tcp://tm-1.example.com:5672"]));
    assert!(!plan.remarks.iter().any(|r| r.contains("the control planes throttle")), "{:?}", plan.remarks);
    assert_eq!(edits(&plan, "cp-1", "event-hub").len(), 0, "one event hub needs no word on others");
}

#[test]
fn an_old_revoke_endpoint_becomes_that_of_the_identity_servers() {
    let old = |_: &str, facts: &mut Value| {
        facts["old"]["conf"]["revoke_endpoint"] = json!("https://gw.example.com:8243/revoke");
        facts["old"]["settings"] = json!([{ "key": "apim.oauth_config.revoke_endpoint", "change": "added", "hidden": false,
            "value": "https://gw.example.com:8243/revoke" }]);
    };
    let with = plan(FLEET, old);
    for node in ["cp-1", "gw-1"] {
        let set = &edits(&with, node, "revoke-endpoint")[0].set["apim.oauth_config.revoke_endpoint"];
        assert_eq!(set, &json!("https://is.example.com:9443/oauth2/revoke"));
        assert!(edits(&with, node, "old-settings").is_empty(), "{node}: nothing else is carried");
    }
    assert!(edits(&plan(FLEET, |_, _| {}), "cp-1", "revoke-endpoint").is_empty(), "the product's own default stays");
}

fn environment(name: &str, host: &str) -> Value {
    json!({ "name": name, "type": "hybrid", "https_endpoint": format!("https://{host}:8243") })
}

/// A gateway's own settings name no environment, as the template of 3.1.0 has it.
fn environments(node: &str, facts: &mut Value, of_control_planes: &Value) {
    let all = if node.starts_with("gw") { &Value::Null } else { of_control_planes };
    facts["old"]["conf"]["gateway_environments"] = all.clone();
}

#[test]
fn environments_keep_their_urls_and_gateways_deploy_what_is_in_them() {
    let two = json!([environment("Public", "api.example.com"), environment("Internal", "int.example.com")]);
    let labels = |plan: &Plan, node: &str| {
        edits(plan, node, "gateway-labels")[0].set["apim.sync_runtime_artifacts.gateway.gateway_labels"].clone()
    };
    let of_two = plan(FLEET, |node, facts| environments(node, facts, &two));
    let kept = edits(&of_two, "cp-1", "gateway-environment");
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].remove.as_slice(), kept[0].append.len()), (["apim.gateway.environment".to_owned()].as_slice(), 0));
    assert_eq!(kept[0].carry.as_ref().expect("carries").keys[0].from, "apim.gateway.environment");
    assert_eq!(labels(&of_two, "gw-1"), json!(["Public", "Internal"]));
    let own = FLEET.replacen("  gw-[1:2]:\n", "  gw-[1:2]:\n    answers: { old: { conf: { gateway_labels: [Internal] } } }\n", 1);
    assert_eq!(labels(&plan(&own, |node, facts| environments(node, facts, &two)), "gw-2"), json!(["Internal"]));

    let one = json!([environment("Public", "api.example.com")]);
    let renamed = FLEET.replacen("options:\n", "options:\n  gateway_environment: Default\n", 1);
    let of_one = plan(&renamed, |node, facts| environments(node, facts, &one));
    let edited = edits(&of_one, "cp-1", "gateway-environment");
    assert_eq!(edited.len(), 3, "carried, completed, renamed");
    assert_eq!(json!(edited[2].append[0].values), json!({ "name": "Default", "type": "hybrid" }));
    assert_eq!(labels(&of_one, "gw-1"), json!(["Default"]));
    let faults = plan_with(&renamed, RECIPE, |node, facts| environments(node, facts, &two)).expect_err("must be refused");
    assert!(faults.0[0].message.contains("there are several"), "{faults}");
}

#[test]
fn urls_that_may_name_what_changes_are_told() {
    let told = |plan: &Plan| plan.remarks.iter().filter(|r| r.contains("keep their URLs")).cloned().collect::<Vec<_>>();
    assert_eq!(told(&plan(FLEET, |_, _| {})), [""; 0]);
    let moved = plan(&FLEET.replacen("  gw-[1:2]:\n", "  gw-[1:2]:\n    old_offset: 2\n    offset: 3\n", 1), |_, _| {});
    assert!(told(&moved)[0].contains("take over from gw-1, gw-2"), "{:?}", told(&moved));
}

#[test]
fn a_node_whose_settings_name_no_database_gets_the_url_of_another() {
    let template = |node: &str, facts: &mut Value| {
        let databases = &mut facts["old"]["databases"];
        if node.starts_with("gw") || node.starts_with("tm") {
            databases.as_object_mut().expect("is a mapping").remove("apim_db");
        }
        databases["shared_db"] =
            json!({ "type": "mysql", "hostname": "db2", "port": "3307", "name": "sh", "url": null, "driver": null });
    };
    let plan = plan(FLEET, template);
    let merged = |node: &str, table: &str, key: &str| edits(&plan, node, "databases")[0].merge[table][key].clone();
    assert_eq!(merged("gw-1", "database.apim_db", "url"), merged("cp-1", "database.apim_db", "url"));
    assert_eq!(merged("gw-1", "database.apim_db", "driver"), json!("com.mysql.cj.jdbc.Driver"), "of the same node");
    assert_eq!(merged("gw-1", "database.shared_db", "url"), json!("jdbc:mysql://db2:3307/sh"));
    assert_eq!(merged("gw-1", "database.shared_db", "driver"), json!("com.mysql.jdbc.Driver"));
}

#[test]
fn a_database_that_no_settings_lead_to_is_asked_for_once() {
    let none = |_: &str, facts: &mut Value| {
        facts["old"]["databases"].as_object_mut().expect("is a mapping").remove("apim_db");
    };
    let faults = plan_with(FLEET, RECIPE, none).expect_err("must be refused").0;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].message.contains("`am_db`"), "{faults:?}");
    assert!(faults[0].help.as_ref().is_some_and(|help| help.contains("`jdbc_url`")), "{faults:?}");
    let given = FLEET.replacen("    name: am_db\n", "    name: am_db\n    jdbc_url: jdbc:mysql://db/am\n", 1);
    let given = plan(&given, none);
    assert_eq!(edits(&given, "gw-1", "databases")[0].merge["database.apim_db"]["driver"], json!("com.mysql.jdbc.Driver"));
}

#[test]
fn portals_are_stopped_behind_a_look_at_their_index_or_behind_a_wait_that_is_told() {
    let of = |plan: &Plan, name: &str| plan.steps().filter(|(_, s)| s.name.as_str().starts_with(name)).count();
    let looked = plan(FLEET, |_, _| {});
    let (start, seen, stop) = ("build-index", "indexed", "stop-index");
    let number = |plan: &Plan, id: &str| plan.stages.iter().find(|s| s.id.as_str() == id).expect("is a stage").number;
    assert!(number(&looked, start) < number(&looked, seen) && number(&looked, seen) < number(&looked, stop));
    assert_eq!((of(&looked, "indexed"), of(&looked, "settle")), (1, 0));
    let unseen = plan(&FLEET.replacen("  verify_admin: ", "  another: ", 1), |_, _| {});
    assert_eq!((of(&unseen, "indexed"), of(&unseen, "settle")), (0, 1));
    assert!(unseen.remarks.iter().any(|r| r.contains("they get 300 s")), "{:?}", unseen.remarks);
}

#[test]
fn a_script_that_completes_the_schema_runs_behind_the_published_one() {
    let without = plan(FLEET, |_, _| {});
    assert!(!without.steps().any(|(_, s)| s.name.as_str() == "am-db-fixup"));
    let given = FLEET.replacen("  am_script:", "  am_fixup_script: { file: artifacts/fixup.sql }\n  am_script:", 1);
    let given = plan(&given, |_, _| {});
    let names: Vec<&str> = given
        .stages
        .iter()
        .find(|s| s.id.as_str() == "upgrade-am-db")
        .expect("is a stage")
        .steps
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(names, ["am-db-script", "am-db-fixup", "am-db-schema"]);
}
