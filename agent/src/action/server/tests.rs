//! Real servers: shell scripts that behave like the products' where it matters.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use cavalcade_common::action::HttpCheck;

use super::*;
use crate::action::real_kit::{Machine, NORMAL, fault, health, until};

const STALE: &str = "TID: [-1234] [] [2020-01-01 00:00:00,000]  INFO {x} - WSO2 Carbon started in 9 sec\n";

#[tokio::test]
async fn a_server_is_started_once_seen_ready_and_stopped() {
    let machine = Machine::new(NORMAL);
    fs::write(machine.at("home/repository/logs/wso2carbon.log"), STALE).unwrap();
    let mut start = machine.server(ServerOp::Start);
    start.args = vec!["-Dprofile=gateway-worker".to_owned()];
    let cx = machine.context(1, false);
    assert_eq!(start.inspect(&cx).await.unwrap().verdict, Verdict::Change);
    let applied = start.apply(&cx).await.unwrap();
    assert!(applied.changed && applied.evidence.iter().all(|e| e.holds), "{applied:?}");
    assert!(start.verify(&cx).await.unwrap().iter().any(|e| e.found.contains("WSO2 Carbon started in 9 sec")));
    assert!(machine.heard.has("wso2carbon.log", "Starting WSO2 Carbon"));
    assert!(!machine.heard.has("wso2carbon.log", "2020-01-01"), "a line from before the launch was passed on");

    assert_eq!(machine.heard.sights(), [Sight::Up, Sight::Up], "by the start, and by its last look");

    // Again, by another attempt: nothing to do.
    let again = machine.context(2, false);
    assert_eq!(start.inspect(&again).await.unwrap().verdict, Verdict::Same);
    assert!(!start.apply(&again).await.unwrap().changed);
    start.verify(&again).await.unwrap();
    assert_eq!(machine.launches().len(), 1);
    let wait = machine.server(ServerOp::Wait);
    assert_eq!(fault(wait.apply(&again).await).0.code, codes::OTHER_ARGUMENTS);

    let down = machine.server(ServerOp::Down);
    machine.heard.sights();
    let (runs, changed) = fault(down.apply(&again).await);
    assert_eq!((runs.code, changed), (codes::NOT_DOWN, false));
    let stop = machine.server(ServerOp::Stop);
    let cx = machine.context(3, false);
    assert!(stop.apply(&cx).await.unwrap().changed);
    stop.verify(&cx).await.unwrap();
    assert!(!stop.apply(&machine.context(4, false)).await.unwrap().changed);
    assert_eq!(machine.heard.sights(), [Sight::Running, Sight::Down, Sight::Down], "before, after, and when nothing ran");
    let looks = down.apply(&machine.context(5, false)).await.unwrap().evidence;
    assert_eq!((looks.len(), machine.heard.sights()), (2, vec![Sight::Down, Sight::Down]));
    let witness = fs::read_to_string(machine.at("witness")).unwrap();
    assert_eq!(witness.matches("down ").count(), 1, "{witness}");
}

#[tokio::test]
async fn without_java_home_nothing_is_begun() {
    let machine = Machine::new(NORMAL);
    let mut start = machine.server(ServerOp::Start);
    start.runtime.java_home = None;
    let cx = machine.context(1, false);
    assert_eq!(fault(start.inspect(&cx).await).0.code, codes::JAVA_HOME_UNSET);
    let (unset, changed) = fault(start.apply(&cx).await);
    assert_eq!((unset.code, changed), (codes::JAVA_HOME_UNSET, false));
    assert!(!cx.attempt_dir.exists());

    start.runtime.java_home = Some("/no/such/jdk".to_owned());
    let (failed, _) = fault(start.apply(&cx).await);
    assert_eq!(failed.code, codes::START_FAILED);
    assert!(failed.message.contains("CARBON cannot execute /no/such/jdk/bin/java"), "{failed}");
}

#[tokio::test]
async fn a_pid_file_with_a_strangers_number_neither_stops_the_start_nor_the_stranger() {
    let machine = Machine::new(NORMAL);
    let mut stranger = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
    let pid_file = machine.at("home/wso2carbon.pid");
    let mut padded = format!("{}\n", stranger.id()).into_bytes();
    padded.resize(100, 0);
    fs::write(&pid_file, &padded).unwrap();

    let applied = machine.server(ServerOp::Start).apply(&machine.context(1, false)).await.unwrap();
    assert_eq!(applied.diffs.len(), 1, "{applied:?}");
    let kept = fs::read_dir(machine.at("state/undo")).unwrap().map(|e| e.unwrap().path());
    assert!(kept.into_iter().any(|p| fs::read(p).is_ok_and(|b| b == padded)), "no kept copy");

    fs::write(&pid_file, &padded).unwrap();
    machine.server(ServerOp::Stop).apply(&machine.context(2, false)).await.unwrap();
    assert!(machine.processes().is_empty());
    assert_eq!(stranger.try_wait().unwrap(), None, "the stranger was signalled");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_start_that_says_it_failed_fails_at_once() {
    let machine = Machine::new("say 'WSO2 Carbon initialization Failed'; stay");
    let (failed, changed) = fault(machine.server(ServerOp::Start).apply(&machine.context(1, false)).await);
    assert_eq!((failed.code, changed), (codes::START_FAILED, true));
    assert!(failed.message.contains("initialization Failed"));
}

#[tokio::test]
async fn a_server_that_ends_or_is_slow_is_no_success() {
    let machine = Machine::new("say 'Starting WSO2 Carbon...'; exit 3");
    let (ended, _) = fault(machine.server(ServerOp::Start).apply(&machine.context(1, false)).await);
    assert_eq!(ended.code, codes::START_FAILED);

    // The health check and the port say yes, only its own line is missing: an old one does not count.
    machine.behave("say 'Starting WSO2 Carbon...'; stay");
    fs::write(machine.at("home/repository/logs/wso2carbon.log"), STALE).unwrap();
    let mut slow = machine.server(ServerOp::Start);
    slow.within = Duration::from_secs(300);
    slow.ready.http = vec![HttpCheck { url: "http://127.0.0.1:1/".to_owned(), ..health("{}").await }];
    // Its time is up only once it runs and is waited for.
    let waits = |label: &str| label.starts_with("waits ") && label.contains(" for line of");
    let cx = machine.context(2, false);
    tokio::select! {
        biased;
        applied = slow.apply(&cx) => panic!("ended early: {applied:?}"),
        () = until("the wait", || machine.heard.progress.lock().unwrap().iter().any(|p| waits(&p.label)).then_some(())) => {}
    }
    slow.within = Duration::from_secs(1);
    let (late, changed) = fault(slow.apply(&machine.context(2, true)).await);
    assert_eq!((late.code, changed), (codes::NOT_READY, true));
    assert!(late.message.contains("none yet"), "{late}");
    assert_eq!(machine.processes().len(), 1, "a slow server must not be killed");
    // It is found by the next attempt, whose look goes by the stamps in the log.
    let (late, _) = fault(slow.apply(&machine.context(3, false)).await);
    assert!(late.message.contains("2020-01-01"), "{late}");
    assert_eq!(machine.launches().len(), 2);
}

#[tokio::test]
async fn a_permit_is_asked_last_and_serves_one_launch() {
    let machine = Machine::new(NORMAL);
    machine.desk.refuses.store(true, Ordering::SeqCst);
    let start = machine.server(ServerOp::Start);
    let refused = start.apply(&machine.needing(1)).await;
    assert_eq!(refused, Err(Failure::NotBegun { why: "is-2 is not ready".to_owned() }));
    assert!(machine.launches().is_empty());
    machine.desk.refuses.store(false, Ordering::SeqCst);
    let applied = start.apply(&machine.needing(2)).await.unwrap();
    assert!(applied.evidence.iter().any(|e| e.what == "permit"));
    // It runs already: no launch, no permit.
    assert!(!start.apply(&machine.needing(3)).await.unwrap().changed);
    assert_eq!(machine.desk.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_agent_that_comes_back_finds_its_start() {
    let machine = Machine::new(
        "say 'Starting WSO2 Carbon...'; while [ ! -e \"$home/go\" ]; do sleep 0.03; done; say 'WSO2 Carbon started in 9 sec'; stay",
    );
    let start = machine.server(ServerOp::Start);
    for round in 0..3 {
        let cx = machine.context(1, round > 0);
        let launched = tokio::select! {
            biased;
            applied = start.apply(&cx) => panic!("ended early: {applied:?}"),
            () = until("the launch", || machine.heard.has("wso2carbon.log", "Starting WSO2").then_some(())) => machine.launches(),
        };
        assert_eq!(launched.len(), 1);
    }
    fs::write(machine.at("home/go"), "").unwrap();
    let cx = machine.context(1, true);
    assert!(start.apply(&cx).await.unwrap().changed);
    assert!(start.apply(&cx).await.unwrap().changed, "a second time for the same attempt");
    assert_eq!(machine.launches().len(), 1);

    // One that came before its launch proves that nothing began, and keeps it so.
    let stop = machine.server(ServerOp::Stop);
    stop.apply(&machine.context(2, false)).await.unwrap();
    assert!(matches!(start.apply(&machine.context(3, true)).await, Err(Failure::NotBegun { .. })));
    let late = launch::spec(&machine.context(3, false), &["/bin/true".to_owned()], "/", &start.runtime).unwrap();
    machine.host.hold(&late).unwrap();
    assert_eq!(machine.host.held(&late.dir, false).unwrap(), Some(crate::host::HeldState::NeverBegan));
}

#[tokio::test]
async fn a_stop_that_was_interrupted_goes_on() {
    let machine = Machine::new("trap '' TERM; say 'WSO2 Carbon started in 9 sec'; stay");
    machine.server(ServerOp::Start).apply(&machine.context(1, false)).await.unwrap();
    let mut stop = machine.server(ServerOp::Stop);
    stop.within = Duration::from_secs(1);
    let (late, changed) = fault(stop.apply(&machine.context(2, false)).await);
    assert_eq!((late.code, changed), (codes::NOT_STOPPED, true));
    assert_eq!(machine.processes().len(), 1, "it was killed");
    stop.within = Duration::from_secs(60);
    let cx = machine.context(2, true);
    let (done, ()) = tokio::join!(stop.apply(&cx), async {
        until("the wait", || {
            machine.heard.progress.lock().unwrap().iter().any(|p| p.label.contains("for the end of")).then_some(())
        })
        .await;
        fs::write(machine.at("home/stop-now"), "").unwrap();
    });
    assert!(done.unwrap().changed);
}

#[tokio::test]
async fn a_second_process_of_one_launch_must_say_started_itself() {
    let behave = "if [ -e \"$home/second\" ]; then sleep 1.5; say 'WSO2 Carbon started in 1 sec'; stay; fi; \
                  touch \"$home/second\"; say 'WSO2 Carbon started in 9 sec'; sleep 0.2; exit 121";
    let machine = Machine::new(behave);
    // The port opens with the second process: without it the first one could be ready for a moment, and rightly so.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let mut start = machine.server(ServerOp::Start);
    start.ready.tcp = vec![address.to_string()];
    let cx = machine.context(1, false);
    let (applied, _port) = tokio::join!(start.apply(&cx), async {
        until("the second process", || (machine.launches().len() == 2).then_some(())).await;
        socket.listen(8).unwrap()
    });
    let applied = applied.unwrap();
    let line = applied.evidence.iter().find(|e| e.what.contains("started in")).unwrap();
    assert_eq!(machine.launches().len(), 2);
    assert!(line.found.contains("started in 1 sec"), "{applied:?}");
}

#[tokio::test]
async fn something_else_on_the_port_is_in_the_way() {
    let machine = Machine::new(NORMAL);
    let mut start = machine.server(ServerOp::Start);
    start.ready.http = vec![health("{}").await];
    let (taken, changed) = fault(start.apply(&machine.context(1, false)).await);
    assert_eq!((taken.code, changed), (codes::PORT_TAKEN, false));
    assert!(machine.launches().is_empty());
}

#[test]
fn a_server_must_outlive_the_agent_and_a_unit_does_by_itself() {
    let machine = Machine::new(NORMAL);
    let mut start = machine.server(ServerOp::Start);
    assert!(start::child(&start, &machine.context(1, false)).unwrap().outlives_agent);
    start.service = Some("wso2is.service".to_owned());
    assert!(!start::child(&start, &machine.context(1, false)).unwrap().outlives_agent);
}

#[test]
fn pid_files_of_the_kernel_are_read() {
    let mut padded = b"4711\n".to_vec();
    padded.resize(100, 0);
    assert_eq!(start::pid_in(&padded), Some(4711));
    for bad in [b"".as_slice(), b"\0\0", b"x", b"-1", b"99999999999"] {
        assert_eq!(start::pid_in(bad), None, "{bad:?}");
    }
}

#[test]
fn arguments_are_compared_behind_the_main_class() {
    let line = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let java = "java -Xmx1g -Dcarbon.home=/h Bootstrap";
    assert!(has_arguments(&line(java), &[]));
    assert!(!has_arguments(&line(&format!("{java} -Dmigrate")), &[]));
    assert!(has_arguments(&line(&format!("{java} -Dmigrate")), &line("-Dmigrate")));
    assert!(!has_arguments(&line(java), &line("-Dmigrate")));
    assert!(!has_arguments(&line(&format!("{java} -Dmigrate -Dcomponent=identity")), &line("-Dcomponent=identity")));
}
