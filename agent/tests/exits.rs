//! The agent's commands as processes: exit code, and what the last line says of what was changed.
#![cfg(test)]

use std::process::{Command, Output};

use cavalcade_common::id::Digest;

fn agent(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cavalcade-agent"));
    command.env_clear().env("CAVALCADE_AGENT_CONFIG", "/dev/null").args(args).output().expect("runs")
}

#[track_caller]
fn ends(output: &Output, code: i32, words: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err}");
    for word in words {
        assert!(err.contains(word), "{word:?} is missing in {err}");
    }
}

#[test]
fn commands_end_with_the_codes_of_the_manual_and_say_what_was_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let state = state.to_str().expect("UTF-8");
    let file = folder.path().join("token");
    let token_file = file.to_str().expect("UTF-8");
    let enrol = |address: &str| agent(&["enroll", "--controller", address, "--token-file", token_file, "--state", state]);

    ends(&enrol("127.0.0.1:1"), 2, &["CVL-1001", "Nothing was changed."]);
    std::fs::write(&file, "no token").expect("is written");
    ends(&enrol("127.0.0.1:1"), 2, &["this is no enrolment token", "Nothing was changed."]);
    let token = format!("cvl1:h-1:{}:{}", "0123456789abcdef".repeat(2), Digest::of(b"ca"));
    std::fs::write(&file, &token).expect("is written");
    // Nothing listens on this port: it was bound and let go.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let gone = enrol(&format!("127.0.0.1:{port}"));
    ends(&gone, 8, &["CVL-2012", "the token can be tried again"]);
    assert!(!String::from_utf8_lossy(&gone.stderr).contains(&token[10..20]), "no part of the token is told");

    let unenrolled = agent(&["run", "--controller", "127.0.0.1:1", "--state", state]);
    ends(&unenrolled, 2, &["CVL-2005", "Work under way on this host goes on."]);
    let mut loud = Command::new(env!("CARGO_BIN_EXE_cavalcade-agent"));
    loud.env_clear().env("CAVALCADE_LOG", "x=loud").args(["run", "--controller", "127.0.0.1:1"]);
    ends(&loud.output().expect("runs"), 2, &["--log <FILTER>", "Nothing was changed."]);
    ends(&agent(&["bogus"]), 2, &["bogus", "Nothing was changed."]);
}

#[test]
fn what_a_command_needs_may_stand_in_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("agent.yaml");
    let with = |text: &str, args: &[&str]| {
        std::fs::write(&file, text).expect("is written");
        agent(&[&["--config", file.to_str().expect("UTF-8")], args].concat())
    };
    let state = folder.path().join("none").display().to_string();
    let good = format!("schema: cavalcade.agent-config/1\ncontroller: 127.0.0.1:1\nagent_state: {state}\n");
    ends(&with(&good, &["run"]), 2, &["CVL-2005", "read the file with options"]);
    ends(&with("schema: cavalcade.agent-config/1\n", &["run"]), 2, &["--controller <HOST:PORT>", "Nothing was changed."]);
    let wrong = "schema: cavalcade.agent-config/1\ncontroler: 127.0.0.1:1\n";
    ends(&with(wrong, &["run"]), 2, &["agent.yaml:2:1", "`controller` exists", "CVL-1106", "Nothing was changed."]);
    ends(&with("schema: cavalcade.config/1\n", &["run"]), 2, &["CVL-1117", "schema: cavalcade.agent-config/1"]);
}
