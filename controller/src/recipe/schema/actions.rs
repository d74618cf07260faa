//! The mappings under the words of actions. Values may be templates.

use cavalcade_common::action::HttpMethod;
use serde_json::{Map, Value, json};

use crate::json_schema::{count, filled, flag, into_map, list, map, object, one_or_list, reference, text, texts};

pub(super) fn definitions() -> Map<String, Value> {
    let mut all = edits();
    all.extend(files());
    all.extend(servers());
    all.extend(databases());
    all.extend(gates());
    all
}

/// A list of texts, or a template that gives one.
fn words() -> Value {
    filled(texts())
}

fn number() -> Value {
    filled(count())
}

fn truth() -> Value {
    filled(flag())
}

/// Keys with any values.
fn free() -> Value {
    filled(json!({ "type": "object" }))
}

fn edits() -> Map<String, Value> {
    into_map(json!({
        "toml": object(&["file"], json!({
            "file": text(), "comment_out": words(), "remove": words(), "merge": free(), "set": free(),
            "append": list(reference("toml_append")), "expect": free(), "refuse": free(), "lengths": map(list(count())), "carry": reference("toml_carry"),
            "xml": truth(),
        })),
        "toml_append": object(&["table", "values"], json!({ "table": text(), "identity": texts(), "values": free() })),
        "toml_carry": object(&["from"], json!({ "from": text(), "keys": filled(list(reference("toml_carry_key"))) })),
        "toml_carry_key": { "anyOf": [text(), object(&["from", "to"], json!({ "from": text(), "to": text(), "without": { "type": "array" } }))] },
        "yaml": object(&["file"], json!({ "file": text(), "set": free(), "remove_items": list(reference("yaml_remove")) })),
        "yaml_remove": object(&["list", "contains"], json!({ "list": text(), "contains": free(), "count": number() })),
        "text": object(&["file"], json!({
            "file": text(), "replace": list(reference("text_replace")), "remove_arguments": words(), "lines": words(),
            "remove_lines": words(),
            "content": text(),
        })),
        "text_replace": object(&["find", "with"], json!({ "find": text(), "with": text(), "count": number() })),
    }))
}

fn files() -> Map<String, Value> {
    into_map(json!({
        "artifact": object(&["artifact", "to"], json!({ "artifact": text(), "to": text(), "only": text() })),
        "unpack": object(&["artifact", "to"], json!({
            "artifact": text(), "to": text(), "strip": number(), "limit": number(), "owner": text(),
            "no_more_open_than": text(),
        })),
        "copy": object(&["from", "into"], json!({
            "from": text(), "into": text(), "paths": words(), "as_name": text(), "count": number(), "exclude": words(),
            "without": words(), "only": text(),
        })),
        "remove": { "anyOf": [
            words(),
            object(&["paths"], json!({ "paths": words() })),
        ] },
    }))
}

fn servers() -> Map<String, Value> {
    let runtime = |mut keys: Value| {
        keys["run_as"] = text();
        keys["java_home"] = text();
        keys["env"] = filled(map(text()));
        keys
    };
    into_map(json!({
        "server": object(&[], runtime(json!({
            "start": text(), "stop": text(), "wait": text(), "down": text(), "script": text(), "args": words(),
            "service": text(), "ready": reference("ready"), "within": reference("duration"), "apart": reference("duration"),
        }))),
        "autostart": object(&[], json!({ "disable": text(), "enable": text(), "under": text() })),
        "ready": object(&[], json!({
            "log": text(), "started": text(), "failed": words(), "http": list(reference("http_check")), "tcp": words(),
        })),
        "http_check": object(&["url"], json!({
            "url": text(), "status": filled(list(count())), "body": text(), "insecure": truth(),
        })),
        "job": object(&["effect", "home", "command", "evidence"], runtime(json!({
            "effect": text(), "home": text(), "command": words(), "databases": words(), "log": text(), "ends": words(),
            "evidence": reference("evidence"), "progress": reference("progress"), "alarm_after": reference("duration"),
        }))),
        "evidence": object(&[], json!({ "require": words(), "forbid": words(), "sequence": reference("sequence") })),
        "sequence": object(&["pattern", "to"], json!({ "pattern": text(), "from": number(), "to": number() })),
        "progress": object(&["pattern", "total"], json!({ "pattern": text(), "total": number() })),
        "command": object(&["command", "cwd"], runtime(json!({
            "command": words(), "cwd": text(), "effect": text(), "exit": filled(list(json!({ "type": "integer" }))),
            "repeatable": truth(), "present": words(), "absent": words(), "forbid": words(), "within": reference("duration"),
        }))),
    }))
}

fn databases() -> Map<String, Value> {
    into_map(json!({
        "sql": object(&["effect", "database"], json!({
            "effect": text(), "database": text(), "script": text(), "statements": text(),
            "but_from": filled(list(reference("server_address"))),
        })),
        "query": object(&["database", "asserts"], json!({ "database": text(), "asserts": list(reference("assert")) })),
        "assert": object(&["says"], json!({
            "says": text(), "column": text(), "table": text(), "select": text(), "equals": text(),
            "no_sessions": reference("no_sessions"),
        })),
        "no_sessions": object(&[], json!({ "but_from": filled(list(reference("server_address"))) })),
        "server_address": { "type": ["string", "object"] },
        "backup": object(&["database"], json!({ "database": text(), "to": text() })),
        "restore": object(&["effect", "database", "from"], json!({ "effect": text(), "database": text(), "from": text() })),
    }))
}

fn gates() -> Map<String, Value> {
    let methods: Vec<&str> = HttpMethod::ALL.iter().map(|m| m.as_str()).collect();
    into_map(json!({
        "http": object(&["url"], json!({
            "url": text(), "status": filled(list(count())), "body": text(), "insecure": truth(),
            "within": reference("duration"),
        })),
        "tcp": object(&["address"], json!({ "address": text(), "within": reference("duration") })),
        "log": object(&["file", "pattern"], json!({
            "file": text(), "pattern": text(), "failed": words(), "within": reference("duration"),
        })),
        "exchange": object(&["calls"], json!({
            "calls": list(reference("call")), "query": reference("exchange_query"), "covers": list(reference("covers")),
            "within": reference("duration"),
        })),
        "hook": text(),
        "call": object(&["name", "url"], json!({
            "name": text(), "each": words(), "url": text(), "method": filled(json!({ "enum": methods })), "headers": map(text()),
            "basic": { "anyOf": [text(), reference("basic")] }, "form": map(text()), "body": text(),
            "status": filled(one_or_list(count())), "expect": text(), "forbid": text(), "capture": map(text()),
            "collect": map(text()), "insecure": truth(),
        })),
        "basic": object(&["user", "password"], json!({ "user": text(), "password": text() })),
        "covers": object(&["what", "wanted", "among"], json!({ "what": text(), "wanted": text(), "among": text() })),
        "exchange_query": object(&["database", "select", "equals"], json!({
            "database": text(), "select": text(), "equals": text(),
        })),
    }))
}
