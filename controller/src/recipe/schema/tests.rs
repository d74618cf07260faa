//! The schema against the reader and the built-in recipes.

use std::collections::BTreeSet;

use cavalcade_common::step::HOOK;

use super::*;
use crate::json_schema::validate::{STRANGE, all_definitions_are_used, known_keys, mappings, validate, value_of};
use crate::recipe::{BUILT_IN, read};

#[test]
fn the_built_in_recipes_are_valid() {
    let schema = schema();
    for (name, text) in BUILT_IN {
        validate(&schema, &value_of(text), name, &schema).unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn what_the_reader_refuses_for_its_form_the_schema_refuses_too() {
    let schema = schema();
    let (_, text) = BUILT_IN[0];
    for (from, to) in [
        ("schema: cavalcade.recipe/1", "schema: cavalcade.recipe/2"),
        ("\nstages:\n", "\nstagse:\n"),
        ("undo: files", "undo: magic"),
        ("    title: Set up IS", "    tilte: Set up IS"),
        ("size: 25%", "size: 0"),
        ("unpack: { artifact: is_connector", "unpack: { artefact: is_connector"),
        ("point_of_no_return: true", "point_of_no_return: certainly"),
    ] {
        assert!(text.contains(from), "{from}");
        let broken = text.replacen(from, to, 1);
        assert!(read(broken.as_bytes(), "recipe.yaml").is_err(), "{to}");
        assert!(validate(&schema, &value_of(&broken), "recipe", &schema).is_err(), "{to}");
    }
}

/// A recipe whose one step holds this mapping under its action, or this one instead of a declaration.
fn around(definition: &str, inner: &str) -> String {
    let step = |action: &str| format!("stages: [{{ stage: s, title: t, nodes: 'true', steps: [{{ step: x, {action} }}] }}]\n");
    let plain = step("skip: why");
    let recipe = |section: &str| format!("{section}\n{plain}");
    let body = match definition {
        "recipe" => return format!("{{ schema: cavalcade.recipe/1, {inner} }}\n"),
        "option" | "artifact_declared" | "database" | "need" | "across" => {
            let section = match definition {
                "option" => "options",
                "artifact_declared" => "artifacts",
                "database" => "databases",
                "across" => "across",
                _ => "needs",
            };
            recipe(&format!("{section}: {{ x: {{ {inner} }} }}"))
        }
        "jdbc" => recipe(&format!("jdbc: {{ mysql: {{ {inner} }} }}")),
        "ports" | "profiles" => recipe(&format!("{definition}: {{ {inner} }}")),
        "facts" | "probe" | "requirement" | "remark" | "check" | "setting" => {
            let section = match definition {
                "probe" => "probes",
                "requirement" => "require",
                "remark" => "remarks",
                "check" => "checks",
                "setting" => "settings",
                other => other,
            };
            // Without its nodes the reader looks at nothing else there.
            let nodes = if definition == "facts" { "nodes: 'true', " } else { "" };
            recipe(&format!("{section}: [{{ {nodes}{inner} }}]"))
        }
        "folders" => recipe(&format!("facts: [{{ nodes: 'true', folders: {{ x: {{ {inner} }} }} }}]")),
        "file_made" => recipe(&format!("facts: [{{ nodes: 'true', made: {{ x: {{ {inner} }} }} }}]")),
        "file_table" => recipe(&format!("facts: [{{ nodes: 'true', tables: {{ x: {{ {inner} }} }} }}]")),
        "file_value" => recipe(&format!("facts: [{{ nodes: 'true', values: {{ x: {{ {inner} }} }} }}]")),
        "stage" => format!("stages: [{{ {inner} }}]\n"),
        "approval" | "batch" => {
            format!(
                "stages: [{{ stage: s, title: t, nodes: 'true', {definition}: {{ {inner} }}, steps: [{{ step: x, skip: y }}] }}]\n"
            )
        }
        "step" => format!("stages: [{{ stage: s, title: t, nodes: 'true', steps: [{{ {inner} }}] }}]\n"),
        "retry" => step(&format!("skip: y, retry: {{ {inner} }}")),
        "toml_append" => step(&format!("toml: {{ file: /a/b, append: [{{ {inner} }}] }}")),
        "toml_carry" => step(&format!("toml: {{ file: /a/b, carry: {{ {inner} }} }}")),
        "toml_carry_key" => step(&format!("toml: {{ file: /a/b, carry: {{ from: /a/c, keys: [{{ {inner} }}] }} }}")),
        "yaml_remove" => step(&format!("yaml: {{ file: /a/b, remove_items: [{{ {inner} }}] }}")),
        "text_replace" => step(&format!("text: {{ file: /a/b, replace: [{{ {inner} }}] }}")),
        "ready" => step(&format!("server: {{ wait: /a/b, ready: {{ {inner} }} }}")),
        "http_check" => step(&format!("server: {{ wait: /a/b, ready: {{ http: [{{ {inner} }}] }} }}")),
        "evidence" => step(&format!("job: {{ evidence: {{ {inner} }} }}")),
        "sequence" => step(&format!("job: {{ evidence: {{ sequence: {{ {inner} }} }} }}")),
        "progress" => step(&format!("job: {{ progress: {{ {inner} }} }}")),
        "assert" => step(&format!("query: {{ asserts: [{{ {inner} }}] }}")),
        "no_sessions" => step(&format!("query: {{ asserts: [{{ no_sessions: {{ {inner} }} }}] }}")),
        "call" => step(&format!("exchange: {{ calls: [{{ {inner} }}] }}")),
        "basic" => step(&format!("exchange: {{ calls: [{{ basic: {{ {inner} }} }}] }}")),
        "exchange_query" => step(&format!("exchange: {{ query: {{ {inner} }} }}")),
        "covers" => step(&format!("exchange: {{ covers: [{{ {inner} }}] }}")),
        action if ACTIONS.contains(&action) => step(&format!("{action}: {{ {inner} }}")),
        other => panic!("the test does not know where {other} stands"),
    };
    format!("schema: cavalcade.recipe/1\nrecipe: r\ntitle: t\n{body}")
}

/// The keys that the reader knows at the place of a definition: it tells them about a key that is like none of them.
fn keys_of_the_reader(definition: &str) -> BTreeSet<String> {
    let text = around(definition, &format!("{STRANGE}: 1"));
    let faults = read(text.as_bytes(), "recipe.yaml").expect_err("has a strange key").0;
    known_keys(&faults, definition)
}

#[test]
fn every_key_of_the_reader_is_in_the_schema_and_the_other_way_round() {
    let schema = schema();
    let mappings = mappings("recipe", &schema);
    assert!(mappings.len() > 40, "{}", mappings.len());
    for action in ACTIONS.into_iter().filter(|action| *action != HOOK) {
        assert!(mappings.contains_key(action), "{action} has no definition");
    }
    for (definition, keys) in &mappings {
        assert_eq!(keys, &keys_of_the_reader(definition), "{definition}");
    }
}

#[test]
fn references_lead_somewhere_and_every_definition_is_used() {
    all_definitions_are_used(&schema());
}
