//! Rule 16: nobody else is in a database, or only those that may be.

use std::time::Duration;

use cavalcade_agent::database::{AssertResult, DbError, Refusal, run_query, strangers};
use cavalcade_common::action::{Assert, DbTarget, Engine, NoSessions};
use cavalcade_common::codes::database as codes;

use crate::servers::{Db, ENGINES};

const SOON: Duration = Duration::from_secs(10);

async fn look(target: &DbTarget, but_from: &[&str], patience: Duration) -> Result<AssertResult, DbError> {
    let but_from = but_from.iter().map(|h| (*h).to_owned()).collect();
    let assert = Assert { says: "alone".to_owned(), no_sessions: Some(NoSessions { but_from }), ..Assert::default() };
    run_query(target, &[assert], patience).await.map(|mut results| results.remove(0))
}

#[tokio::test]
async fn a_database_with_nobody_else_in_it_is_told_from_one_with_a_server() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let user = db.target().user.clone();
        assert!(look(db.target(), &[], SOON).await.expect("looks").holds, "{engine:?}");
        let server = db.occupied(&user).await;
        let seen = look(db.target(), &[], Duration::ZERO).await.expect("looks");
        let found = seen.found.unwrap_or_default();
        assert!(!seen.holds && found.contains(&format!("of {user} from 127.0.0.1")), "{engine:?} {found}");
        // By address and by name; another host is another host.
        for (from, holds) in [("127.0.0.1", true), ("localhost", true), ("[::ffff:127.0.0.1]", true), ("192.0.2.7", false)] {
            // Our own session of before may still be listed for a moment.
            let patience = if holds { SOON } else { Duration::ZERO };
            let seen = look(db.target(), &[from], patience).await.expect("looks");
            assert_eq!(seen.holds, holds, "{engine:?} {from} {seen:?}");
            assert!(seen.found.is_some_and(|f| f.contains(&user)), "sessions that may be are shown too");
        }
        server.abort();
    }
}

#[tokio::test]
async fn a_session_that_ends_soon_is_waited_for() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let user = db.target().user.clone();
        let server = db.occupied(&user).await;
        // It is ended when the look has its two sessions.
        let ends = async {
            db.sessions_once(|seen| seen.len() >= 3).await;
            db.end_occupying();
        };
        let (seen, ()) = tokio::join!(look(db.target(), &[], Duration::from_secs(120)), ends);
        assert!(seen.expect("looks").holds, "{engine:?}");
        server.await.expect("ended");
    }
}

#[tokio::test]
async fn what_cannot_be_seen_is_no_proof() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let name = db.target().database.clone();
        match engine {
            Engine::Mysql => db.sql(&format!("CREATE USER '{name}'@'localhost'; GRANT ALL ON {name}.* TO '{name}'@'localhost';")),
            Engine::Postgresql => db.sql(&format!("CREATE ROLE {name} LOGIN")),
        };
        let target = DbTarget { user: name.clone(), ..db.target().clone() };
        let hidden = look(&target, &[], Duration::ZERO).await.expect_err("nothing is seen");
        assert!(matches!(&hidden, DbError::Refused(Refusal::SessionsHidden { .. })), "{hidden:?}");
        assert_eq!(hidden.fault().code, codes::DB_SESSIONS_HIDDEN);
        // The right may come with a role.
        match engine {
            Engine::Mysql => db.sql(&format!(
                "CREATE ROLE {name}_r; GRANT PROCESS ON *.* TO {name}_r; GRANT {name}_r TO '{name}'@'localhost'; \
                 SET DEFAULT ROLE {name}_r FOR '{name}'@'localhost';"
            )),
            Engine::Postgresql => db.sql(&format!("GRANT pg_monitor TO {name}")),
        };
        assert!(look(&target, &[], SOON).await.expect("looks").holds, "{engine:?}");
        let unknown = look(db.target(), &["no-such-host.invalid"], Duration::ZERO).await.expect_err("it has no address");
        assert_eq!(unknown.fault().code, codes::DB_HOST_UNKNOWN);
    }
}

/// A role that gives less than PROCESS is not taken for it.
#[tokio::test]
async fn a_role_without_the_right_shows_nothing() {
    let db = Db::new(Engine::Mysql);
    let name = db.target().database.clone();
    db.sql(&format!(
        "CREATE USER '{name}'@'localhost'; CREATE ROLE {name}_r; GRANT SELECT ON {name}.* TO {name}_r; \
         GRANT {name}_r TO '{name}'@'localhost'; SET DEFAULT ROLE {name}_r FOR '{name}'@'localhost';"
    ));
    let target = DbTarget { user: name, ..db.target().clone() };
    let hidden = look(&target, &[], Duration::ZERO).await.expect_err("nothing is seen");
    assert_eq!(hidden.fault().code, codes::DB_SESSIONS_HIDDEN);
}

/// A permit and the scheduler look at the same time: each look is ours, and none of them is a stranger to another.
#[tokio::test]
async fn looks_at_once_do_not_find_each_other() {
    for engine in ENGINES {
        let db = Db::new(engine);
        let wanted = NoSessions::default();
        let looks = (0..4).map(|_| strangers(db.target(), &wanted));
        for found in futures_util::future::join_all(looks).await {
            assert_eq!(found.expect("looks"), [], "{engine:?}");
        }
    }
}
