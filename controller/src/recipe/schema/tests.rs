//! The schema against the reader and the built-in recipes.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::error::Fault;
use cavalcade_common::step::HOOK;
use cavalcade_common::written::read as read_yaml;
use regex::Regex;

use super::*;
use crate::recipe::{BUILT_IN, read};

/// Validates by the keywords that the schema uses; another one ends the test, so that none is passed over.
fn validate(schema: &Value, value: &Value, at: &str, root: &Value) -> Result<(), String> {
    let Value::Object(keywords) = schema else {
        return if schema == &Value::Bool(true) { Ok(()) } else { Err(format!("{at}: nothing fits")) };
    };
    for (keyword, wanted) in keywords {
        match keyword.as_str() {
            "$schema" | "$id" | "definitions" | "title" | "description" | "properties" => {}
            "$ref" => {
                let name = wanted.as_str().and_then(|r| r.strip_prefix("#/definitions/")).expect("a reference inside");
                let found = root["definitions"].get(name).unwrap_or_else(|| panic!("no definition {name}"));
                validate(found, value, at, root)?;
            }
            "type" => kind(wanted, value, at)?,
            "const" if wanted != value => return Err(format!("{at}: {value} is not {wanted}")),
            "enum" if !wanted.as_array().expect("a list").contains(value) => {
                return Err(format!("{at}: {value} is none of {wanted}"));
            }
            "const" | "enum" => {}
            "pattern" => {
                let pattern = Regex::new(wanted.as_str().expect("a text")).expect("a pattern");
                if value.as_str().is_some_and(|t| !pattern.is_match(t)) {
                    return Err(format!("{at}: {value} does not match"));
                }
            }
            "minimum" if value.as_i64().is_some_and(|n| n < wanted.as_i64().expect("a number")) => {
                return Err(format!("{at}: {value} is too small"));
            }
            "minItems" if value.as_array().is_some_and(|a| a.is_empty()) => return Err(format!("{at}: empty")),
            "minimum" | "minItems" => {}
            "anyOf" => {
                let tried = wanted.as_array().expect("a list").iter().map(|s| validate(s, value, at, root));
                let errors: Vec<String> = tried.filter_map(Result::err).collect();
                if errors.len() == wanted.as_array().map_or(0, Vec::len) {
                    return Err(errors.join(" / "));
                }
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    validate(wanted, item, &format!("{at}[{i}]"), root)?;
                }
            }
            "required" => {
                let missing = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
                if let Some(key) = missing.filter(|_| value.is_object()).find(|key| value.get(key).is_none()) {
                    return Err(format!("{at}: {key} is missing"));
                }
            }
            "additionalProperties" => {
                for (key, item) in value.as_object().into_iter().flatten() {
                    let own = keywords.get("properties").and_then(|p| p.get(key)).unwrap_or(wanted);
                    validate(own, item, &format!("{at}.{key}"), root)?;
                }
            }
            other => panic!("the validator does not know {other}"),
        }
    }
    Ok(())
}

fn kind(wanted: &Value, value: &Value, at: &str) -> Result<(), String> {
    let is = |word: &str| match word {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("unknown type {other}"),
    };
    let words: Vec<&str> = match wanted {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    if words.iter().any(|word| is(word)) { Ok(()) } else { Err(format!("{at}: {value} is no {wanted}")) }
}

/// The file as a plain value, keys without a value left out as the reader does.
fn value_of(text: &str) -> Value {
    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect())
            }
            Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
            other => other,
        }
    }
    without_nulls(read_yaml(text.as_bytes(), "recipe.yaml").expect("is YAML").root.to_value())
}

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
        ("unpack: { artifact: is_pack", "unpack: { artefact: is_pack"),
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
    const STRANGE: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    let text = around(definition, &format!("{STRANGE}: 1"));
    let faults = read(text.as_bytes(), "recipe.yaml").expect_err("has a strange key").0;
    let strange = |f: &&Fault| f.message.contains(STRANGE) && f.help.is_some();
    let fault = faults.iter().find(strange).unwrap_or_else(|| panic!("{definition}: nobody minds the strange key: {faults:?}"));
    let help =
        fault.help.as_deref().and_then(|h| h.strip_prefix("it has: ")).unwrap_or_else(|| panic!("{definition}: {fault:?}"));
    help.split(", ").map(str::to_owned).collect()
}

/// Every mapping of the schema, with its keys.
fn mappings(schema: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let keys = |schema: &Value| -> Option<BTreeSet<String>> {
        let own = schema.get("properties");
        let other = || schema.get("anyOf")?.as_array()?.iter().find_map(|s| s.get("properties"));
        Some(own.or_else(other)?.as_object()?.keys().cloned().collect())
    };
    let mut all = BTreeMap::from([("recipe".to_owned(), keys(schema).expect("has keys"))]);
    for (name, definition) in schema["definitions"].as_object().expect("a mapping") {
        if let Some(keys) = keys(definition) {
            all.insert(name.clone(), keys);
        }
    }
    all
}

#[test]
fn every_key_of_the_reader_is_in_the_schema_and_the_other_way_round() {
    let schema = schema();
    let mappings = mappings(&schema);
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
    let schema = schema();
    let text = schema.to_string();
    let defined: BTreeSet<&str> = schema["definitions"].as_object().expect("a mapping").keys().map(String::as_str).collect();
    let used: BTreeSet<&str> = text.split("#/definitions/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(used, defined);
}
