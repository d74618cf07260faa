//! Settings of the old home against what its pack shipped, and single keys that were asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use toml_edit::Key;

use super::config::{Config, parts};
use super::hide::Hide;

/// What differs from the pack, by key. A hidden setting has no values, and one that could only be told in part is hidden.
pub(super) fn differences(config: &Config, shipped: Option<&BTreeMap<String, Value>>, hide: &Hide) -> Value {
    let (empty, known) = (BTreeMap::new(), shipped.is_some());
    let (own, shipped) = (config.settings(), shipped.unwrap_or(&empty));
    let keys: BTreeSet<&String> = own.keys().chain(shipped.keys()).collect();
    let difference = |key: &String| {
        let (value, was) = (own.get(key), shipped.get(key));
        if value == was {
            return None;
        }
        let change = match (value, was) {
            (Some(_), None) => "added",
            (Some(_), Some(_)) => "changed",
            (None, _) => "removed",
        };
        let told = [value, was].into_iter().flatten().all(|v| hide.tells(key, v));
        let mut one = Map::from_iter([
            ("key".to_owned(), json!(key)),
            ("change".to_owned(), json!(change)),
            ("hidden".to_owned(), json!(!told)),
        ]);
        one.extend(kept(value, was, known).map(|kept| ("kept".to_owned(), kept)));
        if told {
            one.extend(value.map(|v| ("value".to_owned(), v.clone())));
            one.extend(was.map(|v| ("shipped".to_owned(), v.clone())));
        }
        Some(Value::Object(one))
    };
    keys.into_iter().filter_map(difference).collect()
}

/// The value of a key: null where it is not there, `true` where it is hidden, the names in it for a table. Tables of an array
/// come without what is hidden in them.
pub(super) fn wanted(config: &Config, key: &str, hide: &Hide) -> Value {
    // As `settings` writes it, however the recipe quotes it.
    let written = parts(key).iter().map(|part| Key::new(part).to_string()).collect::<Vec<_>>().join(".");
    if let Some(value) = config.settings().get(&written) {
        return if hide.tells(&written, value) { value.clone() } else { hide.told_of(&written, value) };
    }
    let names = keys_in(config, key);
    if names.is_empty() { Value::Null } else { names.into_iter().collect() }
}

/// The names of the keys and tables right below a table.
pub(super) fn keys_in(config: &Config, table: &str) -> BTreeSet<String> {
    let path = parts(table);
    let inside = config.settings().keys().map(|k| parts(k));
    inside.filter(|k| k.len() > path.len() && k.starts_with(&path)).map(|k| k[path.len()].clone()).collect()
}

/// For an array of tables: whether every element that the pack shipped is still in it; null where nobody knows the pack.
fn kept(value: Option<&Value>, was: Option<&Value>, pack_is_known: bool) -> Option<Value> {
    let tables = |v: Option<&Value>| {
        v.and_then(Value::as_array).filter(|items| !items.is_empty() && items.iter().all(Value::is_object)).cloned()
    };
    let (own, shipped) = (tables(value), tables(was));
    if own.is_none() && shipped.is_none() {
        return None;
    }
    let (own, shipped) = (own.unwrap_or_default(), shipped.unwrap_or_default());
    Some(if pack_is_known { json!(shipped.iter().all(|element| own.contains(element))) } else { Value::Null })
}

#[cfg(test)]
mod tests {
    use cavalcade_common::settings::settings;

    use super::*;

    fn hide() -> Hide {
        Hide::new(&["(?i)password|^encryption".to_owned()])
    }

    #[test]
    fn what_differs_is_told_and_no_secret_with_it() {
        let old = "[server]\nhostname = \"is.example\"\noffset = 0\n[super_admin]\npassword = \"canary\"\n[x]\n\"a.b\" = 1\n\
            [database.am]\nurl = \"jdbc:mysql://db/AM?password=canary\"\n[[gateway]]\nname = \"g\"\npassword = \"canary\"\n";
        let pack = "[server]\nhostname = \"localhost\"\noffset = 0\n[super_admin]\npassword = \"admin\"\n[gone]\ny = true\n";
        let config = Config::read(old.as_bytes()).expect("reads");
        let shipped = settings(pack).expect("reads");
        let found = differences(&config, Some(&shipped), &hide());
        let expected = json!([
            { "key": "database.am.url", "change": "added", "hidden": true },
            { "key": "gateway", "change": "added", "hidden": true, "kept": true },
            { "key": "gone.y", "change": "removed", "hidden": false, "shipped": true },
            { "key": "server.hostname", "change": "changed", "hidden": false, "value": "is.example", "shipped": "localhost" },
            { "key": "super_admin.password", "change": "changed", "hidden": true },
            { "key": "x.\"a.b\"", "change": "added", "hidden": false, "value": 1 },
        ]);
        assert_eq!(found, expected);
        let unknown = differences(&config, None, &hide());
        assert_eq!(unknown.as_array().map(Vec::len), Some(config.settings().len()), "all count as added");
        assert_eq!(differences(&config, Some(config.settings()), &hide()), json!([]));
    }

    #[test]
    fn elements_that_the_pack_shipped_are_looked_for() {
        let pack = settings("[[l]]\nid = 1\n[[l]]\nid = 2\nenable = false\n").expect("reads");
        let kept = |old: &str, pack: Option<&BTreeMap<String, Value>>| {
            differences(&Config::read(old.as_bytes()).expect("reads"), pack, &hide())[0]["kept"].clone()
        };
        let (same, more) = ("[[l]]\nid = 1\n[[l]]\nid = 2\nenable = false\n", "[[l]]\nid = 3\npassword = \"canary\"\n");
        assert_eq!(kept(&format!("{same}{more}"), Some(&pack)), json!(true));
        assert_eq!(kept(&same.replace("false", "true"), Some(&pack)), json!(false), "one is another now");
        assert_eq!(kept(more, Some(&pack)), json!(false), "two are gone");
        assert_eq!(kept(more, None), Value::Null, "nobody knows");
    }

    #[test]
    fn single_keys_are_looked_up() {
        let text = "[encryption]\nkey = \"canary\"\n[secrets]\na = \"[canary]\"\n\"b.c\" = \"[canary]\"\n[x.y]\nz = [1]\n";
        let config = Config::read(text.as_bytes()).expect("reads");
        let get = |key: &str| wanted(&config, key, &hide());
        assert_eq!((get("encryption.key"), get("x.y.z"), get("x.'y'.z")), (json!(true), json!([1]), json!([1])));
        assert_eq!((get("secrets"), get("x"), get("none")), (json!(["a", "b.c"]), json!(["y"]), Value::Null));
        assert_eq!(get("secret"), Value::Null, "a part of a name is no table");
    }
}
