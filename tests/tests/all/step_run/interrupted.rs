//! Interrupted invocations: what lives is adopted, what was begun is finished once.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{fs, io::Write};

use cavalcade_tests::standin::{fleet, stage::log};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{
    machine::{Machine, artifact, tree},
    migration::Scene,
};

/// Files of a large pack.
const FILES: usize = 30_000;

/// A pack of many small files: unpacking it takes a while.
fn large_pack(machine: &Machine) -> std::path::PathBuf {
    let mut pack = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for number in 0..FILES {
        pack.start_file(format!("wso2is-5.11.0/repository/{}/{number}.txt", number % 60), options).unwrap();
        pack.write_all(format!("file {number}\n").repeat(20).as_bytes()).unwrap();
    }
    machine.write("files/pack.zip", pack.finish().unwrap().into_inner())
}

#[test]
fn an_unpack_that_was_killed_is_finished_by_the_same_command() {
    let machine = Machine::new();
    let pack = large_pack(&machine);
    let home = machine.path("opt/wso2is-5.11.0");
    fs::create_dir(machine.path("opt")).unwrap();
    let names =
        json!({ "node": "n-1", "host": "host-1", "values": { "name": "n-1" }, "artifacts": { "pack": artifact("pack", &pack) } });
    let names = machine.write("names.json", names.to_string()).display().to_string();
    let steps = format!(
        "- {{ step: before, text: {{ file: {0}, content: \"x\\n\" }} }}\n- {{ step: unpack, unpack: {{ artifact: pack, to: {1}, strip: 1 }} }}\n",
        machine.path("opt/before.txt").display(),
        home.display()
    );
    let steps = machine.write("steps.yaml", steps).display().to_string();
    let files = machine.path("files").display().to_string();
    let arguments = [steps.as_str(), "--node", &names, "--artifacts", &files];

    let beside = || {
        let names = fs::read_dir(machine.path("opt")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|n| n.starts_with(".wso2is-5.11.0.cavalcade-") && !n.ends_with("lock")).collect::<Vec<_>>()
    };
    let started = machine.start(&arguments);
    started.until("the folder beside the home", || {
        beside().first().is_some_and(|name| machine.path("opt").join(name).join("repository/7").exists())
    });
    started.signal(Signal::SIGKILL);
    let killed = started.end();
    assert_eq!((killed.code, killed.outcomes()), (None, vec![("before", "changed")]));
    assert!(!home.exists(), "whole or not at all");
    assert_eq!(beside().len(), 1);

    let resumed = machine.run(&arguments).ended(0);
    assert_eq!(resumed.outcomes(), [("before", "changed"), ("unpack", "changed")]);
    assert_eq!((&resumed.step("before")["earlier"], &resumed.step("unpack")["earlier"]), (&json!(true), &json!(false)));
    assert_eq!(resumed.step("before")["attempt"], killed.step("before")["attempt"], "the same run goes on");
    assert!(beside().is_empty(), "{:?}", beside());
    assert_eq!(walkdir::WalkDir::new(&home).into_iter().filter(|e| e.as_ref().unwrap().file_type().is_file()).count(), FILES);

    let left = tree(&home);
    let again = machine.run(&arguments).ended(0);
    assert_eq!(again.outcomes(), [("before", "unchanged"), ("unpack", "unchanged")]);
    assert_eq!(tree(&home), left);
}

#[tokio::test]
async fn a_migration_outlives_a_person_who_leaves_and_a_kill() {
    let scene = Scene::new(json!({ "per_order": 0.5 })).await;
    scene.run("script.yaml", &[]).ended(0);
    let arguments = scene.arguments("migrate.yaml");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let order = |n: u32| log(&scene.identity).contains(&format!("of order : {n} is starting"));

    let left = scene.machine.start(&arguments);
    left.until("order 2", || order(2));
    left.signal(Signal::SIGINT);
    let left = left.end().ended(130);
    assert!(left.err.contains("The same command again"), "{}", left.err);
    let server = fleet::running(&scene.identity);
    assert!(server.is_some());

    let killed = scene.machine.start(&arguments);
    let taken_up = || fs::read_to_string(scene.machine.path("err")).unwrap().contains("taken up again");
    killed.until("it is followed again", || taken_up() && order(5));
    killed.signal(Signal::SIGKILL);
    killed.end();
    assert_eq!(fleet::running(&scene.identity), server, "the same process");

    let ended = scene.machine.run(&arguments).ended(0);
    assert_eq!(ended.outcomes(), [("migrate", "changed"), ("stop", "changed")]);
    assert!(ended.step("migrate")["attempt"].as_str().unwrap().ends_with("#1"), "one attempt: {ended:#?}");
    assert_eq!((scene.begun(), scene.stage.witness("migration-end").unwrap().len()), (1, 1));
    assert_eq!(scene.stage.witness("launch").unwrap().len(), 1);
    assert_eq!(fleet::running(&scene.identity), None);
}
