//! Scripts run once, go on where they stopped, and stop where nobody can know.

use std::sync::Mutex;

use cavalcade_agent::database::{
    Approval, DbError, Decision, Opening, Progress, Refusal, ScriptRun, ScriptState, incarnation, inspect_script, run_script,
    strangers,
};
use cavalcade_common::action::{Engine, NoSessions};
use cavalcade_common::id::Digest;

use crate::servers::{Db, ENGINES, silent};

const TWO: &str = "CREATE TABLE a (x INTEGER);\nINSERT INTO a VALUES (1);\n";

#[tokio::test]
async fn a_script_runs_once() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let digest = Digest::of(TWO.as_bytes());
        assert_eq!(inspect_script(&db.run(TWO, &digest, "1")).await.expect("looks"), ScriptState::None);
        let first = run_script(&db.run(TWO, &digest, "1"), &silent).await.expect("runs");
        assert_eq!((first.statements, first.executed), (2, 2));
        let second = run_script(&db.run(TWO, &digest, "2"), &silent).await.expect("is done");
        assert_eq!((second.statements, second.executed), (2, 0));
        assert_eq!(db.sql("SELECT COUNT(*) FROM a"), "1", "{engine:?}");
        assert_eq!(inspect_script(&db.run(TWO, &digest, "2")).await.expect("looks"), ScriptState::Done { statements: 2 });
    }
}

#[tokio::test]
async fn a_failed_statement_is_where_the_script_goes_on() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let sql = "CREATE TABLE a (x INTEGER);\n\nINSERT INTO missing VALUES (1);\nINSERT INTO a VALUES (2);";
        let digest = Digest::of(sql.as_bytes());
        let failed = run_script(&db.run(sql, &digest, "1"), &silent).await.expect_err("fails");
        let DbError::Failed { statement, line, code, done, total, .. } = &failed else { panic!("{failed:?}") };
        assert_eq!((*statement, *line, *done, *total), (2, 3, 1, 3));
        let wanted = if engine == Engine::Mysql { "1146" } else { "42P01" };
        assert_eq!(code.as_deref(), Some(wanted));
        let state = inspect_script(&db.run(sql, &digest, "1")).await.expect("looks");
        assert_eq!(state, ScriptState::Partial { next: 2, line: 3, opening: Opening::NotDone, session_state: None });
        db.sql("CREATE TABLE missing (x INTEGER)");
        let shown = Mutex::new(Vec::new());
        let show = |p| shown.lock().expect("one thread").push(p);
        let went_on = run_script(&db.run(sql, &digest, "2"), &show).await.expect("goes on");
        assert_eq!(went_on.executed, 2);
        assert_eq!(shown.lock().expect("one thread")[0], Progress::From { statement: 2, total: 3 });
        assert_eq!(db.sql("SELECT COUNT(*) FROM a"), "1");
    }
}

/// The published PostgreSQL script from 3.1.0 to 3.2.0 holds a statement that always fails: a person can leave it out.
#[tokio::test]
async fn a_person_can_leave_out_what_the_server_refuses() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let sql = "CREATE TABLE a (x INTEGER);\nDROP TABLE missing;\nINSERT INTO a VALUES (2);";
        let digest = Digest::of(sql.as_bytes());
        let failed = run_script(&db.run(sql, &digest, "1"), &silent).await.expect_err("fails");
        assert!(matches!(failed, DbError::Failed { statement: 2, .. }), "{failed:?}");
        let mut run = db.run(sql, &digest, "2");
        run.approved = Some(Approval { statement: 3, decision: Decision::Done });
        let e = run_script(&run, &silent).await.expect_err("not the open one");
        assert!(matches!(e, DbError::Refused(Refusal::StaleDecision { decided: 3, open: Some(2) })), "{e:?}");
        run.approved = Some(Approval { statement: 2, decision: Decision::Done });
        let went_on = run_script(&run, &silent).await.expect("goes on");
        assert_eq!((went_on.executed, went_on.by_word), (1, vec![2]));
        assert_eq!(db.sql("SELECT COUNT(*) FROM a"), "1");
        assert_eq!(db.sql("SELECT note FROM cavalcade_script_ledger WHERE statement = 2"), "left out by a person");
    }
}

/// A server ends a closed session when it comes to it, and keeps its locks until then: here it has temporary tables to
/// drop first. Whoever looks behind a run must not take the script for one that runs.
#[tokio::test]
async fn the_lock_is_given_away_before_the_session_is_closed() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let tables: String = (0..150).map(|n| format!("CREATE TEMPORARY TABLE t{n} (x INTEGER PRIMARY KEY);\n")).collect();
        let sql = format!("{tables}INSERT INTO missing VALUES (1);");
        let digest = Digest::of(sql.as_bytes());
        let failed = run_script(&db.run(&sql, &digest, "1"), &silent).await.expect_err("fails");
        assert!(matches!(failed, DbError::Failed { statement: 151, .. }), "{failed:?}");
        let state = inspect_script(&db.run(&sql, &digest, "1")).await.expect("looks");
        assert!(matches!(state, ScriptState::Partial { next: 151, .. }), "{engine:?} {state:?}");
    }
}

/// The lock is the whole database's: what is done is done, whoever has it now.
#[tokio::test]
async fn a_script_that_is_done_is_done_while_another_one_runs() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let digest = Digest::of(TWO.as_bytes());
        run_script(&db.run(TWO, &digest, "1"), &silent).await.expect("runs");
        db.sql("CREATE TABLE b (x INTEGER)");
        let held = db.holding(match engine {
            Engine::Mysql => "LOCK TABLES b WRITE;",
            Engine::Postgresql => "BEGIN; LOCK TABLE b;",
        });
        let other = "INSERT INTO b VALUES (1);";
        let other_digest = Digest::of(other.as_bytes());
        let run = ScriptRun { effect: "other", ..db.run(other, &other_digest, "1") };
        let look = async {
            db.executing_once("INSERT INTO b").await;
            let state = inspect_script(&run).await.expect("looks");
            assert!(matches!(state, ScriptState::Running { next: 1, .. }), "{engine:?} {state:?}");
            let state = inspect_script(&db.run(TWO, &digest, "1")).await.expect("looks");
            assert_eq!(state, ScriptState::Done { statements: 2 }, "{engine:?}");
            drop(held);
        };
        let (ran, ()) = tokio::join!(run_script(&run, &silent), look);
        assert_eq!(ran.expect("runs").executed, 1);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_begins() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let digest = Digest::of(TWO.as_bytes());
        let other = Digest::of(b"other");
        let refused = |e: DbError| match e {
            DbError::Refused(r) => r,
            e => panic!("{e:?}"),
        };
        let e = run_script(&db.run(TWO, &other, "1"), &silent).await.expect_err("other digest");
        assert!(matches!(refused(e), Refusal::Digest));

        let life = incarnation(db.target()).await.expect("first meeting");
        assert_eq!(incarnation(db.target()).await.expect("second"), life, "it is written once");
        let mut run = db.run(TWO, &digest, "1");
        run.incarnation = Some("another");
        let e = run_script(&run, &silent).await.expect_err("other database");
        assert!(matches!(refused(e), Refusal::Incarnation { .. }));
        run.incarnation = Some(&life);
        run.epoch = 7;
        run_script(&run, &silent).await.expect("runs");

        run.epoch = 6;
        let e = run_script(&run, &silent).await.expect_err("an older controller");
        assert!(matches!(refused(e), Refusal::Epoch { newer: 7, ours: 6 }));
        let changed = format!("{TWO}INSERT INTO a VALUES (2);");
        let digest = Digest::of(changed.as_bytes());
        let e = run_script(&db.run(&changed, &digest, "2"), &silent).await.expect_err("another script");
        assert!(matches!(refused(e), Refusal::OtherScript(_)));
        assert_eq!(db.sql("SELECT COUNT(*) FROM a"), "1");
    }
}

#[tokio::test]
async fn a_transaction_of_the_script_is_done_whole_or_not_at_all() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let sql = "CREATE TABLE a (x INTEGER PRIMARY KEY);\nBEGIN;\nINSERT INTO a VALUES (1);\nINSERT INTO b VALUES (2);\n\
                   COMMIT;\nINSERT INTO a VALUES (3);";
        let digest = Digest::of(sql.as_bytes());
        let failed = run_script(&db.run(sql, &digest, "1"), &silent).await.expect_err("fails");
        assert!(matches!(failed, DbError::Failed { statement: 4, done: 1, .. }), "{failed:?}");
        assert_eq!(db.sql("SELECT COUNT(*) FROM a"), "0");
        db.sql("CREATE TABLE b (x INTEGER)");
        let went_on = run_script(&db.run(sql, &digest, "2"), &silent).await.expect("goes on at BEGIN");
        assert_eq!(went_on.executed, 5);
        assert_eq!(db.sql("SELECT COUNT(*) FROM a"), "2");
    }
}

/// A first attempt whose future is dropped when its INSERT has reached the server: the connection is closed under it.
async fn left_at_work(db: &Db, sql: &str, digest: &Digest) {
    let run = db.run(sql, digest, "1");
    tokio::select! {
        biased;
        ended = run_script(&run, &silent) => panic!("it ended: {ended:?}"),
        () = db.executing_once("INSERT INTO a") => {}
    }
}

/// The lock tells that an earlier session still executes: the next attempt waits for it and shows it (rule 22).
#[tokio::test]
async fn a_statement_that_outlives_its_client_is_waited_for() {
    let db = Db::new(Engine::Mysql);
    db.sql("CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);");
    // It goes on without its client, which the wait for a lock of a table does not, and long enough for a slow machine.
    let sql = "ALTER TABLE a ADD y INTEGER;\nINSERT INTO a (x) SELECT 2 FROM DUAL WHERE SLEEP(20) = 0;\n\
               ALTER TABLE a ADD z INTEGER;";
    let digest = Digest::of(sql.as_bytes());
    left_at_work(&db, sql, &digest).await;
    let shown = Mutex::new(Vec::new());
    let show = |p| shown.lock().expect("one thread").push(p);
    let e = run_script(&db.run(sql, &digest, "2"), &show).await.expect_err("an INSERT cannot be seen");
    let shown = shown.into_inner().expect("one thread");
    assert!(matches!(shown[0], Progress::Waiting { .. }), "{shown:?}");
    let DbError::Indeterminate { statement: 2, known, unknown, .. } = e else { panic!("{e:?}") };
    assert!(known.iter().any(|k| k.contains("nothing of it runs any more")), "{known:?}");
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    // The person looks: the server finished it.
    assert_eq!(db.sql("SELECT COUNT(*) FROM a"), "2");
    let mut run = db.run(sql, &digest, "3");
    run.approved = Some(Approval { statement: 2, decision: Decision::Done });
    assert_eq!(run_script(&run, &silent).await.expect("goes on").executed, 1);
    // The same command again, its decision long applied.
    assert_eq!(run_script(&run, &silent).await.expect("is done").executed, 0);
    assert_eq!(db.sql("SELECT COUNT(*) FROM a"), "2");
}

/// What an earlier attempt left at work is ours: the lock decides about it, and the look for strangers does not stand in
/// its way (rules 16 and 22).
#[tokio::test]
async fn a_statement_that_outlives_its_client_is_no_stranger() {
    let db = Db::new(Engine::Mysql);
    db.sql("CREATE TABLE a (x INTEGER);");
    // Long enough for every look, and it goes on without its client.
    let sql = "INSERT INTO a (x) SELECT 2 FROM DUAL WHERE SLEEP(120) = 0;";
    let digest = Digest::of(sql.as_bytes());
    left_at_work(&db, sql, &digest).await;
    let others = strangers(db.target(), &NoSessions { but_from: Vec::new() }).await.expect("looks");
    assert!(others.is_empty(), "{others:?}");
    db.executing_once("INSERT INTO a").await;
}

/// A session whose client's host vanished rests with the lock for hours: it is ended (rule 22).
#[tokio::test]
async fn an_orphan_at_rest_is_ended() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let digest = Digest::of(TWO.as_bytes());
        // Stops for good between two statements: the future is kept, so its connection stays open.
        let (stopped, mut reached) = tokio::sync::mpsc::unbounded_channel();
        let (release, hold) = std::sync::mpsc::channel::<()>();
        let hold = Mutex::new(hold);
        let (target, text, sha) = (db.target().clone(), TWO.to_owned(), digest.clone());
        let frozen = std::thread::spawn(move || {
            let show = |p| {
                if matches!(p, Progress::Done { statement: 1, .. }) {
                    stopped.send(()).expect("the test listens");
                    let _released = hold.lock().expect("one thread").recv();
                }
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let run = ScriptRun {
                target: &target,
                effect: "test",
                attempt: "1",
                epoch: 1,
                script_sha256: &sha,
                script: &text,
                incarnation: None,
                approved: None,
            };
            runtime.block_on(run_script(&run, &show))
        });
        reached.recv().await.expect("the first statement is done");
        let state = inspect_script(&db.run(TWO, &digest, "2")).await.expect("looks");
        assert!(matches!(state, ScriptState::Running { next: 2, .. }), "{state:?}");
        let shown = Mutex::new(Vec::new());
        let show = |p| shown.lock().expect("one thread").push(p);
        let went_on = run_script(&db.run(TWO, &digest, "2"), &show).await.expect("goes on");
        assert_eq!(went_on.executed, 1);
        assert!(shown.into_inner().expect("one thread").iter().any(|p| matches!(p, Progress::OrphanEnded { .. })));
        // The frozen one wakes up: its session is gone and so it does nothing more.
        drop(release);
        let late = frozen.join().expect("no panic").expect_err("its session was ended");
        assert!(matches!(late, DbError::Interrupted { statement: 2, .. } | DbError::Query { .. }), "{late:?}");
        assert_eq!(db.sql("SELECT COUNT(*) FROM a"), "1", "{engine:?}");
    }
}

#[tokio::test]
async fn a_decision_must_fit_what_is_open() {
    let db = Db::new(Engine::Mysql);
    let digest = Digest::of(TWO.as_bytes());
    run_script(&db.run(TWO, &digest, "1"), &silent).await.expect("runs");
    let mut run = db.run(TWO, &digest, "2");
    run.approved = Some(Approval { statement: 1, decision: Decision::NotDone });
    let e = run_script(&run, &silent).await.expect_err("nothing is open");
    assert!(matches!(e, DbError::Refused(Refusal::StaleDecision { decided: 1, open: None })), "{e:?}");
}
