//! Tries what a script will need.

use cavalcade_common::action::{DbTarget, Engine};

use super::{DbFacts, scratch};
use crate::database::error::DbError;
use crate::database::ledger::qualified;
use crate::database::link::{Link, Purpose};
use crate::database::sessions;

/// Names of the rights that facts tell of.
pub(super) const NAMES: &[&str] =
    &["create", "alter", "index", "write", "drop", "lock", "sessions", "foreign_sessions", "lock_accounts"];

/// The names that one trial uses, found nowhere else.
pub(super) struct Trial {
    /// Table, and its index with an `i` behind.
    pub(super) table: String,
}

impl Trial {
    pub(super) fn new() -> Self {
        Self { table: format!("cavalcade_try_{}", uuid::Uuid::new_v4().simple()) }
    }

    /// Takes the table away that a trial left when it was cut off.
    pub(super) async fn clean(&self, target: &DbTarget) -> Result<(), DbError> {
        let Some(scratch) = scratch::of(target) else { return Ok(()) };
        let mut link = Link::open(&scratch, Purpose::Own).await?;
        let table = qualified(&mut link, &scratch, &self.table).await?;
        link.run(&format!("DROP TABLE IF EXISTS {table}")).await.map_err(DbError::query("taking away the table of a trial"))?;
        link.close().await;
        Ok(())
    }
}

/// Makes, changes and drops a table in the scratch database, in a session as a script has it. What the grants on the
/// database itself deny stays denied.
pub(super) async fn tables(target: &DbTarget, trial: &Trial, facts: &mut DbFacts) {
    let Some(scratch) = scratch::of(target) else { return };
    // Why it cannot be opened stands with what is told of it.
    let Ok(mut link) = Link::open(&scratch, Purpose::Script).await else { return };
    let table = qualified(&mut link, &scratch, &trial.table).await;
    let Some(table) = facts.note(table) else { return };
    facts.tried_in = Some(scratch.database.clone());
    let engine = if target.engine == Engine::Mysql { " ENGINE=InnoDB" } else { "" };
    let tries = [
        ("create", format!("CREATE TABLE {table} (a INTEGER NOT NULL PRIMARY KEY){engine}")),
        ("alter", format!("ALTER TABLE {table} ADD b INTEGER")),
        ("index", format!("CREATE INDEX {}i ON {table} (b)", trial.table)),
        ("write", format!("INSERT INTO {table} (a) VALUES (1)")),
        ("drop", format!("DROP TABLE {table}")),
    ];
    for (right, sql) in tries {
        let tried = link.run(&sql).await;
        if let Err(error) = &tried {
            facts.refused.insert(right.to_owned(), format!("in {}: {error}", scratch.database));
        }
        let right = facts.rights.entry(right.to_owned()).or_default();
        *right = Some(tried.is_ok() && *right != Some(false));
    }
    link.close().await;
}

/// Takes a lock of the kind that scripts use in one session, and looks at session and lock from another.
pub(super) async fn sessions_and_lock(link: &mut Link, twin: &mut Link, facts: &mut DbFacts) {
    let seen = async {
        let id = twin.id().await?;
        Ok(sessions::one(link, id).await?.is_some())
    };
    let seen: Result<bool, DbError> = seen.await;
    tell(facts, "sessions", seen, "the account does not see another session of its own");
    let locked = lock(link, twin).await;
    tell(facts, "lock", locked, "a lock of one session is not seen from another one of the same account");
}

fn tell(facts: &mut DbFacts, right: &str, found: Result<bool, DbError>, why: &str) {
    let why = match &found {
        Ok(true) => None,
        Ok(false) => Some(why.to_owned()),
        Err(error) => Some(error.fault().to_string()),
    };
    facts.rights.insert(right.to_owned(), Some(why.is_none()));
    if let Some(why) = why {
        facts.refused.insert(right.to_owned(), why);
    }
}

async fn lock(link: &mut Link, twin: &mut Link) -> Result<bool, DbError> {
    let what = "trying a lock";
    let random = uuid::Uuid::new_v4();
    let (take, holder, release) = match twin {
        Link::Mysql(_) => {
            let key = format!("'cavalcade-try:{}'", random.simple());
            (format!("SELECT GET_LOCK({key}, 0)"), format!("SELECT IS_USED_LOCK({key})"), format!("DO RELEASE_LOCK({key})"))
        }
        Link::Postgresql(_) => {
            // Two halves, as the server shows them.
            let (high, low) = (random.as_fields().0 >> 1, u32::from(random.as_fields().1));
            (
                format!("SELECT CASE WHEN pg_catalog.pg_try_advisory_lock({high}, {low}) THEN 1 ELSE 0 END"),
                format!(
                    "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
                     AND classid = {high} AND objid = {low} AND objsubid = 2"
                ),
                format!("SELECT pg_catalog.pg_advisory_unlock({high}, {low})"),
            )
        }
    };
    let taken = twin.value(&take, what).await?.as_deref() == Some("1");
    let id = twin.id().await?.to_string();
    let seen = link.value(&holder, what).await?;
    twin.run(&release).await.map_err(DbError::query(what))?;
    Ok(taken && seen == Some(id))
}
