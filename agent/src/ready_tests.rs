//! Whose line is it: stamps, zones, rolled files.

use std::fs;

use super::*;
use crate::host::ProcessId;
use crate::host::real::RealHost;

const STARTED: &str = r"WSO2 Carbon started in (\d+) sec";

fn line(at: Timestamp, zone: &TimeZone, text: &str) -> String {
    let stamp = at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
    format!("TID: [-1234] [] [{stamp}]  INFO {{x}} - {text}\n")
}

fn process(started: Timestamp) -> Process {
    Process { id: ProcessId { pid: 1, start_ticks: 1 }, args: Vec::new(), user: String::new(), started }
}

fn look(log: &Path, process: &Process) -> StartedLine {
    started_line(&RealHost::default(), log, &pattern(STARTED).unwrap(), process).unwrap()
}

/// Moments before one and the same now: however long a test takes, what lies between two of them stays.
fn before_now() -> impl Fn(i64) -> Timestamp {
    let now = crate::host::real::wall_clock();
    move |seconds| now - SignedDuration::from_secs(seconds)
}

#[test]
fn only_a_line_of_this_process_counts() {
    let ago = before_now();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("wso2carbon.log");
    assert_eq!(look(&log, &process(ago(60))), StartedLine::Missing);
    let zone = TimeZone::system();
    let old = line(ago(600), &zone, "WSO2 Carbon started in 9 sec");
    fs::write(&log, format!("{old}{}", line(ago(50), &zone, "Starting WSO2 Carbon..."))).unwrap();
    assert!(matches!(look(&log, &process(ago(60))), StartedLine::NotItsOwn { .. }));
    fs::write(&log, format!("{old}{}", line(ago(50), &zone, "WSO2 Carbon started in 10 sec"))).unwrap();
    assert!(matches!(look(&log, &process(ago(60))), StartedLine::Found(l) if l.contains("in 10 sec")));
    // A clock that was set back: the line is ahead of it.
    fs::write(&log, line(ago(-3600), &zone, "WSO2 Carbon started in 9 sec")).unwrap();
    filetime(&log, ago(-3600));
    assert!(matches!(look(&log, &process(ago(60))), StartedLine::NotItsOwn { .. }));
}

fn filetime(path: &Path, at: Timestamp) {
    let time = std::time::SystemTime::from(at);
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_jvm_in_another_zone_is_understood() {
    let ago = before_now();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("wso2carbon.log");
    for minutes in [-11 * 60, -90, 330, 13 * 60] {
        let zone = TimeZone::fixed(Offset::from_seconds(minutes * 60).unwrap());
        fs::write(&log, line(ago(30), &zone, "WSO2 Carbon started in 9 sec")).unwrap();
        assert!(matches!(look(&log, &process(ago(60))), StartedLine::Found(_)), "{minutes}");
        assert!(matches!(look(&log, &process(ago(20))), StartedLine::NotItsOwn { .. }), "{minutes}");
    }
}

#[test]
fn the_line_is_found_in_a_log_that_rolled() {
    let ago = before_now();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("wso2carbon.log");
    let zone = TimeZone::system();
    let rolled = dir.path().join("wso2carbon-11-22-2026.log");
    fs::write(&rolled, line(ago(5000), &zone, "WSO2 Carbon started in 9 sec")).unwrap();
    filetime(&rolled, ago(4700));
    fs::write(&log, line(ago(1), &zone, "something")).unwrap();
    assert!(matches!(look(&log, &process(ago(5100))), StartedLine::Found(_)));
    assert!(matches!(look(&log, &process(ago(4900))), StartedLine::NotItsOwn { .. }));
    assert_eq!(look(&log, &process(ago(3000))), StartedLine::Missing, "a file from before the process was read");
}

#[test]
fn without_stamps_only_a_file_made_after_the_process_counts() {
    let ago = before_now();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("wso2carbon.log");
    fs::write(&log, "WSO2 Carbon started in 9 sec\n").unwrap();
    let created = fs::metadata(&log).unwrap().created().is_ok();
    assert_eq!(matches!(look(&log, &process(ago(60))), StartedLine::Found(_)), created);
    assert!(matches!(look(&log, &process(ago(-60))), StartedLine::Missing | StartedLine::Unstamped(_)));
}
