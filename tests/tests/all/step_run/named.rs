//! The names and facts that the controller's program writes are those that `step run` reads.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::machine::{Machine, program};

const RECIPE: &str = "schema: cavalcade.recipe/1\nrecipe: small\ntitle: A small one\nartifacts: { note: { doc: a note } }\n\
    stages:\n  - { stage: first, title: First, nodes: node.new.exists, steps: [{ step: none, skip: nothing }] }\n";

/// A machine with a fleet of two nodes, of which it is the first, and what agents found.
fn machine() -> Machine {
    let machine = Machine::new();
    let fleet = format!(
        "schema: cavalcade.fleet/1\nfleet: small\nrecipe: small.yaml\nartifacts: {{ note: {{ file: packs/note.txt }} }}\n\
         secrets: {{ key: {{ file: /run/secrets/key }} }}\nnodes:\n  is-[1:2]:\n    role: identity-server\n    \
         host: \"{{{{ name }}}}.example.com\"\n    old: {{ home: {0} }}\n    new: {{ home: {1} }}\n",
        machine.path("old").display(),
        machine.path("new").display(),
    );
    machine.write("fleet.yaml", fleet);
    machine.write("small.yaml", RECIPE);
    machine.write("packs/note.txt", "a note\n");
    machine.write("new/conf.toml", "[server]\nhostname = \"old\"\n");
    let found = json!({ "user_store": { "type": "jdbc" }, "old": { "exists": true, "owner": null } });
    let saved = json!({
        "schema": "cavalcade.facts/1", "fleet": "small", "gathered_at": "2026-11-23T01:03:00Z",
        "facts": { "is-1": found, "is-2": found },
    });
    machine.write("facts.json", saved.to_string());
    machine.write(
        "steps.yaml",
        "- step: host\n  when: facts.user_store.type == 'jdbc'\n  \
         toml: { file: '{{ node.new.home }}/conf.toml', set: { server.hostname: '{{ node.address }}' } }\n\
         - { step: note, artifact: { artifact: note, to: '{{ node.new.home }}/note.txt' } }\n",
    );
    machine
}

/// `cavalcade names`, without any controller.
fn names(machine: &Machine, node: &str) -> std::process::Output {
    let at = |name: &str| machine.path(name).display().to_string();
    let mut command = Command::new(program("cavalcade"));
    command.args(["--state", &at("no-controller"), "names", node, "--fleet", &at("fleet.yaml"), "--facts", &at("facts.json")]);
    command.args(["--out", &at("is-1.json"), "--facts-out", &at("is-1-facts.json")]);
    command.output().expect("runs")
}

#[test]
fn step_run_reads_the_names_and_facts_that_the_controllers_program_writes() {
    let machine = machine();
    let made = names(&machine, "is-1");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(made.stdout.is_empty(), "{:?}", made.stdout);
    let at = |name: &str| machine.path(name).display().to_string();
    let (steps, node, packs) = (at("steps.yaml"), at("is-1.json"), at("packs"));
    let ran = machine.run(&[&steps, "--node", &node, "--artifacts", &packs]).ended(0);
    assert_eq!(ran.outcomes(), [("host", "changed"), ("note", "changed")]);
    let toml = fs::read_to_string(machine.path("new/conf.toml")).expect("is there");
    assert_eq!(toml, "[server]\nhostname = \"is-1.example.com\"\n");
    assert_eq!(fs::read_to_string(machine.path("new/note.txt")).expect("is there"), "a note\n");
    assert!(ran.step("host")["attempt"].as_str().is_some_and(|attempt| attempt.contains("is-1")), "{ran:?}");

    // The facts, corrected by hand, in place of those of the names.
    let mut facts: Value = serde_json::from_slice(&fs::read(machine.path("is-1-facts.json")).expect("is there")).expect("JSON");
    assert_eq!(facts["user_store"]["type"], "jdbc");
    facts["user_store"]["type"] = json!("ldap");
    let facts = machine.write("is-1-facts.json", facts.to_string()).display().to_string();
    let ran = machine.run(&[&steps, "--node", &node, "--artifacts", &packs, "--facts", &facts]).ended(0);
    assert_eq!(ran.outcomes(), [("host", "left-out"), ("note", "unchanged")]);
}

#[test]
fn a_node_that_the_fleet_does_not_have_is_refused_and_nothing_is_written() {
    let machine = machine();
    let made = names(&machine, "is-9");
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert_eq!(made.status.code(), Some(2), "{said}");
    assert!(said.contains("the fleet has no node `is-9`") && said.contains("Nothing was changed."), "{said}");
    assert!(!machine.path("is-1.json").exists() && !machine.path("is-1-facts.json").exists());
}
