//! Commands that change nothing: status, logs, previews, reports, explanations; tokens and artifacts.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;

use cavalcade_common::id::Digest;
use cavalcade_controller::rpc::method::Method;
use serde_json::{Value, json};
use zip::write::{SimpleFileOptions, ZipWriter};

use super::documents::{empty, person, plan, run};
use super::fake::{Said, Session, cavalcade};

fn alone(args: &[&str]) -> Said {
    Said::of(cavalcade(args).output().expect("runs"))
}

#[test]
fn no_controller_is_8_and_says_what_was_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().to_str().expect("UTF-8");
    for args in [&["status"][..], &["pause"], &["watch"], &["node", "list"], &["token", "create", "--host", "h"], &["logs"]] {
        let said = alone(&[&["--state", state], args].concat()).ends(8).err_has(&["error[CVL-1002]", "Nothing was changed."]);
        assert_eq!(said.out, "");
    }
}

#[test]
fn status_is_a_table_or_a_versioned_document() {
    let plan = plan(false);
    let waits = json!([person(Some("1.1@is-1"), 1, "a person: it failed")]);
    let session = Session::new(run(&plan, "going", ["failed", "running", "pending", "pending"], waits));
    let said = session.run(["status"]).ends(0).out_has(&["Running", "title of set-up", "cavalcade retry 1.1@is-1 --at 8841"]);
    assert!(said.out.lines().all(|line| line.chars().count() < 80), "{}", said.out);
    session.run(["status", "--steps"]).ends(0).out_has(&["1.1@is-2", "running"]);
    let document: Value = serde_json::from_str(&session.run(["status", "-o", "json"]).ends(0).out).expect("JSON");
    assert_eq!(document["schema"], "cavalcade.status/1");
    session.run(["status", "-o", "yaml"]).ends(0).out_has(&["schema: cavalcade.status/1"]);
    assert_eq!(session.run(["status", "-o", "jsonl"]).ends(0).out.lines().count(), 1);
    session.run(["node", "list"]).ends(0).out_has(&["is-1.example.com", "connected", "13 MiB"]);
    session.run(["status", "-o", "xml"]).ends(2);
    let said = session.run(["status", "run-of-nobody"]).ends(9).err_has(&["CVL-5020", "there is no run run-of-nobody"]);
    assert_eq!(said.out, "");
}

#[test]
fn printed_commands_reach_the_same_controller() {
    let plan = plan(false);
    let waits = json!([person(Some("1.1@is-1"), 1, "a person: it failed")]);
    let session = Session::new(run(&plan, "going", ["failed", "succeeded", "pending", "pending"], waits));
    let state = session.folder.path().join("state");
    let state = state.to_str().expect("UTF-8");
    let mut command = cavalcade(["--state", state, "status"]);
    let said = Said::of(command.output().expect("runs")).ends(0);
    said.out_has(&[&format!("cavalcade --state {state} retry 1.1@is-1 --at 8841")]);
}

#[test]
fn a_preview_shows_equal_diffs_once_and_counts() {
    let plan = plan(false);
    let session = Session::new(empty());
    let file = session.file("up.plan", &plan.to_text().expect("text").replace("  ", " "));
    let file = file.to_str().expect("UTF-8");
    let item = |step: &str, verdict: &str, says: &str, diff: &str| {
        let diffs = if diff.is_empty() { json!([]) } else { json!([{ "path": "/opt/x.toml", "diff": diff, "note": "" }]) };
        json!({ "step": step, "preview": { "Ok": { "verdict": verdict, "says": says, "diffs": diffs } } })
    };
    let diff = "@@ -1 +1 @@\n-a = 0\n+a = 1\n";
    let mut items = vec![
        item("1.1@is-1", "change", "", diff),
        item("1.1@is-2", "change", "", diff),
        item("2.1@is-1", "same", "", ""),
        item("2.1@is-2", "opaque", "its evidence judges it", ""),
    ];
    session.script.answer(Method::Preview, json!(items));
    let said = session.run(["preview", file]).ends(0).out_has(&[
        "~ 1.1 toml   is-1 is-2",
        "! 2.1 toml   is-2",
        "its evidence judges it",
        "= 1 without a change",
        "Preview: 2 change, 1 no change, 0 maybe, 1 opaque. Nothing was changed.",
    ]);
    assert_eq!(said.out.matches("+a = 1").count(), 1, "{}", said.out);
    session.run(["preview", file, "--exit-code"]).ends(3);
    let document: Value = serde_json::from_str(&session.run(["preview", file, "-o", "json"]).ends(0).out).expect("JSON");
    assert_eq!((&document["schema"], &document["counts"]["change"]), (&json!("cavalcade.preview/1"), &json!(2)));
    items.truncate(2);
    session.script.answer(Method::Preview, json!(items));
    session.run(["preview", file]).ends(1).out_has(&["2 got no answer"]);
    let gone = json!({ "step": "2.1@is-1", "preview": { "Err": { "code": 5031, "message": "is-1 is not connected" } } });
    session.script.answer(Method::Preview, json!([items[0], items[1], gone, item("2.1@is-2", "same", "", "")]));
    session.run(["preview", file]).ends(8).out_has(&["is-1 is not connected"]);
    let lines = session.run(["preview", file, "-o", "jsonl"]).ends(8);
    assert_eq!(lines.out.lines().filter(|line| line.contains("cavalcade.preview-item/1")).count(), 4, "{}", lines.out);
    session.script.answer(Method::Preview, json!(items));
    session.run(["preview", file, "--node", "is-1"]).ends(0);
    assert_eq!(session.script.asked(Method::Preview).pop().expect("asked")["nodes"], json!(["is-1"]));
    // The plan travels as it stands in the file, whichever version wrote it.
    let text = std::fs::read_to_string(file).expect("is there");
    assert_eq!(session.script.asked(Method::Preview)[0]["plan"], json!(text));
    session.run(["preview", file, "--node", "is-9"]).ends(2).err_has(&["no node `is-9`", "is-1 is-2"]);
}

#[test]
fn logs_are_shown_and_not_sent() {
    let session = Session::new(empty());
    let line = |number: u64, text: &str, gap: Value| {
        json!({
            "address": format!("is-1:{number}"), "position": number, "host": "is-1.example.com", "step": "4.6", "stream": "output",
            "seq": number, "at": "2026-11-23T01:12:40.5Z", "level": "ERROR", "text": text, "gap": gap,
        })
    };
    let lines = [
        line(7, "ERROR \u{1b}[2J gone", Value::Null),
        line(8, "", json!({ "lines": 3, "by": "agent" })),
        json!({ "damage": "segment 3 cannot be read" }),
        json!({ "cut": { "shown": 2, "wanted": 5000 } }),
    ];
    session.script.answer(Method::Logs, json!(lines));
    let said =
        session.run(["logs", "--node", "is-*", "--step", "4.6", "--grep", "gone", "--level", "warn", "--since", "-15m"]).ends(0);
    said.out_has(&[
        "is-1:7",
        "ERROR \\u{1b}[2J gone",
        "GAP: 3 lines are missing here",
        "--- DAMAGE: segment 3",
        "newest 2 of 5000",
    ]);
    let asked = session.script.asked(Method::Logs).pop().expect("asked");
    assert_eq!((&asked["nodes"], &asked["level"], &asked["tail"]), (&json!(["is-*"]), &json!("WARN"), &Value::Null));
    assert!(asked["since"].is_string());
    let said = session.run(["logs", "-o", "jsonl"]).ends(0);
    assert_eq!(session.run(["logs", "--output", "json"]).ends(0).out, said.out, "the word that every command takes");
    let documents: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(documents.iter().all(|d| d["schema"] == "cavalcade.log/1"), "{documents:?}");
    assert_eq!((&documents[0]["address"], &documents[2]["damage"]), (&json!("is-1:7"), &json!("segment 3 cannot be read")));
    // As they came: the one with an escape would reach this terminal.
    session.script.answer(Method::Logs, json!(lines[1..]));
    session.run(["logs", "-o", "raw"]).ends(0).out_has(&["--- GAP", "--- DAMAGE", "--- CUT"]);
    session.run(["logs", "--grep", "("]).ends(2).err_has(&["--grep"]);
    session.run(["logs", "--since", "yesterday"]).ends(2).err_has(&["`yesterday` is no time"]);
}

#[test]
fn a_report_is_one_file() {
    let plan = plan(false);
    let session = Session::new(empty());
    let document = run(&plan, "done", ["succeeded"; 4], json!([]));
    session.script.answer(
        Method::Report,
        json!({
            "run": document["runs"][0], "plan": plan.plan, "outcomes": {}, "decisions": [], "waived": [], "superseded": [], "log_ranges": {},
        }),
    );
    let file = session.file("up.plan", &plan.to_text().expect("text"));
    let file = file.to_str().expect("UTF-8");
    session.run(["report", file, "--change", "CHG0012345"]).ends(0).out_has(&["<!doctype html>", "CHG0012345", "DONE"]);
    assert_eq!(session.script.asked(Method::Report)[0]["run"], json!(plan.sha256));
    let out = session.folder.path().join("report.md");
    session.run(["report", "-o", "md", "--out", out.to_str().expect("UTF-8")]).ends(0).err_has(&["report.md: done"]);
    assert!(std::fs::read_to_string(&out).expect("is there").starts_with("# Upgrade of test"));
    session.run(["report", "-o", "junit"]).ends(0).out_has(&["<testsuites", "tests=\"4\""]);
    let json: Value = serde_json::from_str(&session.run(["report", "-o", "json"]).ends(0).out).expect("JSON");
    assert_eq!((&json["schema"], &json["verdict"]), (&json!("cavalcade.report/1"), &json!("DONE")));
}

#[test]
fn tokens_and_artifacts() {
    let session = Session::new(empty());
    let token = json!({ "token": "cvt-secret", "expires": "2026-11-23T01:30:00Z", "enrol_at": "c.example.com:7421" });
    session.script.answer(Method::TokenCreate, token);
    let said = session.run(["token", "create", "--host", "is-1.example.com", "--ttl", "2h"]).ends(0);
    assert_eq!(said.out, "cvt-secret\n");
    assert_eq!(session.script.asked(Method::TokenCreate)[0], json!({ "host": "is-1.example.com", "ttl_seconds": 7200 }));
    let fleet = session.file(
        "fleet.yaml",
        "schema: cavalcade.fleet/1\nfleet: t\nrecipe: r\nnodes:\n  is-[1:2]:\n    role: identity-server\n    \
         host: \"{{ name }}.example.com\"\n    old: { home: /opt/old }\n    new: { home: /opt/new }\n",
    );
    let out = session.folder.path().join("tokens");
    let args = ["token", "create", "--all", fleet.to_str().expect("UTF-8"), "--out", out.to_str().expect("UTF-8")];
    let said = session
        .run(args)
        .ends(0)
        .out_has(&["ssh is-2.example.com 'CAVALCADE_TOKEN=$(cat) cavalcade-agent enroll --controller c.example.com:7421' < "]);
    assert!(!said.out.contains("cvt-secret") && !said.err.contains("cvt-secret"), "tokens are in files only: {said:?}");
    let file = out.join("is-1.example.com.token");
    assert_eq!(std::fs::read_to_string(&file).expect("is there"), "cvt-secret\n");
    assert_eq!(std::fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
    session.run(["token", "create"]).ends(2);

    // A file that cannot be written comes behind tokens that were made: the last line says so.
    std::fs::remove_file(&file).expect("is there");
    std::fs::remove_file(out.join("is-2.example.com.token")).expect("is there");
    std::fs::create_dir(out.join("is-2.example.com.token")).expect("is made");
    let said = session.run(args).ends(2);
    said.err_has(&["2 of 2 tokens were made; that of is-2.example.com is in no file"]);
    assert!(file.exists());

    let pack = session.file("pack.zip", "content");
    let digest = Digest::of(b"content");
    session.run(["artifact", "add", pack.to_str().expect("UTF-8")]).ends(0).out_has(&[digest.as_str(), "7 B"]);
}

#[test]
fn a_host_is_revoked_with_a_reason() {
    let session = Session::new(empty());
    session.run(["node", "revoke", "is-1.example.com"]).ends(2).err_has(&["--why"]);
    session.run(["node", "revoke", "../x", "--why", "gone"]).ends(2);
    assert_eq!(session.script.asked(Method::HostRevoke), Vec::<Value>::new());
    session.script.answer(Method::HostRevoke, json!({ "certificates": 1, "connections": 1 }));
    let said = session.run(["node", "revoke", "is-1.example.com", "--why", "disk sold"]).ends(0);
    said.out_has(&[
        "Revoked is-1.example.com; its connection was cut. What runs there goes on",
        "cavalcade token create --host is-1.example.com",
    ]);
    assert_eq!(session.script.asked(Method::HostRevoke)[0], json!({ "host": "is-1.example.com", "why": "disk sold" }));
    session.script.answer(Method::HostRevoke, json!({ "certificates": 0, "connections": 0 }));
    session.run(["node", "revoke", "is-1.example.com", "--why", "again"]).ends(0).out_has(&["Nothing was changed."]);
}

#[test]
fn the_report_before_a_run_is_made_of_plan_and_previews() {
    let plan = plan(true);
    let session = Session::new(empty());
    let file = session.file("up.plan", &plan.to_text().expect("text"));
    let file = file.to_str().expect("UTF-8");
    let diff = "@@ -1 +1 @@\n-a = 0\n+a = 1\n";
    let item = |step: &str| {
        let preview = json!({ "verdict": "change", "says": "", "diffs": [{ "path": "/opt/x.toml", "diff": diff, "note": "" }] });
        json!({ "step": step, "preview": { "Ok": preview } })
    };
    let items: Vec<Value> = ["1.1@is-1", "1.1@is-2", "2.1@is-1", "2.1@is-2"].into_iter().map(item).collect();
    session.script.answer(Method::Preview, json!(items));
    let said = session.run(["report", "--before", file, "--change", "CHG0012345"]).ends(0);
    said.out_has(&["<!doctype html>", "CHG0012345", "What cannot be undone", "new traffic is lost", plan.sha256.as_str()]);
    session.run(["report", "--before", file, "-o", "md"]).ends(0).out_has(&["# Planned upgrade of test", "+a = 1"]);
    let document: Value =
        serde_json::from_str(&session.run(["report", "--before", file, "-o", "json"]).ends(0).out).expect("JSON");
    assert_eq!((&document["schema"], &document["counts"]["change"]), (&json!("cavalcade.report-before/1"), &json!(4)));
    assert_eq!(document["irreversible"][0]["stage"], "2 title of start");
    assert!(session.script.asked(Method::Report).is_empty(), "no run is needed");
    session.run(["report", "--before"]).ends(2);
    session.run(["report", "--before", file, "-o", "junit"]).ends(2).err_has(&["html, md or json"]);
    session.script.answer(Method::Preview, json!(items[..3]));
    session.run(["report", "--before", file]).ends(8).out_has(&["of 1 nobody could tell"]);
}

#[test]
fn explanations_need_no_controller() {
    alone(&["explain", "CVL-1002"]).ends(0).out_has(&["cause", "certain", "unknown", "remedy", "cavalcade serve"]);
    alone(&["explain", "5023", "-o", "json"]).ends(0).out_has(&["cavalcade.explanation/1", "CVL-5023"]);
    alone(&["explain", "agent-connected"]).ends(0).out_has(&["looks at", "remedy"]);
    alone(&["explain", "jdbc-driver-class"]).ends(0).out_has(&["recipe   wso2-is-km", "severity error", "Cannot load"]);
    let document: Value = serde_json::from_str(&alone(&["explain", "charset", "-o", "json"]).ends(0).out).expect("JSON");
    assert_eq!((&document["check"], &document["of"][0]["severity"]), (&json!("charset"), &json!("error")));
    alone(&["explain", "is-pack"]).ends(0).out_has(&["recipe   wso2-is-km-5.10.0", "recipe   wso2-is-5.10.0"]);
    alone(&["explain", "CVL-9999"]).ends(2).err_has(&["no error code and no check `CVL-9999`"]);
    alone(&["bogus"]).ends(2);
    alone(&["--version"]).ends(0).out_has(&["cavalcade 0."]);
}

#[test]
fn a_pack_is_listed_and_its_list_is_one_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut zip = ZipWriter::new(std::fs::File::create(at("wso2am-3.1.0.zip")).expect("is made"));
    for (name, text) in [
        ("wso2am-3.1.0/repository/conf/deployment.toml", "[server]\nhostname = \"localhost\"\n"),
        ("wso2am-3.1.0/repository/components/lib/a.jar", "jar"),
    ] {
        zip.start_file(name, SimpleFileOptions::default()).expect("is added");
        zip.write_all(text.as_bytes()).expect("is written");
    }
    zip.finish().expect("is closed");

    let said = alone(&["pack", "list", &at("wso2am-3.1.0.zip"), "--out", &at("am.json")]).ends(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", "wso2am-3.1.0: files 2, settings 1\n"));
    let list: Value = serde_json::from_str(&std::fs::read_to_string(at("am.json")).expect("is there")).expect("JSON");
    assert_eq!(list["schema"], "cavalcade.pack/1");
    assert_eq!(list["settings"], json!({ "server.hostname": "localhost" }));
    assert_eq!(list["files"]["repository/components/lib/a.jar"], json!(Digest::of(b"jar")));
    let again = alone(&["pack", "list", &at("am.json")]).ends(0);
    assert_eq!(serde_json::from_str::<Value>(&again.out).expect("JSON"), list);
    std::fs::write(at("no.zip"), "PK but no zip").expect("is written");
    alone(&["pack", "list", &at("no.zip")]).ends(2).err_has(&["no.zip", "cannot be read as a zip"]);
    alone(&["pack", "list", &at("none.zip")]).ends(2).err_has(&["none.zip"]);
}

#[test]
fn manual_pages_and_completions_come_from_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    alone(&["man", "--out", folder.path().to_str().expect("UTF-8")]).ends(0);
    for page in ["cavalcade.1", "cavalcade-apply.1", "cavalcade-token-create.1", "cavalcade-stop-job.1", "cavalcade-pack-list.1"]
    {
        let text = std::fs::read_to_string(folder.path().join(page)).expect(page);
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    assert!(!folder.path().join("cavalcade-man.1").exists(), "hidden ones have no page");
    for shell in ["bash", "zsh", "fish"] {
        alone(&["completions", shell]).ends(0).out_has(&["stop-job"]);
    }
}

#[test]
fn verify_groups_by_node_and_ends_as_documented() {
    let plan = plan(false);
    let session = Session::new(empty());
    let file = session.file("up.plan", &plan.to_text().expect("text"));
    let file = file.to_str().expect("UTF-8");
    let saw = |holds: bool, found: &str| json!({ "Ok": { "holds": holds, "evidence": [{ "what": "GET https://is-1:9443/health", "found": found, "holds": holds }] } });
    let item = |step: &str, name: &str, checked: Value| json!({ "step": step, "name": name, "row": "D16", "checked": checked });
    let answer =
        |items: Vec<Value>| json!({ "plan": plan.sha256, "fleet": "test", "at": "2026-11-23T01:12:40Z", "items": items });
    let good = item("3.1@is-1", "health", saw(true, "status 200, 15 bytes"));
    let bad = item("3.2@is-2", "token", saw(false, "status 401, 33 bytes"));
    let gone = json!({ "Err": { "code": 5031, "message": "is-2.example.com is not connected" } });
    let unreachable = item("3.1@is-2", "health", gone);

    session.script.answer(Method::Verify, answer(vec![good.clone()]));
    let said = session.run(["verify", file]).ends(0);
    let said = said.out_has(&[
        " is-1\n",
        "= 3.1 health (D16)",
        "holds",
        "status 200",
        "1 of 1 steps hold on 1 node. Nothing was changed.",
    ]);
    assert!(said.out.lines().all(|line| line.chars().count() < 80), "{}", said.out);
    let asked = session.script.asked(Method::Verify).pop().expect("asked");
    assert_eq!((&asked["nodes"], &asked["within_seconds"]), (&json!([]), &json!(30)));
    assert_eq!(asked["plan"], json!(std::fs::read_to_string(file).expect("is there")));

    // Without a plan it is that of the newest run.
    session.run(["verify", "--node", "is-1", "--within", "2min"]).ends(0);
    let asked = session.script.asked(Method::Verify).pop().expect("asked");
    assert_eq!((&asked["plan"], &asked["nodes"], &asked["within_seconds"]), (&Value::Null, &json!(["is-1"]), &json!(120)));

    session.script.answer(Method::Verify, answer(vec![good.clone(), bad, unreachable.clone()]));
    let said = session.run(["verify", file]).ends(1);
    said.out_has(&[
        "x 3.2 token (D16)",
        "NOT AS WANTED: status 401",
        "? 3.1 health",
        "1 of 3 steps hold on 2 nodes; 1 does not; nobody looked for 1",
    ]);
    let document: Value = serde_json::from_str(&session.run(["verify", file, "-o", "json"]).ends(1).out).expect("JSON");
    assert_eq!(document["schema"], "cavalcade.verification/1");
    assert_eq!(document["counts"], json!({ "holds": 1, "open": 1, "unasked": 1 }));

    session.script.answer(Method::Verify, answer(vec![good, unreachable]));
    session.run(["verify", file]).ends(8);
    session.run(["verify", file, "--node", "is-9"]).ends(2).err_has(&["no node `is-9`"]);
    let nothing = cavalcade_common::error::Fault::new(cavalcade_common::codes::plan::NOTHING_TO_VERIFY, "no stage");
    session.script.refuse(Method::Verify, nothing);
    session.run(["verify"]).ends(2).err_has(&["CVL-1241", "Nothing was changed."]);
}
