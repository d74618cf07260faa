//! Leaving: Ctrl-C, a closed pipe, a controller that goes away. The run goes on in every case.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};

use cavalcade_controller::rpc::method::Method;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::documents::{plan, run};
use super::fake::Session;

fn watching(session: &Session) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = session.command(["watch"]).spawn().expect("starts");
    let mut out = BufReader::new(child.stdout.take().expect("is piped"));
    let mut first = String::new();
    out.read_line(&mut first).expect("a line");
    (child, out, first)
}

fn going() -> Session {
    Session::new(run(&plan(false), "going", ["running", "pending", "pending", "pending"], json!([])))
}

#[test]
fn ctrl_c_leaves_and_says_how_to_come_back() {
    let session = going();
    let (mut child, _out, first) = watching(&session);
    assert!(first.contains(" run ") && first.contains("0/4 1 run"), "{first}");
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGINT).expect("is sent");
    let mut err = String::new();
    child.stderr.take().expect("is piped").read_to_string(&mut err).expect("is read");
    assert_eq!(child.wait().expect("ends").code(), Some(130), "{err}");
    assert!(err.contains("the run goes on. Come back with: cavalcade watch"), "{err}");
    assert!(session.script.asked(Method::Cancel).is_empty() && session.script.asked(Method::Pause).is_empty());
}

#[test]
fn a_closed_pipe_is_quiet() {
    let session = going();
    let (mut child, out, _) = watching(&session);
    drop(out);
    session.script.status.send_replace(run(&plan(false), "going", ["succeeded", "running", "pending", "pending"], json!([])));
    let mut err = String::new();
    child.stderr.take().expect("is piped").read_to_string(&mut err).expect("is read");
    assert_eq!(child.wait().expect("ends").code(), Some(0), "{err}");
    assert_eq!(err, "");
}

#[test]
fn watch_ends_with_the_run_and_tells_every_change() {
    let session = going();
    let (mut child, mut out, _) = watching(&session);
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    assert!(line.contains(" running ") && line.contains("1.1@is-1"), "{line}");
    session.script.status.send_replace(run(&plan(false), "done", ["succeeded"; 4], json!([])));
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("is read");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    assert!(rest.contains(" done ") && rest.matches(" succeeded ").count() == 4, "{rest}");
}

#[test]
fn a_controller_that_goes_away_is_waited_for() {
    let mut session = going();
    let (mut child, _out, _) = watching(&session);
    session.end();
    let mut err = BufReader::new(child.stderr.take().expect("is piped"));
    let mut line = String::new();
    err.read_line(&mut line).expect("a line");
    assert!(line.contains("trying again") && line.contains("goes on"), "{line}");
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGINT).expect("is sent");
    assert_eq!(child.wait().expect("ends").code(), Some(130));
}
