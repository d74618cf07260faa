//! Packs and servers: a home made and started on one machine, and the order between Identity Server and API Manager.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::path::Path;

use cavalcade_tests::standin::{
    fleet::{self, edit_toml, running},
    packs,
    stage::Stage,
};
use serde_json::{Value, json};
use toml_edit::value;

use super::machine::{Machine, artifact, names, tree};

fn stage() -> Stage {
    Stage::new(Path::new(env!("CARGO_BIN_EXE_standin-java")), &json!({"start": 0.4, "pid_file_after": 0.1})).unwrap()
}

#[test]
fn a_home_is_made_edited_started_and_stopped() {
    let (machine, stage) = (Machine::new(), stage());
    let home = stage.path("made/wso2is-5.11.0");
    std::fs::create_dir(stage.path("made")).unwrap();
    let offset = stage.offset().unwrap();
    let mut names = names(&stage, "identity-server", &home, "bin/wso2server.sh");
    names["artifacts"] = json!({ "pack": artifact("pack", &stage.packs().join(packs::IS_PACK)) });
    let names = machine.write("names.json", names.to_string()).display().to_string();
    let steps = format!(
        "- {{ step: unpack, unpack: {{ artifact: pack, to: \"{{{{ node.new.home }}}}\", strip: 1 }} }}\n\
         - step: ports\n  toml: {{ file: \"{{{{ node.new.home }}}}/repository/conf/deployment.toml\", set: {{ server.offset: {offset} }} }}\n\
         - {{ step: start, server: {{ start: \"{{{{ node.new.home }}}}\", within: 1min }} }}\n"
    );
    let steps = machine.write("steps.yaml", steps).display().to_string();
    let packs = stage.packs().display().to_string();
    let arguments = [steps.as_str(), "--node", &names, "--artifacts", &packs];

    let before = tree(&stage.path("made"));
    let seen = machine.run(&[&arguments[..], &["--preview"]].concat()).ended(0);
    assert_eq!(seen.step("ports")["outcome"], "would-change", "the file is edited as it will come out of the pack: {seen:#?}");
    assert_eq!(tree(&stage.path("made")), before);
    assert!(!machine.path("state").exists());

    let first = machine.run(&arguments).ended(0);
    assert_eq!(first.outcomes(), [("unpack", "changed"), ("ports", "changed"), ("start", "changed")]);
    assert!(running(&home).is_some());
    assert!(first.err.contains("start | "), "lines of the server carry the step's name: {}", first.err);
    let files = |home: &Path| -> Vec<_> {
        tree(home).into_iter().filter(|(path, _)| !path.starts_with(home.join("repository/logs"))).collect()
    };
    let left = files(&home);

    let second = machine.run(&arguments).ended(0);
    assert_eq!(second.outcomes(), [("unpack", "unchanged"), ("ports", "unchanged"), ("start", "unchanged")]);
    assert_eq!(files(&home), left);
    assert_eq!(stage.witness("launch").unwrap().len(), 1);

    let stop = format!("- {{ step: stop, server: {{ stop: {} }} }}\n", home.display());
    let stop = machine.write("stop.yaml", stop).display().to_string();
    machine.run(&[&stop, "--node", &names]).ended(0);
    assert_eq!(running(&home), None);
    assert_eq!(stage.witness("exit").unwrap().len(), 1);
}

#[test]
fn a_pack_with_another_digest_is_not_used() {
    let (machine, stage) = (Machine::new(), stage());
    let mut pinned = artifact("pack", &stage.packs().join(packs::IS_PACK));
    pinned["sha256"] = json!("0".repeat(64));
    let home = machine.path("new");
    let mut names = names(&stage, "identity-server", &home, "bin/wso2server.sh");
    names["artifacts"] = json!({ "pack": pinned });
    let names = machine.write("names.json", names.to_string()).display().to_string();
    let steps = format!("- {{ step: unpack, unpack: {{ artifact: pack, to: {}, strip: 1 }} }}\n", home.display());
    let steps = machine.write("steps.yaml", steps).display().to_string();
    let packs = stage.packs().display().to_string();
    let seen = machine.run(&[&steps, "--node", &names, "--artifacts", &packs]).ended(1);
    assert_eq!(
        (seen.step("unpack")["outcome"].as_str(), seen.step("unpack")["changed"].as_bool()),
        (Some("failed"), Some(false))
    );
    assert!(!home.exists());
}

/// Names of an API Manager that needs the Identity Server behind this URL.
fn manager_names(stage: &Stage, home: &Path, needs: Value) -> Value {
    let mut names = names(stage, "api-manager", home, "bin/api-manager.sh");
    names["needs"] = needs;
    names
}

#[test]
fn an_api_manager_starts_only_when_its_identity_server_is_seen_from_here() {
    let (machine, stage) = (Machine::new(), stage());
    let (identity, is_offset) = stage.home("is-1", packs::IS_PACK).unwrap();
    let (manager, _) = stage.home("am-1", packs::AM_PACK).unwrap();
    let url = format!("https://localhost:{}/api/health-check/v1.0/health", 9443 + is_offset);
    edit_toml(&manager, [("database.apim_db.type".to_owned(), value("h2")), ("database.shared_db.type".to_owned(), value("h2"))])
        .unwrap();
    // The file does not ask for it: the rule is not the file's to leave out.
    let steps = format!("- {{ step: start, server: {{ start: {}, within: 1min }} }}\n", manager.display());
    let steps = machine.write("steps.yaml", steps).display().to_string();

    let blind = machine.write("blind.json", manager_names(&stage, &manager, json!({})).to_string()).display().to_string();
    let seen = machine.run(&[&steps, "--node", &blind]).ended(9);
    assert!(seen.err.contains("CVL-3056") && seen.err.contains("Nothing was changed."), "{}", seen.err);
    assert!(!machine.path("state").exists());

    let needs = json!({ "is": { "ready": { "nodes": ["is-1"], "via": [{ "url": url }] } } });
    let names = machine.write("names.json", manager_names(&stage, &manager, needs).to_string()).display().to_string();
    let refused = machine.run(&[&steps, "--node", &names]).ended(9);
    assert_eq!(refused.step("start")["outcome"], "refused");
    assert!(refused.step("start")["says"].as_str().unwrap().contains("does not answer from this node"), "{refused:#?}");

    // With its health check off an Identity Server answers 200 and nothing: that is not ready.
    fleet::start(&identity, &stage.jdk(), &[]).unwrap();
    let refused = machine.run(&[&steps, "--node", &names]).ended(9);
    assert!(refused.step("start")["says"].as_str().unwrap().contains("without the body"), "{refused:#?}");
    fleet::stop(&identity).unwrap();
    assert_eq!(stage.witness("launch").unwrap().len(), 1, "no API Manager was launched");

    edit_toml(&identity, [("carbon_health_check.enable".to_owned(), value(true))]).unwrap();
    fleet::start(&identity, &stage.jdk(), &[]).unwrap();
    let started = machine.run(&[&steps, "--node", &names]).ended(0);
    let evidence = started.step("start")["evidence"].to_string();
    assert!(evidence.contains("from this node") && evidence.contains("age of the permit"), "{evidence}");
    assert_eq!(stage.witness("launch").unwrap().last().unwrap().product, "wso2am");
    fleet::stop(&manager).unwrap();
    fleet::stop(&identity).unwrap();
}

#[test]
fn what_other_nodes_must_prove_is_refused_in_words() {
    let (machine, stage) = (Machine::new(), stage());
    let home = machine.path("home");
    let mut names = names(&stage, "identity-server", &home, "bin/wso2server.sh");
    names["needs"] = json!({ "down": { "down": { "nodes": ["n-1", "gw-7"] } } });
    let names = machine.write("names.json", names.to_string()).display().to_string();
    let job = "home: /opt/is, effect: e, command: [bin/wso2server.sh], ends: [x], evidence: { require: [x] }";
    let steps = machine.write("steps.yaml", format!("- {{ step: migrate, needs: [down], job: {{ {job} }} }}\n"));
    let seen = machine.run(&[&steps.display().to_string(), "--node", &names]).ended(9);
    assert!(seen.err.contains("gw-7") && seen.err.contains("CVL-3056"), "{}", seen.err);
}
