//! Real commands.

use std::fs::{self, File};
use std::sync::atomic::Ordering;

use cavalcade_common::secret::{SecretBook, SecretValue, marker};

use super::*;
use crate::action::real_kit::{Machine, fault, kill_both, until};
use crate::shim::record;

fn command(machine: &Machine, script: &str) -> CommandLine {
    CommandLine {
        effect: None,
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        cwd: machine.home(),
        runtime: machine.runtime(),
        exit: vec![0],
        repeatable: false,
        present: Vec::new(),
        absent: Vec::new(),
        forbid: Vec::new(),
        within: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn exit_code_output_and_paths_are_judged() {
    let machine = Machine::new("");
    let mut spec = command(&machine, "echo done; touch made; exit 1");
    spec.exit = vec![0, 1];
    spec.present = vec![machine.at("home/ma?e").display().to_string()];
    spec.absent = vec![machine.at("home/*.war").display().to_string()];
    let cx = machine.context(1, false);
    assert!(spec.apply(&cx).await.unwrap().evidence.iter().all(|e| e.holds));
    spec.verify(&cx).await.unwrap();
    assert!(machine.heard.has("output", "done"));

    // For the same attempt nothing runs twice.
    fs::remove_file(machine.at("home/made")).unwrap();
    let (missing, changed) = fault(spec.apply(&cx).await);
    assert_eq!((missing.code, changed), (codes::COMMAND_FAILED, true));

    let mut spec = command(&machine, "echo Profile is not specified properly");
    spec.forbid = vec!["not specified properly".to_owned()];
    assert_eq!(fault(spec.apply(&machine.context(2, false)).await).0.code, codes::COMMAND_FAILED);
    let (code, _) = fault(command(&machine, "exit 7").apply(&machine.context(3, false)).await);
    assert_eq!(code.message, "exit code: 7");
}

#[tokio::test]
async fn one_that_takes_too_long_is_killed() {
    let machine = Machine::new("");
    let mut spec = command(&machine, "sleep 1000 & echo up; sleep 1000");
    let cx = machine.context(1, false);
    // Its time begins when it runs: before that it would not be killed but never begin.
    tokio::select! {
        biased;
        applied = spec.apply(&cx) => panic!("ended early: {applied:?}"),
        () = until("the command", || machine.heard.has("output", "up").then_some(())) => {}
    }
    spec.within = Duration::from_millis(300);
    let (late, changed) = fault(spec.apply(&cx).await);
    assert_eq!((late.code, changed), (codes::COMMAND_LATE, true));
    let ended = || matches!(machine.host.held(&cx.attempt_dir, false).unwrap(), Some(HeldState::Ended { .. }));
    until("the end on disk", || ended().then_some(())).await;
}

/// The shim gets its lock only after the command's time was up.
#[tokio::test]
async fn one_that_begins_too_late_is_killed_or_kept_from_beginning() {
    let machine = Machine::new("");
    let mut spec = command(&machine, "sleep 1000");
    spec.within = Duration::from_millis(1);
    let cx = machine.context(1, false);
    fs::create_dir_all(&cx.attempt_dir).unwrap();
    let lock = File::create(cx.attempt_dir.join(record::LOCK)).unwrap();
    lock.lock().unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        lock.unlock()
    });
    match spec.apply(&cx).await {
        Err(Failure::Failed { fault, .. }) => assert_eq!(fault.code, codes::COMMAND_LATE),
        Err(Failure::NotBegun { .. }) => {}
        other => panic!("went on: {other:?}"),
    }
    holder.join().unwrap().unwrap();
    until("nobody to hold the lock", || {
        let held = machine.host.held(&cx.attempt_dir, false).unwrap();
        (!matches!(held, Some(HeldState::Alive { .. }))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_one_is_adopted_repeated_or_for_a_person() {
    let machine = Machine::new("");
    let script = "echo run >> runs; while [ ! -e go ]; do sleep 0.03; done";
    let mut spec = command(&machine, script);
    let runs = || fs::read_to_string(machine.at("home/runs")).unwrap_or_default().lines().count();
    let cx = machine.context(1, false);
    tokio::select! {
        biased;
        applied = spec.apply(&cx) => panic!("ended early: {applied:?}"),
        () = until("the run", || (runs() == 1).then_some(())) => {}
    }
    let cx = machine.context(1, true);
    let (result, ()) = tokio::join!(spec.apply(&cx), async {
        kill_both(&cx.attempt_dir);
    });
    assert!(matches!(result, Err(Failure::Indeterminate { .. })), "{result:?}");
    assert!(matches!(spec.apply(&machine.context(1, true)).await, Err(Failure::Indeterminate { .. })));
    assert_eq!(runs(), 1);

    spec.repeatable = true;
    machine.desk.refuses.store(true, Ordering::SeqCst);
    let mut needing = machine.needing(1);
    needing.resumed = true;
    let (refused, changed) = fault(spec.apply(&needing).await);
    assert_eq!((refused.code, changed), (cavalcade_common::codes::agent::NOT_PERMITTED, true), "it ran before");
    fs::write(machine.at("home/go"), "").unwrap();
    spec.apply(&machine.context(1, true)).await.unwrap();
    spec.apply(&machine.context(1, true)).await.unwrap();
    assert_eq!(runs(), 2);
    spec.repeatable = false;
    assert!(matches!(spec.apply(&machine.context(2, true)).await, Err(Failure::NotBegun { .. })));
}

#[tokio::test]
async fn a_secret_reaches_the_command_and_no_file_of_ours() {
    let machine = Machine::new("");
    let mut spec = command(&machine, "printf %s \"$PASSWORD\" > got");
    spec.runtime.env.insert("PASSWORD".to_owned(), marker("db"));
    let mut cx = machine.context(1, false);
    assert_eq!(fault(spec.apply(&cx).await).0.code, codes::NO_SECRET);
    let mut book = SecretBook::default();
    book.insert("db", SecretValue::new("s3cr3t-word".to_owned()));
    cx.secrets = book.into();
    spec.apply(&cx).await.unwrap();
    assert_eq!(fs::read_to_string(machine.at("home/got")).unwrap(), "s3cr3t-word");
    for entry in walkdir::WalkDir::new(machine.at("state")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let content = fs::read(entry.path()).unwrap();
            assert!(!content.windows(11).any(|w| w == b"s3cr3t-word"), "{}", entry.path().display());
        }
    }
}
