//! For tests: a small validator, and the comparison of a schema with the reader that it describes.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::error::Fault;
use cavalcade_common::written::read as read_yaml;
use regex::Regex;
use serde_json::Value;

/// A key that no mapping has.
pub(crate) const STRANGE: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzz";

/// Validates by the keywords that the schema uses; another one ends the test, so that none is passed over.
pub(crate) fn validate(schema: &Value, value: &Value, at: &str, root: &Value) -> Result<(), String> {
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
pub(crate) fn value_of(text: &str) -> Value {
    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect())
            }
            Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
            other => other,
        }
    }
    without_nulls(read_yaml(text.as_bytes(), "file.yaml").expect("is YAML").root.to_value())
}

/// Every mapping of the schema, with its keys; the whole document is called `root`.
pub(crate) fn mappings(root: &str, schema: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let keys = |schema: &Value| -> Option<BTreeSet<String>> {
        let own = schema.get("properties");
        let other = || schema.get("anyOf")?.as_array()?.iter().find_map(|s| s.get("properties"));
        Some(own.or_else(other)?.as_object()?.keys().cloned().collect())
    };
    let mut all = BTreeMap::from([(root.to_owned(), keys(schema).expect("has keys"))]);
    for (name, definition) in schema["definitions"].as_object().expect("a mapping") {
        if let Some(keys) = keys(definition) {
            all.insert(name.clone(), keys);
        }
    }
    all
}

/// The keys that a reader knows, out of what it says about the strange one.
pub(crate) fn known_keys(faults: &[Fault], definition: &str) -> BTreeSet<String> {
    let strange = |f: &&Fault| f.message.contains(STRANGE) && f.help.is_some();
    let fault = faults.iter().find(strange).unwrap_or_else(|| panic!("{definition}: nobody minds the strange key: {faults:?}"));
    let help =
        fault.help.as_deref().and_then(|h| h.strip_prefix("it has: ")).unwrap_or_else(|| panic!("{definition}: {fault:?}"));
    help.split(", ").map(str::to_owned).collect()
}

/// References lead somewhere, and every definition is used.
pub(crate) fn all_definitions_are_used(schema: &Value) {
    let text = schema.to_string();
    let defined: BTreeSet<&str> = schema["definitions"].as_object().expect("a mapping").keys().map(String::as_str).collect();
    let used: BTreeSet<&str> = text.split("#/definitions/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(used, defined);
}
