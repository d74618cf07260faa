//! Facts of databases: what preflight reads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cavalcade_agent::database::{DbFacts, SessionCount, Stops, describe, login};
use cavalcade_common::action::{DbTarget, Engine};

use crate::servers::{Db, ENGINES};

async fn facts(target: &DbTarget) -> DbFacts {
    describe(target, &BTreeMap::new()).await
}

/// Our own tables in one of the databases.
fn ours_left(db: &Db, database: &str) -> String {
    let here = match db.target().engine {
        Engine::Mysql => "table_schema = DATABASE()",
        Engine::Postgresql => "table_catalog = current_database()",
    };
    db.sql_in(database, &format!("SELECT COUNT(*) FROM information_schema.tables WHERE {here} AND table_name LIKE 'cavalcade%'"))
}

#[tokio::test]
async fn a_database_is_described_and_nothing_is_left_in_it() {
    for engine in ENGINES {
        let db = Db::new(engine);
        db.sql("CREATE TABLE AM_API (N INTEGER); INSERT INTO AM_API VALUES (1);");
        // The server may still list the client that made the table.
        let found = loop {
            let found = facts(db.target()).await;
            if found.sessions.as_ref().is_none_or(Vec::is_empty) {
                break found;
            }
        };
        assert!(found.reachable && found.problem.is_none() && found.problems.is_empty(), "{found:#?}");
        assert_eq!((found.read_only, found.wsrep, found.atomic_ddl), (Some(false), Some(false), Some(true)));
        assert_eq!((found.replicas, found.prepared), (Some(0), Some(0)));
        // The whole server's: another test may let one stand.
        assert!(found.long_transactions.is_some());
        assert_eq!((found.tls, found.sessions.as_deref()), (Some(false), Some([].as_slice())));
        assert!(found.bytes.is_some_and(|b| b > 0) && found.superuser == Some(true));
        assert!(found.rights.len() == 9 && found.rights.values().all(|r| *r == Some(true)), "{:?}", found.rights);
        assert_eq!((&found.refused, found.tried_in.clone()), (&BTreeMap::new(), db.target().scratch.clone()));
        let proof = found.scratch.clone().expect("one is named");
        assert_eq!((proof.exists, proof.empty, proof.ours, proof.problem), (Some(true), Some(true), Some(false), None));
        let client = found.dump_client.expect("a client");
        assert!(client.path.starts_with(db.target().client_bin.as_deref().expect("named")) && client.version.contains("ump"));
        let scratch = db.target().scratch.clone().expect("named");
        assert_eq!((ours_left(&db, &db.target().database), ours_left(&db, &scratch)), ("0".to_owned(), "0".to_owned()));
        match engine {
            Engine::Mysql => {
                assert_eq!((found.engine.as_str(), found.charset.as_deref()), ("mariadb", Some("latin1")));
                assert_eq!(found.case_sensitive, Some(false));
                assert_eq!((found.flush.as_deref(), found.durable), (Some("2"), Some(false)));
                assert_eq!(found.login_plugin.as_deref(), Some("mysql_native_password"));
                assert_eq!((found.log_bin, found.trust_function_creators), (Some(false), Some(false)));
            }
            Engine::Postgresql => {
                assert_eq!((found.engine.as_str(), found.charset.as_deref()), ("postgresql", Some("UTF8")));
                assert_eq!((found.flush.as_deref(), found.durable), (Some("off"), Some(false)));
                assert_eq!(found.extensions.as_deref(), Some(["plpgsql".to_owned()].as_slice()));
                assert_eq!((found.client_connection_check_interval, found.idle_in_transaction), (Some(0), Some(0)));
            }
        }
        // Over TCP the connection is proved direct; over a socket nothing is said.
        assert_eq!(found.pooler, None);
        assert_eq!(facts(&db.over_tcp()).await.pooler, Some(false), "{engine:?}");
    }
}

#[tokio::test]
async fn rights_that_are_missing_are_told_and_not_guessed() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let name = db.target().database.clone();
        let scratch = db.target().scratch.clone().expect("named");
        let mut target = db.target().clone();
        (target.user, target.password) = (name.clone(), "it's \\ \"x\"".to_owned());
        match engine {
            // May do everything in the scratch database, and in the database itself only read.
            Engine::Mysql => db.sql(&format!(
                "CREATE USER '{name}'@'localhost' IDENTIFIED BY 'it''s \\\\ \"x\"'; GRANT SELECT ON {name}.* TO '{name}'@'localhost'; \
                 GRANT ALL ON {scratch}.* TO '{name}'@'localhost';"
            )),
            Engine::Postgresql => {
                db.sql(&format!("CREATE ROLE {name} LOGIN; CREATE TABLE am_api (n integer);"));
                db.sql_in(&scratch, &format!("GRANT ALL ON SCHEMA public TO {name}"))
            }
        };
        let found = facts(&target).await;
        assert!(found.reachable, "{found:#?}");
        for right in ["create", "alter", "index", "drop", "foreign_sessions", "lock_accounts"] {
            assert_eq!(found.rights[right], Some(false), "{engine:?} {right}");
            assert!(!found.refused[right].is_empty());
        }
        for right in ["lock", "sessions", "write"] {
            let wanted = Some(right != "write" || engine == Engine::Postgresql);
            assert_eq!(found.rights[right], wanted, "{engine:?} {right}");
        }
        assert_eq!((found.sessions.clone(), found.superuser), (None, Some(false)), "what is not seen is not empty");
        assert!(!format!("{found:?}").contains("it's"), "no secret in facts");
        // Without a scratch database the grants tell what they can.
        let untried = facts(&DbTarget { scratch: None, ..target.clone() }).await;
        assert_eq!((untried.tried_in.clone(), untried.rights["alter"]), (None, Some(false)));
        let granted = facts(&DbTarget { scratch: None, ..db.target().clone() }).await;
        assert_eq!(granted.rights["alter"], Some(true));
        // A scratch database where nothing may be made is seen by trying.
        target.database.clone_from(&scratch);
        target.scratch = Some(name.clone());
        let tried = facts(&target).await;
        assert_eq!(tried.rights["create"], Some(false), "{engine:?} {tried:#?}");
        assert!(tried.refused["create"].starts_with(&format!("in {name}: ")), "{:?}", tried.refused);
    }
}

#[tokio::test]
async fn a_scratch_database_that_cannot_be_used_is_seen() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let name = db.target().scratch.clone().expect("named");
        db.sql_in(&name, "CREATE TABLE AM_API (N INTEGER)");
        let filled = facts(db.target()).await.scratch.expect("one is named");
        assert_eq!((filled.exists, filled.empty, filled.ours), (Some(true), Some(false), Some(false)), "{engine:?}");
        assert!(filled.holds.join(" ").to_lowercase().contains("am_api"), "{:?}", filled.holds);
        db.sql_in(&name, "CREATE TABLE cavalcade_restoring (id INTEGER)");
        let debris = facts(db.target()).await.scratch.expect("one is named");
        assert_eq!((debris.empty, debris.ours), (Some(false), Some(true)), "{engine:?}");
        let target = DbTarget { scratch: Some(format!("{name}_none")), ..db.target().clone() };
        let found = facts(&target).await;
        let missing = found.scratch.expect("one is named");
        assert_eq!((missing.exists, missing.empty), (Some(false), None), "{engine:?} {:?}", missing.problem);
        assert_eq!(found.problems, Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_login_of_the_servers_is_tried_with_its_rights() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let name = db.target().database.clone();
        let owner = DbTarget { scratch: None, ..db.target().clone() };
        let (found, stops) = login(&owner, &owner.user).await;
        assert_eq!((found.reached, found.problem.as_deref(), stops), (Some(true), None, Stops::This), "{engine:?}");
        assert!(found.rights.len() >= 4 && found.rights.values().all(|r| *r == Some(true)), "{:?}", found.rights);
        match engine {
            Engine::Mysql => db.sql(&format!(
                "CREATE USER '{name}'@'localhost' IDENTIFIED BY 'right'; GRANT SELECT, INSERT ON {name}.* TO '{name}'@'localhost';"
            )),
            Engine::Postgresql => db.sql(&format!("CREATE ROLE {name} LOGIN PASSWORD 'right'; CREATE TABLE am_api (n integer);")),
        };
        let servers = DbTarget { user: name.clone(), password: "right".to_owned(), ..owner.clone() };
        let (few, _) = login(&servers, &owner.user).await;
        assert_eq!((few.reached, few.rights["alter"]), (Some(true), Some(false)), "{engine:?} {few:?}");
        assert!(!few.refused["alter"].is_empty() && few.at.ends_with(&name));
        if engine == Engine::Postgresql {
            assert_eq!((few.superuser, few.trusted_extensions), (Some(false), Some(false)));
            db.sql(&format!("GRANT CREATE ON DATABASE {name} TO {name}"));
            let (creates, _) = login(&servers, &owner.user).await;
            assert_eq!((creates.superuser, creates.trusted_extensions), (Some(false), Some(true)), "from version 13 on");
            db.sql(&format!("REVOKE CREATE ON DATABASE {name} FROM {name}; ALTER ROLE {name} SUPERUSER"));
            let (all, _) = login(&servers, &owner.user).await;
            assert_eq!(all.superuser, Some(true));
            db.sql(&format!("ALTER ROLE {name} NOSUPERUSER"));
            assert_eq!(few.rights["tables_of_scripts"], Some(false), "what the owner makes is the owner's");
            db.sql(&format!("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {name}"));
            let (granted, _) = login(&servers, &owner.user).await;
            assert_eq!(granted.rights["tables_of_scripts"], Some(true));
        }
        let (nobody, stops) = login(&DbTarget { user: format!("{name}_none"), ..servers.clone() }, &owner.user).await;
        assert_eq!((nobody.reached, stops, nobody.rights.len()), (Some(false), Stops::All, 0), "{engine:?} {nobody:?}");
        let nowhere = DbTarget { database: format!("{name}_none"), ..owner.clone() };
        let (elsewhere, stops) = login(&nowhere, &owner.user).await;
        assert_eq!((elsewhere.reached, stops), (Some(false), Stops::This), "{engine:?} {elsewhere:?}");
    }
}

#[tokio::test]
async fn questions_are_answered_without_a_write() {
    for engine in ENGINES {
        let db = Db::new(engine);
        db.sql("CREATE TABLE AM_API (N INTEGER); INSERT INTO AM_API VALUES (3), (4);");
        let asks: BTreeMap<String, String> = [
            ("apis", "SELECT COUNT(*) FROM AM_API"),
            ("nothing", "SELECT N FROM AM_API WHERE N > 9"),
            ("missing", "SELECT COUNT(*) FROM AM_REVISION"),
            ("write", "DELETE FROM AM_API"),
            ("two", "SELECT 1; DELETE FROM AM_API"),
            ("zz_last", "SELECT MAX(N) FROM AM_API"),
        ]
        .map(|(name, sql)| (name.to_owned(), sql.to_owned()))
        .into();
        let found = describe(db.target(), &asks).await;
        let answer = |name: &str| found.asked[name].as_deref();
        assert_eq!((answer("apis"), answer("nothing"), answer("zz_last")), (Some("2"), None, Some("4")), "{engine:?}");
        assert_eq!((answer("missing"), answer("write"), answer("two")), (None, None, None));
        let why: Vec<&str> = found.unanswered.keys().map(String::as_str).collect();
        assert_eq!((why, &found.problems), (vec!["missing", "two", "write"], &Vec::new()), "a question is no problem of ours");
        assert!(found.unanswered["missing"].to_lowercase().contains("am_revision"), "{:?}", found.unanswered);
        assert_eq!(db.sql("SELECT COUNT(*) FROM AM_API"), "2");
    }
}

#[tokio::test]
async fn foreign_sessions_are_counted_by_account_and_host() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let user = db.target().user.clone();
        let sleeping = db.occupied(&user).await;
        let wanted = Some(vec![SessionCount { user, host: "127.0.0.1".to_owned(), count: 1 }]);
        let begun = Instant::now();
        // The server may still list sessions that have ended.
        loop {
            let found = facts(db.target()).await.sessions;
            if found == wanted {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{engine:?} {found:?}");
        }
        sleeping.abort();
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_a_fact() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let mut target = db.over_tcp();
        // A port that was free a moment ago.
        target.port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let asks = [("apis".to_owned(), "SELECT 1".to_owned())].into();
        let found = describe(&target, &asks).await;
        assert!(!found.reachable && found.problem.is_some_and(|p| p.contains("4001")));
        assert_eq!((found.asked["apis"].as_deref(), found.rights["create"]), (None, None));
        assert!(found.dump_client.is_some());
    }
}
