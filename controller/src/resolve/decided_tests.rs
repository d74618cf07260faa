//! Whatever a plan was made from goes along with what was made from it: `apply` looks at it again.

use cavalcade_common::plan::Plan;
use serde_json::{Value, json};

use super::tests::plan_with;

const FLEET: &str = r#"
schema: cavalcade.fleet/1
fleet: test
recipe: small
nodes:
  is-1: { role: identity-server, old: { home: /opt/old }, new: { home: /opt/new } }
  is-2: { role: identity-server, old: { home: /opt/old }, new: { home: /opt/new } }
"#;

const RECIPE: &str = r#"
schema: cavalcade.recipe/1
recipe: small
title: A small one
facts:
  - nodes: node.old.exists
    values:
      ready: { file: repository/conf/registry.xml, pattern: 'a(b)' }
      tidy: { file: repository/conf/registry.xml, pattern: 'x(y)' }
      kept: { file: repository/conf/registry.xml, pattern: 'k(y)' }
  - nodes: not node.old.exists
    values: { elsewhere: { file: repository/conf/registry.xml, pattern: 'z(z)' } }
probes:
  - nodes: node.new.exists
    script: bin/wso2server.sh
    ready: { log: repository/logs/wso2carbon.log, started: "{{ facts.old.values.ready }}" }
require:
  - that: facts.old.version == "5.10.0"
    says: another version
settings:
  - { key: server.offset, done: ports as in the fleet file }
remarks:
  - nodes: facts.user_store.type == "ldap"
    says: "Users are in {{ facts.user_store.type }}."
stages:
  - stage: tidy
    title: Tidy
    nodes: facts.old.values.tidy == "y"
    steps:
      - step: first
        row: A1
        remove: ["/opt/new/{{ facts.old.values.kept }}"]
      - step: second
        row: A1
        when: facts.java.version == "8" or facts.old.values.elsewhere == "z"
        remove: [/opt/new/y]
"#;

fn plan() -> Plan {
    let change = |node: &str, facts: &mut Value| {
        facts["old"]["owner"] = json!("wso2");
        facts["old"]["values"] = json!({ "ready": "up", "tidy": if node == "is-1" { "y" } else { "n" }, "kept": "x" });
    };
    plan_with(FLEET, RECIPE, change).unwrap_or_else(|f| panic!("{f}"))
}

#[test]
fn each_fact_names_what_was_made_from_it() {
    let plan = plan();
    let of = |node: &str, path: &str| -> Vec<String> {
        let path = format!("facts.{path}");
        let found = plan.decided_by.iter().find(|d| d.node.as_str() == node && d.path == path);
        found.map(|d| d.decides.clone()).unwrap_or_default()
    };
    for node in ["is-1", "is-2"] {
        assert_eq!(of(node, "old.version"), ["what the recipe requires of it"]);
        assert_eq!(of(node, "old.owner"), ["the user that its servers run as"]);
        assert_eq!(of(node, "old.values.ready"), ["how its new server is seen ready"]);
        assert_eq!(of(node, "old.values.tidy"), ["the nodes of stage tidy"]);
        assert_eq!(of(node, "user_store.type"), ["a remark of the plan"]);
        assert_eq!(of(node, "old.settings"), ["what becomes of its old settings"]);
    }
    assert_eq!(of("is-1", "old.values.kept"), ["step tidy/first"]);
    assert_eq!(of("is-2", "old.values.kept"), [""; 0], "it has no such step");
    assert_eq!(of("is-1", "java.version"), ["step tidy/second, which is left out"]);
    assert_eq!(of("is-1", "old.values.elsewhere"), [""; 0], "no agent was asked for it, so none is asked again");
}

#[test]
fn what_the_fleet_file_answers_is_not_asked_again() {
    let fleet = format!("{FLEET}answers: {{ user_store: {{ type: ldap }} }}\n");
    let plan = plan_with(&fleet, RECIPE, |_, facts| {
        facts["old"]["values"] = json!({ "ready": "up", "tidy": "y", "kept": "x" });
    });
    let plan = plan.unwrap_or_else(|f| panic!("{f}"));
    let answered = plan.decided_by.iter().find(|d| d.path == "facts.user_store.type").expect("decides");
    assert!(answered.answered);
    assert_eq!(plan.remarks, ["Users are in ldap. (is-1, is-2)"]);
}
