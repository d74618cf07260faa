//! `apply`: what it asks, what it sends, how it ends.

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_controller::rpc::method::Method;
use serde_json::{Value, json};

use super::documents::{empty, person, plan, run, verb};
use super::fake::{Said, Session};

/// Applies a plan whose run then looks like this.
fn applied(mode: &str, states: [&str; 4], waits: Value, more: &[&str]) -> (Session, Said) {
    let plan = plan(false);
    let session = Session::new(empty());
    session.script.answer(Method::Apply, verb(&plan));
    session.script.after(Method::Apply, run(&plan, mode, states, waits));
    let file = session.file("up.plan", &plan.to_text().expect("text"));
    let mut args = vec!["apply", file.to_str().expect("UTF-8"), "--yes"];
    args.extend(more);
    let said = session.run(args);
    (session, said)
}

const DONE: [&str; 4] = ["succeeded"; 4];

#[test]
fn a_run_that_is_done_ends_with_0() {
    let (session, said) = applied("done", DONE, json!([]), &[]);
    let said = said.ends(0).out_has(&["Done: 4/4", "report"]).err_has(&["4 steps on 2 nodes", "So be it."]);
    assert!(said.out.lines().any(|l| l.contains(" run ") && l.contains("fleet test")), "one line for each event: {}", said.out);
    let sent = session.script.asked(Method::Apply);
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (&sent[0]["scope"]["until"], &sent[0]["stale_ok"], &sent[0]["confirm"]),
        (&Value::Null, &json!(false), &Value::Null)
    );
}

#[test]
fn what_a_run_comes_to_rest_with_is_the_exit_code() {
    let waits = |step: &str, why: &str| json!([person(Some(step), 1, why)]);
    let failed = ["failed", "succeeded", "pending", "pending"];
    let (_, said) = applied("going", failed, waits("1.1@is-1", "a person: it failed"), &[]);
    said.ends(1).out_has(&["CVL-3103", "cavalcade retry 1.1@is-1 --at 8841", " failed "]);

    let lost = ["indeterminate", "succeeded", "pending", "pending"];
    let (_, said) = applied("going", lost, waits("1.1@is-1", "a person"), &[]);
    said.ends(7).out_has(&["cavalcade resolve 1.1@is-1 --done --at 8841", "unknown  whether the second column"]);

    let half = ["succeeded", "succeeded", "pending", "pending"];
    let (_, said) = applied("going", half, json!([person(None, 2, "approval of dba: cavalcade approve 2")]), &[]);
    said.ends(5).out_has(&["Stage 2 title of start waits for approval", "cavalcade approve 2 --why TEXT"]);

    let (_, said) = applied("paused", half, json!([person(None, 0, "paused by anna")]), &[]);
    said.ends(6).out_has(&["cavalcade resume"]);

    let (_, said) = applied("cancelled", ["succeeded", "succeeded", "cancelled", "cancelled"], json!([]), &[]);
    said.ends(6).out_has(&["Cancelled: 2/4"]);
}

#[test]
fn findings_are_let_pass_by_name_and_with_a_reason() {
    let waive = ["--waive", "port-free", "--why", "a test instance", "--waive", "autostart", "--why", "monit is off"];
    let (session, said) = applied("done", DONE, json!([]), &waive);
    said.ends(0);
    let expected = json!([
        { "check": "port-free", "why": "a test instance" },
        { "check": "autostart", "why": "monit is off" },
    ]);
    assert_eq!(session.script.asked(Method::Apply)[0]["waive"], expected);
    for more in [&["--waive", "port-free"][..], &["--why", "x"], &waive[..6], &["--waive", "port-free", "--why", " "]] {
        let (session, said) = applied("done", DONE, json!([]), more);
        said.ends(2).err_has(&["--why"]);
        assert_eq!(session.script.asked(Method::Apply), Vec::<Value>::new());
    }
    let plan = plan(false);
    let session = Session::new(empty());
    session.script.refuse(Method::Apply, Fault::new(codes::run::CHECKS_BLOCK, "port-free on is-1: it is so"));
    let file = session.file("up.plan", &plan.to_text().expect("text"));
    let said = session.run(["apply", file.to_str().expect("UTF-8"), "--yes"]);
    said.ends(4).err_has(&["CVL-5046", "port-free on is-1", "Nothing was changed."]);
}

#[test]
fn as_far_as_was_asked_is_0() {
    let half = ["succeeded", "succeeded", "pending", "pending"];
    let (session, said) = applied("going", half, json!([person(None, 2, "behind --until")]), &["--until", "set-up"]);
    said.ends(0).out_has(&["As far as was asked"]);
    assert_eq!(session.script.asked(Method::Apply)[0]["scope"]["until"], json!(1));
    let one = ["succeeded", "pending", "pending", "pending"];
    let barrier = json!([{ "step": null, "stage": 2, "kind": "stage", "why": "stage 1 set-up", "person": false }]);
    let (_, said) = applied("going", one, barrier, &["--node", "is-1"]);
    said.ends(0);
    let (session, said) = applied("going", one, json!([]), &["--until", "nine"]);
    said.ends(2).err_has(&["the plan has no stage `nine`", "1 set-up, 2 start", "Nothing was changed."]);
    assert_eq!(session.script.asked(Method::Apply), Vec::<Value>::new());
}

#[test]
fn json_is_one_document_on_standard_output() {
    let (_, said) = applied("done", DONE, json!([]), &["-o", "json"]);
    let said = said.ends(0).err_has(&[" run "]);
    let document: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&document["schema"], &document["exit"]), (&json!("cavalcade.apply/1"), &json!(0)));
    assert_eq!(document["run"]["mode"], "done");
    let (_, said) = applied("done", DONE, json!([]), &["-o", "jsonl"]);
    let said = said.ends(0);
    let schemas: Vec<Value> =
        said.out.lines().map(|l| serde_json::from_str::<Value>(l).expect("JSON")["schema"].clone()).collect();
    assert!(schemas.len() > 2 && schemas.iter().all(|s| s == "cavalcade.event/1" || s == "cavalcade.apply/1"), "{schemas:?}");
}

#[test]
fn without_a_terminal_a_question_is_an_error_that_names_the_flag() {
    let plan_file = |point| plan(point).to_text().expect("text");
    let session = Session::new(empty());
    let file = session.file("up.plan", &plan_file(false));
    session.run(["apply".as_ref(), file.as_os_str()]).ends(2).err_has(&["--yes", "Nothing was changed."]);
    let file = session.file("up.plan", &plan_file(true));
    let short = plan(true).sha256.short().to_owned();
    let args = |more: &[&str]| -> Vec<String> {
        ["apply", file.to_str().expect("UTF-8")].iter().chain(more).map(ToString::to_string).collect()
    };
    session.run(args(&["--yes"])).ends(2).err_has(&[&format!("--confirm {short}"), "loses new data"]);
    session.run(args(&["--confirm", "12345678"])).ends(2).err_has(&["is not this plan"]);
    session.run(args(&["--confirm", &short[..7]])).ends(2);
    assert_eq!(session.script.asked(Method::Apply), Vec::<Value>::new());

    session.script.answer(Method::Apply, verb(&plan(true)));
    let said = session.run(args(&["--confirm", &short.to_uppercase(), "--detach"]));
    said.ends(0).out_has(&["watch it with: cavalcade watch"]);
    assert_eq!(session.script.asked(Method::Apply)[0]["confirm"], json!(plan(true).sha256));
}

#[test]
fn a_plan_that_had_its_run_prints_its_result_and_starts_nothing() {
    let plan = plan(true);
    for (mode, states, code) in [("done", DONE, 0), ("cancelled", ["succeeded", "cancelled", "cancelled", "cancelled"], 6)] {
        let session = Session::new(run(&plan, mode, states, json!([])));
        let file = session.file("up.plan", &plan.to_text().expect("text"));
        session.run(["apply".as_ref(), file.as_os_str()]).ends(code).err_has(&["has had its run", "Nothing was changed."]);
        assert_eq!(session.script.asked(Method::Apply), Vec::<Value>::new());
    }
}

#[test]
fn what_the_controller_refuses_is_9() {
    let plan = plan(false);
    let session = Session::new(empty());
    let fault = Fault::new(codes::run::RUN_OPEN, "fleet test has the open run run-1, started by ben");
    session.script.refuse(Method::Apply, fault);
    let file = session.file("up.plan", &plan.to_text().expect("text"));
    let said = session.run(["apply".as_ref(), file.as_os_str(), "--yes".as_ref()]);
    said.ends(9).err_has(&["error[CVL-5021]", "started by ben", "Nothing was changed.", "cavalcade explain CVL-5021"]);
    let damaged = session.file("bad.plan", &plan.to_text().expect("text").replace("is-2", "is-3"));
    session.run(["apply".as_ref(), damaged.as_os_str(), "--yes".as_ref()]).ends(2).err_has(&["CVL-1201", "bad.plan"]);
}
