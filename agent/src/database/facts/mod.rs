//! What preflight must know of a database (10-hard-cases, rule 25; 03-field-notes, section 5).
//!
//! Reads only, but for the scratch database, where rights are tried with a table of a random name. A database that cannot
//! be reached is a fact, and so is what it does not tell (`null`, with a line in `problems`).

mod asks;
mod direct;
mod login;
mod mysql;
mod postgresql;
mod rights;
mod scratch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use cavalcade_common::action::{DbTarget, Engine};
use serde::{Deserialize, Serialize};

use super::error::DbError;
use super::link::{Link, Purpose};
use super::sessions::{self, Session};
use super::vendor;
pub use login::{LoginFacts, Stops, login};
use rights::Trial;
pub use scratch::ScratchFacts;

/// How long everything about one database may take.
const WITHIN: Duration = Duration::from_secs(60);

/// How long one statement may take at the server, in seconds.
const STATEMENT: u32 = 15;

/// How long the table of a trial may take to go away when the trial was cut off.
const CLEANING: Duration = Duration::from_secs(15);

/// From which age on a transaction counts as long, in seconds.
const LONG: u32 = 60;

/// Most kinds of foreign sessions that are told.
const SESSIONS: usize = 50;

/// Facts of a database: `facts.databases.NAME`. `None` means that it could not be found out, or does not exist there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DbFacts {
    /// Whether a session could be opened.
    pub reachable: bool,
    /// Why not.
    pub problem: Option<String>,
    /// What could not be found out, and why.
    pub problems: Vec<String>,
    /// `mariadb`, `mysql` or `postgresql`; unreached as the fleet file says it.
    pub engine: String,
    /// The server's own version text.
    pub version: Option<String>,
    /// Character set of the database.
    pub charset: Option<String>,
    /// Collation of the database.
    pub collation: Option<String>,
    /// Size in bytes: data and indexes, as the server estimates it.
    pub bytes: Option<u64>,
    /// Whether its collation tells upper from lower case.
    pub case_sensitive: Option<bool>,
    /// MySQL, MariaDB: how names of tables are stored and compared.
    pub lower_case_table_names: Option<String>,
    /// The account may do everything.
    pub superuser: Option<bool>,
    /// `create`, `alter`, `index`, `write`, `drop`: tried in the scratch database, and not denied by the grants on the
    /// database itself. `lock`, `sessions` (sees its own), `foreign_sessions`, `lock_accounts`.
    pub rights: BTreeMap<String, Option<bool>>,
    /// Why a right is missing.
    pub refused: BTreeMap<String, String>,
    /// The scratch database that rights were tried in.
    pub tried_in: Option<String>,
    /// The scratch database as it was before rights were tried in it; `None` where none is named.
    pub scratch: Option<ScratchFacts>,
    /// PostgreSQL: extensions of the database.
    pub extensions: Option<Vec<String>>,
    /// The server accepts no writes.
    pub read_only: Option<bool>,
    /// Galera is on.
    pub wsrep: Option<bool>,
    /// MySQL, MariaDB: the binary log is written.
    pub log_bin: Option<bool>,
    /// MySQL, MariaDB: `log_bin_trust_function_creators`.
    pub trust_function_creators: Option<bool>,
    /// Whether DDL is atomic across a crash (MySQL 8.0, MariaDB 10.6, PostgreSQL).
    pub atomic_ddl: Option<bool>,
    /// Tables of an engine without transactions (PostgreSQL: unlogged ones).
    pub non_transactional: Option<Vec<String>>,
    /// How many servers replicate from this one.
    pub replicas: Option<u64>,
    /// `innodb_flush_log_at_trx_commit`; PostgreSQL: `fsync`.
    pub flush: Option<String>,
    /// `sync_binlog`; PostgreSQL: `synchronous_commit`.
    pub sync: Option<String>,
    /// A commit is on disk when it is answered.
    pub durable: Option<bool>,
    /// PostgreSQL: milliseconds between two looks whether the client is there; 0 is never. Null before version 14.
    pub client_connection_check_interval: Option<u64>,
    /// Sessions of others in the database, by account and host; null where the account does not see them.
    pub sessions: Option<Vec<SessionCount>>,
    /// Transactions of others older than 60 s.
    pub long_transactions: Option<u64>,
    /// PostgreSQL: sessions that rest inside a transaction.
    pub idle_in_transaction: Option<u64>,
    /// Transactions that were prepared (two-phase, XA) and hold their locks without a session.
    pub prepared: Option<u64>,
    /// Something hands statements of one session to several: true when seen, false when the connection is proved direct.
    pub pooler: Option<bool>,
    /// MySQL, MariaDB: method of the account's login. The sha2 ones need TLS here.
    pub login_plugin: Option<String>,
    /// Whether our session is encrypted.
    pub tls: Option<bool>,
    /// The client that makes dumps on this node; null where none is installed.
    pub dump_client: Option<DumpClient>,
    /// Answers to the recipe's questions: first column of the first row.
    pub asked: BTreeMap<String, Option<String>>,
    /// Why a question has no answer, by its name. A table that is not there may be the very thing that was asked.
    pub unanswered: BTreeMap<String, String>,
}

/// Sessions of one account from one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCount {
    /// Account.
    pub user: String,
    /// Where they come from, without port; empty for a local socket.
    pub host: String,
    /// How many.
    pub count: u64,
}

/// A client program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpClient {
    /// Where it is.
    pub path: PathBuf,
    /// What it says of its version.
    pub version: String,
}

impl DbFacts {
    /// A value, or a line in `problems` and nothing.
    fn note<T>(&mut self, found: Result<T, DbError>) -> Option<T> {
        match found {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(error.fault().to_string());
                None
            }
        }
    }

    /// Changes every text that may repeat what a server said.
    pub fn rewrite(&mut self, by: impl Fn(&str) -> String) {
        let told = self.asked.values_mut().flatten().chain(self.unanswered.values_mut()).chain(self.refused.values_mut());
        let scratch = self.scratch.iter_mut().filter_map(|s| s.problem.as_mut());
        for text in self.problem.iter_mut().chain(&mut self.problems).chain(told).chain(scratch) {
            *text = by(text);
        }
    }
}

/// Facts of a database that nothing was asked of.
#[must_use]
pub fn unreached(target: &DbTarget, asks: &BTreeMap<String, String>, problem: String) -> DbFacts {
    let engine = match target.engine {
        Engine::Mysql => "mysql",
        Engine::Postgresql => "postgresql",
    };
    DbFacts {
        problem: Some(problem),
        engine: engine.to_owned(),
        rights: rights::NAMES.iter().map(|n| ((*n).to_owned(), None)).collect(),
        asked: asks.keys().map(|name| (name.clone(), None)).collect(),
        ..DbFacts::default()
    }
}

/// Reads the facts, tries the rights, asks the recipe's questions. Takes a minute at most and leaves nothing behind.
pub async fn describe(target: &DbTarget, asks: &BTreeMap<String, String>) -> DbFacts {
    let mut facts = unreached(target, asks, format!("no answer within {} s", WITHIN.as_secs()));
    let trial = Trial::new();
    let looked = tokio::time::timeout(WITHIN, look(target, asks, &trial, &mut facts)).await;
    match looked {
        Ok(Ok(())) => facts.problem = None,
        Ok(Err(error)) => facts.problem = Some(error.fault().to_string()),
        // Reached and too slow: what was found out stays.
        Err(_) => {
            let cleaned = tokio::time::timeout(CLEANING, trial.clean(target)).await;
            if !matches!(cleaned, Ok(Ok(()))) {
                facts.problems.push(format!("the table {} may be left in the scratch database", trial.table));
            }
        }
    }
    facts
}

async fn look(target: &DbTarget, asks: &BTreeMap<String, String>, trial: &Trial, facts: &mut DbFacts) -> Result<(), DbError> {
    let client = vendor::dump_client(target).await;
    facts.dump_client = facts.note(client).map(|(path, version)| DumpClient { path, version });
    let mut link = Link::open(target, Purpose::Own).await?;
    facts.reachable = true;
    let limited = limit(&mut link).await;
    facts.note(limited);
    match target.engine {
        Engine::Mysql => mysql::read(&mut link, target, facts).await,
        Engine::Postgresql => postgresql::read(&mut link, facts).await,
    }
    let twin = Link::open(target, Purpose::Own).await;
    if let Some(mut twin) = facts.note(twin) {
        foreign(&mut link, &mut twin, target, facts).await;
        rights::sessions_and_lock(&mut link, &mut twin, facts).await;
        let pooled = direct::pooled(&mut link, &mut twin, target).await;
        facts.pooler = facts.note(pooled).flatten();
        twin.close().await;
    }
    facts.scratch = scratch::look(target).await;
    rights::tables(target, trial, facts).await;
    for (name, sql) in asks {
        let answer = asks::ask(&mut link, target.engine, sql).await;
        let answer = answer.map_err(|why| facts.unanswered.insert(name.clone(), why));
        facts.asked.insert(name.clone(), answer.ok().flatten());
    }
    link.close().await;
    Ok(())
}

/// No question of ours runs for long at the server, whatever becomes of us.
async fn limit(link: &mut Link) -> Result<(), DbError> {
    let what = "limiting the time of statements";
    let sql = match link {
        Link::Mysql(_) => {
            let version = link.value("SELECT VERSION()", what).await?.unwrap_or_default();
            let limit = match is_mariadb(&version) {
                true => format!("max_statement_time = {STATEMENT}"),
                false => format!("max_execution_time = {STATEMENT}000"),
            };
            // Times of transactions are told in the server's own zone.
            format!("SET SESSION {limit}, SESSION lock_wait_timeout = {STATEMENT}, SESSION time_zone = 'SYSTEM'")
        }
        Link::Postgresql(_) => format!("SET statement_timeout = '{STATEMENT}s'"),
    };
    link.run(&sql).await.map_err(DbError::query(what))
}

/// Sessions of others, where the account sees them.
async fn foreign(link: &mut Link, twin: &mut Link, target: &DbTarget, facts: &mut DbFacts) {
    let seen = async {
        let own = [link.id().await?, twin.id().await?];
        match sessions::sees_all(link).await? {
            true => sessions::list(link, target, &own).await.map(Some),
            false => Ok(None),
        }
    };
    let seen = seen.await;
    let Some(seen) = facts.note(seen) else { return };
    facts.rights.insert("foreign_sessions".to_owned(), Some(seen.is_some()));
    if seen.is_none() {
        let why = "the account sees only its own sessions: grant PROCESS (MySQL, MariaDB) or pg_read_all_stats (PostgreSQL)";
        facts.refused.insert("foreign_sessions".to_owned(), why.to_owned());
    }
    facts.sessions = seen.map(|seen| counted(&seen));
}

fn counted(sessions: &[Session]) -> Vec<SessionCount> {
    let mut counts = BTreeMap::<(&str, &str), u64>::new();
    for session in sessions {
        *counts.entry((&session.user, &session.host)).or_default() += 1;
    }
    let counted = counts.into_iter().take(SESSIONS);
    counted.map(|((user, host), count)| SessionCount { user: user.to_owned(), host: host.to_owned(), count }).collect()
}

/// Whether the server's DDL is atomic across a crash.
pub(crate) async fn atomic_ddl(link: &mut Link) -> Result<bool, DbError> {
    if matches!(link, Link::Postgresql(_)) {
        return Ok(true);
    }
    let version = link.value("SELECT VERSION()", "asking for the version").await?.unwrap_or_default();
    Ok(atomic_version(&version))
}

fn is_mariadb(version: &str) -> bool {
    version.to_lowercase().contains("mariadb")
}

fn atomic_version(version: &str) -> bool {
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(|p| p.parse::<u32>().unwrap_or_default());
    let found = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    found >= if is_mariadb(version) { (10, 6) } else { (8, 0) }
}

async fn pairs(link: &mut Link, sql: &str) -> Result<BTreeMap<String, String>, DbError> {
    let rows = link.rows(sql).await.map_err(DbError::query("asking for settings"))?;
    let mut out = BTreeMap::new();
    for row in rows {
        if let [Some(name), value] = row.as_slice() {
            out.insert(name.clone(), value.clone().unwrap_or_default());
        }
    }
    Ok(out)
}

async fn number(link: &mut Link, sql: &str, what: &'static str) -> Result<Option<u64>, DbError> {
    Ok(link.value(sql, what).await?.and_then(|v| v.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::atomic_version;

    #[test]
    fn versions_with_atomic_ddl() {
        for (version, atomic) in [
            ("10.11.19-MariaDB-0+deb12u1", true),
            ("10.5.23-MariaDB", false),
            ("11.4.2-MariaDB", true),
            ("8.0.36", true),
            ("5.7.44-log", false),
        ] {
            assert_eq!(atomic_version(version), atomic, "{version}");
        }
    }
}
