//! What the recipes look at before an Identity Server starts that did not run the migration: its files of secondary user stores.

use std::{fs, process::Command};

use cavalcade_common::written::{Content, Node, read};
use cavalcade_controller::recipe::BUILT_IN;
use cavalcade_tests::standin::user_stores::file;

fn list(node: Option<&Node>) -> &[Node] {
    match node.map(|n| &n.content) {
        Some(Content::List(items)) => items,
        _ => &[],
    }
}

/// The step's command of a recipe, without the two files.
fn command(recipe: (&str, &str)) -> Vec<String> {
    let (name, text) = recipe;
    let root = read(text.as_bytes(), name).expect("is YAML").root;
    let named = |node: &&Node| node.get("step").and_then(Node::text) == Some("user-stores-are-migrated");
    let steps = list(root.get("stages")).iter().flat_map(|stage| list(stage.get("steps")));
    let step = steps.into_iter().find(named).expect("is a step");
    let words = list(step.get("command").and_then(|command| command.get("command")));
    words[..words.len() - 2].iter().map(|word| word.text().expect("a text").to_owned()).collect()
}

#[test]
fn a_store_that_nobody_brought_along_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (folder.path().join("old home.xml"), folder.path().join("new home.xml"));
    let plain = file("P", "x").replace(" encrypted=\"true\"", "");
    for recipe in BUILT_IN {
        let words = command(recipe);
        let holds = |before: &str, after: Option<&str>| {
            fs::write(&old, before).expect("is written");
            match after {
                Some(text) => fs::write(&new, text).expect("is written"),
                None => fs::remove_file(&new).expect("was there"),
            }
            Command::new(&words[0]).args(&words[1..]).args([&old, &new]).status().expect("runs").success()
        };
        let (rsa, aes) = (file("P", "{rsa:own}x"), file("P", "{aes:f}x"));
        assert!(holds(&rsa, Some(&aes)), "the file of the migration's node");
        assert!(!holds(&rsa, Some(&rsa)), "still as the old server had it");
        assert!(!holds(&rsa, None));
        assert!(holds(&plain, Some(&plain)), "nothing in it was encrypted");
    }
}
