//! Our session against that of the vendor's client (rule 20): the same variables, the same statements.

use std::collections::BTreeMap;

use cavalcade_agent::database::run_script;
use cavalcade_agent::database::split::split;
use cavalcade_common::action::Engine;
use cavalcade_common::id::Digest;

use crate::servers::{Db, silent};

/// Differences between two sessions' variables, without those that name the session itself.
fn differences(ours: &str, theirs: &str, apart: &[&str]) -> Vec<String> {
    let read = |text: &str| -> BTreeMap<String, String> {
        let pairs = text.lines().filter_map(|l| l.split_once(['\t', '|']));
        pairs.map(|(n, v)| (n.to_lowercase(), v.to_owned())).filter(|(n, _)| !apart.contains(&n.as_str())).collect()
    };
    let (ours, theirs) = (read(ours), read(theirs));
    assert!(ours.len() > 100, "{} variables", ours.len());
    let names: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    names
        .into_iter()
        .filter(|n| ours.get(*n) != theirs.get(*n))
        .map(|n| format!("{n}: {:?} {:?}", ours.get(n), theirs.get(n)))
        .collect()
}

#[tokio::test]
async fn every_variable_is_as_in_the_mariadb_client() {
    let db = Db::new(Engine::Mysql);
    let all = "SELECT VARIABLE_NAME, VARIABLE_VALUE FROM information_schema.SESSION_VARIABLES";
    let script = format!("CREATE TABLE seen AS {all};");
    run_script(&db.run(&script, &Digest::of(script.as_bytes()), "1"), &silent).await.expect("runs");
    let ours = db.sql("SELECT VARIABLE_NAME, VARIABLE_VALUE FROM seen ORDER BY 1");
    let theirs = db.sql(&format!("{all} ORDER BY 1"));
    // Numbers of the session, times, random seeds, and counters that every statement moves.
    let apart = [
        "rand_seed1",
        "rand_seed2",
        "pseudo_thread_id",
        "timestamp",
        "last_insert_id",
        "identity",
        "last_gtid",
        "warning_count",
        "error_count",
        // The whole server's: another test turns the log on meanwhile.
        "general_log",
        "log_output",
    ];
    assert_eq!(differences(&ours, &theirs, &apart), Vec::<String>::new());
    assert!(theirs.contains("sql_mode") || theirs.contains("SQL_MODE"));
}

#[tokio::test]
async fn every_setting_is_as_in_psql() {
    let db = Db::new(Engine::Postgresql);
    let name = &db.target().database;
    // Settings of the role and the database that the driver's startup packet would override.
    db.sql(&format!("ALTER DATABASE {name} SET DateStyle = 'SQL, DMY'; ALTER DATABASE {name} SET TimeZone = 'Asia/Tokyo';"));
    let all = "SELECT name, setting FROM pg_settings";
    let script = format!("CREATE TABLE seen AS {all};");
    run_script(&db.run(&script, &Digest::of(script.as_bytes()), "1"), &silent).await.expect("runs");
    let ours = db.sql("SELECT name, setting FROM seen ORDER BY 1");
    let theirs = db.sql(&format!("{all} ORDER BY 1"));
    assert!(theirs.contains("Asia/Tokyo"));
    // The name we go by, and the one setting that we change on purpose (it is 0 by default; here to say so).
    assert_eq!(differences(&ours, &theirs, &["application_name", "client_connection_check_interval"]), Vec::<String>::new());
}

/// The server's own log of statements, as the vendor's client sent them.
#[tokio::test]
async fn statements_are_those_that_the_mariadb_client_sends() {
    let db = Db::new(Engine::Mysql);
    // Other tests write into the same log: only this one names its procedure so.
    let procedure = format!("p_{}", db.target().database);
    let script = "-- head\r\nCREATE TABLE t (a VARCHAR(50)); # tail; x\nINSERT INTO t VALUES ('a;\\'b'), (\"c;d--\"), ('#');\n\
                  /* x ; y */ UPDATE t SET a = 'z' -- why;\n WHERE a = '#';;\nSELECT 1/* c */+2;--x\n/*!40101 SET @x = 1 */;\n\
                  delimiter $$\nCREATE PROCEDURE p()\nBEGIN\n  -- inside;\n  SELECT 1;\n  SELECT 'x$';\nEND $$\nDELIMITER ;\nCALL p();\n\
                  SELECT 'two\n  lines', `a` FROM t\n\n WHERE a <> '' /* end */ ;SELECT 5--1;\nSELECT 6";
    let script = &script.replace("p()", &format!("{procedure}()"));
    db.sql("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = 1;");
    db.sql(script);
    db.sql("SET GLOBAL general_log = 0;");
    let sent = db.sql(&format!(
        "SELECT HEX(argument) FROM mysql.general_log l WHERE command_type = 'Query' AND thread_id = \
         (SELECT thread_id FROM mysql.general_log WHERE argument LIKE 'CREATE PROCEDURE {procedure}()%' LIMIT 1) \
         ORDER BY event_time"
    ));
    let sent: Vec<String> = sent
        .lines()
        .map(|l| String::from_utf8(hex::decode(l).expect("hex")).expect("UTF-8").trim().to_owned())
        .filter(|s| !s.starts_with("select @@version_comment"))
        .collect();
    let ours: Vec<String> =
        split(Engine::Mysql, script).expect("splits").statements.into_iter().map(|s| s.text.trim().to_owned()).collect();
    assert_eq!(ours, sent);
}

#[tokio::test]
async fn statements_are_those_that_psql_sends() {
    let db = Db::new(Engine::Postgresql);
    let script = "-- head;\nCREATE TABLE t (a text);\nINSERT INTO t VALUES (E'a\\';b'), ('c\\'), ($q$;$$;$q$);/* ; /* ; */ */\n\
                  DO $$ BEGIN PERFORM 1; END $$;\nCREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;\n\
                  CREATE RULE r AS ON DELETE TO t DO (SELECT 1; SELECT 2);;\nSELECT 'a'\n  'b;c'\n;SELECT 9";
    // With -e psql shows each statement as it sends it.
    let t = db.target();
    let mut psql = std::process::Command::new(std::path::Path::new(t.client_bin.as_deref().expect("bin")).join("psql"));
    psql.args(["-X", "-A", "-t", "-q", "-e", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-p", &t.port.to_string()]);
    psql.args(["-h", t.socket.as_deref().expect("socket"), "-d", &t.database, "-c", "\\o /dev/null", "-f"]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), script).expect("written");
    let out = psql.arg(file.path()).output().expect("psql runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let squeeze = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches(';').trim().to_owned();
    let mut rest = squeeze(&text);
    for statement in split(Engine::Postgresql, script).expect("splits").statements {
        let ours = squeeze(&statement.text);
        let after = rest.split_once(&ours).unwrap_or_else(|| panic!("psql did not send `{ours}`; left: {rest}"));
        let between = after.0.trim().trim_matches(';').trim().to_owned();
        assert!(between.is_empty() || between.starts_with("--") || between.starts_with("/*"), "psql sent more: `{between}`");
        rest = after.1.to_owned();
    }
    assert_eq!(rest.trim().trim_matches(';').trim(), "");
}
