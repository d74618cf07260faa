//! Probes of real processes.

use std::fs;

use cavalcade_common::action::ServerOp;

use super::*;
use crate::action::Act;
use crate::action::real_kit::{Machine, NORMAL, health, until};

fn probe_of(machine: &Machine) -> Probe {
    Probe {
        home: machine.home(),
        forbid_args: vec!["-Dmigrate".to_owned()],
        run_as: None,
        ready: machine.server(ServerOp::Start).ready,
    }
}

fn failed(seen: &Seen) -> String {
    seen.evidence.iter().filter(|e| !e.holds).map(|e| format!("{}: {}\n", e.what, e.found)).collect()
}

fn sights(seen: &Seen) -> Vec<Sight> {
    seen.observed.iter().map(|o| o.sight).collect()
}

#[tokio::test]
async fn a_normal_start_is_ready_and_what_differs_is_named() {
    let machine = Machine::new(NORMAL);
    let host = &*machine.host;
    let mut wanted = probe_of(&machine);
    let nothing = probe(host, &machine.at("state"), Some(&wanted), Some(&machine.home())).await;
    assert!(!nothing.ready && nothing.old_down && nothing.process.is_empty());
    assert_eq!(sights(&nothing), [Sight::Down, Sight::Down]);

    machine.server(ServerOp::Start).apply(&machine.context(1, false)).await.unwrap();
    wanted.ready.http = vec![health("{\"health\":[]}").await];
    let seen = probe(host, &machine.at("state"), Some(&wanted), Some("/no/such/home")).await;
    assert!(seen.ready && seen.old_down, "{}", failed(&seen));
    assert_eq!(sights(&seen), [Sight::Up, Sight::Down]);
    assert_eq!(seen.process, name(&machine.processes()[0].id));
    assert!(!probe(host, &machine.at("state"), None, Some(&machine.home())).await.old_down);

    let mut other = wanted.clone();
    other.run_as = Some("somebody".to_owned());
    let seen = probe(host, &machine.at("state"), Some(&other), None).await;
    assert!(!seen.ready && failed(&seen).contains("instead of somebody"));

    // Rule 15: an IS whose health check is switched off answers 200 with nothing.
    wanted.ready.http = vec![health("").await];
    let seen = probe(host, &machine.at("state"), Some(&wanted), None).await;
    assert!(!seen.ready && failed(&seen).contains("empty body"), "{}", failed(&seen));
}

/// After a step of the clock the stamps of a log are those of another time; the server that wrote them runs on.
#[tokio::test]
async fn a_server_that_was_ready_stays_ready_when_the_clock_is_set() {
    let machine = Machine::new(NORMAL);
    let (state, log) = (machine.at("state"), machine.at("home/repository/logs/wso2carbon.log"));
    machine.server(ServerOp::Start).apply(&machine.context(1, false)).await.unwrap();
    let wanted = probe_of(&machine);
    assert!(probe(&*machine.host, &state, Some(&wanted), None).await.ready);
    let text = fs::read_to_string(&log).unwrap();
    let year = &text[text.find("[20").unwrap() + 1..][..4];
    let set = |to: &str| fs::write(&log, text.replace(year, to)).unwrap();
    for to in ["1999", "2999"] {
        set(to);
        let seen = probe(&*machine.host, &state, Some(&wanted), None).await;
        assert!(seen.ready, "{to}: {}", failed(&seen));
        machine.server(ServerOp::Wait).apply(&machine.context(2, false)).await.unwrap();
    }
    // The next process has to say it for itself.
    machine.server(ServerOp::Stop).apply(&machine.context(3, false)).await.unwrap();
    machine.behave("stay");
    let script = machine.at("home/bin/wso2server.sh");
    let done = std::process::Command::new(script).arg("start").env("JAVA_HOME", machine.at("jdk")).status().unwrap();
    assert!(done.success());
    until("the process", || (machine.processes().len() == 1).then_some(())).await;
    let seen = probe(&*machine.host, &state, Some(&wanted), None).await;
    assert!(!seen.ready && failed(&seen).contains("ahead of the clock"), "{}", failed(&seen));
}

#[tokio::test]
async fn a_migrating_server_is_not_ready() {
    let machine = Machine::new(NORMAL);
    let mut start = machine.server(ServerOp::Start);
    start.args = vec!["-Dmigrate".to_owned(), "-Dcomponent=identity".to_owned()];
    start.apply(&machine.context(1, false)).await.unwrap();
    let seen = probe(&*machine.host, &machine.at("state"), Some(&probe_of(&machine)), None).await;
    assert!(!seen.ready && failed(&seen).contains("-Dmigrate"), "{}", failed(&seen));
    assert_eq!(sights(&seen), [Sight::NotReady]);
    assert!(is_argument("-Dmigrate=true", "-Dmigrate"));
    assert!(!is_argument("-DmigrateFromVersion=3.1.0", "-Dmigrate"));
}

#[tokio::test]
async fn the_line_of_an_earlier_process_does_not_make_the_next_one_ready() {
    let machine = Machine::new(NORMAL);
    machine.server(ServerOp::Start).apply(&machine.context(1, false)).await.unwrap();
    machine.server(ServerOp::Stop).apply(&machine.context(2, false)).await.unwrap();
    machine.behave("say 'Starting WSO2 Carbon...'; while [ ! -e \"$home/go\" ]; do sleep 0.03; done; say 'WSO2 Carbon started in 9 sec'; stay");
    // Started by a person.
    let script = machine.at("home/bin/wso2server.sh");
    let java_home = machine.at("jdk");
    let done = std::process::Command::new(script).arg("start").env("JAVA_HOME", java_home).status().unwrap();
    assert!(done.success());
    until("the process", || (machine.processes().len() == 1).then_some(())).await;
    let log = machine.at("home/repository/logs/wso2carbon.log");
    until("its first line", || (fs::read_to_string(&log).unwrap().matches("Starting").count() == 2).then_some(())).await;
    let wanted = probe_of(&machine);
    let seen = probe(&*machine.host, &machine.at("state"), Some(&wanted), None).await;
    assert!(!seen.ready && failed(&seen).contains("the process began at"), "{}", failed(&seen));
    fs::write(machine.at("home/go"), "").unwrap();
    until("its own line", || (fs::read_to_string(&log).unwrap().matches("started in").count() == 2).then_some(())).await;
    let seen = probe(&*machine.host, &machine.at("state"), Some(&wanted), None).await;
    assert!(seen.ready, "{}", failed(&seen));
}
