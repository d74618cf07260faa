//! Real jobs: a start script in the foreground whose "JVM" never exits by itself.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cavalcade_common::action::{ProgressPattern, Sequence, ServerOp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;
use crate::action::real_kit::{Machine, fault, until};
use crate::host::held::ShimProgram;
use crate::host::held::tests::test_shim;
use crate::host::real::RealHost;
use crate::shim::record::Records;

const STEPS: &str = "for n in 1 2 3; do say \"Migration Step : M$n of order : $n is starting\"; sleep 0.1; done";
const DONE: &str = "say 'Execution was done'; say 'WSO2 Carbon started in 9 sec'; stay";

fn job(machine: &Machine) -> Job {
    Job {
        effect: "is-migration".to_owned(),
        home: machine.home(),
        command: vec!["bin/wso2server.sh".to_owned(), "-Dmigrate".to_owned()],
        runtime: machine.runtime(),
        databases: Vec::new(),
        log: Some("repository/logs/wso2carbon.log".to_owned()),
        ends: vec!["WSO2 Carbon started in".to_owned()],
        evidence: Wanted {
            require: vec!["Execution was done".to_owned()],
            forbid: vec!["ERROR".to_owned()],
            sequence: Some(Sequence { pattern: r"of order : (\d+) is starting".to_owned(), from: 1, to: 3 }),
        },
        progress: Some(ProgressPattern {
            pattern: r"Step : (?<label>\w+) of order : (?<done>\d+) is starting".to_owned(),
            total: 3,
        }),
        alarm_after: Duration::from_secs(3600),
    }
}

#[tokio::test]
async fn a_job_is_judged_by_its_evidence_and_its_server_stays_up() {
    let machine = Machine::new(&format!("{STEPS}; {DONE}"));
    let (job, cx) = (job(&machine), machine.needing(1));
    assert_eq!(job.inspect(&cx).await.unwrap().verdict, Verdict::Opaque);
    let applied = job.apply(&cx).await.unwrap();
    assert!(applied.changed && applied.evidence.iter().any(|e| e.what == "permit"));
    assert!(job.verify(&cx).await.unwrap().iter().all(|e| e.holds));
    assert_eq!(machine.heard.ended.lock().unwrap().len(), 1);
    assert!(machine.heard.ended.lock().unwrap()[0].contains("WSO2 Carbon started in 9 sec"));
    assert!(machine.heard.has("output", "order : 3") && machine.heard.has("wso2carbon.log", "order : 3"));
    assert!(machine.heard.progress.lock().unwrap().iter().any(|p| p.total == 3 && p.done > 0));
    assert_eq!(machine.processes().len(), 1, "the server of a migration stays until the stop step");

    // Other patterns on the stored output (`rejudge`).
    let other = Wanted { forbid: vec!["order : 2".to_owned()], ..job.evidence.clone() };
    let judged = judge_stored(&*machine.host, &cx.attempt_dir, &job, &other).unwrap();
    assert_eq!(judged.iter().filter(|e| !e.holds).count(), 1);

    // The next attempt finds the server in its way; the stop step takes it away.
    assert_eq!(fault(job.apply(&machine.context(2, false)).await).0.code, codes::HOME_IN_USE);
    machine.server(ServerOp::Stop).apply(&machine.context(3, false)).await.unwrap();
    assert_eq!(machine.launches().len(), 1);
}

#[tokio::test]
async fn a_success_line_after_an_error_is_a_failure_with_its_work_ended() {
    let machine = Machine::new(&format!("say ERROR; {STEPS}; {DONE}"));
    let job = job(&machine);
    let cx = machine.context(1, false);
    job.apply(&cx).await.unwrap();
    let (failed, changed) = fault(job.verify(&cx).await);
    assert_eq!((failed.code, changed), (codes::JOB_FAILED, true));
    assert_eq!(machine.heard.ended.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_that_dies_early_failed_although_its_script_exits_with_0() {
    let machine = Machine::new(&format!("{STEPS}; exit 3"));
    let (failed, _) = fault(job(&machine).apply(&machine.context(1, false)).await);
    assert_eq!(failed.code, codes::JOB_FAILED);
    assert!(failed.message.contains("before it said that its work had ended"), "{failed}");
    assert_eq!(machine.heard.ended.lock().unwrap().len(), 1);
}

/// The output file is whole and says that all went well; what stood in the product's own log, nobody can tell any more.
#[tokio::test]
async fn a_gap_in_the_products_log_is_no_success() {
    let log = "home/repository/logs/wso2carbon.log";
    for (says, refuted) in [("say fine", false), ("say ERROR", true)] {
        let machine = Machine::new(&format!("{STEPS}; rm \"$log\"; {says}; {DONE}"));
        fs::write(machine.at(log), "of the last start\n").unwrap();
        let (job, cx) = (job(&machine), machine.context(1, false));
        job.apply(&cx).await.unwrap();
        let stored = judge_stored(&*machine.host, &cx.attempt_dir, &job, &job.evidence).unwrap();
        assert!(!stored.last().unwrap().holds, "it is told to `rejudge` too");
        match job.verify(&cx).await {
            Err(Failure::Failed { fault, .. }) if refuted => assert_eq!(fault.code, codes::JOB_FAILED),
            Err(Failure::Indeterminate { fault, known, unknown }) if !refuted => {
                assert_eq!(fault.code, codes::LOG_GAP);
                assert!(known.len() == 4 && unknown[0].contains("rolled away"), "{known:?} {unknown:?}");
            }
            other => panic!("{says}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn exit_121_does_not_migrate_twice() {
    let machine = Machine::new(&format!("{STEPS}; exit 121"));
    let (failed, _) = fault(job(&machine).apply(&machine.context(1, false)).await);
    assert!(failed.message.contains("second launch"), "{failed}");
    assert_eq!(machine.launches().len(), 1);
}

#[tokio::test]
async fn an_agent_restarted_again_and_again_keeps_the_same_child() {
    let machine = Machine::new(&format!("{STEPS}; while [ ! -e \"$home/go\" ]; do sleep 0.03; done; {DONE}"));
    let job = job(&machine);
    for round in 0..10 {
        let cx = machine.context(1, round > 0);
        let looks = machine.heard.progress.lock().unwrap().len();
        tokio::select! {
            biased;
            applied = job.apply(&cx) => panic!("ended early: {applied:?}"),
            () = until("a look", || (machine.heard.progress.lock().unwrap().len() > looks).then_some(())) => {}
        }
        until("the launch", || (machine.launches().len() == 1).then_some(())).await;
    }
    fs::write(machine.at("home/go"), "").unwrap();
    let cx = machine.context(1, true);
    job.apply(&cx).await.unwrap();
    job.verify(&cx).await.unwrap();
    assert_eq!(machine.launches().len(), 1);
}

/// A machine on which starting a shim reports an error, whatever this program did before; the attempt's folder is its `$1`.
fn failing(program: &str) -> Machine {
    let mut machine = Machine::new(&format!("{STEPS}; {DONE}"));
    let args = ["-c", &format!("{program}; echo 'Failed to start transient service unit' >&2; exit 1"), "shim"];
    let shim = ShimProgram { program: "/bin/sh".into(), args: args.map(str::to_owned).to_vec() };
    machine.host = Arc::new(RealHost::with_shim(shim));
    machine
}

/// Rule 8: as `systemd-run` does that waits in vain for an answer, while its unit starts.
#[tokio::test]
async fn a_start_that_reports_an_error_is_judged_by_what_it_left() {
    let own = std::env::current_exe().unwrap();
    // Who looks before the shim has the lock is right to say that nothing began.
    let spawned = "while [ ! -s \"$1/records\" ]; do /bin/sleep 0.01; done";
    let shim = format!("'{}' {} \"$@\"; {spawned}", own.display(), test_shim().args.join(" "));
    let machine = failing(&shim);
    let (of_machine, cx) = (job(&machine), machine.context(1, false));
    of_machine.apply(&cx).await.unwrap();
    of_machine.verify(&cx).await.unwrap();
    assert_eq!(machine.launches().len(), 1);
    assert!(machine.heard.has(OWN, "Failed to start transient service unit"));

    let machine = failing("true");
    let cx = machine.context(1, false);
    let (failed, changed) = fault(job(&machine).apply(&cx).await);
    assert_eq!((failed.code, changed), (codes::NOT_HELD, false));
    assert_eq!(machine.host.held(&cx.attempt_dir, false).unwrap(), Some(HeldState::NeverBegan), "one that comes late ends");

    // A record that cannot be read.
    let machine = failing("echo x > \"$1/records\"");
    let unknown = job(&machine).apply(&machine.context(1, false)).await;
    assert!(matches!(&unknown, Err(Failure::Indeterminate { fault, .. }) if fault.code == codes::NOT_SEEN), "{unknown:?}");
}

#[tokio::test]
async fn one_that_vanished_is_for_a_person_and_never_a_success() {
    let machine = Machine::new(&format!("{STEPS}; say 'Execution was done'; stay"));
    let (job, cx) = (job(&machine), machine.context(1, false));
    let killed = async {
        until("the steps", || machine.heard.has("output", "Execution was done").then_some(())).await;
        let (child, _) = Records::read(&cx.attempt_dir).unwrap().spawned.unwrap();
        let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap();
        let shim = status.lines().find_map(|l| l.strip_prefix("PPid:")).unwrap().trim().parse().unwrap();
        let mut all = vec![shim, i32::try_from(child).unwrap()];
        all.extend(machine.processes().iter().map(|p| i32::try_from(p.id.pid).unwrap()));
        for pid in all {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
    };
    let (result, ()) = tokio::join!(job.apply(&cx), killed);
    assert!(matches!(&result, Err(Failure::Indeterminate { fault, .. }) if fault.code == codes::VANISHED), "{result:?}");
    let again = job.apply(&machine.context(1, true)).await;
    assert!(matches!(again, Err(Failure::Indeterminate { .. })), "{again:?}");
    assert_eq!(machine.launches().len(), 1);
}

#[tokio::test]
async fn a_long_job_raises_an_alarm_and_nothing_else() {
    let machine = Machine::new(&format!("{STEPS}; while [ ! -e \"$home/go\" ]; do sleep 0.03; done; {DONE}"));
    let mut job = job(&machine);
    job.alarm_after = Duration::from_millis(200);
    let cx = machine.context(1, false);
    let (applied, ()) = tokio::join!(job.apply(&cx), async {
        until("the alarm", || machine.heard.has("cavalcade", "ALARM").then_some(())).await;
        fs::write(machine.at("home/go"), "").unwrap();
    });
    applied.unwrap();
    job.verify(&cx).await.unwrap();
}

#[tokio::test]
async fn what_was_not_launched_is_proved_not_begun() {
    let machine = Machine::new(DONE);
    let job = job(&machine);
    assert!(matches!(job.apply(&machine.context(1, true)).await, Err(Failure::NotBegun { .. })));
    machine.desk.refuses.store(true, Ordering::SeqCst);
    assert!(matches!(job.apply(&machine.needing(2)).await, Err(Failure::NotBegun { .. })));
    let mut unset = job.clone();
    unset.runtime.java_home = None;
    assert_eq!(fault(unset.apply(&machine.context(3, false)).await).0.code, codes::JAVA_HOME_UNSET);
    let mut wrong = job;
    wrong.ends = vec!["(".to_owned()];
    assert_eq!(fault(wrong.apply(&machine.context(4, false)).await).0.code, codes::BAD_PATTERN);
    assert!(machine.launches().is_empty());
}
