//! Hooks of nodes: who was taken from the load balancer before what, and who was sent calls again after what.

use std::path::Path;

use cavalcade_tests::standin::{
    apis::UNDEPLOYABLE,
    balancer::{Told, told},
};
use jiff::Timestamp;

use super::stage::{Demo, IDENTITY_SERVERS};

/// When the newest line of a kind was witnessed of a home.
fn newest(demo: &Demo, what: &str, home: &Path) -> Timestamp {
    let line = demo.lines_of(what, home).pop().unwrap_or_else(|| panic!("no {what} of {}", home.display()));
    line.t.parse().unwrap()
}

/// Each server behind the balancer was drained once before its old server got TERM, and enrolled once, after its new server
/// was ready; a gateway after every look at it. Nobody else was told of.
pub(super) fn drained_and_enrolled(demo: &Demo, gateways: &[&str]) {
    let all = told(&demo.path("load-balancer.txt")).unwrap();
    for node in IDENTITY_SERVERS.iter().chain(gateways) {
        let words: Vec<&Told> = all.iter().filter(|told| told.server == *node).collect();
        let [drained, enrolled] = words[..] else { panic!("{node}: {words:?}") };
        assert_eq!((drained.word.as_str(), enrolled.word.as_str()), ("drain", "enrol"), "{node}");
        assert!(drained.at < newest(demo, "term", &demo.old_home(node)), "{node} was drained first");
        assert!(enrolled.at > newest(demo, "ready", &demo.new_home(node)), "{node} was ready before");
    }
    assert_eq!(all.len(), 2 * (IDENTITY_SERVERS.len() + gateways.len()), "{all:?}");
    let steps = demo.steps();
    for node in gateways {
        let of_stage = |name: &str| {
            // The first one: the stage `verify` comes later.
            let found = steps.iter().find(|s| s.node == *node && s.name == name);
            found.unwrap_or_else(|| panic!("{node} has no step {name}"))
        };
        let place = |name: &str| of_stage(name).step.split(['.', '@']).take(2).map(|n| n.parse().unwrap()).collect::<Vec<u32>>();
        assert!(place("deployed-apis") < place("enrol") && place("gateway-call") < place("enrol"), "{node}");
        let evidence = demo.outcome(of_stage("deployed-apis")).to_string();
        assert!(evidence.contains("all APIs are there"), "{node}: {evidence}");
    }
}

/// A gateway that cannot deploy one API is named with it, and would not be enrolled.
pub(super) fn a_missing_api_is_named(demo: &Demo, gateway: &str) {
    let label = demo.sql("am_db", "SELECT LABEL FROM AM_GW_API_DEPLOYMENTS LIMIT 1");
    let api = format!(
        "(API_PROVIDER, API_NAME, API_VERSION, CONTEXT, API_UUID) VALUES ('admin', 'Broken', '1', '{UNDEPLOYABLE}/1', 'b')"
    );
    let published = "(API_ID, API_PROVIDER, API_NAME, API_VERSION) VALUES ('b', 'admin', 'Broken', '1')";
    let deployed = format!("(API_ID, REVISION_ID, LABEL, VHOST) VALUES ('b', '1', '{label}', 'localhost')");
    for (table, row) in
        [("AM_API", api.as_str()), ("AM_GW_PUBLISHED_API_DETAILS", published), ("AM_GW_API_DEPLOYMENTS", &deployed)]
    {
        demo.sql("am_db", &format!("INSERT INTO {table} {row}"));
    }
    let said = demo.refused(&["verify", "upgrade.plan", "--node", gateway, "--within", "1s"]);
    assert!(said.contains("deployed-apis") && said.contains(&format!("missing: {UNDEPLOYABLE}/1")), "{said}");
    for (table, key) in [("AM_GW_API_DEPLOYMENTS", "API_ID"), ("AM_GW_PUBLISHED_API_DETAILS", "API_ID"), ("AM_API", "API_UUID")] {
        demo.sql("am_db", &format!("DELETE FROM {table} WHERE {key} = 'b'"));
    }
}
