//! Lists over several nodes: the same for every node, and facts behind them decide like a node's own.

use cavalcade_common::plan::Plan;
use serde_json::{Value, json};

use super::tests::plan_with;
use super::*;

const FLEET: &str = r#"
schema: cavalcade.fleet/1
fleet: test
recipe: small
nodes:
  is-1: { role: identity-server, old: { home: /opt/old }, new: { home: /opt/new } }
  am-[1:2]: { role: api-manager, old: { home: /opt/old }, new: { home: /opt/new } }
"#;

const RECIPE: &str = r#"
schema: cavalcade.recipe/1
recipe: small
title: A small one
facts:
  - nodes: node.old.exists
    values: { versioning_tags: { file: repository/conf/registry.xml, pattern: 'x(y)' } }
across:
  tags:
    nodes: node.role == "api-manager" and node.old.exists
    value: facts.old.values.versioning_tags
values:
  tagged: '"true" in across.tags'
stages:
  - stage: tidy
    title: Tidy
    nodes: node.role == "identity-server"
    steps:
      - step: first
        row: A1
        when: values.tagged
        remove: [/opt/new/x]
      - step: second
        row: A1
        note: "{{ across.tags | join(' ') }}"
        when: across.tags == ["false", "true"]
        remove: [/opt/new/y]
"#;

fn plan(change: impl Fn(&str, &mut Value)) -> Result<Plan, Faults> {
    plan_with(FLEET, RECIPE, change)
}

fn tag(on: &'static str, tag: Value) -> impl Fn(&str, &mut Value) {
    move |node, facts| {
        if node == on {
            facts["old"]["values"]["versioning_tags"] = tag.clone();
        }
    }
}

#[test]
fn a_list_over_nodes_is_in_the_order_of_the_fleet_and_decides() {
    let with = plan(tag("am-2", json!("true"))).unwrap_or_else(|f| panic!("{f}"));
    let steps: Vec<&str> = with.steps().map(|(_, s)| s.name.as_str()).collect();
    assert_eq!(steps, ["first", "second"]);
    let decided: Vec<(&str, &str, &Value)> =
        with.decided_by.iter().map(|d| (d.node.as_str(), d.path.as_str(), &d.value)).collect();
    let path = "facts.old.values.versioning_tags";
    assert_eq!(decided, [("am-1", path, &json!("false")), ("am-2", path, &json!("true"))], "`apply` looks at them again");
    // What a node says that is not meant is not in it.
    let without = plan(tag("is-1", json!("true"))).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(without.steps().count(), 0);
}

#[test]
fn a_part_that_is_missing_is_a_fault_and_no_shorter_list() {
    let faults = plan(|node, facts| {
        if node == "am-1" {
            facts["old"]["values"].as_object_mut().expect("a mapping").remove("versioning_tags");
        }
    });
    let faults = faults.expect_err("must be refused");
    assert!(faults.to_string().contains("facts.old.values.versioning_tags"), "{faults}");
    let silent = plan(|node, facts| {
        if node == "am-2" {
            *facts = Value::Null;
        }
    });
    assert!(silent.expect_err("must be refused").0.iter().any(|f| f.code == codes::NO_FACTS));
}

#[test]
fn a_check_that_asks_for_a_list_with_a_gap_did_not_look() {
    let fleet = crate::fleet::read(FLEET.as_bytes(), "fleet.yaml").expect("is valid");
    let recipe = crate::recipe::read(RECIPE.as_bytes(), "recipe.yaml").expect("is valid");
    let gathered_at: Timestamp = "2026-11-23T01:00:00Z".parse().expect("is an instant");
    let value = json!({ "old": { "values": { "versioning_tags": "false" } } });
    let facts = |names: &[&str]| -> BTreeMap<NodeId, NodeFacts> {
        let of = |name: &&str| (NodeId::new(*name).expect("a name"), NodeFacts { value: value.clone(), gathered_at });
        names.iter().map(of).collect()
    };
    let (asked, shipped, artifacts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let input = |facts| Input {
        fleet: &fleet,
        recipe: &recipe,
        facts,
        asked: &asked,
        shipped: &shipped,
        artifacts: &artifacts,
        plan_id: "p",
        made_by: "alice",
        now: gathered_at,
    };
    let node = NodeId::new("is-1").expect("a name");
    let whole = facts(&["is-1", "am-1", "am-2"]);
    assert_eq!(scopes(&input(&whole))[&node].get("across.tags"), Some(&json!(["false", "false"])));
    let gap = facts(&["is-1", "am-1"]);
    assert_eq!(scopes(&input(&gap))[&node].get("across.tags"), None);
}
