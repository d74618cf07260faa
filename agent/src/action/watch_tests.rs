//! Product logs that roll away while no agent looks.

use std::fs::{self, OpenOptions};
use std::io::Write;

use super::*;
use crate::action::real_kit::{Machine, NORMAL};

const LOG: &str = "home/repository/logs/wso2carbon.log";

fn append(machine: &Machine, file: &str, text: &str) {
    let file = OpenOptions::new().append(true).create(true).open(machine.at(file));
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// What the central log got of the product's log.
fn passed_on(machine: &Machine) -> Vec<String> {
    let lines = machine.heard.lines.lock().unwrap();
    lines.iter().filter(|(stream, _)| stream == "wso2carbon.log").map(|(_, line)| line.clone()).collect()
}

/// A watch that passed three lines on and noted it.
fn watched(machine: &Machine) {
    append(machine, LOG, "before\n");
    let cx = machine.context(1, false);
    let mut watch = Watch::begin(&cx, Some(&machine.at(LOG))).unwrap();
    append(machine, LOG, "one\ntwo\nthree\nhal");
    watch.drain(&cx);
    assert_eq!(passed_on(machine), ["one", "two", "three"]);
}

fn resumed(machine: &Machine) -> Vec<String> {
    let cx = machine.context(1, true);
    let mut watch = Watch::resume(&cx, Some(&machine.at(LOG))).unwrap().unwrap();
    watch.drain(&cx);
    passed_on(machine)
}

#[test]
fn nothing_is_repeated_or_lost_by_a_restart() {
    let machine = Machine::new(NORMAL);
    watched(&machine);
    append(&machine, LOG, "f\nfour\n");
    assert_eq!(resumed(&machine), ["one", "two", "three", "half", "four"]);
    assert!(!machine.heard.has(OWN, "GAP"));
}

#[test]
fn a_log_that_is_gone_is_a_gap_and_the_new_one_is_passed_on_whole() {
    let machine = Machine::new(NORMAL);
    watched(&machine);
    fs::remove_file(machine.at(LOG)).unwrap();
    append(&machine, LOG, "first of the new\nsecond\n");
    assert_eq!(resumed(&machine), ["one", "two", "three", "first of the new", "second"]);
    assert!(machine.heard.has(OWN, "GAP"));
    // The next restart knows what was told.
    append(&machine, LOG, "third\n");
    machine.heard.lines.lock().unwrap().clear();
    assert_eq!(resumed(&machine), ["third"]);
    assert!(!machine.heard.has(OWN, "GAP"));
}

#[test]
fn a_rolled_log_is_read_on_although_the_one_of_the_launch_is_gone() {
    let machine = Machine::new(NORMAL);
    append(&machine, LOG, "before\n");
    let cx = machine.context(1, false);
    let mut watch = Watch::begin(&cx, Some(&machine.at(LOG))).unwrap();
    append(&machine, LOG, "one\n");
    let roll = |to: &str| fs::rename(machine.at(LOG), machine.at("home/repository/logs").join(to)).unwrap();
    roll("wso2carbon-11-21-2026.log");
    append(&machine, LOG, "two\n");
    watch.drain(&cx);
    append(&machine, LOG, "three\n");
    roll("wso2carbon-11-22-2026.log");
    append(&machine, LOG, "four\n");
    fs::remove_file(machine.at("home/repository/logs/wso2carbon-11-21-2026.log")).unwrap();
    assert_eq!(resumed(&machine), ["one", "two", "three", "four"]);
    assert!(!machine.heard.has(OWN, "GAP"), "every line was passed on");
}
