//! Backups count when they were restored; restores go into empty databases and end with a new incarnation.

use cavalcade_agent::database::{DbError, Ends, Refusal, backup, incarnation, restore, run_script};
use cavalcade_common::action::{Backup, Engine, Restore};
use cavalcade_common::id::Digest;

use crate::servers::{Db, ENGINES, silent};

fn filled(engine: Engine) -> Db {
    let db = Db::new(engine);
    let (blob, auto, charset) = match engine {
        Engine::Mysql => ("BLOB", "INTEGER NOT NULL AUTO_INCREMENT", "CHARACTER SET utf8mb4"),
        Engine::Postgresql => ("BYTEA", "SERIAL", ""),
    };
    db.sql(&format!(
        "CREATE TABLE A (ID {auto}, NAME VARCHAR(40), DATA {blob}, AT TIMESTAMP NULL, PRIMARY KEY (ID)) {charset};\n\
         INSERT INTO A (NAME, DATA) VALUES ('x', 'abc'), ('\u{e9}\u{4e16}', NULL), ('x', 'abc');\n\
         CREATE TABLE B (ID INTEGER REFERENCES A (ID), N NUMERIC(10, 3) DEFAULT 1.5);\n\
         INSERT INTO B (ID) VALUES (1), (2);\nCREATE INDEX B_N ON B (N);\nCREATE VIEW V AS SELECT ID FROM A;\n"
    ));
    db.sql(match engine {
        Engine::Mysql => "CREATE PROCEDURE p() SELECT 1;",
        Engine::Postgresql => {
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SCHEMA s; CREATE TABLE s.c (x int);"
        }
    });
    db
}

fn order(db: &Db, folder: &tempfile::TempDir) -> Backup {
    Backup { database: db.target().clone(), to: folder.path().join("b").display().to_string() }
}

/// What one step may end, in a run that knows this incarnation.
fn knowing(known: Option<&str>) -> Option<Ends<'_>> {
    Some(Ends { known, by: "run 0.1@cp-1" })
}

#[tokio::test]
async fn a_backup_is_proved_and_found_again() {
    for engine in ENGINES {
        let db = filled(engine);
        let folder = tempfile::tempdir().expect("a folder");
        let order = order(&db, &folder);
        let made = backup(&order).await.expect("backs up");
        assert!(made.contents.tables.keys().any(|t| t.to_lowercase().ends_with("b")));
        assert_eq!(made.contents.tables.values().map(|t| t.rows).max(), Some(3));
        assert_eq!(made.incarnation, incarnation(db.target()).await.expect("reads"));
        assert_eq!(backup(&order).await.expect("is there"), made, "the second is the first");
        // The scratch database is as empty as before.
        let scratch = db.target().scratch.clone().expect("named");
        let where_ = if engine == Engine::Mysql { "table_schema = DATABASE()" } else { "table_schema IN ('public', 's')" };
        assert_eq!(db.sql_in(&scratch, &format!("SELECT COUNT(*) FROM information_schema.tables WHERE {where_}")), "0");
        use std::os::unix::fs::PermissionsExt;
        let dump = std::path::Path::new(&order.to).join(&made.dump);
        assert_eq!(std::fs::metadata(&dump).expect("there").permissions().mode() & 0o777, 0o600);
        // A dump that was changed does not count any more.
        let mut bytes = std::fs::read(&dump).expect("readable");
        let last = bytes.last_mut().expect("not empty");
        *last ^= 1;
        std::fs::write(&dump, bytes).expect("written");
        let back = Restore { effect: "way back".to_owned(), database: db.target().clone(), from: order.to.clone() };
        assert!(matches!(restore(&back, knowing(None), folder.path()).await, Err(DbError::Damaged { .. })));
        assert_ne!(backup(&order).await.expect("a new one").proved, "");
    }
}

#[tokio::test]
async fn a_restore_replaces_only_what_it_was_taken_of_and_gives_a_new_life() {
    for engine in ENGINES {
        let db = filled(engine);
        let folder = tempfile::tempdir().expect("a folder");
        let order = order(&db, &folder);
        let before = db.dump();
        let made = backup(&order).await.expect("backs up");
        let sql = "CREATE TABLE NEW_ONE (x INTEGER);\nDELETE FROM B;\nALTER TABLE A ADD Z INTEGER;";
        let digest = Digest::of(sql.as_bytes());
        run_script(&db.run(sql, &digest, "1"), &silent).await.expect("runs");

        let back = Restore { effect: "way back".to_owned(), database: db.target().clone(), from: order.to.clone() };
        let refused = restore(&back, None, folder.path()).await.expect_err("it is not empty");
        assert!(matches!(refused, DbError::Refused(Refusal::NotEmpty { .. })), "{refused:?}");
        let other = Db::new(engine);
        other.sql("CREATE TABLE SOMEONES (x INTEGER)");
        let wrong = Restore { database: other.target().clone(), ..back.clone() };
        let refused = restore(&wrong, knowing(None), folder.path()).await.expect_err("it is someone else's");
        assert!(matches!(refused, DbError::Refused(Refusal::OtherBackup { .. })), "{refused:?}");
        assert_eq!(refused.fault().code, cavalcade_common::codes::database::BACKUP_OTHER);
        // Neither is an empty database of another name filled with it.
        other.sql("DROP TABLE SOMEONES");
        let refused = restore(&wrong, knowing(Some(&made.incarnation)), folder.path()).await.expect_err("it is another");
        assert!(matches!(refused, DbError::Refused(Refusal::OtherBackup { .. })), "{refused:?}");

        let done = restore(&back, knowing(None), folder.path()).await.expect("restores");
        assert_ne!(done.incarnation, made.incarnation);
        assert_eq!(incarnation(db.target()).await.expect("reads"), done.incarnation);
        assert_eq!(db.dump(), before, "{engine:?}");
        // The script's ledger went back too: it runs again from its first statement.
        assert_eq!(run_script(&db.run(sql, &digest, "2"), &silent).await.expect("runs").executed, 3);
        // What has another incarnation now is not replaced a second time.
        let other_step = Some(Ends { known: None, by: "run 0.2@cp-1" });
        let refused = restore(&back, other_step, folder.path()).await.expect_err("another life");
        assert!(matches!(refused, DbError::Refused(Refusal::NotEmpty { .. })), "{refused:?}");
        // Whoever made that one of it knows: the night may need the backup twice.
        let again = restore(&back, knowing(Some(&done.incarnation)), folder.path()).await.expect("restores once more");
        assert_ne!(again.incarnation, done.incarnation);
        assert_eq!(db.dump(), before, "{engine:?}");
        // Into an empty database it goes without a word.
        db.emptied();
        restore(&back, None, folder.path()).await.expect("restores");
        assert_eq!(db.dump(), before, "{engine:?}");
    }
}

/// Rule 23: what ended behind its last act, and nobody heard of it, can be repeated; what came out of it is another life
/// each time, whatever was done in the one before.
#[tokio::test]
async fn a_restore_whose_answer_was_lost_is_repeated_and_gives_another_life() {
    for engine in ENGINES {
        let db = filled(engine);
        let folder = tempfile::tempdir().expect("a folder");
        let order = order(&db, &folder);
        let before = db.dump();
        let made = backup(&order).await.expect("backs up");
        let back = Restore { effect: "way back".to_owned(), database: db.target().clone(), from: order.to.clone() };
        let first = restore(&back, knowing(None), folder.path()).await.expect("restores");
        let known = knowing(Some(&first.incarnation));
        let mut lives = vec![made.incarnation, first.incarnation.clone()];
        // The run never learns of those that follow: it knows the first one all the time.
        for round in ["the answer is lost", "the repeat's too", "a job worked on it"] {
            let again = restore(&back, known, folder.path()).await.unwrap_or_else(|e| panic!("{engine:?}, {round}: {e}"));
            assert_eq!(db.dump(), before, "{engine:?}, {round}");
            assert!(!lives.contains(&again.incarnation), "{engine:?}, {round}: {lives:?}");
            lives.push(again.incarnation);
            db.sql("DELETE FROM B; CREATE TABLE NEW_ONE (x INTEGER)");
        }
        let of_another_run = knowing(Some("met-by-another-run"));
        let refused = restore(&back, of_another_run, folder.path()).await.expect_err("another life");
        assert!(matches!(refused, DbError::Refused(Refusal::NotEmpty { .. })), "{refused:?}");
        // Where no journal knows an incarnation, the step knows what it did.
        db.emptied();
        restore(&back, knowing(None), folder.path()).await.expect("restores");
        restore(&back, knowing(None), folder.path()).await.expect("the same step restores again");
    }
}

/// MySQL drops table by table, the one with the incarnation among them: what an interruption leaves is still known as ours.
#[tokio::test]
async fn a_restore_that_ended_while_it_emptied_the_database_is_repeated() {
    let db = Db::new(Engine::Mysql);
    db.sql("CREATE TABLE A (ID INTEGER); CREATE TABLE zz (ID INTEGER);");
    let folder = tempfile::tempdir().expect("a folder");
    let order = order(&db, &folder);
    let before = db.dump();
    backup(&order).await.expect("backs up");
    let name = db.target().database.clone();
    // One that may not drop the last table ends there.
    db.sql(&format!(
        "CREATE USER {name}_ends@localhost; GRANT PROCESS ON *.* TO {name}_ends@localhost; \
         GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, LOCK TABLES ON {name}.* TO {name}_ends@localhost; \
         GRANT DROP ON {name}.A TO {name}_ends@localhost; GRANT DROP ON {name}.cavalcade_incarnation TO {name}_ends@localhost;"
    ));
    let mut back = Restore { effect: "way back".to_owned(), database: db.target().clone(), from: order.to.clone() };
    back.database.user = format!("{name}_ends");
    let ended = restore(&back, knowing(None), folder.path()).await.expect_err("may not drop the last table");
    assert!(matches!(ended, DbError::Query { .. }), "{ended:?}");
    // In which order the server names its tables is its own: here the incarnation went before the other.
    db.sql("DROP TABLE IF EXISTS cavalcade_incarnation");
    assert_eq!(db.sql("SHOW TABLES LIKE 'zz'"), "zz");
    back.database.user.clone_from(&db.target().user);
    restore(&back, knowing(None), folder.path()).await.expect("restores");
    assert_eq!(db.dump(), before);
}

#[tokio::test]
async fn a_backup_is_refused_while_others_are_connected_or_without_an_empty_scratch() {
    for engine in ENGINES {
        let db = filled(engine);
        let folder = tempfile::tempdir().expect("a folder");
        let mut order = order(&db, &folder);
        let scratch = db.target().scratch.clone().expect("named");
        db.sql_in(&scratch, "CREATE TABLE someones (x INTEGER)");
        let refused = backup(&order).await.expect_err("the scratch database is used");
        assert!(matches!(refused, DbError::Refused(Refusal::NotEmpty { .. })), "{refused:?}");
        db.sql_in(&scratch, "DROP TABLE someones");
        order.database.scratch = Some(db.target().database.clone());
        assert!(matches!(backup(&order).await, Err(DbError::Refused(Refusal::ScratchIsTarget))));
        order.database.scratch = None;
        assert!(matches!(backup(&order).await, Err(DbError::Refused(Refusal::NoScratch))));
        order.database.scratch = Some(scratch);
        let stranger = db.occupied(&db.target().user).await;
        let refused = backup(&order).await.expect_err("someone is connected");
        assert!(matches!(refused, DbError::Refused(Refusal::Sessions(_))), "{refused:?}");
        stranger.abort();
        assert!(!folder.path().join("b").join("manifest.json").exists());
    }
}

/// A password never stands in arguments, environment, or errors of the clients.
#[tokio::test]
async fn a_password_reaches_the_clients_by_file_only() {
    for engine in ENGINES {
        let db = filled(engine);
        let (name, scratch) = (db.target().database.clone(), db.target().scratch.clone().expect("named"));
        let password = "p \\ \" ' : # $x";
        let quoted = password.replace('\'', "''");
        match engine {
            Engine::Mysql => db.sql(&format!(
                "CREATE USER '{name}'@'localhost' IDENTIFIED BY '{}'; GRANT ALL ON {name}.* TO '{name}'@'localhost'; \
                 GRANT ALL ON {scratch}.* TO '{name}'@'localhost'; GRANT PROCESS ON *.* TO '{name}'@'localhost';",
                quoted.replace('\\', "\\\\")
            )),
            Engine::Postgresql => db.sql(&format!("CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{quoted}'")),
        };
        if engine == Engine::Mysql {
            // What root defined, only an account with the right to define for others brings back.
            db.sql("DROP PROCEDURE p; DROP VIEW V");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mut order = order(&db, &folder);
        (order.database.user, order.database.password) = (name, password.to_owned());
        backup(&order).await.expect("backs up with the password");
        if engine == Engine::Mysql {
            order.database.password = "wrong-secret".to_owned();
            let e = incarnation(&order.database).await.expect_err("wrong password");
            assert!(!format!("{e:?} {}", e.fault()).contains("wrong-secret"));
        }
    }
}
