//! The scratch database: where a backup is proved, in the downtime. What stands in the way there is seen before.

use cavalcade_common::action::DbTarget;
use serde::{Deserialize, Serialize};

use crate::database::contents::{self, MARKER};
use crate::database::error::DbError;
use crate::database::ledger::table_exists;
use crate::database::link::{Link, Purpose};

/// MySQL, MariaDB: the server's number for a database that is not there.
const UNKNOWN_DATABASE: u16 = 1049;
/// The SQL state that PostgreSQL has for it.
const INVALID_CATALOG: &str = "3D000";
/// Most names that are told.
const NAMES: usize = 5;

/// A scratch database: `facts.databases.NAME.scratch`. `None` means that it could not be found out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScratchFacts {
    /// Its name.
    pub database: String,
    /// Whether there is one.
    pub exists: Option<bool>,
    /// Whether nothing is in it.
    pub empty: Option<bool>,
    /// Whether what is in it is debris of an interrupted proof of ours, which the next proof takes away.
    pub ours: Option<bool>,
    /// The first names of what is in it.
    pub holds: Vec<String>,
    /// Why something is not known.
    pub problem: Option<String>,
}

/// The scratch database as a target of its own; none where the database itself is named.
pub(super) fn of(target: &DbTarget) -> Option<DbTarget> {
    let database = target.scratch.clone().filter(|s| !s.eq_ignore_ascii_case(&target.database))?;
    let name = format!("{} (scratch)", target.name);
    Some(DbTarget { name, database, scratch: None, ..target.clone() })
}

/// Looks at the scratch database, before a table of a trial is in it.
pub(super) async fn look(target: &DbTarget) -> Option<ScratchFacts> {
    let scratch = of(target)?;
    let mut facts = ScratchFacts { database: scratch.database.clone(), ..ScratchFacts::default() };
    if let Err(error) = read(&scratch, &mut facts).await {
        if is_missing(&error) {
            facts.exists = Some(false);
        }
        facts.problem = Some(error.fault().to_string());
    }
    Some(facts)
}

async fn read(scratch: &DbTarget, facts: &mut ScratchFacts) -> Result<(), DbError> {
    let mut link = Link::open(scratch, Purpose::Own).await?;
    facts.exists = Some(true);
    let mut found = contents::names(&mut link, scratch).await?;
    let marked = table_exists(&mut link, scratch, MARKER).await?;
    link.close().await;
    facts.empty = Some(found.is_empty() && !marked);
    facts.ours = Some(marked);
    found.truncate(NAMES);
    facts.holds = found;
    Ok(())
}

fn is_missing(error: &DbError) -> bool {
    let DbError::Unreachable { source, .. } = error else { return false };
    let Some(said) = source.as_database_error() else { return false };
    let mysql = said.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(sqlx::mysql::MySqlDatabaseError::number);
    mysql == Some(UNKNOWN_DATABASE) || said.code().as_deref() == Some(INVALID_CATALOG)
}
