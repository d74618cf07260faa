//! Who else is connected (10-hard-cases, rule 16).

use std::time::Duration;

use cavalcade_common::action::{DbTarget, Engine};
use serde::{Deserialize, Serialize};

use super::error::{DbError, Refusal};
use super::grants::Grants;
use super::link::{Link, Purpose, TextRow, text};

/// The host of a session in MySQL's list, without the port that stands behind it for TCP.
const MYSQL_HOST: &str = "IF(HOST LIKE '%:%', LEFT(HOST, CHAR_LENGTH(HOST) - LOCATE(':', REVERSE(HOST))), HOST)";

/// A session of someone else in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The server's number of it.
    pub id: u64,
    /// Account.
    pub user: String,
    /// Where it comes from, without port; empty for a local socket (MySQL: `localhost`).
    pub host: String,
    /// What the program calls itself, where the server knows.
    pub program: String,
    /// Whether it executes something now.
    pub executing: bool,
    /// Seconds in this state.
    pub seconds: u64,
}

/// Sessions in the target's database, the one that asks excluded.
///
/// # Errors
/// [`DbError`] when the database cannot be reached or asked, or does not show the sessions of others.
pub async fn sessions(target: &DbTarget) -> Result<Vec<Session>, DbError> {
    let mut link = Link::open(target, Purpose::Own).await?;
    let own = link.id().await?;
    let found = others(&mut link, target, &[own]).await;
    link.close().await;
    found
}

/// Sessions of others, from an account that sees them: an empty list is a proof.
pub(crate) async fn others(link: &mut Link, target: &DbTarget, own: &[u64]) -> Result<Vec<Session>, DbError> {
    if !sees_all(link).await? {
        return Err(Refusal::SessionsHidden { database: target.name.clone(), user: target.user.clone() }.into());
    }
    list(link, target, own).await
}

/// Looks before a session of others is believed to stay, and the time between two of them.
const LOOKS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(250);

/// Sessions of others that count and are still there after some seconds: a server lists one that has ended for a moment
/// more.
pub(crate) async fn settled(
    link: &mut Link,
    target: &DbTarget,
    own: &[u64],
    counts: impl Fn(&Session) -> bool,
) -> Result<Vec<Session>, DbError> {
    let mut looks = 0;
    loop {
        let mut found = others(link, target, own).await?;
        found.retain(&counts);
        looks += 1;
        if found.is_empty() || looks == LOOKS {
            return Ok(found);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Sessions in the target's database without those of the numbers given.
pub(crate) async fn list(link: &mut Link, target: &DbTarget, own: &[u64]) -> Result<Vec<Session>, DbError> {
    let database = text(target.engine, &target.database);
    let sql = match target.engine {
        Engine::Mysql => format!(
            "SELECT ID, USER, {MYSQL_HOST}, '', COMMAND <> 'Sleep', TIME FROM information_schema.PROCESSLIST \
             WHERE DB = {database} AND COMMAND NOT IN ('Daemon', 'Binlog Dump') ORDER BY ID"
        ),
        Engine::Postgresql => format!(
            "SELECT pid, COALESCE(usename, ''), COALESCE(host(client_addr), ''), COALESCE(application_name, ''), \
             COALESCE(state, '') IN ('active', 'fastpath function call'), \
             COALESCE(floor(extract(epoch FROM clock_timestamp() - state_change)), 0)::bigint \
             FROM pg_catalog.pg_stat_activity WHERE datname = {database} \
             AND backend_type IN ('client backend', 'walsender') ORDER BY pid"
        ),
    };
    let rows = link.rows(&sql).await.map_err(DbError::query("asking for sessions"))?;
    Ok(rows.into_iter().map(session).filter(|s| !own.contains(&s.id)).collect())
}

/// Whether the account sees the sessions of others.
pub(crate) async fn sees_all(link: &mut Link) -> Result<bool, DbError> {
    match link {
        Link::Mysql(_) => match Grants::of(link).await?.everywhere("PROCESS") {
            Some(sees) => Ok(sees),
            // A role may give it: the server shows this table only to those that have it.
            None => Ok(link.rows("SELECT 1 FROM information_schema.INNODB_TRX LIMIT 1").await.is_ok()),
        },
        Link::Postgresql(_) => {
            let sql = "SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')";
            Ok(link.value(sql, "asking for a role").await?.as_deref() == Some("t"))
        }
    }
}

/// One session by its number, whatever database it is in.
pub(crate) async fn one(link: &mut Link, id: u64) -> Result<Option<Session>, DbError> {
    let sql = match link {
        Link::Mysql(_) => {
            format!(
                "SELECT ID, USER, {MYSQL_HOST}, '', COMMAND <> 'Sleep', TIME FROM information_schema.PROCESSLIST WHERE ID = {id}"
            )
        }
        Link::Postgresql(_) => format!(
            "SELECT pid, COALESCE(usename, ''), COALESCE(host(client_addr), ''), COALESCE(application_name, ''), \
             COALESCE(state, '') IN ('active', 'fastpath function call'), \
             COALESCE(floor(extract(epoch FROM clock_timestamp() - state_change)), 0)::bigint \
             FROM pg_catalog.pg_stat_activity WHERE pid = {id}"
        ),
    };
    let row = link.row(&sql, "asking for a session").await?;
    Ok((!row.is_empty()).then(|| session(row)))
}

/// Ends a session.
pub(crate) async fn end(link: &mut Link, id: u64) -> Result<(), DbError> {
    let ended = match link {
        Link::Mysql(_) => link.run(&format!("KILL {id}")).await,
        Link::Postgresql(_) => link.run(&format!("SELECT pg_catalog.pg_terminate_backend({id})")).await,
    };
    match ended {
        Ok(()) => Ok(()),
        // It went by itself meanwhile (1094, no such thread).
        Err(sqlx::Error::Database(e))
            if e.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().is_some_and(|e| e.number() == 1094) =>
        {
            Ok(())
        }
        Err(source) => Err(DbError::Query { what: "ending a session", source }),
    }
}

fn session(row: TextRow) -> Session {
    let mut cells = row.into_iter().map(Option::unwrap_or_default);
    let mut next = || cells.next().unwrap_or_default();
    Session {
        id: next().parse().unwrap_or_default(),
        user: next(),
        host: next(),
        program: next(),
        executing: matches!(next().as_str(), "1" | "t"),
        seconds: next().parse().unwrap_or_default(),
    }
}
