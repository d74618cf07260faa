//! Verbs: what is shown, what is sent.

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_controller::rpc::method::Method;
use serde_json::{Value, json};

use super::documents::{empty, person, plan, run, verb};
use super::fake::{Said, Session};

fn open() -> Session {
    let plan = plan(false);
    let states = ["failed", "running", "pending", "pending"];
    let session = Session::new(run(&plan, "going", states, json!([person(Some("1.1@is-1"), 1, "a person")])));
    for method in Method::ALL {
        session.script.answer(*method, verb(&plan));
    }
    session
}

#[test]
fn a_verb_on_a_step_shows_it_and_sends_the_position_just_read() {
    let session = open();
    let said = session.run(["retry", "1.1@is-1", "--why", "disk was full"]).ends(0);
    assert_eq!(said.out, "So be it.\n");
    assert!(said.err.contains("1.1@is-1 toml is failed (position 8841): CVL-3103"), "{}", said.err);
    let sent = &session.script.asked(Method::Retry)[0];
    assert_eq!((&sent["step"], &sent["at"], &sent["why"]), (&json!("1.1@is-1"), &json!(8841), &json!("disk was full")));
    let said = session.run(["skip", "1.1@is-1", "--why", "done by hand", "--at", "17"]).ends(0);
    assert_eq!(said.err, "");
    assert_eq!(session.script.asked(Method::Skip)[0]["at"], json!(17));
}

#[test]
fn a_step_of_several_nodes_wants_its_node() {
    let session = open();
    session.run(["retry", "1.1"]).ends(2).err_has(&["is a step of several nodes", "1.1@is-1 1.1@is-2", "Nothing was changed."]);
    session.run(["retry", "7.7"]).ends(2).err_has(&["the run has no step `7.7`"]);
    assert_eq!(session.script.asked(Method::Retry), Vec::<Value>::new());
}

#[test]
fn a_decision_carries_what_shows_it() {
    let session = open();
    let evidence = session.file("show.txt", "TABLE AM_API has API_UUID\n");
    let evidence = evidence.to_str().expect("UTF-8");
    session.run(["resolve", "1.1@is-1", "--done", "--why", "seen", "--evidence", evidence]).ends(0);
    let sent = &session.script.asked(Method::Resolve)[0];
    assert_eq!(sent["resolution"], json!("done"));
    let why = sent["why"].as_str().expect("a text");
    assert!(why.starts_with("seen; evidence show.txt sha256 ") && why.ends_with("TABLE AM_API has API_UUID"), "{why}");
    session.run(["resolve", "1.1@is-1", "--not-done"]).ends(0);
    assert_eq!(session.script.asked(Method::Resolve)[1]["resolution"], json!("not-done"));
    session.run(["resolve", "1.1@is-1"]).ends(2);
    session.run(["resolve", "1.1@is-1", "--done", "--not-done"]).ends(2);
}

#[test]
fn patterns_are_read_before_anything_is_sent() {
    let session = open();
    let good = session.file("good.yaml", "require: ['done']\nforbid: ['ERROR']\n");
    session.run(["rejudge", "1.1@is-1", "--evidence", good.to_str().expect("UTF-8")]).ends(0);
    assert_eq!(session.script.asked(Method::Rejudge)[0]["evidence"]["require"], json!(["done"]));
    let bad = session.file("bad.yaml", "require: ['done']\nforbidden: ['ERROR']\n");
    let said = session.run(["rejudge", "1.1@is-1", "--evidence", bad.to_str().expect("UTF-8")]);
    said.ends(2).err_has(&["bad.yaml:2", "forbidden"]);
}

#[test]
fn what_cannot_be_taken_back_wants_a_word() {
    let session = open();
    session.run(["stop-job", "1.1@is-2"]).ends(2).err_has(&["--confirm"]);
    session.run(["stop-job", "1.1@is-2", "--confirm"]).ends(0);
    session.run(["restore", "am_db"]).ends(2).err_has(&["--yes"]);
    session.run(["restore", "am_db", "--yes"]).ends(0);
    assert_eq!(session.script.asked(Method::Restore)[0]["databases"], json!(["am_db"]));
    session.run(["approve", "start"]).ends(2).err_has(&["--yes", "a way back loses new data", "opened by anna"]);
    session.run(["approve", "start", "--yes", "--why", "seen the proof"]).ends(0);
    let sent = &session.script.asked(Method::Approve)[0];
    assert_eq!((&sent["stage"], &sent["why"]), (&json!(2), &json!("seen the proof")));
    session.run(["cancel"]).ends(2);
    session.run(["skip", "1.1@is-1"]).ends(2);
}

#[test]
fn an_approval_shows_what_it_says_and_the_evidence() {
    let plan = plan(false);
    let mut document = run(&plan, "going", ["succeeded"; 4], json!([person(None, 2, "approval of dba: cavalcade approve 2")]));
    document["runs"][0]["stages"][1]["approval"] = json!({
        "by": "dba", "says": "The backups are proved.", "given": null, "undo": "backup", "undo_seconds": 95,
        "backups": [{
            "database": "am_db", "step": "1.1@is-1", "proved_at": "2026-11-23T01:20:00Z", "counted": "214 tables, 1048576 rows",
            "restore_seconds": 95,
        }],
    });
    let session = Session::new(document);
    session.script.answer(Method::Approve, verb(&plan));
    let shown = ["The backups are proved.", "am_db proved 2026-11-23 01:20:00 UTC", "214 tables", "about 1min35s"];
    session.run(["approve", "start", "--yes"]).ends(0).err_has(&shown);
    session.run(["status"]).ends(0).out_has(&shown);
    // Screens show the operator's zone.
    session.run_in("JST-9", ["approve", "start", "--yes"]).ends(0).err_has(&["am_db proved 2026-11-23 10:20:00 JST"]);
    session.run_in("JST-9", ["status"]).ends(0).out_has(&["am_db proved 2026-11-23 10:20:00 JST"]);
}

#[test]
fn verbs_on_the_run_answer_in_every_form() {
    let session = open();
    session.run(["pause"]).ends(0).out_has(&["So be it."]);
    let said = session.run(["resume", "-o", "json"]).ends(0);
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(answer["schema"], json!("cavalcade.verb/1"));
    session.run(["cancel", "--why", "window is over", "-o", "yaml"]).ends(0).out_has(&["says: So be it."]);
    assert_eq!(session.script.asked(Method::Cancel)[0]["why"], json!("window is over"));
}

#[test]
fn a_changed_step_refuses_and_says_who_acted() {
    let session = open();
    let fault = Fault::new(codes::run::STEP_CHANGED, "step 1.1@is-1 changed at 8850 (you saw 8841): it is skipped now, by ben");
    session.script.refuse(Method::Retry, fault);
    session.run(["retry", "1.1@is-1", "--at", "8841"]).ends(9).err_has(&["CVL-5023", "by ben", "Nothing was changed."]);
    let none = Session::new(empty());
    none.run(["retry", "1.1@is-1"]).ends(9).err_has(&["CVL-5020", "no run is open"]);
}

#[test]
fn a_verb_on_the_run_names_it_and_sends_the_position_just_read() {
    let session = open();
    let said = session.run(["pause"]).ends(0);
    assert!(said.err.contains("of fleet test is going (position 9000)"), "{}", said.err);
    let sent = &session.script.asked(Method::Pause)[0];
    assert!(sent["run"].as_str().is_some_and(|r| r.starts_with("run-")) && sent["at"] == json!(9000), "{sent}");
    let digest = plan(false).sha256.as_str()[..10].to_owned();
    let said = session.run(["cancel", "--why", "late", "--run", &digest, "--at", "8000"]).ends(0);
    assert_eq!(said.err, "");
    assert_eq!(session.script.asked(Method::Cancel)[0]["at"], json!(8000));
    session.run(["pause", "--run", "run-of-nobody"]).ends(9).err_has(&["CVL-5020", "run-of-nobody"]);
    session.run(["approve", "start", "--yes"]).ends(0);
    session.run(["restore", "am_db", "--yes"]).ends(0);
    for method in [Method::Approve, Method::Restore] {
        assert_eq!(session.script.asked(method)[0]["at"], json!(9000), "{method:?}");
    }
    session.run(["resume", "--past-window"]).ends(2).err_has(&["--why"]);
    session.run(["resume", "--past-window", "--why", "the board agreed"]).ends(0);
    let sent = &session.script.asked(Method::Resume)[0];
    assert_eq!((&sent["past_window"], &sent["why"]), (&json!(true), &json!("the board agreed")));
}

#[test]
fn a_secret_is_read_from_standard_input_and_shown_nowhere() {
    use std::io::Write;
    let session = open();
    let give = |text: &str| {
        let mut child = session.command(["secret", "give", "am_db"]).stdin(std::process::Stdio::piped()).spawn().expect("starts");
        child.stdin.take().expect("is piped").write_all(text.as_bytes()).expect("is written");
        Said::of(child.wait_with_output().expect("ends"))
    };
    let said = give("hunter2 with spaces \n").ends(0);
    assert!(!said.out.contains("hunter2") && !said.err.contains("hunter2"), "{said:?}");
    let sent = &session.script.asked(Method::SecretGive)[0];
    assert_eq!(sent["secret"], json!({ "am_db": "hunter2 with spaces " }));
    give("\n").ends(2).err_has(&["empty"]);
    give(&"x".repeat(70_000)).ends(2).err_has(&["64 KiB"]);
    assert_eq!(session.script.asked(Method::SecretGive).len(), 1);
}
