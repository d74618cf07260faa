//! Statements that stand in the recipe: the same ledger as a script's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_agent::action::{ArtifactSource, Context, Failure, OutputSink, PermitRefused, PermitSource, of};
use cavalcade_agent::host::real::RealHost;
use cavalcade_common::action::{Action, ArtifactRef, SqlScript};
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
        assert!(db.sql(there) == "1" || engine == cavalcade_common::action::Engine::Mysql);
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
        assert_eq!(fault.code, cavalcade_common::codes::database::SQL_OTHER_SCRIPT);
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
        assert_eq!(fault.code, cavalcade_common::codes::database::SQL_REFUSED);
        let fault: Fault = fault;
        assert!(fault.message.contains("line 1"), "{fault}");
    }
}
