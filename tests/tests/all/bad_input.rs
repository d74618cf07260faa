//! Bad input, end to end: a typed error with its place, and everything byte for byte as it was.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use cavalcade_common::action::{Action, ArtifactRef, TextEdit, TextReplace, TomlEdit, Unpack, YamlEdit};
use cavalcade_common::codes::{artifact, edit, files, plan as plan_codes, written};
use cavalcade_common::error::{Code, Fault, Faults};
use cavalcade_common::id::Digest;
use cavalcade_common::plan::{HashedPlan, Plan};
use cavalcade_common::report::{Ending, Outcome};
use cavalcade_controller::resolve::{self, NodeFacts};
use cavalcade_controller::{fleet, plan_file, recipe};
use cavalcade_tests::standin::packs::archive::Archive;
use jiff::Timestamp;
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::agent::{Agent, Packs, Tree, tree};

const FLEET: &str = r#"schema: cavalcade.fleet/1
fleet: small
recipe: recipe.yaml
secrets:
  password: { file: /run/secrets/password }
nodes:
  is-1:
    role: identity-server
    old: { home: /opt/wso2is-km-5.10.0 }
    new: { home: /opt/wso2is-5.11.0 }
"#;

const RECIPE: &str = r#"schema: cavalcade.recipe/1
recipe: small
title: A small one
stages:
  - stage: first
    title: First
    nodes: node.role == "identity-server"
    steps:
      - step: one
        toml: { file: "{{ node.new.home }}/a.toml", set: { a: "{{ secrets.password }}" } }
  - stage: second
    title: Second
    on: "'is-1'"
    after: [first]
    steps:
      - step: two
        remove: [/opt/wso2is-5.11.0/b]
"#;

/// Makes a plan out of two files in a folder, as `cavalcade plan` does, and sees that nothing in the folder changed.
fn plan_of(fleet_text: &str, recipe_text: &str) -> Result<Plan, Faults> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("fleet.yaml"), fleet_text).expect("is written");
    fs::write(folder.path().join("recipe.yaml"), recipe_text).expect("is written");
    let before = tree(folder.path());
    let bytes = cavalcade_common::written::read_limited(&folder.path().join("fleet.yaml")).expect("is read");
    let planned = fleet::read(&bytes, "fleet.yaml").and_then(|fleet| {
        let recipe = recipe::load(&fleet.recipe, folder.path())?;
        let now = "2026-11-23T01:00:00Z".parse::<Timestamp>().expect("an instant");
        let facts = |node: &fleet::FleetNode| (node.id.clone(), NodeFacts { value: json!({}), gathered_at: now });
        let facts = fleet.nodes.iter().map(facts).collect();
        let artifacts = BTreeMap::new();
        resolve::resolve(&resolve::Input {
            fleet: &fleet,
            recipe: &recipe,
            facts: &facts,
            asked: &BTreeMap::new(),
            shipped: &BTreeMap::new(),
            artifacts: &artifacts,
            plan_id: "plan-1",
            made_by: "alice",
            now,
        })
    });
    assert!(tree(folder.path()) == before, "planning changed a file");
    planned
}

/// The only fault, as (code, file, line, column), and its text.
fn refused(found: Result<Plan, Faults>) -> ((Code, String, u32, u32), String) {
    let mut faults = found.expect_err("must be refused").0;
    assert_eq!(faults.len(), 1, "{faults:?}");
    let fault = faults.remove(0);
    let place = fault.place.clone().expect("has a place");
    let file = place.file.rsplit('/').next().unwrap_or_default().to_owned();
    ((fault.code, file, place.line, place.column), format!("{fault:?}"))
}

fn replaced(text: &str, find: &str, with: &str) -> String {
    assert!(text.contains(find), "{find}");
    text.replacen(find, with, 1)
}

#[test]
fn the_files_as_they_are_give_a_plan() {
    let plan = plan_of(FLEET, RECIPE).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(plan.steps().count(), 2);
}

#[test]
fn bad_recipes_are_refused_with_their_place() {
    let recipe = |find: &str, with: &str| refused(plan_of(FLEET, &replaced(RECIPE, find, with))).0;
    let at = |code, line, column| (code, "recipe.yaml".to_owned(), line, column);
    let cycle = "nodes: node.role == \"identity-server\"\n";
    assert_eq!(recipe(cycle, &format!("{cycle}    after: [second]\n")), at(plan_codes::STAGE_CYCLE, 5, 12));
    assert_eq!(recipe("    title: First\n", "    title: First\n    tilte: x\n"), at(written::UNKNOWN_KEY, 7, 5));
    assert_eq!(recipe("after: [first]", "after: [frist]"), at(plan_codes::UNKNOWN_STAGE, 14, 13));
    assert_eq!(recipe("\"'is-1'\"", "\"'is-9'\""), at(plan_codes::UNKNOWN_NODE, 13, 9));
    assert_eq!(recipe("step: two", "step: two\n        step: two"), at(written::DUPLICATE_KEY, 17, 9));
}

#[test]
fn bad_fleet_files_are_refused_with_their_place() {
    let fleet = |find: &str, with: &str| refused(plan_of(&replaced(FLEET, find, with), RECIPE));
    let at = |code, line, column| (code, "fleet.yaml".to_owned(), line, column);
    assert_eq!(
        fleet("role: identity-server", "rolle: identity-server\n    role: identity-server").0,
        at(written::UNKNOWN_KEY, 8, 5)
    );
    let (place, text) = fleet("{ file: /run/secrets/password }", "canary-in-a-fleet-file");
    // No column: nothing of the value is marked.
    assert_eq!(place, at(written::LITERAL_SECRET, 5, 0));
    assert!(!text.contains("canary"), "the value stands in the error: {text}");
}

#[test]
fn a_plan_changed_after_planning_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("upgrade.plan");
    let plan = HashedPlan::new(plan_of(FLEET, RECIPE).expect("a plan")).expect("is hashed");
    plan_file::write(&plan, &path).expect("is written");
    assert_eq!(plan_file::read(&path).expect("is read").sha256, plan.sha256);
    let text = fs::read_to_string(&path).expect("is read");
    let changed = replaced(&text, "/opt/wso2is-5.11.0/b", "/opt/wso2is-5.11.0/c");
    fs::write(&path, &changed).expect("is written");
    let fault: Fault = plan_file::read(&path).expect_err("was changed").0.remove(0);
    assert_eq!(fault.code, plan_codes::PLAN_DAMAGED);
    assert_eq!(fault.place.map(|p| p.file), Some(path.display().to_string()));
    assert_eq!(fs::read_to_string(&path).expect("is read"), changed);
}

/// Runs actions of which each must be refused; the site stays as it was. Gives the faults.
async fn refused_by_agent(packs: Packs, site: &[(&str, &[u8])], actions: impl Fn(&Agent) -> Vec<Action>) -> Vec<Fault> {
    let agent = Agent::new(packs, BTreeMap::new());
    for (name, content) in site {
        fs::write(agent.site().join(name), content).expect("is written");
    }
    // The home's lock lies beside the home from the first step on.
    let lock = agent.site().join(".wso2is-5.11.0.cavalcade-lock");
    fs::File::create(&lock)
        .and_then(|f| f.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)))
        .expect("is made");
    let before = tree(&agent.site());
    let outcomes = agent.run(actions(&agent)).await;
    let after = tree(&agent.site());
    let differ = |one: &Tree, other: &Tree| -> Vec<PathBuf> {
        one.iter().filter(|(path, entry)| other.get(*path) != Some(*entry)).map(|(path, _)| path.clone()).collect()
    };
    assert!(after == before, "new or changed {:?}, gone or changed {:?}", differ(&after, &before), differ(&before, &after));
    let fault = |o: Outcome| {
        assert_eq!((o.ending, o.changed), (Ending::Failed, false), "{o:?}");
        o.fault.expect("a failure has a fault")
    };
    outcomes.into_iter().map(fault).collect()
}

fn zip_of(entries: &[&str]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for entry in entries {
        writer.start_file(*entry, SimpleFileOptions::default()).expect("an entry");
        writer.write_all(b"content").expect("is written");
    }
    writer.finish().expect("a zip").into_inner()
}

#[tokio::test]
async fn bad_packs_leave_no_trace() {
    let good = Archive::new("wso2is-5.11.0").file("bin/a.sh", "a").finish().expect("a zip");
    let cut = good[..good.len() / 2].to_vec();
    let bad = [zip_of(&["wso2is-5.11.0/a", "../outside"]), zip_of(&["wso2is-5.11.0/a", "/etc/outside"]), cut];
    // The first is asked for under the digest of the good one.
    let mut packs = Packs::from([(Digest::of(&good), b"something else".repeat(good.len()))]);
    packs.extend(bad.iter().map(|bytes| (Digest::of(bytes), bytes.clone())));
    let wanted: Vec<Vec<u8>> = std::iter::once(good.clone()).chain(bad).collect();
    let faults = refused_by_agent(packs, &[("other", b"stays")], |agent| {
        let unpack = |bytes: &Vec<u8>| {
            let artifact =
                ArtifactRef { name: "pack".into(), sha256: Digest::of(bytes), size: bytes.len() as u64, file: "pack.zip".into() };
            let to = agent.home().display().to_string();
            Action::Unpack(Unpack { artifact, to, strip: 1, owner: None, no_more_open_than: None, limit: 1 << 20 })
        };
        wanted.iter().map(unpack).collect()
    })
    .await;
    let codes: Vec<Code> = faults.iter().map(|f| f.code).collect();
    let refused = files::ARCHIVE_REFUSED;
    assert_eq!(codes, [artifact::FETCHED_DIGEST, refused, refused, files::ARCHIVE_DAMAGED], "{faults:?}");
    assert!(faults[1].message.contains("../outside") && faults[2].message.contains("/etc/outside"), "{faults:?}");
}

#[tokio::test]
async fn bad_files_stay_as_they_are() {
    let deep = format!("a = {}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let anchors = (1..10).fold("a0: &a0 x\n".to_owned(), |text, n| {
        let ten = vec![format!("*a{}", n - 1); 10].join(", ");
        format!("{text}a{n}: &a{n} [{ten}]\n")
    });
    let site: &[(&str, &[u8])] = &[
        ("double.toml", b"[user_store]\ntype = 'a'\ntype = 'b'\n"),
        ("deep.toml", deep.as_bytes()),
        ("nul.toml", b"a = 'x\0y'\n"),
        ("bomb.yaml", anchors.as_bytes()),
        ("double.yaml", b"a: 1\na: 2\n"),
        ("twice.txt", b"here and here\r\n"),
    ];
    let faults = refused_by_agent(Packs::new(), site, |agent| {
        let file = |name: &str| agent.site().join(name).display().to_string();
        let set = || json!({ "a": "new" }).as_object().cloned().unwrap_or_default();
        let toml = |name: &str| Action::Toml(TomlEdit { file: file(name), set: set(), ..TomlEdit::default() });
        let yaml = |name: &str| Action::Yaml(YamlEdit { file: file(name), set: set(), ..YamlEdit::default() });
        let replace = vec![TextReplace { find: "here".into(), with: "there".into(), count: 1 }];
        let text = Action::Text(TextEdit { file: file("twice.txt"), replace, ..TextEdit::default() });
        vec![toml("double.toml"), toml("deep.toml"), toml("nul.toml"), yaml("bomb.yaml"), yaml("double.yaml"), text]
    })
    .await;
    let codes: Vec<Code> = faults.iter().map(|f| f.code).collect();
    let (syntax, limit) = (edit::EDIT_SYNTAX, edit::EDIT_LIMIT);
    assert_eq!(codes, [syntax, limit, syntax, limit, syntax, edit::EDIT_COUNT], "{faults:?}");
    for (fault, (name, _)) in faults.iter().zip(site) {
        let place = fault.place.as_ref().map_or(fault.message.as_str(), |p| p.file.as_str());
        assert!(place.contains(name), "the fault does not say where: {fault:?}");
    }
}
