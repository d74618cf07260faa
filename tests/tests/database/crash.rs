//! The client dies in every statement, by kill -9, before the statement is sent, after its effect and before DONE, and
//! after DONE. Each time the ledger must agree with the schema, and the end schema must equal that of an undisturbed run
//! (promise 6).
//!
//! The scripts have the shape of the published ones: a span of session variables on MySQL, a `DO` block and a
//! transaction on PostgreSQL, and updates that are not the same when done twice.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use cavalcade_agent::database::split::split;
use cavalcade_agent::database::{Approval, DbError, Decision, Progress, ScriptRun, run_script};
use cavalcade_common::action::{DbTarget, Engine};
use cavalcade_common::id::Digest;

use crate::servers::{Db, Holder, silent};

/// The schema before, for both engines.
const BEFORE: &str = "CREATE TABLE REG (ID INTEGER NOT NULL, SUBSCRIBER INTEGER, APP INTEGER, PRIMARY KEY (ID), \
    CONSTRAINT REG_OLD UNIQUE (SUBSCRIBER, APP));\n\
    CREATE TABLE MAPPING (APP INTEGER NOT NULL, KIND VARCHAR(20) NOT NULL, N INTEGER NOT NULL, CONSTRAINT MAPPING_PK PRIMARY KEY (APP, KIND));\n\
    CREATE TABLE OLD_THING (ID INTEGER);\n\
    INSERT INTO REG VALUES (1, 10, 100), (2, 20, 200);\n\
    INSERT INTO MAPPING VALUES (100, 'PROD', 1), (200, 'TEST', 2);\n";

/// Each statement with a query that gives 1 when it took place; empty where nothing of it can be seen.
const MYSQL: &[(&str, &str)] = &[
    (
        "CREATE TABLE IF NOT EXISTS KEY_MANAGER (UUID VARCHAR(50) NOT NULL, NAME VARCHAR(100), PRIMARY KEY (UUID))",
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'KEY_MANAGER'",
    ),
    (
        "SELECT CONCAT(\"ALTER TABLE REG DROP INDEX \", constraint_name) INTO @sqlst FROM information_schema.table_constraints WHERE table_schema = DATABASE() AND table_name = \"REG\" AND constraint_type = 'UNIQUE'",
        "",
    ),
    (
        "ALTER TABLE REG ADD KEY_MANAGER VARCHAR(100) DEFAULT 'Resident'",
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'REG' AND column_name = 'KEY_MANAGER'",
    ),
    (
        "ALTER TABLE REG ADD UNIQUE REG_NEW (SUBSCRIBER, APP, KEY_MANAGER)",
        "SELECT COUNT(*) FROM information_schema.table_constraints WHERE table_schema = DATABASE() AND constraint_name = 'REG_NEW'",
    ),
    ("PREPARE stmt FROM @sqlst", ""),
    (
        "EXECUTE stmt",
        "SELECT 1 - COUNT(*) FROM information_schema.table_constraints WHERE table_schema = DATABASE() AND constraint_name = 'REG_OLD'",
    ),
    ("DEALLOCATE PREPARE stmt", ""),
    ("SET @sqlst = NULL", ""),
    (
        "ALTER TABLE MAPPING ADD UUID VARCHAR(50)",
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'MAPPING' AND column_name = 'UUID'",
    ),
    ("UPDATE MAPPING SET N = N + 1", "SELECT MAX(N) = 3 FROM MAPPING"),
    (
        "ALTER TABLE MAPPING DROP PRIMARY KEY",
        "SELECT 1 - COUNT(*) FROM information_schema.table_constraints WHERE table_schema = DATABASE() AND table_name = 'MAPPING'",
    ),
    (
        "DROP TABLE IF EXISTS OLD_THING",
        "SELECT 1 - COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'OLD_THING'",
    ),
    (
        "CREATE INDEX MAPPING_N ON MAPPING (N)",
        "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name = 'MAPPING_N'",
    ),
];

const POSTGRESQL: &[(&str, &str)] = &[
    (
        "CREATE TABLE IF NOT EXISTS KEY_MANAGER (UUID VARCHAR(50) NOT NULL, NAME VARCHAR(100), PRIMARY KEY (UUID))",
        "SELECT COUNT(*) FROM pg_class WHERE relname = 'key_manager'",
    ),
    (
        "DO $$ DECLARE con varchar(200); BEGIN SELECT 'ALTER TABLE REG DROP CONSTRAINT ' || constraint_name || ';' INTO con FROM information_schema.table_constraints WHERE table_name = 'reg' AND constraint_type = 'UNIQUE'; EXECUTE con; END $$",
        "SELECT 1 - COUNT(*) FROM pg_constraint WHERE conname = 'reg_old'",
    ),
    (
        "ALTER TABLE REG ADD KEY_MANAGER VARCHAR(100) DEFAULT 'Resident', ADD CONSTRAINT REG_NEW UNIQUE (SUBSCRIBER, APP, KEY_MANAGER)",
        "SELECT COUNT(*) FROM pg_constraint WHERE conname = 'reg_new'",
    ),
    ("BEGIN", ""),
    (
        "ALTER TABLE MAPPING ADD UUID VARCHAR(50)",
        "SELECT COUNT(*) FROM pg_attribute WHERE attrelid = 'mapping'::regclass AND attname = 'uuid'",
    ),
    ("UPDATE MAPPING SET N = N + 1", "SELECT (MAX(N) IN (3, 13))::int FROM MAPPING"),
    ("COMMIT", ""),
    ("UPDATE MAPPING SET N = N + 10", "SELECT (MAX(N) > 10)::int FROM MAPPING"),
    ("DROP TABLE IF EXISTS OLD_THING", "SELECT 1 - COUNT(*) FROM pg_class WHERE relname = 'old_thing'"),
    (
        "CREATE INDEX CONCURRENTLY MAPPING_N ON MAPPING (N)",
        "SELECT COUNT(*) FROM pg_index WHERE indexrelid = to_regclass('mapping_n') AND indisvalid",
    ),
    (
        "CREATE FUNCTION touch() RETURNS trigger AS $$ BEGIN NEW.N = NEW.N + 1; RETURN NEW; END; $$ LANGUAGE plpgsql",
        "SELECT COUNT(*) FROM pg_proc WHERE proname = 'touch'",
    ),
    (
        "CREATE TRIGGER touched BEFORE UPDATE ON MAPPING FOR EACH ROW EXECUTE PROCEDURE touch()",
        "SELECT COUNT(*) FROM pg_trigger WHERE tgname = 'touched'",
    ),
];

/// What undoes the span of the MySQL script by hand, whatever was done of it.
const UNDO_SPAN: &str = "ALTER TABLE REG ADD CONSTRAINT UNIQUE INDEX IF NOT EXISTS REG_OLD (SUBSCRIBER, APP);\n\
    ALTER TABLE REG DROP INDEX IF EXISTS REG_NEW;\nALTER TABLE REG DROP COLUMN IF EXISTS KEY_MANAGER;\n";

const CHILD: &str = "CAVALCADE_TEST_CRASH";

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Point {
    /// After INTENT, before the statement is sent.
    Intent,
    /// After the statement's effect, while DONE is being written.
    Effect,
    /// After DONE.
    Done,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Order {
    target: DbTarget,
    script: String,
    statement: u32,
    point: Point,
}

/// The process that dies. It is run by the tests below, which name what it does in the environment.
#[test]
#[ignore = "run by the tests of this file"]
fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let order: Order = serde_json::from_str(&order).expect("an order");
    let digest = Digest::of(order.script.as_bytes());
    let run = ScriptRun {
        target: &order.target,
        effect: "test",
        attempt: "1",
        epoch: 1,
        script_sha256: &digest,
        script: &order.script,
        incarnation: None,
        approved: None,
    };
    let show = |p| {
        let here = match p {
            Progress::Begun { statement, .. } => (statement == order.statement).then_some(Point::Intent),
            Progress::Done { statement, .. } => (statement == order.statement).then_some(Point::Done),
            _ => None,
        };
        match here {
            Some(p) if p == order.point => {
                let _dead = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
            }
            // The parent holds the ledger's row from now on, so that DONE cannot be written.
            Some(Point::Intent) if order.point == Point::Effect => {
                println!("AT");
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).expect("the parent answers");
            }
            _ => {}
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ended = runtime.block_on(run_script(&run, &show));
    panic!("it was to die: {ended:?}");
}

fn script(statements: &[(&str, &str)]) -> String {
    statements.iter().map(|(sql, _)| format!("{sql};\n")).collect()
}

fn statements(engine: Engine) -> &'static [(&'static str, &'static str)] {
    match engine {
        Engine::Mysql => MYSQL,
        Engine::Postgresql => POSTGRESQL,
    }
}

/// Starts the child and lets it die at the point.
fn die(db: &Db, statement: u32, point: Point) {
    let target = db.target();
    let order = Order { target: target.clone(), script: script(statements(target.engine)), statement, point };
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child.args(["crash::child", "--exact", "--ignored", "--nocapture"]);
    child.env(CHILD, serde_json::to_string(&order).expect("JSON"));
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut holder = None;
    if point == Point::Effect {
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let reached = stdout.lines().map_while(Result::ok).any(|l| l.ends_with("AT"));
        assert!(reached, "it did not come to statement {statement}");
        holder = Some(hold_row(db, statement));
        use std::io::Write;
        child.stdin.take().expect("its input").write_all(b"go\n").expect("sent");
        wait_for_effect(db, statement);
        child.kill().expect("killed");
        if target.engine == Engine::Mysql {
            // The server would finish the waiting write of DONE for the dead client. Its host is lost with it.
            let waiting = db.sql(&waiting_sql(db).replacen("COUNT(*)", "CONCAT('KILL ', id)", 1));
            db.sql(&waiting);
        }
    }
    let ended = child.wait().expect("it ends");
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(ended.signal(), Some(9), "statement {statement}, {point:?}: {ended}");
    drop(holder);
}

/// A client of the vendor's that holds the statement's row of the ledger.
fn hold_row(db: &Db, statement: u32) -> Holder {
    db.holding(&format!("BEGIN;\nSELECT state FROM cavalcade_script_ledger WHERE statement = {statement} FOR UPDATE;"))
}

/// Counts sessions that wait for the held row.
fn waiting_sql(db: &Db) -> String {
    match db.target().engine {
        Engine::Mysql => format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{}' AND command = 'Query' AND info LIKE 'UPDATE %cavalcade_script_ledger%'",
            db.target().database
        ),
        Engine::Postgresql => format!(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock' AND query LIKE 'UPDATE %cavalcade_script_ledger%'",
            db.target().database
        ),
    }
}

/// Waits until a session waits for the held row: then the statement's own work is over.
fn wait_for_effect(db: &Db, statement: u32) {
    let begun = std::time::Instant::now();
    while db.sql(&waiting_sql(db)) == "0" {
        assert!(begun.elapsed().as_secs() < 120, "statement {statement} does not come to its DONE");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Waits until the dead client's sessions are gone, so that what is seen is what stays.
fn settle(db: &Db) {
    let name = &db.target().database;
    let sql = match db.target().engine {
        Engine::Mysql => format!("SELECT COUNT(*) - 1 FROM information_schema.processlist WHERE db = '{name}'"),
        Engine::Postgresql => format!("SELECT COUNT(*) - 1 FROM pg_stat_activity WHERE datname = '{name}'"),
    };
    let begun = std::time::Instant::now();
    while db.sql(&sql) != "0" {
        assert!(begun.elapsed().as_secs() < 120, "sessions of the dead client stay");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Which statements took place, as the schema shows; `None` where nothing can be seen.
fn seen(db: &Db) -> Vec<Option<bool>> {
    let probe = |sql: &str| (!sql.is_empty()).then(|| db.sql(sql) == "1");
    statements(db.target().engine).iter().map(|(_, p)| probe(p)).collect()
}

/// The ledger must not say DONE of what did not take place, nor "not begun" of what did.
fn ledger_agrees(db: &Db, case: &str) {
    let rows = db.sql("SELECT CONCAT(statement, ' ', state) FROM cavalcade_script_ledger ORDER BY statement");
    let said: std::collections::BTreeMap<usize, String> =
        rows.lines().filter_map(|l| l.split_once(' ')).map(|(n, s)| (n.parse().expect("a number"), s.to_owned())).collect();
    for (number, seen) in (1..).zip(seen(db)) {
        match (said.get(&number).map(String::as_str), seen) {
            (Some("done"), Some(false)) => panic!("{case}: the ledger says done of {number}, the schema does not"),
            (None | Some("not done"), Some(true)) => panic!("{case}: the ledger does not know of {number}, the schema does"),
            _ => {}
        }
    }
}

/// Runs to the end; where a person must decide, this is the person, who looks into the database.
async fn finish(db: &Db, case: &str) -> u32 {
    let text = script(statements(db.target().engine));
    let digest = Digest::of(text.as_bytes());
    let cut = split(db.target().engine, &text).expect("splits");
    let mut approved = None;
    let mut decisions = 0;
    for attempt in 2..6 {
        let attempt = attempt.to_string();
        let mut run = db.run(&text, &digest, &attempt);
        run.approved = approved;
        match run_script(&run, &silent).await {
            Ok(_) => return decisions,
            Err(DbError::Indeterminate { statement, known, unknown, .. }) => {
                assert!(!known.is_empty());
                decisions += 1;
                let span = cut.inside(statement).filter(|_| cut.unit(statement).is_none());
                approved = Some(match span {
                    Some(span) => {
                        db.sql(UNDO_SPAN);
                        Approval { statement: span.first, decision: Decision::NotDone }
                    }
                    None => {
                        assert_eq!(unknown.len(), 1, "{case}: {unknown:?}");
                        let took_place = seen(db)[statement as usize - 1] == Some(true);
                        let decision = if took_place { Decision::Done } else { Decision::NotDone };
                        Approval { statement, decision }
                    }
                });
            }
            Err(e) => panic!("{case}: {e:?}"),
        }
    }
    panic!("{case}: no end")
}

async fn every_statement(engine: Engine) -> Vec<(u32, Point)> {
    let undisturbed = Db::new(engine);
    undisturbed.sql(BEFORE);
    let text = script(statements(engine));
    run_script(&undisturbed.run(&text, &Digest::of(text.as_bytes()), "1"), &silent).await.expect("runs");
    let wanted = undisturbed.dump();
    let cut = split(engine, &text).expect("splits");
    let mut decided = Vec::new();
    for statement in 1..=cut.total() {
        for point in [Point::Intent, Point::Effect, Point::Done] {
            // Inside a transaction of the script DONE comes with its end.
            let inside = cut.unit(statement).is_some_and(|u| u.last != statement);
            if inside && point != Point::Intent {
                continue;
            }
            let case = format!("{engine:?}, statement {statement}, {point:?}");
            let db = Db::new(engine);
            db.sql(BEFORE);
            die(&db, statement, point);
            settle(&db);
            ledger_agrees(&db, &case);
            if finish(&db, &case).await > 0 {
                decided.push((statement, point));
            }
            assert!(wanted == db.dump(), "{case}: the end differs\n{}", db.dump());
        }
    }
    decided
}

#[tokio::test]
async fn the_client_dies_in_every_statement_on_mariadb() {
    use Point::{Done, Effect, Intent};
    let decided = every_statement(Engine::Mysql).await;
    // A person is asked inside the span of session state (2 to 8, begun and not ended), and about the UPDATE.
    let span = (3..=8).flat_map(|n| [(n, Intent), (n, Effect), (n, Done)]).filter(|c| *c != (8, Done));
    let wanted: Vec<_> = [(2, Done)].into_iter().chain(span).chain([(10, Intent), (10, Effect)]).collect();
    assert_eq!(decided, wanted);
}

#[tokio::test]
async fn the_client_dies_in_every_statement_on_postgresql() {
    // DONE is in the statement's own transaction: nobody has to be asked.
    assert_eq!(every_statement(Engine::Postgresql).await, []);
}
