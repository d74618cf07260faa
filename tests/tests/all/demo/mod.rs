//! `deploy/demo` as a person runs it, and the end state that it leaves, node by node and row by row of the guide.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed helper fails its test")]

mod api_managers;
mod databases;
mod full;
mod hooks;
mod identity_servers;
mod old_homes;
mod services;
mod stage;

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use cavalcade_common::id::Digest;
use cavalcade_tests::upgrade::process;
use walkdir::WalkDir;

use stage::{Demo, script};

/// Largest resident memory of an agent at rest, in KiB. It holds for programs built as they are shipped.
const RESIDENT_KIB: u64 = 15 << 10;

#[tokio::test]
async fn the_demo_upgrades_every_node_and_stops_without_a_trace() {
    let demo = Demo::run(&[]);
    println!("{}", demo.said);

    identity_servers::set_up(&demo);
    databases::old_servers_down_and_backups(&demo);
    databases::upgraded_once(&demo);
    identity_servers::migrated_once(&demo);
    identity_servers::up(&demo).await;
    api_managers::set_up(&demo);
    api_managers::migrated_once(&demo);
    api_managers::profiles(&demo);
    api_managers::started_in_order(&demo).await;
    full::off(&demo);
    hooks::drained_and_enrolled(&demo, &["am-1", "gw-1", "gw-2"]);
    hooks::a_missing_api_is_named(&demo, "gw-1");
    old_homes::unchanged(&demo);
    reported(&demo);
    services::as_probed(&demo);
    services::done_before(&demo);
    agents_are_small(&demo);
    a_second_apply_changes_nothing(&demo);

    let folder = demo.folder.clone();
    let stopped = script(&["--stop", "--dir", folder.to_str().unwrap()]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(process::naming(&folder).unwrap(), []);
}

#[tokio::test]
async fn the_demo_upgrades_a_fleet_that_uses_everything() {
    let demo = Demo::run(&["--full"]);
    println!("{}", demo.said);
    identity_servers::set_up(&demo);
    identity_servers::migrated_once(&demo);
    identity_servers::up(&demo).await;
    full::on(&demo);
    hooks::drained_and_enrolled(&demo, &["dev-1", "gw-1", "gw-2"]);
    old_homes::unchanged(&demo);
    assert_eq!(demo.lines("started-without-is"), [], "D9");
}

/// Every step succeeded with evidence; the whole ran within the night.
fn reported(demo: &Demo) {
    assert_eq!(demo.report["verdict"], "DONE");
    let outcomes = demo.report["outcomes"].as_object().unwrap();
    assert_eq!(outcomes.len(), demo.steps().len());
    for (step, outcome) in outcomes {
        assert_eq!(outcome["ending"], "succeeded", "{step}");
        let evidence = outcome["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty() && evidence.iter().all(|e| e["holds"] == true), "{step}: {evidence:?}");
    }
    let down: Vec<&str> = demo.report["downtimes"].as_array().unwrap().iter().map(|d| d["node"].as_str().unwrap()).collect();
    assert_eq!(down, ["am-1", "gw-1", "gw-2", "is-1", "is-2", "tm-1"]);
    for file in ["report.html", "logs.txt", "preview.txt", "fleet.yaml"] {
        assert!(fs::metadata(demo.path(file)).unwrap().len() > 0, "{file}");
    }
    assert!(demo.said.contains("Preview: "), "{}", demo.said);
    // What a server says while it stops is in the central log too.
    let stopping = demo.cavalcade(&["logs", "--since", "-1d", "--node", "is-2", "--grep", "Shutdown hook triggered"]);
    assert!(!stopping.trim().is_empty(), "nothing of is-2's end");
}

fn agents_are_small(demo: &Demo) {
    let sizes: Vec<u64> = demo.status().hosts.iter().map(|host| host.resident_kib).collect();
    assert_eq!(sizes.len(), 6);
    println!("agents at rest: {sizes:?} KiB resident");
    if !cfg!(debug_assertions) {
        assert!(sizes.iter().all(|size| *size <= RESIDENT_KIB), "{sizes:?}");
    }
}

/// Digest, time of change and inode of every file but those that the running servers and programs write.
fn files(demo: &Demo) -> BTreeMap<PathBuf, (Digest, i64, i64, u64)> {
    let mut all = BTreeMap::new();
    for folder in ["hosts", "backups", "fleet.yaml", "upgrade.plan"] {
        for entry in WalkDir::new(demo.path(folder)) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let meta = entry.metadata().unwrap();
                let digest = Digest::of(&fs::read(entry.path()).unwrap());
                all.insert(entry.into_path(), (digest, meta.mtime(), meta.mtime_nsec(), meta.ino()));
            }
        }
    }
    all
}

fn a_second_apply_changes_nothing(demo: &Demo) {
    let before = files(demo);
    assert!(before.len() > 200, "{} files", before.len());
    let launches = demo.lines("launch").len();
    let said = demo.cavalcade(&["apply", "upgrade.plan"]);
    let all = demo.steps().len();
    assert!(said.contains(&format!("{all}/{all}")), "{said}");
    assert_eq!(files(demo), before);
    assert_eq!(demo.lines("launch").len(), launches);
}
