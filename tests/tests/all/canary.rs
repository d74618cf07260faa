//! A secret's value goes into the file that it is for, and nowhere else on the host.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cavalcade_agent::executor::Admitted;
use cavalcade_common::action::{Action, LogGate, TextEdit, TomlEdit, YamlEdit};
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::plan::HashedPlan;
use cavalcade_common::report::{Ending, Outcome};
use cavalcade_common::secret::{SecretRef, SecretValue, marker};
use cavalcade_controller::event::Scope;
use cavalcade_controller::operate::request::{ApplyRequest, ReportAnswer, ReportRequest, SecretGiveRequest, VerbAnswer};
use cavalcade_controller::rpc::method::Method;
use cavalcade_controller::schedule::wait::WaitKind;
use cavalcade_controller::view::document::Status;
use cavalcade_tests::one_node;
use cavalcade_tests::product::Product;
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
    only_in_its_target(Agent::new(Packs::new(), secrets)).await;
}

#[tokio::test]
async fn a_secret_that_the_controller_brings_stands_in_its_target_and_nowhere_else() {
    let secrets = BTreeMap::from([("password".to_owned(), SecretRef::Prompt("the DBA".to_owned()))]);
    let mut agent = Agent::new(Packs::new(), secrets);
    agent.given.insert("password", SecretValue::new(VALUE.to_owned()));
    only_in_its_target(agent).await;
}

async fn only_in_its_target(agent: Agent) {
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

/// The files below a folder that hold a text.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let files = WalkDir::new(folder).into_iter().map(|e| e.expect("can be read")).filter(|e| e.file_type().is_file());
    let holds = |path: &Path| fs::read(path).expect("can be read").windows(text.len()).any(|w| w == text.as_bytes());
    files.map(|e| e.path().to_owned()).filter(|path| holds(path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn through_the_whole_product_a_secret_goes_into_its_file_and_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let product = Product::start(folder.path()).await.expect("comes up");
    let home = folder.path().join("home");
    fs::create_dir(&home).expect("is made");
    let file = home.join("settings");
    let lines = vec![format!("asked={}", marker("asked")), format!("made={}", marker("made"))];
    let edit = Action::Text(TextEdit { file: file.display().to_string(), lines, ..TextEdit::default() });
    fs::write(&file, "first\n").expect("is written");
    let made_at = "2026-11-23T01:00:00Z".parse().expect("an instant");
    // Steps that name neither of them, and show a line that holds one.
    let gate = |pattern: &str| {
        let (file, within) = (file.display().to_string(), Duration::from_secs(60));
        Action::Log(LogGate { file, pattern: pattern.to_owned(), failed: Vec::new(), within })
    };
    let mut plan = one_node::plan(&home, vec![edit, gate("asked="), gate("made=")], made_at).expect("a plan");
    plan.secrets.insert("asked".to_owned(), SecretRef::Prompt("the DBA".to_owned()));
    plan.secrets.insert("made".to_owned(), SecretRef::Generate { bytes: 32 });
    let plan = HashedPlan::new(plan).expect("has a digest").to_text().expect("is written");
    let request = ApplyRequest {
        plan,
        scope: Scope::default(),
        supersedes: None,
        keep: Vec::new(),
        undo: Vec::new(),
        supersede_why: String::new(),
        stale_ok: true,
        confirm: None,
        waive: Vec::new(),
        secrets: GivenSecrets::default(),
    };
    let _: VerbAnswer = product.ask(Method::Apply, &request).await.expect("is open");
    let waits = |status: &Status| status.runs.iter().flat_map(|r| &r.waits).any(|w| w.kind == WaitKind::Secret && w.person);
    product.until(waits).await.expect("waits for the secret");
    let secret = [("asked".to_owned(), SecretValue::new(HEART.to_owned()))].into_iter().collect();
    let _: VerbAnswer =
        product.ask(Method::SecretGive, &SecretGiveRequest { run: None, secret, repin: None }).await.expect("is taken");
    let status = product.until(|status| status.runs.iter().all(|r| r.closed_at.is_some())).await.expect("ends");
    let report: ReportAnswer = product.ask(Method::Report, &ReportRequest::default()).await.expect("is told");

    let written = fs::read_to_string(&file).expect("is read");
    assert!(written.contains(&format!("asked={HEART}\n")), "the value did not come: {report:?}");
    let made = written.lines().find_map(|l| l.strip_prefix("made=")).expect("a line").to_owned();
    assert_eq!(made.len(), 64);
    assert_eq!(holding(folder.path(), HEART), std::slice::from_ref(&file));
    let mut kept = holding(folder.path(), &made);
    kept.sort();
    assert_eq!(kept, [product.controller_dir.join("secrets.json"), file]);
    let told = format!("{status:?} {}", serde_json::to_string(&report).expect("JSON"));
    assert!(!told.contains(HEART) && !told.contains(&made), "a document holds a value");
}

#[tokio::test]
async fn after_its_restart_an_agent_waits_for_the_offer_that_brings_the_secret() {
    let agent = Agent::new(Packs::new(), BTreeMap::new());
    let file = agent.site().join("settings");
    fs::write(&file, "first\n").expect("is written");
    let lines = vec![format!("password={}", marker("password"))];
    let edit = Action::Text(TextEdit { file: file.display().to_string(), lines, ..TextEdit::default() });
    let step = one_node::steps(vec![edit]).expect("steps").remove(0);
    let mut without = one_node::offer(step, &agent.home()).expect("an offer");
    without.secrets.insert("password".to_owned(), SecretRef::Prompt("the DBA".to_owned()));
    let mut with = without.clone();
    with.given.insert("password", SecretValue::new(VALUE.to_owned()));
    // What an earlier process left: INTENT, no outcome.
    {
        let mut ledger = agent.executor.ledger();
        ledger.accept(with.clone()).expect("is written");
        ledger.intend(&with.attempt).expect("is written");
        let kept = ledger.state().attempts[&with.attempt].offer.clone().expect("is kept");
        assert_eq!(kept.given, GivenSecrets::default());
    }
    assert_eq!(agent.executor.offer(without).expect("the ledger is sound"), Admitted::Known);
    assert!(!agent.executor.is_running(&with.attempt));
    assert_eq!(agent.executor.offer(with.clone()).expect("the ledger is sound"), Admitted::Confirmed);
    assert_eq!(agent.ended(&with.attempt).await.ending, Ending::Succeeded);
    assert!(fs::read_to_string(&file).expect("is read").contains(HEART));
}
