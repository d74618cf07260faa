//! The doors of a database while it is restored: the servers' accounts are locked, so that nobody connects to what is
//! neither old nor new (10-hard-cases, rule 24).
//!
//! A file says which accounts were open before, durable before the first is locked. It goes when they are open again, so a
//! repeat after a crash opens what its predecessor locked, and no account that a person locked. There is one for each
//! database, beside all backups: the repeat may load another one.
//! Accounts belong to the whole server: restores there take turns, by a lock that a session of its own holds.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cavalcade_common::action::{DbTarget, Engine};
use cavalcade_common::id::Digest;

use super::error::DbError;
use super::link::{Link, Purpose, name, text};

/// Between two tries to have the turn.
const LOOK: Duration = Duration::from_millis(500);

/// Key of the turn on PostgreSQL.
const TURN: i64 = 0x4341_5641_4143_4354;

const WHAT: &str = "locking the servers' accounts";

/// Locked accounts. They stay locked until [`Locked::open`].
#[derive(Debug)]
pub(crate) struct Locked {
    /// All that this or an interrupted restore locked, as the server writes them.
    pub(crate) accounts: BTreeSet<String>,
    /// Accounts that were locked by somebody else.
    pub(crate) before: BTreeSet<String>,
    /// The session that has the turn.
    turn: Option<Link>,
    record: PathBuf,
}

impl Locked {
    /// Locks the accounts that the target names. The inner error says in words why that is not possible; nothing is
    /// locked then.
    pub(crate) async fn close(target: &DbTarget, records: &Path) -> Result<Result<Self, String>, DbError> {
        let record = record_of(target, records);
        let mut locked = Self { accounts: BTreeSet::new(), before: BTreeSet::new(), turn: None, record };
        if target.server_accounts.is_empty() {
            return Ok(Ok(locked));
        }
        if target.server_accounts.contains(&target.user) {
            return Ok(Err(format!("the servers log in as `{}`, like the restore itself", target.user)));
        }
        let mut turn = match turn(target).await {
            Ok(turn) => turn,
            Err(error) => return Ok(Err(error.fault().to_string())),
        };
        let closed = locked.close_all(&mut turn, target).await;
        match closed {
            Ok(()) => {
                locked.turn = Some(turn);
                Ok(Ok(locked))
            }
            Err(error) => {
                // What is locked by now was open before. A record that cannot be read names nobody and stays.
                let opened = match locked.accounts.is_empty() {
                    true => Ok(()),
                    false => locked.open_all(&mut turn).await,
                };
                turn.close().await;
                opened.map(|()| Err(error.fault().to_string()))
            }
        }
    }

    async fn close_all(&mut self, link: &mut Link, target: &DbTarget) -> Result<(), DbError> {
        self.accounts = self.recorded()?;
        for (account, is_locked) in accounts(link, target).await? {
            if is_locked && !self.accounts.contains(&account) {
                self.before.insert(account);
            } else {
                self.accounts.insert(account);
            }
        }
        if self.accounts.is_empty() && self.before.is_empty() {
            let source = sqlx::Error::RowNotFound;
            return Err(DbError::Query { what: "looking for the servers' accounts", source });
        }
        self.write()?;
        for account in &self.accounts {
            alter(link, account, true).await?;
        }
        Ok(())
    }

    /// Opens what was locked, over a session of its own.
    pub(crate) async fn open(mut self, target: &DbTarget) -> Result<(), DbError> {
        let Some(turn) = self.turn.take() else { return Ok(()) };
        let mut link = Link::open(target, Purpose::Own).await?;
        let opened = self.open_all(&mut link).await;
        link.close().await;
        turn.close().await;
        opened
    }

    /// The server's number of the session that has the turn.
    pub(crate) async fn session(&mut self) -> Result<Option<u64>, DbError> {
        match &mut self.turn {
            Some(turn) => turn.id().await.map(Some),
            None => Ok(None),
        }
    }

    async fn open_all(&mut self, link: &mut Link) -> Result<(), DbError> {
        for account in &self.accounts {
            alter(link, account, false).await?;
        }
        match std::fs::remove_file(&self.record) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(DbError::File { path: self.record.clone(), source }),
        }
    }

    /// Leaves them locked and gives the turn away.
    pub(crate) async fn stay(mut self) -> BTreeSet<String> {
        if let Some(turn) = self.turn.take() {
            turn.close().await;
        }
        self.accounts
    }

    /// Accounts that an interrupted restore locked.
    fn recorded(&self) -> Result<BTreeSet<String>, DbError> {
        match std::fs::read(&self.record) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|_| DbError::Damaged { path: self.record.clone(), reason: "this is no list of accounts" }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(source) => Err(DbError::File { path: self.record.clone(), source }),
        }
    }

    fn write(&self) -> Result<(), DbError> {
        let failed = |source| DbError::File { path: self.record.clone(), source };
        let folder = self.record.parent().unwrap_or(Path::new("/"));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let json = serde_json::to_vec(&self.accounts).map_err(|e| failed(e.into()))?;
        let mut file = tempfile::Builder::new().prefix(".locked").tempfile_in(folder).map_err(failed)?;
        file.write_all(&json).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&self.record).map_err(|e| failed(e.error))?;
        File::open(folder).and_then(|f| f.sync_all()).map_err(failed)
    }
}

/// The file of a database: by where it is, since two fleets may give it two names.
fn record_of(target: &DbTarget, records: &Path) -> PathBuf {
    let DbTarget { engine, host, port, socket, database, .. } = target;
    let place = format!("{engine:?}\0{host}\0{port}\0{}\0{database}", socket.as_deref().unwrap_or_default());
    let key = Digest::of(place.as_bytes());
    records.join(format!("{}.json", key.as_str().get(..32).unwrap_or_default()))
}

/// A session that has the turn on this server. Waits for it: a restore there goes on and will end.
async fn turn(target: &DbTarget) -> Result<Link, DbError> {
    // A lock of PostgreSQL is the database's: this one everybody knows.
    let common = DbTarget { database: "postgres".to_owned(), ..target.clone() };
    let (at, sql) = match target.engine {
        Engine::Mysql => (target, "SELECT GET_LOCK('cavalcade:accounts', 0)".to_owned()),
        Engine::Postgresql => (&common, format!("SELECT CASE WHEN pg_catalog.pg_try_advisory_lock({TURN}) THEN 1 ELSE 0 END")),
    };
    let mut link = Link::open(at, Purpose::Own).await?;
    while link.value(&sql, "waiting for another restore on the server").await?.as_deref() != Some("1") {
        tokio::time::sleep(LOOK).await;
    }
    Ok(link)
}

/// The accounts on the server, quoted, and whether each is locked.
async fn accounts(link: &mut Link, target: &DbTarget) -> Result<Vec<(String, bool)>, DbError> {
    let names: Vec<String> = target.server_accounts.iter().map(|a| text(target.engine, a)).collect();
    let names = names.join(", ");
    let mut found = Vec::new();
    match link {
        Link::Mysql(_) => {
            // A role has no host.
            let sql = format!("SELECT User, Host FROM mysql.user WHERE User IN ({names}) AND Host <> '' ORDER BY 1, 2");
            for row in link.rows(&sql).await.map_err(DbError::query(WHAT))? {
                let [Some(user), Some(host)] = row.as_slice() else { continue };
                let account = format!("{}@{}", name(target.engine, user), name(target.engine, host));
                let said = link.value(&format!("SHOW CREATE USER {account}"), WHAT).await?.unwrap_or_default();
                found.push((account, said.contains(" ACCOUNT LOCK")));
            }
        }
        Link::Postgresql(_) => {
            let sql = format!("SELECT rolname, rolcanlogin FROM pg_catalog.pg_roles WHERE rolname IN ({names}) ORDER BY 1");
            for row in link.rows(&sql).await.map_err(DbError::query(WHAT))? {
                let [Some(role), login] = row.as_slice() else { continue };
                found.push((name(target.engine, role), login.as_deref() == Some("f")));
            }
        }
    }
    Ok(found)
}

async fn alter(link: &mut Link, account: &str, lock: bool) -> Result<(), DbError> {
    let sql = match (&*link, lock) {
        (Link::Mysql(_), true) => format!("ALTER USER {account} ACCOUNT LOCK"),
        (Link::Mysql(_), false) => format!("ALTER USER {account} ACCOUNT UNLOCK"),
        (Link::Postgresql(_), true) => format!("ALTER ROLE {account} NOLOGIN"),
        (Link::Postgresql(_), false) => format!("ALTER ROLE {account} LOGIN"),
    };
    let what = if lock { WHAT } else { "unlocking the servers' accounts" };
    link.run(&sql).await.map_err(DbError::query(what))
}
