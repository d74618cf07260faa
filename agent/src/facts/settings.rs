//! Settings of the old home against what its pack shipped, and single keys that were asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use toml_edit::Key;

use super::config::{Config, parts};
use super::hide::Hide;

/// What differs from the pack, by key. A hidden setting has no values, and one that could only be told in part is hidden.
pub(super) fn differences(config: &Config, shipped: Option<&BTreeMap<String, Value>>, hide: &Hide) -> Value {
    let empty = BTreeMap::new();
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
    let path = parts(key);
    // As `settings` writes it, however the recipe quotes it.
    let key = path.iter().map(|part| Key::new(part).to_string()).collect::<Vec<_>>().join(".");
    if let Some(value) = config.settings().get(&key) {
        return if hide.tells(&key, value) { value.clone() } else { hide.told_of(&key, value) };
    }
    let inside = config.settings().keys().filter(|k| k.starts_with(&key)).map(|k| parts(k));
    let names: BTreeSet<String> =
        inside.filter(|k| k.len() > path.len() && k.starts_with(&path)).map(|k| k[path.len()].clone()).collect();
    if names.is_empty() { Value::Null } else { names.into_iter().collect() }
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
            { "key": "gateway", "change": "added", "hidden": true },
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
    fn single_keys_are_looked_up() {
        let text = "[encryption]\nkey = \"canary\"\n[secrets]\na = \"[canary]\"\n\"b.c\" = \"[canary]\"\n[x.y]\nz = [1]\n";
        let config = Config::read(text.as_bytes()).expect("reads");
        let get = |key: &str| wanted(&config, key, &hide());
        assert_eq!((get("encryption.key"), get("x.y.z"), get("x.'y'.z")), (json!(true), json!([1]), json!([1])));
        assert_eq!((get("secrets"), get("x"), get("none")), (json!(["a", "b.c"]), json!(["y"]), Value::Null));
        assert_eq!(get("secret"), Value::Null, "a part of a name is no table");
    }
}
