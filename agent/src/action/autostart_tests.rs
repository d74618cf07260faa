//! Switched off, interrupted anywhere, and restored.

use std::os::unix::fs::symlink;

use cavalcade_common::secret::SecretBook;

use super::*;
use crate::action::testkit::{FileHost, Machine, fault, holds};

const TABLE: &str = "# table\n@reboot root HOME/bin/wso2server.sh start --password=canary\n@reboot root /opt/other start\n";

fn machine() -> Machine {
    let machine = Machine::new();
    let home = machine.at("opt/is");
    machine.write("opt/is/bin/wso2server.sh", b"#!/bin/sh\n");
    machine.write("root/etc/crontab", TABLE.replace("HOME", &home).as_bytes());
    let unit = format!("[Service]\nExecStart={home}/bin/wso2server.sh start\n");
    machine.write("root/etc/systemd/system/is.service", unit.as_bytes());
    machine.write("root/etc/systemd/system/multi-user.target.wants/keep", b"");
    symlink("../is.service", machine.at("root/etc/systemd/system/multi-user.target.wants/is.service")).expect("links");
    machine
}

fn action(machine: &Machine, op: AutostartOp) -> Autostart {
    Autostart { op, home: machine.at("opt/is"), under: machine.at("root") }
}

fn wants(machine: &Machine) -> bool {
    Path::new(&machine.at("root/etc/systemd/system/multi-user.target.wants/is.service")).is_symlink()
}

fn records(machine: &Machine) -> Vec<String> {
    let names = files::list(&machine.dir.path().join("state/autostart")).expect("lists");
    names.iter().map(|n| n.split_once('.').expect("an end").1.to_owned()).collect()
}

#[tokio::test]
async fn what_is_switched_off_is_restored_and_nothing_else() {
    let machine = machine();
    let (disable, enable) = (action(&machine, AutostartOp::Disable), action(&machine, AutostartOp::Enable));
    let before = machine.read("root/etc/crontab");
    let stamps = machine.stamps();
    let preview = disable.inspect(&machine.plain()).await.expect("looks");
    assert_eq!((preview.verdict, preview.diffs.len()), (Verdict::Change, 2));
    let shown = format!("{preview:?}");
    assert!(shown.contains("#cavalcade# ") && shown.contains("link removed") && !shown.contains("canary"), "{shown}");
    assert_eq!(machine.stamps(), stamps, "a preview changes nothing");
    assert!(!holds(&disable.verify(&machine.plain()).await.expect("looks")));

    let applied = disable.apply(&machine.plain()).await.expect("works");
    assert!(applied.changed && holds(&applied.evidence) && applied.evidence.len() == 2, "{applied:?}");
    assert!(!format!("{applied:?}").contains("canary"));
    assert!(holds(&disable.verify(&machine.plain()).await.expect("looks")));
    assert!(!wants(&machine) && machine.read("root/etc/crontab").expect("there").contains("#cavalcade# @reboot root /"));
    assert_eq!(records(&machine), ["json"]);
    let again = disable.apply(&machine.plain()).await.expect("works");
    assert!(!again.changed);
    assert_eq!(disable.inspect(&machine.plain()).await.expect("looks").verdict, Verdict::Same);
    assert!(!holds(&enable.verify(&machine.plain()).await.expect("looks")));

    // Somebody's own work in between stays.
    let other = machine.read("root/etc/crontab").expect("there").replace("/opt/other", "/opt/another");
    machine.write("root/etc/crontab", other.as_bytes());
    let restored = enable.apply(&machine.plain()).await.expect("works");
    assert!(restored.changed && wants(&machine) && holds(&enable.verify(&machine.plain()).await.expect("looks")));
    assert_eq!(machine.read("root/etc/crontab"), before.map(|text| text.replace("/opt/other", "/opt/another")));
    assert_eq!(records(&machine), ["restored.json"]);
    let again = enable.apply(&machine.plain()).await.expect("works");
    assert!(!again.changed && holds(&enable.verify(&machine.plain()).await.expect("looks")));
}

#[tokio::test]
async fn a_repeat_adds_to_the_record() {
    let machine = machine();
    let (disable, enable) = (action(&machine, AutostartOp::Disable), action(&machine, AutostartOp::Enable));
    disable.apply(&machine.plain()).await.expect("works");
    let line = format!("* * * * * root {}/bin/wso2server.sh start\n", machine.at("opt/is"));
    machine.write("root/etc/cron.d/new", line.as_bytes());
    assert!(!holds(&disable.verify(&machine.plain()).await.expect("looks")), "it came later");
    assert!(disable.apply(&machine.plain()).await.expect("works").changed);
    enable.apply(&machine.plain()).await.expect("works");
    assert_eq!(machine.read("root/etc/cron.d/new"), Some(line));
    assert!(wants(&machine) && !machine.read("root/etc/crontab").expect("there").contains("cavalcade"));
}

#[tokio::test]
async fn an_end_at_any_write_is_gone_on_from_and_restored() {
    for op in [AutostartOp::Disable, AutostartOp::Enable] {
        for (after, late) in (0..6).flat_map(|n| [(n, false), (n, true)]) {
            let machine = machine();
            let before = machine.read("root/etc/crontab");
            let (disable, enable) = (action(&machine, AutostartOp::Disable), action(&machine, AutostartOp::Enable));
            if op == AutostartOp::Enable {
                disable.apply(&machine.plain()).await.expect("works");
            }
            let one = if op == AutostartOp::Disable { &disable } else { &enable };
            let dying = machine.context(FileHost::dying(after, late), "r1", false, SecretBook::default());
            let died = one.apply(&dying).await.is_err();
            let resumed = machine.context(FileHost::new(), "r1", true, SecretBook::default());
            let applied = one.apply(&resumed).await.expect("goes on");
            assert!(holds(&one.verify(&resumed).await.expect("looks")), "{op:?} {after} {late} {died} {applied:?}");
            assert_eq!(wants(&machine), op == AutostartOp::Enable);
            enable.apply(&machine.plain()).await.expect("works");
            assert_eq!((machine.read("root/etc/crontab"), wants(&machine)), (before, true), "{op:?} {after} {late}");
        }
    }
}

#[tokio::test]
async fn what_only_a_person_can_change_fails_by_name_and_changes_nothing() {
    let machine = machine();
    let disable = action(&machine, AutostartOp::Disable);
    let monit = machine.write("root/etc/monit.d/is", format!("start program = \"{}/bin/x\"\n", machine.at("opt/is")).as_bytes());
    let stamps = machine.stamps();
    let (why, changed) = fault(disable.apply(&machine.plain()).await);
    assert_eq!((why.code, changed), (codes::AUTOSTART_STAYS, false));
    assert!(why.message.contains(&monit) && why.message.contains("monit"), "{why}");
    assert_eq!(machine.stamps(), stamps);
    assert_eq!(fault(disable.inspect(&machine.plain()).await).0.code, codes::AUTOSTART_STAYS);
    std::fs::remove_file(&monit).expect("removes");
    assert!(disable.apply(&machine.plain()).await.expect("works").changed);
}

#[tokio::test]
async fn what_cannot_be_restored_is_named_and_the_rest_is_restored() {
    let machine = machine();
    let (disable, enable) = (action(&machine, AutostartOp::Disable), action(&machine, AutostartOp::Enable));
    disable.apply(&machine.plain()).await.expect("works");
    machine.write("root/etc/crontab", b"# somebody's own\n");
    let (why, changed) = fault(enable.apply(&machine.plain()).await);
    assert_eq!((why.code, changed), (codes::AUTOSTART_NOT_RESTORED, true));
    assert!(why.message.contains("crontab") && wants(&machine), "{why}");
    assert_eq!(records(&machine), ["json"]);
    machine.write("root/etc/crontab", TABLE.replace("HOME", &machine.at("opt/is")).as_bytes());
    enable.apply(&machine.plain()).await.expect("works");
    assert_eq!(records(&machine), ["restored.json"]);
}

#[tokio::test]
async fn nothing_to_do_is_said_and_a_damaged_record_is_not_used() {
    let machine = Machine::new();
    let (disable, enable) = (action(&machine, AutostartOp::Disable), action(&machine, AutostartOp::Enable));
    for one in [&disable, &enable] {
        assert_eq!(one.inspect(&machine.plain()).await.expect("looks").verdict, Verdict::Same);
        let applied = one.apply(&machine.plain()).await.expect("works");
        assert!(!applied.changed && holds(&one.verify(&machine.plain()).await.expect("looks")));
    }
    let path = Work::new(&enable, &machine.plain()).record_path(".json");
    files::create_dirs(path.parent().expect("has one")).expect("makes");
    std::fs::write(&path, b"{ \"home\": 1 }").expect("writes");
    assert_eq!(fault(enable.apply(&machine.plain()).await).0.code, codes::AUTOSTART_RECORD);
}

#[tokio::test]
async fn a_refused_write_fails_by_name() {
    let machine = machine();
    let disable = action(&machine, AutostartOp::Disable);
    // The folder of the record and the record itself can still be written.
    let refused = machine.context(FileHost::dying(2, false), "r1", false, SecretBook::default());
    let (why, changed) = fault(disable.apply(&refused).await);
    assert_eq!((why.code, changed), (codes::AUTOSTART_STAYS, true));
    assert!(why.message.contains(&machine.at("root/etc/crontab")) && !wants(&machine), "{why}");
}
