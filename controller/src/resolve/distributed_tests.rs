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
