//! The schema against the reader and the example fleets.

use std::collections::BTreeSet;

use super::*;
use crate::fleet::read;
use crate::json_schema::validate::{STRANGE, all_definitions_are_used, known_keys, mappings, validate, value_of};

const EXAMPLES: [(&str, &str); 2] = [
    ("fleet.yaml", include_str!("../../../deploy/examples/fleet.yaml")),
    ("is-only.yaml", include_str!("../../../deploy/examples/is-only.yaml")),
];

/// A fleet with everything that a fleet file may hold.
const WHOLE: &str = r#"
schema: cavalcade.fleet/1
fleet: whole
recipe: recipes/own.yaml
artifacts: { pack: { file: a/pack.zip, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 } }
secrets:
  a: { file: /run/secrets/a }
  b: { env: B }
  c: { exec: [/bin/cat, /x] }
  d: { prompt: the key }
  e: { generate: 32 }
databases:
  db:
    engine: postgres
    socket: /run/db
    port: 5433
    name: am
    from: am-1
    scratch: proof
    admin: { user: ddl, password: a }
    server: { user: wso2 }
    jdbc_url: "jdbc:x?p={{ secrets.b }}"
    tls: true
    ca: /etc/ca.pem
    client_bin: /usr/bin
    backup_to: /b
defaults: { run_as: wso2, java_home: /jdk, env: { A: b }, backup_to: /backup }
nodes:
  am-[1:2]:
    role: api-manager
    host: "{{ name }}.example.com"
    address: "{{ name }}"
    old_offset: 1
    offset: "{{ 2 }}"
    old: { home: /opt/old, profile: default, service: old.service }
    new: { home: /opt/new }
    env: { NAME: "{{ name }}" }
    run_as: "u-{{ name }}"
    java_home: /jdk-11
    answers: { user_store: { type: jdbc } }
    hooks:
      drain: { exchange: { calls: [{ name: drain, url: "http://lb/{{ name }}", method: POST, basic: "{{ secrets.a }}" }] } }
      enrol: { command: { command: [/opt/lb, "{{ node.address }}"], cwd: /opt, within: 1min } }
  gone: { role: identity-server, old: { home: /opt/is }, new: retired }
answers: { x: 1 }
settings: [{ key: a.b, drop: why }, { nodes: node.new.exists, key: [c, d], carry: true }]
window: { end: "2026-11-23T05:00:00+01:00" }
expected: { migrate-is.migrate: 2h }
options: { anything: [1, 2] }
"#;

fn fits(text: &str) -> Result<(), String> {
    let schema = schema();
    validate(&schema, &value_of(text), "fleet", &schema)
}

#[test]
fn what_the_reader_takes_the_schema_takes() {
    for (name, text) in EXAMPLES.into_iter().chain([("whole.yaml", WHOLE)]) {
        read(text.as_bytes(), name).unwrap_or_else(|faults| panic!("{name}: {faults}"));
        fits(text).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    for (name, text) in EXAMPLES {
        assert!(text.starts_with("# yaml-language-server: $schema=./fleet.schema.json\n"), "{name}");
    }
}

#[test]
fn what_the_schema_refuses_the_reader_refuses() {
    for (from, to) in [
        ("schema: cavalcade.fleet/1", "schema: cavalcade.fleet/2"),
        ("\nnodes:\n", "\nndoes:\n"),
        ("fleet: whole", "fleet: 7"),
        ("engine: postgres", "engine: oracle"),
        ("tls: true", "tls: certainly"),
        ("port: 5433", "port: -1"),
        ("user: ddl, ", ""),
        ("name: am\n", "nmae: am\n"),
        ("b: { env: B }", "b: hunter2"),
        ("b: { env: B }", "b: {}"),
        ("e: { generate: 32 }", "e: { generate: many }"),
        ("role: api-manager", "role: gateway"),
        ("new: { home: /opt/new }", "new: soon"),
        ("home: /opt/new", "hmoe: /opt/new"),
        ("new: retired", "nwe: retired"),
        ("old_offset: 1", "old_offset: one"),
        ("drain: { exchange: {", "drain: { exchagne: {"),
        ("calls: [{ name: drain, ", "calls: [{ "),
        ("window: { end:", "window: { ends:"),
        ("key: a.b, drop: why", "keys: a.b, drop: why"),
        ("options: { anything: [1, 2] }", "options: [1]"),
    ] {
        assert!(WHOLE.contains(from), "{from}");
        let broken = WHOLE.replacen(from, to, 1);
        assert!(fits(&broken).is_err(), "{to}");
        assert!(read(broken.as_bytes(), "fleet.yaml").is_err(), "{to}");
    }
}

/// A fleet that holds this mapping at the place of a definition.
fn around(definition: &str, inner: &str) -> String {
    let node = |more: &str| format!("nodes: {{ x: {{ role: api-manager, {more} }} }}");
    let hook = |more: &str| node(&format!("new: retired, hooks: {{ h: {{ {more} }} }}"));
    let body = match definition {
        "fleet" => inner.to_owned(),
        "artifact" | "secret" | "database" => format!("{definition}s: {{ x: {{ {inner} }} }}"),
        "account" => format!("databases: {{ x: {{ admin: {{ {inner} }} }} }}"),
        "defaults" | "window" => format!("{definition}: {{ {inner} }}"),
        "node" => format!("nodes: {{ x: {{ {inner} }} }}"),
        "side" => node(&format!("new: {{ {inner} }}")),
        "hook" => hook(inner),
        "setting" => format!("settings: [{{ {inner} }}]"),
        "exchange" | "command" => hook(&format!("{definition}: {{ {inner} }}")),
        "call" => hook(&format!("exchange: {{ calls: [{{ {inner} }}] }}")),
        "basic" => hook(&format!("exchange: {{ calls: [{{ basic: {{ {inner} }} }}] }}")),
        "exchange_query" => hook(&format!("exchange: {{ query: {{ {inner} }} }}")),
        "covers" => hook(&format!("exchange: {{ covers: [{{ {inner} }}] }}")),
        other => panic!("the test does not know where {other} stands"),
    };
    format!("{{ schema: cavalcade.fleet/1, fleet: f, recipe: r, {body} }}\n")
}

#[test]
fn every_key_of_the_reader_is_in_the_schema_and_the_other_way_round() {
    let mappings = mappings("fleet", &schema());
    assert!(mappings.len() >= 15, "{:?}", mappings.keys());
    for (definition, keys) in &mappings {
        let text = around(definition, &format!("{STRANGE}: 1"));
        let faults = read(text.as_bytes(), "fleet.yaml").expect_err("has a strange key").0;
        let known: BTreeSet<String> = known_keys(&faults, definition);
        assert_eq!(keys, &known, "{definition}");
    }
}

#[test]
fn references_lead_somewhere_and_every_definition_is_used() {
    all_definitions_are_used(&schema());
}
