//! kill -9 in the middle: the run goes on where it was.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use cavalcade_tests::{
    standin::{fleet::running, witness::Line},
    upgrade::site::{Site, Wanted},
};
use serde_json::json;
use walkdir::WalkDir;

use crate::site;

/// Keys of a stage's steps of these names on a node.
fn keys(site: &Site, stage: &str, names: &[&str], node: &str) -> Vec<String> {
    names.iter().map(|name| site.key(stage, name, node).unwrap()).collect()
}

/// Launches of a new home: those of migrations, and the others.
fn launches(site: &Site, node: &str) -> (usize, usize) {
    let home = site.home(node).unwrap();
    let lines = site.witnessed("launch", 0, |line| Path::new(&line.home) == home).unwrap();
    let migrations = lines.iter().filter(|line| is_migration(line)).count();
    (migrations, lines.len() - migrations)
}

fn is_migration(line: &Line) -> bool {
    line.detail["args"].to_string().contains("-Dmigrate")
}

/// A home's files, as far as a run writes them, with what differs between nodes taken out.
fn files(site: &Site, node: &str) -> BTreeMap<String, Vec<u8>> {
    let placed = site.layout.node(node).unwrap();
    let home = site.layout.new_home(placed);
    let mut all = BTreeMap::new();
    for entry in WalkDir::new(&home) {
        let entry = entry.unwrap();
        let name = entry.path().strip_prefix(&home).unwrap().to_str().unwrap().to_owned();
        let own = ["repository/logs", "tmp", "wso2carbon.pid", "repository/data"];
        if entry.file_type().is_dir() || own.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap();
        let text = String::from_utf8(bytes).map(|text| {
            text.replace(&placed.address, "ADDRESS")
                .replace(&format!("offset = {}", placed.offset), "offset = OFFSET")
                .into_bytes()
        });
        all.insert(name, text.unwrap_or_else(|error| error.into_bytes()));
    }
    all
}

fn all_succeeded_once(site: &Site) {
    let run = site.run().unwrap();
    for step in run.stages.iter().flat_map(|stage| &stage.steps) {
        assert_eq!(step.state, "succeeded", "{} {}", step.step, step.name);
    }
    assert_eq!((launches(site, "is-1"), launches(site, "is-2"), launches(site, "am-1")), ((1, 1), (0, 1), (1, 2)));
    assert_eq!(site.witness("migration-begin").unwrap().len(), 2);
    assert_eq!(site.witness("migration-destroyed").unwrap(), []);
    assert_eq!(site.witness("started-without-is").unwrap(), []);
}

#[test]
fn a_killed_agent_goes_on_within_an_unpack_an_edit_and_a_server_start() {
    // The server starts long enough to be met, and its agent killed, while it does.
    let standins = json!({ "start": 0.8, "migration": { "per_order": 0.05 }, "homes": { "is-1/wso2is-5.11.0": { "start": 8 } } });
    let mut site = site(&Wanted { standins, ..Wanted::default() });
    let digest = site.plan().unwrap();
    // The stand-ins' packs are small: where both are missed, what is made of the second one counts.
    let unpacks = ["unpack", "connector-unpack", "connector-core", "connector-events", "connector-webapp"];
    let unpacks = keys(&site, "set-up-is", &unpacks, "is-1");
    let edits =
        ["key-manager-settings", "health-check", "port-offset", "identity-database", "shared-database", "user-store-jdbc"];
    let edits = keys(&site, "set-up-is", &edits, "is-1");
    let mut apply = site.command(&["apply", "upgrade.plan", "--confirm", &digest, "--detach"]).spawn().unwrap();
    let within_unpack = site.kill_agent_within("is-1", &unpacks).unwrap();
    assert!(apply.wait().unwrap().success());
    site.start_agent("is-1").unwrap();
    let within_edit = site.kill_agent_within("is-1", &edits).unwrap();
    site.start_agent("is-1").unwrap();
    site.approve().unwrap();

    let home = site.home("is-1").unwrap();
    site.witnessed("launch", 1, |line| Path::new(&line.home) == home && !is_migration(line)).unwrap();
    site.kill_agent("is-1").unwrap();
    let server = running(&home);
    let start = site.step("start-is", "start", "is-1").unwrap();
    assert!(!["succeeded", "failed"].contains(&start.state.as_str()), "killed too late: the start is {}", start.state);
    site.start_agent("is-1").unwrap();
    site.finish().unwrap();
    assert!(server.is_none() || running(&home) == server, "the server is another one");
    all_succeeded_once(&site);
    assert_ne!(within_unpack, within_edit);
    let (killed, other) = (files(&site, "is-1"), files(&site, "is-2"));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<BTreeSet<String>>();
    assert_eq!(names(&killed), names(&other));
    for (name, bytes) in killed {
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&other[&name]), "{name}");
    }
}

#[test]
fn a_killed_controller_goes_on_where_it_was() {
    // Long enough to be met between the two looks of a down-proof.
    let mut site = site(&Wanted { options: json!({ "apart": "15s" }), ..Wanted::default() });
    let digest = site.plan().unwrap();
    site.apply(&digest, &[]).unwrap();
    let run = site.run().unwrap().run;

    // While files are edited on both sides of the crash.
    site.wait("a step has succeeded", |status| status.runs.iter().any(|run| run.counts.succeeded > 2)).unwrap();
    again(&mut site);
    // While nobody may start: between the two looks of the down-proof.
    site.wait("a server is proved down", |status| {
        let steps = status.runs.iter().flat_map(|run| &run.stages).filter(|s| s.id == "stop-old-is").flat_map(|s| &s.steps);
        steps.into_iter().any(|step| step.name == "prove-down" && step.state == "running")
    })
    .unwrap();
    again(&mut site);
    site.approve().unwrap();
    // While a migration runs.
    site.witnessed("migration-order", 2, |_| true).unwrap();
    again(&mut site);
    // While a server starts.
    let home = site.home("am-1").unwrap();
    site.witnessed("launch", 1, |line| Path::new(&line.home) == home && !is_migration(line)).unwrap();
    again(&mut site);

    site.finish().unwrap();
    assert_eq!(site.run().unwrap().run, run);
    all_succeeded_once(&site);
}

fn again(site: &mut Site) {
    site.kill_controller().unwrap();
    site.start_controller().unwrap();
}
