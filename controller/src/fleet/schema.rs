//! The fleet file's format as a JSON Schema (draft 7), for editors and for programs that write fleet files.
//!
//! It says less than the reader: references and templates are texts here. A test keeps its keys equal to those that the
//! reader knows, in both directions, mapping by mapping.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::json_schema::{by_name, count, describe, filled, flag, into_map, list, map, merge, object, reference, text, texts};
use crate::recipe::schema::{basics, of_actions, setting};

/// Address of the schema itself: a name, nothing that is fetched.
pub const SCHEMA_ID: &str = "urn:cavalcade:fleet:1";

/// The whole schema.
#[must_use]
pub fn schema() -> Value {
    let mut root = object(
        &["schema", "fleet", "recipe", "nodes"],
        json!({
            "schema": { "const": super::FLEET_SCHEMA },
            "fleet": describe(text(), "Its name."),
            "recipe": describe(text(), "A built-in recipe, or a file relative to this one."),
            "artifacts": by_name("artifact"),
            "secrets": by_name("secret"),
            "databases": by_name("database"),
            "defaults": reference("defaults"),
            "nodes": describe(by_name("node"), "By name; `gw-[1:4]` stands for gw-1 to gw-4."),
            "answers": describe(free(), "What a person knows better than the agents, on every node: it overrides facts."),
            "settings": describe(list(reference("setting")), "This fleet's words on old settings, before the recipe's."),
            "window": reference("window"),
            "expected": describe(map(reference("duration")), "How long steps take, by STAGE.STEP or by the name of an effect."),
            "options": describe(free(), "Options of the recipe."),
        }),
    );
    let head = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": SCHEMA_ID,
        "title": "Cavalcade fleet",
        "description": "What exists: no order, no secret. docs/recipes.md explains every key.",
    });
    merge(&mut root, head);
    // Of the words of actions only those that hooks have, with what they name; `artifact` means another thing here.
    let mut all = of_actions();
    all.extend(basics());
    all.insert("setting".to_owned(), setting());
    all.extend(definitions());
    let used = used(&root, &all);
    all.retain(|name, _| used.contains(name));
    merge(&mut root, json!({ "definitions": Value::Object(all) }));
    root
}

/// Keys with any values.
fn free() -> Value {
    json!({ "type": "object" })
}

fn definitions() -> Map<String, Value> {
    let one_of = |words: &[&str]| -> Value { words.iter().map(|word| json!({ "required": [word] })).collect() };
    let mut secret = object(
        &[],
        json!({
            "file": describe(text(), "A file on the host that uses it."), "env": text(), "exec": texts(),
            "prompt": describe(text(), "Given to the controller with `cavalcade secret give`."),
            "generate": describe(count(), "Made by the controller: this number of random bytes."),
        }),
    );
    merge(&mut secret, json!({ "anyOf": one_of(&["file", "env", "exec", "prompt", "generate"]) }));
    into_map(json!({
        "artifact": object(&["file"], json!({ "file": text(), "sha256": text() })),
        "secret": secret,
        "database": object(&["engine", "name", "from", "admin"], json!({
            "engine": { "enum": ["mysql", "mariadb", "postgresql", "postgres"] }, "socket": text(), "host": text(),
            "port": count(), "name": text(), "from": describe(text(), "The node that its steps run on."),
            "scratch": describe(text(), "An empty database for the proof of the backup."), "admin": reference("account"),
            "server": reference("account"), "jdbc_url": text(), "tls": flag(), "ca": text(), "client_bin": text(),
            "backup_to": text(),
        })),
        "account": object(&["user"], json!({ "user": text(), "password": describe(text(), "Name of a secret.") })),
        "defaults": object(&[], json!({
            "run_as": text(), "java_home": text(), "env": map(text()), "backup_to": text(),
        })),
        "node": object(&["role", "new"], json!({
            "role": filled(json!({ "enum": ["identity-server", "api-manager"] })), "host": text(), "address": text(),
            "old_offset": filled(count()), "offset": filled(count()), "old": reference("side"),
            "new": { "anyOf": [{ "const": "retired" }, reference("side")] }, "env": map(text()), "run_as": text(),
            "java_home": text(), "answers": free(), "hooks": by_name("hook"),
        })),
        "side": object(&["home"], json!({ "home": text(), "profile": text(), "service": text() })),
        "hook": object(&[], json!({ "exchange": reference("exchange"), "command": reference("command") })),
        "window": object(&["end"], json!({ "end": describe(text(), "An instant with its zone, in quotes.") })),
    }))
}

/// Names of the definitions that a schema refers to, and those that they refer to.
fn used(root: &Value, all: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                let name = map.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix("#/definitions/"));
                if let Some((name, definition)) = name.and_then(|name| Some((name, all.get(name)?)))
                    && found.insert(name.to_owned())
                {
                    open.push(definition);
                }
                open.extend(map.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
