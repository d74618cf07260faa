//! Settings of one TOML file on their way into another.

use std::collections::BTreeMap;

use cavalcade_common::action::{TomlAppend, TomlCarry, TomlCarryKey, TomlEdit};
use cavalcade_common::settings::{SettingsError, settings};
use serde_json::Value as Json;

use super::error::{At, EditError};
use super::span;

/// The edit with the values of the file `from` in place of what it carries. An array of tables gives its elements, each
/// added unless an equal one is there.
///
/// # Errors
/// [`EditError`] about the file that the values come from.
pub fn carried(from: &[u8], carry: &TomlCarry, mut edit: TomlEdit) -> Result<TomlEdit, EditError> {
    let (_, text) = span::text(from)?;
    let found: BTreeMap<String, Json> = settings(text).map_err(|SettingsError { line }| EditError::Syntax {
        format: "TOML",
        what: "it cannot be read".to_owned(),
        at: Some(At { line: u32::try_from(line).unwrap_or(u32::MAX), column: 1 }),
    })?;
    let keys = carry.keys.iter().flat_map(|key| matching(&found, key));
    for key in keys {
        let value = found.get(&key.from).ok_or_else(|| EditError::NotFound { path: key.from.clone() })?;
        match elements(value) {
            Some(mut elements) => {
                elements.retain(|element| !key.without.iter().any(|other| other.as_object() == Some(element)));
                let append = |values| TomlAppend { table: key.to.clone(), identity: Vec::new(), values };
                edit.append.extend(elements.into_iter().map(append));
            }
            None => {
                edit.set.insert(key.to.clone(), value.clone());
            }
        }
    }
    edit.carry = None;
    Ok(edit)
}

/// The keys that one stands for: `secrets.*` is every key below `secrets`, and none if there is no such table.
fn matching(found: &BTreeMap<String, Json>, key: &TomlCarryKey) -> Vec<TomlCarryKey> {
    let (Some(from), Some(to)) = (key.from.strip_suffix('*'), key.to.strip_suffix('*')) else { return vec![key.clone()] };
    let below = found.keys().filter_map(|full| Some((full, full.strip_prefix(from)?)));
    below.map(|(full, rest)| TomlCarryKey { from: full.clone(), to: format!("{to}{rest}"), ..key.clone() }).collect()
}

/// The elements of an array of tables.
fn elements(value: &Json) -> Option<Vec<serde_json::Map<String, Json>>> {
    let items = value.as_array().filter(|items| !items.is_empty())?;
    items.iter().map(|item| item.as_object().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(keys: &[(&str, &str)]) -> (TomlCarry, TomlEdit) {
        let keys = keys
            .iter()
            .map(|(from, to)| TomlCarryKey { from: (*from).to_owned(), to: (*to).to_owned(), without: Vec::new() })
            .collect();
        let carry = TomlCarry { from: "/old.toml".to_owned(), keys };
        (carry.clone(), TomlEdit { file: "/new.toml".to_owned(), carry: Some(carry), ..TomlEdit::default() })
    }

    const OLD: &str = "[server]\nhostname = \"is.example\"\noffset = 3\n[keystore.primary]\nname = \"own.jks\"\n\
        [[event_handler]]\nname = \"a\"\nsubscriptions = [\"X\"]\n";

    #[test]
    fn values_arrays_of_tables_and_new_names_arrive() {
        let new = "[server]\nhostname = \"localhost\" # kept\n\n[keystore.primary]\nfile_name = \"wso2carbon.jks\"\n";
        let (carry, edit) = edit(&[
            ("server.hostname", "server.hostname"),
            ("keystore.primary.name", "keystore.primary.file_name"),
            ("event_handler", "event_handler"),
        ]);
        let edit = carried(OLD.as_bytes(), &carry, edit).expect("is filled");
        let once = super::super::toml(new.as_bytes(), &edit).expect("is edited");
        let text = String::from_utf8(once.clone()).expect("is text");
        assert_eq!(
            text,
            "[server]\nhostname = \"is.example\" # kept\n\n[keystore.primary]\nfile_name = \"own.jks\"\n\n\
             [[event_handler]]\nname = \"a\"\nsubscriptions = [\"X\"]\n"
        );
        assert_eq!(super::super::toml(&once, &edit).expect("is edited"), once);
    }

    #[test]
    fn a_star_stands_for_every_key_below() {
        let (carry, edit) = edit(&[("server.*", "old_server.*"), ("none.*", "none.*")]);
        let edit = carried(OLD.as_bytes(), &carry, edit).expect("is filled");
        let text = String::from_utf8(super::super::toml(b"", &edit).expect("is edited")).expect("is text");
        assert_eq!(text, "[old_server]\nhostname = \"is.example\"\noffset = 3\n");
    }

    #[test]
    fn elements_that_the_old_pack_shipped_stay_behind() {
        let old = "[[event_handler]]\nname = \"shipped\"\nenable = false\n[[event_handler]]\nname = \"own\"\n";
        let (mut carry, edit) = edit(&[("event_handler", "event_handler")]);
        carry.keys[0].without = vec![serde_json::json!({ "name": "shipped", "enable": false })];
        let only = carried(old.as_bytes(), &carry, edit.clone()).expect("is filled");
        let text = String::from_utf8(super::super::toml(b"", &only).expect("is edited")).expect("is text");
        assert_eq!(text, "[[event_handler]]\nname = \"own\"\n");
        // One that is alike in some keys only is the site's own.
        carry.keys[0].without = vec![serde_json::json!({ "name": "shipped" })];
        assert_eq!(carried(old.as_bytes(), &carry, edit).expect("is filled").append.len(), 2);
    }

    #[test]
    fn a_text_has_one_of_the_lengths_that_are_allowed() {
        let with = |key: Json| {
            let set = serde_json::Map::from_iter([("encryption.key".to_owned(), key)]);
            let lengths = [("encryption.key".to_owned(), vec![3, 6])].into();
            super::super::toml(b"", &TomlEdit { file: "/new.toml".to_owned(), set, lengths, ..TomlEdit::default() })
        };
        assert!(with(Json::from("own")).is_ok() && with(Json::from("\u{e4}\u{e4}\u{e4}")).is_ok(), "bytes count");
        for wrong in [Json::from("canary2"), Json::from(123)] {
            let error = with(wrong).expect_err("has another length");
            assert_eq!(error, EditError::Length { path: "encryption.key".to_owned(), allowed: "3, 6".to_owned() });
            assert!(!error.to_string().contains("canary"));
        }
    }

    #[test]
    fn a_published_key_is_refused() {
        let refuse = serde_json::Map::from_iter([("encryption.key".to_owned(), serde_json::json!(["", "canary"]))]);
        let with = |key: &str| {
            let set = serde_json::Map::from_iter([("encryption.key".to_owned(), Json::from(key))]);
            TomlEdit { file: "/new.toml".to_owned(), set, refuse: refuse.clone(), ..TomlEdit::default() }
        };
        assert!(super::super::toml(b"", &with("own")).is_ok());
        let error = super::super::toml(b"", &with("canary")).expect_err("is refused");
        assert_eq!(error, EditError::Refused { path: "encryption.key".to_owned() });
    }

    #[test]
    fn what_is_gone_meanwhile_is_named() {
        let (carry, edit) = edit(&[("server.proxy", "server.proxy")]);
        let error = carried(OLD.as_bytes(), &carry, edit).expect_err("is not there");
        assert_eq!(error, EditError::NotFound { path: "server.proxy".to_owned() });
    }

    #[test]
    fn what_is_expected_must_be_there_already() {
        let expecting = |value: &str| {
            let expect = serde_json::Map::from_iter([("server.hostname".to_owned(), Json::from(value))]);
            TomlEdit { file: "/old.toml".to_owned(), expect, ..TomlEdit::default() }
        };
        assert_eq!(super::super::toml(OLD.as_bytes(), &expecting("is.example")).expect("holds"), OLD.as_bytes());
        let refused = super::super::toml(OLD.as_bytes(), &expecting("canary")).expect_err("does not hold");
        assert_eq!(refused, EditError::Expected { path: "server.hostname".to_owned() });
        assert!(!refused.to_string().contains("canary"));
    }
}
