//! Changes inside one value: inline tables and arrays, their own layout kept where it can be.

use serde_json::Value as Json;
use toml_edit::{InlineTable, Value};

use super::path::Step;
use super::toml_render as render;

/// Sets what stands at `rest` inside the value. `None` where the value has no such place.
pub(crate) fn set(raw: &str, rest: &[Step], json: &Json) -> Option<String> {
    let text = render::value(json).ok()?;
    if rest.is_empty() {
        return Some(text);
    }
    let mut value: Value = raw.parse().ok()?;
    put(&mut value, rest, text.parse().ok()?)?;
    Some(bare(value))
}

/// Removes what stands at `rest` inside the value.
pub(crate) fn remove(raw: &str, rest: &[Step]) -> Option<String> {
    let (last, way) = rest.split_last()?;
    let mut value: Value = raw.parse().ok()?;
    let mut at = &mut value;
    for step in way {
        at = below(at, step)?;
    }
    match (at, last) {
        (Value::InlineTable(table), Step::Key(key)) => {
            table.remove(key)?;
        }
        (Value::Array(array), Step::Index(i)) if *i < array.len() => {
            array.remove(*i);
        }
        _ => return None,
    }
    Some(bare(value))
}

/// Adds an element at the end of the array at `rest`.
pub(crate) fn push(raw: &str, rest: &[Step], json: &Json) -> Option<String> {
    let mut value: Value = raw.parse().ok()?;
    let mut at = &mut value;
    for step in rest {
        at = below(at, step)?;
    }
    at.as_array_mut()?.push(render::value(json).ok()?.parse::<Value>().ok()?);
    Some(bare(value))
}

fn bare(value: Value) -> String {
    value.decorated("", "").to_string()
}

fn below<'a>(value: &'a mut Value, step: &Step) -> Option<&'a mut Value> {
    match (value, step) {
        (Value::InlineTable(table), Step::Key(key)) => table.get_mut(key),
        (Value::Array(array), Step::Index(i)) => array.get_mut(*i),
        _ => None,
    }
}

fn put(value: &mut Value, rest: &[Step], mut new: Value) -> Option<()> {
    let (step, more) = rest.split_first()?;
    if let (Value::InlineTable(table), Step::Key(key)) = (&mut *value, step)
        && !table.contains_key(key)
    {
        let first = if more.is_empty() { new.clone() } else { Value::InlineTable(InlineTable::new()) };
        table.insert(key.clone(), first);
    }
    let child = below(value, step)?;
    if !more.is_empty() {
        return put(child, more, new);
    }
    *new.decor_mut() = child.decor().clone();
    *child = new;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_inline_tables() {
        let key = |k: &str| Step::Key(k.to_owned());
        let raw = "{ a = 1, b={c='x'} }";
        assert_eq!(set(raw, &[key("a")], &Json::from(2)).as_deref(), Some("{ a = 2, b={c='x'} }"));
        assert_eq!(set(raw, &[key("b"), key("c")], &Json::from("y")).as_deref(), Some("{ a = 1, b={c=\"y\"} }"));
        assert_eq!(remove(raw, &[key("b")]).and_then(|r| r.parse::<Value>().ok()).map(|v| v.is_inline_table()), Some(true));
        assert_eq!(set("[1]", &[key("a")], &Json::from(2)), None);
        let list = "[\n  { n = 1 }, # one\n]";
        let added = push(list, &[], &serde_json::json!({"n": 2})).expect("array");
        assert!(added.contains("# one") && added.parse::<Value>().is_ok(), "{added}");
    }
}
