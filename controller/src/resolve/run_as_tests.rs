//! As whom things run, where the agent is root (10, rule 14).

use cavalcade_common::codes::plan as codes;
use cavalcade_common::error::Faults;
use cavalcade_common::plan::Plan;
use serde_json::Value;

use super::tests::plan_with;

const FLEET: &str = r#"
schema: cavalcade.fleet/1
fleet: test
recipe: small
nodes:
  is-1: { role: identity-server, old: { home: /opt/old }, new: { home: /opt/new } }
  is-2: { role: identity-server, new: { home: /opt/new } }
"#;

const RECIPE: &str = r#"
schema: cavalcade.recipe/1
recipe: small
title: A small one
probes:
  - nodes: node.role == "identity-server"
    script: bin/wso2server.sh
    ready: { log: repository/logs/wso2carbon.log, started: 'started in' }
stages:
  - stage: tidy
    title: Tidy
    nodes: node.new.exists
    steps:
      - step: clean
        row: A1
        remove: [/opt/new/x]
      - step: start
        row: A1
        when: options.starts
        server: { start: "{{ node.new.home }}" }
options:
  starts: { default: true, doc: whether it starts anything }
"#;

fn plan(fleet: &str, agent: Option<&str>, owner: Option<&str>) -> Result<Plan, Faults> {
    plan_with(fleet, RECIPE, |node, facts| {
        facts["host"]["agent_user"] = agent.map_or(Value::Null, Into::into);
        if node == "is-1" {
            facts["old"]["owner"] = owner.map_or(Value::Null, Into::into);
        }
    })
}

/// Code and node of each fault.
fn faults(found: Result<Plan, Faults>) -> Vec<(u16, String)> {
    let named = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    found.map_or_else(|f| f.0.iter().map(|f| (f.code.0, named(&f.message))).collect(), |_| Vec::new())
}

fn runs_as(found: Result<Plan, Faults>) -> Vec<Option<String>> {
    let plan = found.unwrap_or_else(|f| panic!("{f}"));
    plan.steps().filter_map(|(_, s)| s.action.starts_with().map(|r| r.run_as.clone())).collect()
}

#[test]
fn an_agent_that_is_root_starts_nothing_as_root_unless_a_person_said_so() {
    let open = |node: &str| (codes::NO_RUN_AS.0, node.to_owned());
    assert_eq!(faults(plan(FLEET, Some("root"), Some("root"))), [open("is-1"), open("is-2")]);
    assert_eq!(faults(plan(FLEET, Some("root"), Some("wso2"))), [open("is-2")], "a home that never was has no owner");
    let said = FLEET.replace("nodes:", "defaults: { run_as: root }\nnodes:");
    assert_eq!(runs_as(plan(&said, Some("root"), Some("root"))), [Some("root".to_owned()), Some("root".to_owned())]);
    let quiet = FLEET.replace("nodes:", "options: { starts: false }\nnodes:");
    assert_eq!(faults(plan(&quiet, Some("root"), None)), [], "nothing is started");
}

#[test]
fn an_agent_that_is_somebody_starts_as_itself_and_an_owner_is_taken() {
    assert_eq!(runs_as(plan(FLEET, Some("wso2"), Some("wso2"))), [Some("wso2".to_owned()), None]);
    // An agent that does not tell refuses by itself.
    assert_eq!(runs_as(plan(FLEET, None, Some("root"))), [None, None]);
}
