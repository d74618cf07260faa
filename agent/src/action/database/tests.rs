//! What is asked before anything of a database is touched. The databases of these tests do not exist.

use std::sync::atomic::Ordering;

use cavalcade_common::action::{Backup, Restore};

use super::*;
use crate::action::Act;
use crate::action::real_kit::{Machine, fault};

fn database() -> DbTarget {
    let target = r#"{"name":"am_db","engine":"mysql","host":"127.0.0.1","port":1,"database":"am_db","user":"u","password":"p"}"#;
    serde_json::from_str(target).unwrap()
}

/// The work is allowed, begun or not: nothing goes on without a permit (10, rule 16).
async fn asks(machine: &Machine, act: &dyn Act) {
    machine.desk.refuses.store(true, Ordering::SeqCst);
    let before = machine.desk.asked.load(Ordering::SeqCst);
    let mut cx = machine.needing(1);
    assert_eq!(act.apply(&cx).await, Err(Failure::NotBegun { why: "is-2 is not ready".to_owned() }));
    cx.resumed = true;
    let (refused, changed) = fault(act.apply(&cx).await);
    assert_eq!((refused.code, changed), (codes::agent::NOT_PERMITTED, true), "{refused}");
    assert!(refused.message.contains("is-2 is not ready"));
    assert_eq!(machine.desk.asked.load(Ordering::SeqCst) - before, 2);
}

#[tokio::test]
async fn a_backup_and_a_restore_ask_again_after_an_interruption() {
    let machine = Machine::new("");
    let folder = machine.at("backups").display().to_string();
    asks(&machine, &Backup { database: database(), to: folder.clone() }).await;
    asks(&machine, &Restore { effect: "restore".to_owned(), database: database(), from: folder }).await;
    assert!(!machine.at("backups").exists());
}
