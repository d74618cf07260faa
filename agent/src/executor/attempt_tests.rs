//! The end of an attempt: what it waits for, and what counts as done.

use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use cavalcade_common::action::{CopyFiles, RemoveFiles};
use tokio::sync::Notify;

use super::*;
use crate::action::OutputSink;
use crate::action::testkit::{Machine, fault};

/// Holds work on files at its first progress until the other end is gone, and hears the attempt.
struct Holds {
    begun: AtomicBool,
    go_on: Mutex<mpsc::Receiver<()>>,
    ran_out: Notify,
}

impl OutputSink for Holds {
    fn progress(&self, progress: Progress) {
        if progress.label.starts_with("its time ran out") {
            self.ran_out.notify_one();
            return;
        }
        self.begun.store(true, Ordering::SeqCst);
        let _gone = self.go_on.lock().unwrap().recv();
    }
    fn line(&self, _: &str, _: &str) {}
    fn work_ended(&self, _: &str) {}
}

fn with_action(cx: &Context, action: Action) -> Context {
    let mut step = (*cx.step).clone();
    step.action = action;
    Context { step: Arc::new(step), ..cx.clone() }
}

/// 10, rule 6: while its work on files goes on, the attempt lives, so that no retry meets it.
#[tokio::test(start_paused = true)]
async fn an_attempt_whose_time_ran_out_ends_after_its_work_on_files() {
    let machine = Machine::new();
    machine.write("old/tenants/a.xml", b"a");
    let copy = CopyFiles {
        from: machine.at("old/tenants"),
        into: machine.at("new"),
        paths: Vec::new(),
        as_name: None,
        count: None,
        exclude: Vec::new(),
        without: Vec::new(),
        only: None,
    };
    let (go_on, waits) = mpsc::channel();
    let holds = Arc::new(Holds { begun: AtomicBool::new(false), go_on: Mutex::new(waits), ran_out: Notify::new() });
    let cx = with_action(&Context { out: holds.clone(), ..machine.plain() }, Action::Copy(copy));
    let mut performing = pin!(perform(&cx));
    tokio::select! {
        biased;
        done = &mut performing => panic!("nothing held it: {done:?}"),
        () = async {
            while !holds.begun.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    tokio::time::advance(cx.step.timeout + Duration::from_secs(1)).await;
    tokio::select! {
        biased;
        done = &mut performing => panic!("it ended while its work went on: {done:?}"),
        () = holds.ran_out.notified() => {}
    }
    drop(go_on);
    let (fault, changed) = fault(performing.await);
    assert_eq!((fault.code, changed), (codes::agent::STEP_TIMEOUT, true));
    assert!(machine.names("new").is_empty(), "given up before its rename: {:?}", machine.names("new"));
}

/// Promise 4: what the look behind the work does not show is not done.
#[test]
fn an_effect_that_is_not_shown_is_no_success() {
    let seen = |holds| vec![Evidence::holds("a file", "is there"), Evidence { holds, ..Evidence::holds("content", "other") }];
    assert!(shown(Applied::default(), seen(true)).is_ok());
    let applied = Applied { changed: true, ..Applied::default() };
    let (fault, changed) = fault(shown(applied, seen(false)));
    assert_eq!((fault.code, fault.message.as_str(), changed), (codes::agent::NOT_SHOWN, "content: other", true));
}

#[tokio::test]
async fn a_step_whose_work_is_done_in_time_succeeds() {
    let machine = Machine::new();
    let path = machine.write("a.txt", b"a");
    let cx = with_action(&machine.plain(), Action::Remove(RemoveFiles { paths: vec![path] }));
    let (applied, evidence) = perform(&cx).await.unwrap();
    assert!(applied.changed && evidence.iter().all(|e| e.holds));
}
