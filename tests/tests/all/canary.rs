//! A secret's value goes into the file that it is for, and nowhere else on the host.

use std::collections::BTreeMap;
use std::fs;

use cavalcade_common::action::{Action, TextEdit, TomlEdit, YamlEdit};
use cavalcade_common::report::{Ending, Outcome};
use cavalcade_common::secret::{SecretRef, marker};
use serde_json::json;
use walkdir::WalkDir;

use super::agent::{Agent, Packs};

const VALUE: &str = "canary-Zq7/&4\"x";
/// Without the characters that JSON, YAML and TOML escape in ways of their own.
const HEART: &str = "canary-Zq7/&4";

fn edits(agent: &Agent) -> Vec<Action> {
    let file = |name: &str| agent.site().join(name).display().to_string();
    let table = |value: serde_json::Value| value.as_object().cloned().unwrap_or_default();
    let secret = marker("password");
    let toml =
        |file: String| Action::Toml(TomlEdit { file, set: table(json!({ "database.password": secret })), ..TomlEdit::default() });
    vec![
        toml(file("deployment.toml")),
        Action::Yaml(YamlEdit { file: file("migration.yaml"), set: table(json!({ "a.b": secret })), ..YamlEdit::default() }),
        Action::Text(TextEdit {
            file: file("settings.txt"),
            content: Some(format!("password={secret}\n")),
            ..TextEdit::default()
        }),
        Action::Text(TextEdit { file: file("lines.txt"), lines: vec![format!("url=x?p={secret}")], ..TextEdit::default() }),
        // Fails with the value in its hands.
        toml(file("broken.toml")),
    ]
}

#[tokio::test]
async fn a_secret_stands_in_its_target_and_nowhere_else() {
    let place = tempfile::tempdir().expect("a folder");
    let source = place.path().join("password");
    fs::write(&source, format!("{VALUE}\n")).expect("is written");
    let secrets = BTreeMap::from([("password".to_owned(), SecretRef::File(source.display().to_string()))]);
    let agent = Agent::new(Packs::new(), secrets);
    let before = [
        ("deployment.toml", "[database]\npassword = \"old\"\n"),
        ("migration.yaml", "a:\n  b: old\n"),
        ("lines.txt", "first\n"),
        ("broken.toml", "[database\n"),
    ];
    for (name, text) in before {
        fs::write(agent.site().join(name), text).expect("is written");
    }
    let outcomes = agent.run(edits(&agent)).await;
    let endings: Vec<Ending> = outcomes.iter().map(|o: &Outcome| o.ending).collect();
    assert_eq!(endings[..4], [Ending::Succeeded; 4], "{outcomes:?}");
    assert_eq!(endings[4], Ending::Failed, "{outcomes:?}");
    for name in ["deployment.toml", "migration.yaml", "settings.txt", "lines.txt"] {
        let text = fs::read_to_string(agent.site().join(name)).expect("is read");
        assert!(text.contains(HEART), "{name} did not get the value: {text}");
    }
    for outcome in &outcomes {
        assert!(!format!("{outcome:?}").contains(HEART), "a report holds the value: {outcome:?}");
    }
    assert!(!agent.reports().contains(HEART), "a report holds the value");
    assert!(outcomes.iter().take(4).all(|o| o.diffs.iter().any(|d| !d.diff.is_empty())), "no diff to look at: {outcomes:?}");

    let undo = agent.state_dir().join("undo");
    let mut read = Vec::new();
    for entry in WalkDir::new(agent.state_dir()).into_iter().map(|e| e.expect("can be read")) {
        // Kept copies are of whole files; here the old ones, which did not hold the value either.
        if entry.file_type().is_file() {
            let bytes = fs::read(entry.path()).expect("can be read");
            let holds = bytes.windows(HEART.len()).any(|w| w == HEART.as_bytes());
            assert!(!holds, "{} holds the value", entry.path().display());
            read.push(entry.path().to_owned());
        }
    }
    for wanted in [agent.state_dir().join("ledger"), agent.state_dir().join("spool"), undo] {
        assert!(read.iter().any(|path| path.starts_with(&wanted)), "{} was not looked at: {read:?}", wanted.display());
    }
}
