//! Rule 24: while a database is restored, its servers cannot log in.

use cavalcade_agent::database::{DbError, Ends, Refusal, RestoreOutcome, backup, incarnation, restore};
use cavalcade_common::action::{Backup, DbTarget, Engine, Restore};
use cavalcade_common::codes::database as codes;

use crate::servers::{Db, ENGINES};

struct Site {
    db: Db,
    account: String,
    order: Restore,
    folder: tempfile::TempDir,
}

impl Site {
    /// A database with a backup, and an account of servers of this name.
    async fn new(engine: Engine, account: Option<&str>) -> Self {
        let db = Db::new(engine);
        let account = account.map_or_else(|| format!("{}_srv", db.target().database), str::to_owned);
        let name = &db.target().database;
        match engine {
            Engine::Mysql => db.sql(&format!(
                "CREATE USER IF NOT EXISTS '{account}'@'%', '{account}'@'localhost'; GRANT ALL ON {name}.* TO '{account}'@'%'; \
                 GRANT ALL ON {name}.* TO '{account}'@'localhost'; CREATE TABLE A (ID INTEGER);"
            )),
            Engine::Postgresql => db.sql(&format!(
                "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{account}') THEN \
                 CREATE ROLE {account} LOGIN; END IF; END $$; CREATE TABLE a (id integer);"
            )),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("b").display().to_string();
        let database = DbTarget { server_accounts: vec![account.clone()], ..db.target().clone() };
        backup(&Backup { database: database.clone(), to: to.clone() }).await.expect("backs up");
        let order = Restore { effect: "way back".to_owned(), database, from: to };
        Self { db, account, order, folder }
    }

    fn server(&self) -> DbTarget {
        DbTarget { user: self.account.clone(), ..self.db.over_tcp() }
    }

    /// Whether the servers can log in. Asking for an incarnation is what any account may.
    async fn opens(&self) -> bool {
        match incarnation(&self.server()).await {
            Err(DbError::Unreachable { .. }) => false,
            Ok(_) | Err(_) => true,
        }
    }

    async fn restore(&self) -> Result<RestoreOutcome, DbError> {
        let ends = Ends { known: None, by: "run 0.1@cp-1" };
        restore(&self.order, Some(ends), &self.folder.path().join("records")).await
    }

    fn recorded(&self) -> bool {
        std::fs::read_dir(self.folder.path().join("records")).is_ok_and(|records| records.count() > 0)
    }

    /// Makes the proof at the end of a restore fail, or not.
    fn spoil(&self, from: &str, to: &str) {
        let path = self.folder.path().join("b/manifest.json");
        let text = std::fs::read_to_string(&path).expect("reads");
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).expect("writes");
    }
}

#[tokio::test]
async fn servers_are_locked_out_and_their_sessions_ended_until_the_restore_is_done() {
    for engine in ENGINES {
        let site = Site::new(engine, None).await;
        assert!(site.opens().await);
        let server = site.db.occupied(&site.account).await;
        // The proof fails: what is there is neither old nor new, and nobody may come in.
        site.spoil("\"rows\": 0", "\"rows\": 7");
        let failed = site.restore().await.expect_err("it differs");
        assert!(matches!(&failed, DbError::StaysLocked { accounts, .. } if !accounts.is_empty()), "{failed:?}");
        assert_eq!(failed.fault().code, codes::BACKUP_DIFFERS);
        assert!(failed.fault().help.is_some_and(|h| h.contains(&site.account) && h.contains("stay locked")));
        server.await.expect("its session was ended");
        assert!(!site.opens().await && site.recorded(), "{engine:?}");
        // The repeat knows which accounts were open before.
        site.spoil("\"rows\": 7", "\"rows\": 0");
        let done = site.restore().await.expect("restores");
        let accounts = if engine == Engine::Mysql { 2 } else { 1 };
        assert_eq!((done.accounts.locked.len(), done.accounts.before.len()), (accounts, 0), "{:?}", done.accounts);
        assert_eq!((done.accounts.open, done.accounts.stay), (None, None));
        assert!(site.opens().await && !site.recorded(), "{engine:?}");
    }
}

/// The repeat may load another backup: the second restore point, or a copy. It must not take our own locks for a person's.
#[tokio::test]
async fn a_restore_from_another_backup_opens_what_an_interrupted_one_locked() {
    for engine in ENGINES {
        let mut site = Site::new(engine, None).await;
        let second = site.folder.path().join("second").display().to_string();
        let order = Backup { database: site.order.database.clone(), to: second.clone() };
        backup(&order).await.expect("backs up once more");
        site.spoil("\"rows\": 0", "\"rows\": 7");
        let failed = site.restore().await.expect_err("it differs");
        assert!(matches!(failed, DbError::StaysLocked { .. }) && !site.opens().await, "{engine:?} {failed:?}");
        site.order.from = second;
        let done = site.restore().await.expect("restores");
        assert!(!done.accounts.locked.is_empty() && done.accounts.before.is_empty(), "{engine:?} {:?}", done.accounts);
        assert!(site.opens().await && !site.recorded(), "{engine:?}");
    }
}

#[tokio::test]
async fn an_account_that_a_person_locked_stays_locked_and_a_refusal_opens_the_others() {
    for engine in ENGINES {
        let mut site = Site::new(engine, None).await;
        let other = format!("{}_too", site.account);
        site.db.sql(&match engine {
            Engine::Mysql => format!("CREATE USER {other}@'%' ACCOUNT LOCK"),
            Engine::Postgresql => format!("CREATE ROLE {other} NOLOGIN"),
        });
        site.order.database.server_accounts.push(other.clone());
        // Someone who is no server is not ended; the database is whole, so the doors open again.
        let stranger = site.db.occupied(&site.db.target().user).await;
        let refused = site.restore().await.expect_err("someone is there");
        assert!(matches!(&refused, DbError::Refused(Refusal::Sessions(_))), "{refused:?}");
        assert!(site.opens().await && !site.recorded(), "{engine:?}");
        stranger.abort();
        let done = loop {
            match site.restore().await {
                // The server notices that a client went away when its statement ends.
                Err(DbError::Refused(Refusal::Sessions(left))) => {
                    left.iter().for_each(|session| site.db.end(session.id));
                }
                done => break done.expect("restores"),
            }
        };
        assert!(done.accounts.before.iter().all(|a| a.contains(&other)) && done.accounts.before.len() == 1, "{engine:?}");
        let still = match engine {
            Engine::Mysql => site.db.sql(&format!("SHOW CREATE USER {other}@'%'")).contains("ACCOUNT LOCK"),
            Engine::Postgresql => site.db.sql(&format!("SELECT rolcanlogin FROM pg_roles WHERE rolname = '{other}'")) == "f",
        };
        assert!(still && site.opens().await, "{engine:?}");
    }
}

/// Two databases, one account, one server: the second restore begins when the first has opened the account again, so that
/// it is locked in both from beginning to end.
#[tokio::test]
async fn restores_that_share_an_account_take_turns() {
    for engine in ENGINES {
        let first = Site::new(engine, None).await;
        let second = Site::new(engine, Some(&first.account)).await;
        let (one, two) = tokio::join!(first.restore(), second.restore());
        for done in [one.expect("restores"), two.expect("restores")] {
            assert!(!done.accounts.locked.is_empty() && done.accounts.before.is_empty(), "{engine:?} {:?}", done.accounts);
        }
        assert!(first.opens().await && second.opens().await);
    }
}

#[tokio::test]
async fn without_the_right_a_restore_goes_on_only_when_nobody_is_there() {
    for engine in ENGINES {
        // The servers' account is the one that restores: it cannot lock itself out.
        let mut site = Site::new(engine, None).await;
        site.order.database.server_accounts = vec![site.order.database.user.clone()];
        let server = site.db.occupied(&site.db.target().user).await;
        let refused = site.restore().await.expect_err("someone is there");
        assert!(matches!(&refused, DbError::Refused(Refusal::AccountsOpen { .. })), "{refused:?}");
        assert_eq!(refused.fault().code, codes::DB_ACCOUNTS);
        server.abort();
    }
    let mut site = Site::new(Engine::Mysql, None).await;
    let name = site.db.target().database.clone();
    site.db.sql(&format!(
        "CREATE USER {name}_ddl@localhost; GRANT ALL ON {name}.* TO {name}_ddl@localhost; \
         GRANT PROCESS ON *.* TO {name}_ddl@localhost;"
    ));
    site.order.database.user = format!("{name}_ddl");
    let done = loop {
        match site.restore().await {
            // The client that made the account may still be listed.
            Err(DbError::Refused(Refusal::AccountsOpen { .. })) => {}
            done => break done.expect("restores"),
        }
    };
    assert_eq!(done.accounts.open.map(|f| f.code), Some(codes::DB_ACCOUNTS));
    assert!(done.accounts.locked.is_empty() && site.opens().await && !site.recorded());
}
