//! What is asked before anything of a database is touched, and what an interruption leaves. The databases of these tests do
//! not exist.

use std::path::Path;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use cavalcade_common::action::{Backup, NoSessions, Restore, SqlScript};
use cavalcade_common::plan::Need;
use cavalcade_common::secret::SecretBook;

use super::*;
use crate::action::Act;
use crate::action::real_kit::{Machine, fault};
use crate::action::testkit::{self, FileHost};
use crate::database::{
    BackupManifest, Databases, Ends, Progress, RestoreOutcome, ScriptOutcome, ScriptRun, ScriptState, Session,
};

/// A server with somebody else in the database.
struct Occupied {
    /// How far the script is.
    script: ScriptState,
    /// Whether the accounts stay locked behind a restore that failed.
    stays_locked: bool,
}

impl Occupied {
    fn other() -> Session {
        Session { id: 7, user: "u".to_owned(), host: String::new(), program: String::new(), executing: true, seconds: 1 }
    }

    fn refused() -> DbError {
        Refusal::Sessions(vec![Self::other()]).into()
    }
}

#[async_trait]
impl Databases for Occupied {
    async fn backup(&self, _: &Backup) -> Result<BackupManifest, DbError> {
        Err(Self::refused())
    }
    async fn manifest(&self, folder: &Path) -> Result<BackupManifest, DbError> {
        Err(DbError::Damaged { path: folder.to_owned(), reason: "there is no manifest" })
    }
    async fn restore(&self, _: &Restore, _: Ends<'_>, _: &Path) -> Result<RestoreOutcome, DbError> {
        match self.stays_locked {
            true => Err(DbError::StaysLocked { accounts: vec!["wso2".to_owned()], source: Box::new(Self::refused()) }),
            false => Err(Self::refused()),
        }
    }
    async fn strangers(&self, _: &DbTarget, _: &NoSessions) -> Result<Vec<Session>, DbError> {
        Ok(vec![Self::other()])
    }
    async fn run_script(&self, _: &ScriptRun<'_>, _: &(dyn Fn(Progress) + Send + Sync)) -> Result<ScriptOutcome, DbError> {
        panic!("a script runs while somebody else is there")
    }
    async fn inspect_script(&self, _: &ScriptRun<'_>) -> Result<ScriptState, DbError> {
        Ok(self.script.clone())
    }
}

/// A context on such a server, whose permit nobody gives.
fn beside_others(machine: &testkit::Machine, resumed: bool, script: ScriptState, stays_locked: bool) -> Context {
    let host = FileHost::on(Box::new(Occupied { script, stays_locked }));
    machine.context(host, "r1", resumed, SecretBook::default())
}

#[tokio::test]
async fn a_script_that_was_done_before_the_interruption_asks_nobody_any_more() {
    let machine = testkit::Machine::new();
    let script = SqlScript { statements: Some("SELECT 1;".to_owned()), ..script() };
    let needs_permit = |mut cx: Context| {
        let mut step = (*cx.step).clone();
        step.needs = vec![Need::Down { nodes: Vec::new() }];
        cx.step = std::sync::Arc::new(step);
        cx
    };
    let done = ScriptState::Done { statements: 1 };
    let cx = needs_permit(beside_others(&machine, true, done.clone(), false));
    let applied = script.apply(&cx).await.expect("it is done, whoever is connected");
    assert!(applied.changed && applied.evidence.iter().all(|e| e.holds), "{:?}", applied.evidence);
    script.verify(&cx).await.expect("the script ledger shows it");
    // One that is not done goes on with nobody else there, and so does one that another attempt did.
    let partial = ScriptState::None;
    let (refused, changed) = fault(script.apply(&beside_others(&machine, true, partial, false)).await);
    assert_eq!((refused.code, changed), (codes::agent::NOT_PERMITTED, true));
    let new = script.apply(&beside_others(&machine, false, done, false)).await;
    assert!(matches!(&new, Err(Failure::NotBegun { why }) if why.contains("session 7 of u")), "{new:?}");
}

/// The vendor's client that a killed agent left is one more session.
#[tokio::test]
async fn a_backup_or_restore_that_meets_what_it_left_waits_for_the_end_of_that() {
    let machine = testkit::Machine::new();
    let backup = Backup { database: database(), to: machine.at("backups") };
    let restore = Restore { effect: "restore".to_owned(), database: database(), from: machine.at("backups") };
    for (act, stays_locked) in [(&backup as &dyn Act, false), (&restore, false), (&restore, true)] {
        for resumed in [true, false] {
            let cx = beside_others(&machine, resumed, ScriptState::None, stays_locked);
            let met = act.apply(&cx).await;
            // The attempt after the interrupted one has begun nothing yet, unless the database is half restored.
            if !(resumed || stays_locked) {
                assert!(matches!(&met, Err(Failure::NotBegun { why }) if why.contains("7 of u")), "{met:?}");
                continue;
            }
            let (refused, changed) = fault(met);
            assert_eq!((refused.code, changed), (codes::agent::NOT_PERMITTED, true), "{refused}");
            assert!(refused.message.contains("7 of u"), "{refused}");
            assert_eq!(refused.help.is_some_and(|help| help.contains("wso2")), stays_locked, "the locked accounts are named");
        }
    }
}

fn script() -> SqlScript {
    let json = serde_json::json!({ "effect": "upgrade", "database": database(), "but_from": [] });
    serde_json::from_value(json).unwrap()
}

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
