//! Statements that stand in the recipe: the same ledger as a script's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_agent::action::aside::Beside;
use cavalcade_agent::action::{Act, Applied, ArtifactSource, Context, Failure, OutputSink, PermitRefused, PermitSource, of};
use cavalcade_agent::database::backup::read_manifest;
use cavalcade_agent::host::real::RealHost;
use cavalcade_common::action::{Action, ArtifactRef, Backup, Engine, Restore, SqlScript};
use cavalcade_common::codes::database as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, Epoch, RunId};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::{Evidence, Progress, Verdict};
use cavalcade_common::secret::SecretBook;

use crate::servers::{Db, ENGINES};

struct Around;

#[async_trait]
impl ArtifactSource for Around {
    async fn fetch(&self, artifact: &ArtifactRef, _: &Path, _: &dyn OutputSink) -> Result<PathBuf, Failure> {
        panic!("{} is asked for, and there is no artifact", artifact.name)
    }
}

#[async_trait]
impl PermitSource for Around {
    async fn obtain(&self, _: &AttemptId, _: &PlanStep) -> Result<Vec<Evidence>, PermitRefused> {
        Ok(Vec::new())
    }
}

impl OutputSink for Around {
    fn progress(&self, _: Progress) {}
    fn line(&self, _: &str, _: &str) {}
    fn work_ended(&self, _: &str) {}
}

fn context(dir: &Path, number: u32) -> Context {
    let step = r#"{"key":"1.1@am-1","host":"h-1","name":"s","action":{"remove":{"paths":[]}},"timeout":"60s"}"#;
    let step: PlanStep = serde_json::from_str(step).expect("a step");
    Context {
        host: Arc::new(RealHost::with_shim(cavalcade_agent::host::held::ShimProgram::default())),
        attempt: AttemptId { run: RunId::new("r1").expect("a name"), step: step.key.clone(), number },
        epoch: Epoch(1),
        step: Arc::new(step),
        state_dir: dir.to_owned(),
        attempt_dir: dir.to_owned(),
        undo_dir: dir.to_owned(),
        cache_dir: dir.to_owned(),
        secrets: Arc::new(SecretBook::default()),
        hide: Arc::from(Vec::new()),
        artifacts: Arc::new(Around),
        permits: Arc::new(Around),
        out: Arc::new(Around),
        resumed: false,
        incarnations: Arc::new(BTreeMap::new()),
        decision: None,
        beside: Beside::default(),
    }
}

/// A step with these statements.
fn script(db: &Db, statements: &str) -> Box<dyn Act> {
    of(&Action::Sql(SqlScript {
        effect: "statements".to_owned(),
        database: db.target().clone(),
        script: None,
        statements: Some(statements.to_owned()),
        but_from: Vec::new(),
    }))
}

/// Applies it as this attempt, with a person's word or without one.
async fn apply(step: &dyn Act, dir: &Path, number: u32, word: Option<&str>) -> Result<Applied, Failure> {
    let cx = Context { decision: word.map(str::to_owned), ..context(dir, number) };
    loop {
        match step.apply(&cx).await {
            // The client that made the tables may still be listed.
            Err(Failure::NotBegun { .. }) => {}
            ended => return ended,
        }
    }
}

#[tokio::test]
async fn a_person_leaves_out_what_the_server_refuses_or_lets_it_run_again() {
    let dir = tempfile::tempdir().expect("a folder");
    for engine in ENGINES {
        let db = Db::new(engine);
        db.sql("CREATE TABLE a (x INTEGER);");
        let step = script(&db, "INSERT INTO a VALUES (1); INSERT INTO missing VALUES (2); INSERT INTO a VALUES (3)");
        for (attempt, word) in [(1, None), (2, Some("not-done")), (3, None)] {
            let Err(Failure::Failed { fault, .. }) = apply(&*step, dir.path(), attempt, word).await else { panic!("refused") };
            assert_eq!(fault.code, codes::SQL_FAILED);
            assert!(fault.help.is_some_and(|h| h.contains("`done` leaves statement 2 out")));
        }
        let done = apply(&*step, dir.path(), 4, Some("done")).await.expect("goes on");
        assert!(done.evidence.iter().any(|e| e.what.contains("a person's word") && e.found == "[2]"), "{:?}", done.evidence);
        assert!(step.verify(&context(dir.path(), 4)).await.expect("is done").iter().all(|e| e.holds));
        assert_eq!(db.sql("SELECT SUM(x) FROM a"), "4", "{engine:?}");
        assert_eq!(db.sql("SELECT note FROM cavalcade_script_ledger WHERE statement = 2"), "left out by a person");
    }
}

/// Wherever a script stopped among statements that hang together, a person's word is about all of them, and the script
/// goes on.
#[tokio::test]
async fn a_persons_word_leads_out_of_lost_session_state() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = "INSERT INTO a VALUES (1); SET @x = 10; INSERT INTO missing VALUES (@x); INSERT INTO a VALUES (@x); \
                INSERT INTO a VALUES (100)";
    let begun = |n: u32| format!("UPDATE cavalcade_script_ledger SET state = 'intent' WHERE statement = {n};");
    let unbegun = |n: u32| format!("DELETE FROM cavalcade_script_ledger WHERE statement >= {n};");
    // As the server refused it; as an agent left it that died in the statement, before it, and in the first one.
    for stopped in [String::new(), begun(3), unbegun(3), format!("{}{}", unbegun(3), begun(2))] {
        for (word, sum) in [("done", "101"), ("not-done", "111")] {
            let db = Db::new(Engine::Mysql);
            db.sql("CREATE TABLE a (x INTEGER);");
            let step = script(&db, text);
            let Err(Failure::Failed { fault, .. }) = apply(&*step, dir.path(), 1, None).await else { panic!("refused") };
            assert!(fault.help.is_some_and(|h| h.contains("statements 2 to 4 hang together")));
            if !stopped.is_empty() {
                db.sql(&stopped);
            }
            if !stopped.contains("statement = 2") {
                let asked = apply(&*step, dir.path(), 2, None).await;
                let Err(Failure::Indeterminate { known, .. }) = asked else { panic!("{asked:?}") };
                assert!(known.iter().any(|k| k.contains("A word about one is about all")), "{known:?}");
            }
            db.sql("CREATE TABLE missing (x INTEGER)");
            apply(&*step, dir.path(), 3, Some(word)).await.unwrap_or_else(|e| panic!("{stopped} {word}: {e:?}"));
            assert_eq!(db.sql("SELECT SUM(x) FROM a"), sum, "{stopped} {word}");
        }
    }
}

/// A fleet may name one folder for all databases: each backup stands in its own, and none is taken for another's.
#[tokio::test]
async fn backups_of_two_databases_do_not_meet() {
    let dir = tempfile::tempdir().expect("a folder");
    let to = dir.path().join("backups");
    for engine in ENGINES {
        let dbs = [Db::new(engine), Db::new(engine)];
        for db in &dbs {
            db.sql("CREATE TABLE a (x INTEGER);");
            let database = db.target().clone();
            let backup = of(&Action::Backup(Backup { database, to: to.display().to_string() }));
            backup.apply(&context(dir.path(), 1)).await.expect("backs up");
        }
        for db in &dbs {
            let database = db.target().clone();
            let folder = to.join("r1").join(&database.name);
            let kept = read_manifest(&folder).await.expect("is there");
            assert_eq!(kept.database, database.database);
            let from = folder.display().to_string();
            let back = of(&Action::Restore(Restore { effect: "way back".to_owned(), database, from }));
            back.apply(&context(dir.path(), 2)).await.expect("restores");
        }
    }
}

#[tokio::test]
async fn statements_run_once_and_another_text_under_the_same_name_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    for engine in ENGINES {
        let db = Db::new(engine);
        db.sql("CREATE TABLE AM_API (API_ID INTEGER, API_UUID VARCHAR(50)); INSERT INTO AM_API VALUES (1, 'a'), (2, 'b');");
        let statements = "ALTER TABLE AM_API ADD CONSTRAINT API_UUID_CONSTRAINT UNIQUE(API_UUID)";
        let action = |text: &str| {
            of(&Action::Sql(SqlScript {
                effect: "api-uuid".to_owned(),
                database: db.target().clone(),
                script: None,
                statements: Some(text.to_owned()),
                but_from: Vec::new(),
            }))
        };
        let unique = action(statements);
        assert_eq!(unique.inspect(&context(dir.path(), 1)).await.expect("looks").verdict, Verdict::Opaque);
        let applied = loop {
            match unique.apply(&context(dir.path(), 1)).await {
                // The client that made the table may still be listed.
                Err(Failure::NotBegun { .. }) => {}
                applied => break applied.expect("runs"),
            }
        };
        assert!(applied.changed && applied.evidence.iter().any(|e| e.found == "1 of 1"));
        let shown = unique.verify(&context(dir.path(), 1)).await.expect("is done");
        assert!(shown.iter().all(|e| e.holds));
        let there =
            "SELECT COUNT(*) FROM information_schema.table_constraints WHERE LOWER(constraint_name) = 'api_uuid_constraint'";
        assert!(db.sql(there) == "1" || engine == Engine::Mysql);
        let repeated = loop {
            match unique.apply(&context(dir.path(), 2)).await {
                Err(Failure::NotBegun { .. }) => {}
                applied => break applied.expect("has nothing to do"),
            }
        };
        assert!(!repeated.changed, "{engine:?}");
        assert_eq!(unique.inspect(&context(dir.path(), 2)).await.expect("looks").verdict, Verdict::Same);
        let other = action("ALTER TABLE AM_API ADD Z INTEGER").inspect(&context(dir.path(), 3)).await;
        let Err(Failure::Failed { fault, .. }) = other else { panic!("another text is refused") };
        assert_eq!(fault.code, codes::SQL_OTHER_SCRIPT);
    }
}

#[tokio::test]
async fn a_text_that_cannot_be_split_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    for engine in ENGINES {
        let db = Db::new(engine);
        let script = SqlScript {
            effect: "bad".to_owned(),
            database: db.target().clone(),
            script: None,
            statements: Some("CREATE TABLE X (A INTEGER); SELECT 'open".to_owned()),
            but_from: Vec::new(),
        };
        let looked = of(&Action::Sql(script)).inspect(&context(dir.path(), 1)).await;
        let Err(Failure::Failed { fault, .. }) = looked else { panic!("it is refused") };
        assert_eq!(fault.code, codes::SQL_REFUSED);
        let fault: Fault = fault;
        assert!(fault.message.contains("line 1"), "{fault}");
    }
}
