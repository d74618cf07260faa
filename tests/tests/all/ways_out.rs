//! The way out of a migration that failed, as a person goes it: the server that it ran in is ended, each of its databases
//! is restored, and the run goes on by itself, with the client's files laid out anew.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::fs;

use cavalcade_tests::{
    standin::fleet::{self, Role, running},
    upgrade::site::{Site, Wanted},
};
use serde_json::{Value, json};

use crate::site;

/// Homes that behave otherwise from now on; every launch reads it.
fn stand_ins(site: &Site, homes: &Value) {
    let file = site.layout.java_home.join("standin.json");
    let mut settings: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    settings["homes"] = homes.clone();
    fs::write(&file, serde_json::to_vec(&settings).unwrap()).unwrap();
}

fn failed(site: &Site, stage: &str, node: &str) -> String {
    site.wait("the migration failed", |status| {
        let steps = status.runs.iter().flat_map(|run| &run.stages).filter(|s| s.id == stage).flat_map(|s| &s.steps);
        steps.into_iter().any(|s| s.name == "migrate" && s.state == "failed")
    })
    .unwrap();
    site.step(stage, "migrate", node).unwrap().step
}

fn restored(site: &Site) {
    site.cavalcade_ok(&["restore", "am_db", "shared_db", "--yes", "--why", "the migration failed"]).unwrap();
}

#[test]
fn a_migration_that_failed_is_stopped_restored_and_done_again() {
    let nodes = vec![("is-1", Role::Is, "default"), ("is-2", Role::Is, "default"), ("am-1", Role::Am, "default")];
    let fails = |home: &str| json!({ home: { "migration": { "mode": "error" } } });
    let mut standins = Wanted::default().standins;
    standins["homes"] = fails("is-1/wso2is-5.11.0");
    let site = site(&Wanted { nodes, standins, ..Wanted::default() });
    let digest = site.plan().unwrap();
    site.apply(&digest, &[]).unwrap();
    site.approve().unwrap();

    // IS: the server stays up behind its failed migration.
    let step = failed(&site, "migrate-is", "is-1");
    let home = site.home("is-1").unwrap();
    assert!(running(&home).is_some(), "a migration's server ends by itself never");
    let said = site.cavalcade(&["status"]).unwrap();
    let said = [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    for way in [format!("stop-job {step} --confirm"), "restore am_db shared_db".to_owned()] {
        assert!(said.contains(&way), "{way} in\n{said}");
    }
    let refused = site.cavalcade(&["retry", &step]).unwrap();
    assert_eq!(refused.status.code(), Some(9), "{}", String::from_utf8_lossy(&refused.stderr));
    site.cavalcade_ok(&["stop-job", &step, "--confirm", "--why", "it failed"]).unwrap();
    fleet::wait_until(std::time::Duration::from_secs(300), "the server is down", || running(&home).is_none()).unwrap();

    // The next one to fail is API-M, when the IS client's files are gone already.
    stand_ins(&site, &fails("am-1/wso2am-4.0.0"));
    restored(&site);
    let step = failed(&site, "migrate-am", "am-1");
    assert_eq!(site.witness("migration-begin").unwrap().len(), 3, "twice on is-1, once on am-1");
    assert!(!home.join("migration-resources").exists(), "C13");

    // Back before both migrations: no new server may use what is restored.
    site.cavalcade_ok(&["stop-job", &step, "--confirm", "--why", "it failed"]).unwrap();
    for node in ["is-1", "is-2"] {
        fleet::stop(&site.home(node).unwrap()).unwrap();
    }
    stand_ins(&site, &json!({}));
    restored(&site);
    site.finish().unwrap();
    assert_eq!(site.witness("migration-begin").unwrap().len(), 5, "both once more");
    for node in ["is-1", "is-2", "am-1"] {
        let home = site.home(node).unwrap();
        assert!(running(&home).is_some(), "{node} serves");
        assert!(!home.join("migration-resources").exists(), "C13, D10 {node}");
    }
    let unmigrated = site.database.sql("am_db", "SELECT COUNT(*) FROM AM_API WHERE API_UUID IS NULL").unwrap();
    assert_eq!(unmigrated.trim(), "0");
}

/// 10, rule 5: the recipe's options are corrected in the middle of a run.
#[test]
fn a_plan_that_takes_over_keeps_or_undoes_what_differs() {
    let nodes = vec![("is-1", Role::Is, "default"), ("am-1", Role::Am, "default")];
    let mut site = site(&Wanted { nodes, ..Wanted::default() });
    let conf =
        |site: &Site, node: &str| fs::read_to_string(site.home(node).unwrap().join("repository/conf/deployment.toml")).unwrap();
    let digest = site.plan().unwrap();
    let until = ["--until", "set-up-am"];
    site.apply(&digest, &until).unwrap();
    let set_up = |site: &Site| {
        site.wait("both are set up", |status| {
            let open = status.runs.iter().find(|run| run.closed_at.is_none());
            open.is_some_and(|run| run.stages.iter().filter(|s| s.id.starts_with("set-up")).all(|s| s.state == "done"))
        })
        .unwrap();
    };
    set_up(&site);
    let first = site.run().unwrap().run;
    let (is_before, am_before) = (conf(&site, "is-1"), conf(&site, "am-1"));
    assert!(is_before.contains("context = \"(.)/keymanager-operations"));

    site.layout.options.insert("corrected_claims_pattern".to_owned(), json!(true));
    site.layout.write().unwrap();
    let digest = site.plan().unwrap();
    let refused = site.cavalcade(&["apply", "upgrade.plan", "--confirm", &digest, "--detach", "--supersedes", &first]).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(9), "{said}");
    assert!(said.contains("set-up-is.key-manager-settings@is-1") && said.contains("--undo"), "{said}");
    assert_eq!((conf(&site, "is-1"), conf(&site, "am-1")), (is_before.clone(), am_before.clone()), "nothing was changed");

    let words = ["--supersedes", &first, "--undo", "set-up-is.key-manager-settings@is-1", "--says", "the pattern was wrong"];
    site.apply(&digest, &[&until[..], &words].concat()).unwrap();
    set_up(&site);
    let (is_after, am_after) = (conf(&site, "is-1"), conf(&site, "am-1"));
    let corrected = is_before.replace(
        "context = \"(.)/keymanager-operations/user-info/claims(.)\"",
        "context = \"(.*)/keymanager-operations/user-info/claims(.*)\"",
    );
    assert_eq!(is_after, corrected, "as if it had been right from the start");
    assert_eq!(am_after, am_before);
}
