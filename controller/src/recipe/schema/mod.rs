//! The recipe's format as a JSON Schema (draft 7), for editors and for programs that write recipes.
//!
//! It says less than the reader: expressions, references and paths are texts here. A test keeps its keys equal to those
//! that the reader knows, in both directions, mapping by mapping.

mod actions;

use cavalcade_common::step::ACTIONS;
use serde_json::{Map, Value, json};

use crate::json_schema::{
    by_name, count, describe, flag, into_map, list, map, merge, object, one_or_list, reference, text, texts,
};

/// Address of the schema itself: a name, nothing that is fetched.
pub const SCHEMA_ID: &str = "urn:cavalcade:recipe:1";

/// The whole schema.
#[must_use]
pub fn schema() -> Value {
    let mut root = object(
        &["schema", "recipe", "title", "stages"],
        json!({
            "schema": { "const": super::RECIPE_SCHEMA },
            "recipe": describe(reference("name"), "Its name."),
            "title": describe(text(), "One line for people."),
            "options": by_name("option"),
            "artifacts": by_name("artifact_declared"),
            "databases": by_name("database"),
            "jdbc": by_name("jdbc"),
            "ports": reference("ports"),
            "profiles": reference("profiles"),
            "facts": list(reference("facts")),
            "settings": list(reference("setting")),
            "across": by_name("across"),
            "values": describe(
                json!({ "type": "object", "additionalProperties": text() }),
                "By name: expressions over a node's names and the values above.",
            ),
            "probes": list(reference("probe")),
            "needs": by_name("need"),
            "require": list(reference("requirement")),
            "remarks": list(reference("remark")),
            "hide": describe(texts(), "Regular expressions on key paths whose values no diff shows."),
            "checks": list(reference("check")),
            "stages": { "type": "array", "items": reference("stage") },
        }),
    );
    let head = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": SCHEMA_ID,
        "title": "Cavalcade recipe",
        "description": "What is done, in which order, for any fleet. docs/recipes.md explains every key.",
    });
    merge(&mut root, head);
    let mut definitions = frame();
    definitions.extend(basics());
    definitions.extend(of_actions());
    merge(&mut root, json!({ "definitions": Value::Object(definitions) }));
    root
}

/// What a recipe declares, stages and steps.
fn frame() -> Map<String, Value> {
    let condition = reference("condition");
    let mut all = declared();
    let mut add = |name: &str, value: Value| all.insert(name.to_owned(), value);
    add(
        "stage",
        object(
            &["stage", "title", "steps"],
            json!({
                "stage": reference("name"), "title": text(), "nodes": condition, "on": text(), "once": flag(),
                "after": { "type": "array", "items": reference("name") }, "needs": texts(), "approval": reference("approval"),
                "batch": reference("batch"), "undo": { "enum": ["nothing", "start-again", "files", "backup"] },
                "point_of_no_return": flag(), "may_be_empty": flag(), "verify": flag(),
                "steps": { "type": "array", "items": reference("step"), "minItems": 1 },
            }),
        ),
    );
    add(
        "approval",
        object(&["by", "says"], json!({ "by": text(), "says": text(), "second_person": { "type": ["boolean", "string"] } })),
    );
    let size = json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "pattern": "^[0-9]+ *%$" }] });
    add("batch", object(&[], json!({ "size": size, "canary": count(), "failure_budget": count() })));
    let mut step = json!({
        "step": reference("name"), "row": text(), "note": text(), "when": condition,
        "for": { "anyOf": [text(), { "type": "array", "items": { "type": ["string", "number"] } }] },
        "skip": text(), "needs": texts(), "retry": reference("retry"), "timeout": reference("duration"),
    });
    for action in ACTIONS {
        step[action] = reference(action);
    }
    let mut step = object(&["step"], step);
    let one = ACTIONS.iter().copied().chain(["skip"]).map(|word| json!({ "required": [word] }));
    merge(&mut step, json!({ "anyOf": Value::Array(one.collect()) }));
    add("step", step);
    add("retry", object(&["times"], json!({ "times": count(), "wait": reference("duration") })));
    all
}

/// The sections above the stages.
fn declared() -> Map<String, Value> {
    let condition = reference("condition");
    let anything = json!(true);
    let definitions = json!({
        "option": object(&["doc"], json!({
            "doc": text(), "default": anything, "required": flag(), "one_of": { "type": "array" },
        })),
        "artifact_declared": object(&["doc"], json!({ "doc": text(), "optional": flag(), "fact": text(), "asks": map(text()) })),
        "database": object(&["doc"], json!({ "doc": text(), "optional": flag(), "fact": text(), "asks": map(text()) })),
        "ports": object(&[], json!({ "identity-server": map(count()), "api-manager": map(count()) })),
        "profiles": object(&["old", "new"], json!({ "old": texts(), "new": texts() })),
        "facts": object(&["nodes"], json!({
            "nodes": condition, "pack": text(), "files": map(texts()), "folders": map(reference("folders")), "templates": text(), "custom": texts(), "made": map(reference("file_made")), "trees": map(texts()),
            "keystores": texts(), "keystore_passwords": texts(), "trust_stores": texts(), "values": map(reference("file_value")), "conf": map(text()), "tables": map(reference("file_table")), "libraries": texts(),
        })),
        "folders": object(&["globs"], json!({ "globs": texts(), "without": texts() })),
        "file_made": object(&["of", "name"], json!({ "of": text(), "name": text(), "replace": map(text()) })),
        "file_table": object(&["at", "table"], json!({ "at": text(), "table": text() })),
        "file_value": object(&["file", "pattern"], json!({ "file": text(), "pattern": text(), "otherwise": text() })),
        "jdbc": object(&["url", "driver"], json!({ "url": text(), "driver": text() })),
        "across": object(&["value"], json!({ "nodes": condition, "value": text() })),
        "setting": setting(),
        "probe": object(&["nodes", "script", "ready"], json!({
            "nodes": condition, "script": text(), "forbid_args": texts(), "ready": reference("ready"),
        })),
        "need": object(&[], json!({
            "ready": condition, "down": condition, "via": list(reference("http_check")), "alone": reference("no_sessions"),
        })),
        "requirement": object(&["that", "says"], json!({ "nodes": condition, "that": condition, "says": text() })),
        "remark": object(&["says"], json!({ "nodes": condition, "says": text() })),
        "check": object(&["check", "about", "severity", "remedy"], json!({
            "check": reference("name"), "area": text(), "about": text(), "severity": { "enum": ["error", "warning"] },
            "nodes": condition, "found": text(), "remedy": text(), "that": condition, "databases": texts(), "engines": texts(), "same": text(),
            "artifact": text(), "holds": texts(),
        })),
    });
    into_map(definitions)
}

/// A rule about old settings. Fleet files have the same.
pub(crate) fn setting() -> Value {
    object(
        &["key"],
        json!({
            "nodes": reference("condition"), "key": one_or_list(text()), "holding": text(), "why": text(),
            "carry": flag(), "as": text(), "drop": text(), "done": text(), "person": text(),
        }),
    )
}

/// The words of actions, with everything that they name.
pub(crate) fn of_actions() -> Map<String, Value> {
    actions::definitions()
}

/// What all mappings share. Fleet files have the same.
pub(crate) fn basics() -> Map<String, Value> {
    into_map(json!({
        "name": { "type": "string", "pattern": "^[A-Za-z0-9]" },
        "condition": describe(
            json!({ "type": ["string", "boolean", "object"] }),
            "An expression without braces that gives true or false, or a mapping of facts to values or lists of values.",
        ),
        "duration": describe(json!({ "type": "string" }), "With units: 500ms, 90s, 10min, 1h30min, 2d."),
        "template": describe(json!({ "type": "string", "pattern": "\\{\\{" }), "`{{ expression }}` in place of the value."),
    }))
}

#[cfg(test)]
mod tests;
