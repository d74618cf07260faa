//! What the recipes look at before an Identity Server starts that did not run the migration: its files of secondary user stores.

use std::{fs, process::Command};

use cavalcade_common::expression::{Scope, evaluate};
use cavalcade_common::written::{Content, Node, read};
use cavalcade_controller::recipe::BUILT_IN;
use cavalcade_tests::standin::user_stores::file;
use serde_json::json;

fn list(node: Option<&Node>) -> &[Node] {
    match node.map(|n| &n.content) {
        Some(Content::List(items)) => items,
        _ => &[],
    }
}

/// The step's command of a recipe, for these homes and files.
fn command(recipe: (&str, &str), homes: [&str; 2], names: &[&str]) -> Vec<String> {
    let (name, text) = recipe;
    let root = read(text.as_bytes(), name).expect("is YAML").root;
    let named = |node: &&Node| node.get("step").and_then(Node::text) == Some("user-stores-are-migrated");
    let steps = list(root.get("stages")).iter().flat_map(|stage| list(stage.get("steps")));
    let step = steps.into_iter().find(named).expect("is a step");
    let line = step.get("command").and_then(|command| command.get("command")).and_then(Node::text).expect("a template");
    let inside = line.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).expect("one expression");
    let scope = Scope::default()
        .with("node", json!({ "old": { "home": homes[0] }, "new": { "home": homes[1] } }))
        .with("facts", json!({ "old": { "trees": { "user_stores": { "names": names } } } }));
    let words = evaluate(inside, &scope).expect("has a value").value;
    words.as_array().expect("is a list").iter().map(|word| word.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_store_that_nobody_brought_along_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (folder.path().join("the old"), folder.path().join("the new"));
    for home in [&old, &new] {
        fs::create_dir(home).expect("is made");
        fs::write(home.join("Q.xml"), if *home == old { file("Q", "{rsa:own}x") } else { file("Q", "{aes:f}x") })
            .expect("is written");
    }
    let homes = [old.to_str().expect("UTF-8"), new.to_str().expect("UTF-8")];
    let plain = file("P", "x").replace(" encrypted=\"true\"", "");
    for recipe in BUILT_IN {
        let words = command(recipe, homes, &["Q.xml", "the P.xml"]);
        let holds = |before: &str, after: Option<&str>| {
            fs::write(old.join("the P.xml"), before).expect("is written");
            match after {
                Some(text) => fs::write(new.join("the P.xml"), text).expect("is written"),
                None => fs::remove_file(new.join("the P.xml")).expect("was there"),
            }
            let ended = Command::new(&words[0]).args(&words[1..]).output().expect("runs");
            let said = String::from_utf8(ended.stdout).expect("UTF-8");
            assert_eq!(said.trim() == "not brought along: the P.xml", !ended.status.success(), "{said}");
            ended.status.success()
        };
        let (rsa, aes) = (file("P", "{rsa:own}x"), file("P", "{aes:f}x"));
        assert!(holds(&rsa, Some(&aes)), "the file of the migration's node");
        assert!(!holds(&rsa, Some(&rsa)), "still as the old server had it");
        assert!(!holds(&rsa, None));
        assert!(holds(&plain, Some(&plain)), "nothing in it was encrypted");
    }
}
