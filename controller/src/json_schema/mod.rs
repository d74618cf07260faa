//! JSON Schema (draft 7), its pieces: the schemas of recipes and fleet files are made of them.

use serde_json::{Map, Value, json};

#[cfg(test)]
pub(crate) mod validate;

pub(crate) fn into_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

pub(crate) fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

pub(crate) fn describe(mut schema: Value, says: &str) -> Value {
    merge(&mut schema, json!({ "description": says }));
    schema
}

/// A mapping with these keys and no others.
pub(crate) fn object(required: &[&str], properties: Value) -> Value {
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        merge(&mut schema, json!({ "required": required }));
    }
    schema
}

pub(crate) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

pub(crate) fn by_name(definition: &str) -> Value {
    map(reference(definition))
}

pub(crate) fn map(of: Value) -> Value {
    json!({ "type": "object", "additionalProperties": of })
}

pub(crate) fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// One of it, or a list.
pub(crate) fn one_or_list(of: Value) -> Value {
    let many = list(of.clone());
    json!({ "anyOf": [of, many] })
}

pub(crate) fn text() -> Value {
    json!({ "type": "string" })
}

pub(crate) fn texts() -> Value {
    list(text())
}

pub(crate) fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub(crate) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// The value, or a template that gives it.
pub(crate) fn filled(of: Value) -> Value {
    json!({ "anyOf": [of, reference("template")] })
}
