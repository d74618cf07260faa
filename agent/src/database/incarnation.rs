//! Which life of a database this is: a random text in the database itself, new after every restore (rule 23). Beside it a
//! restore writes in whose place it put the new one: where its answer is lost, a repeat knows its own work by that.

use cavalcade_common::action::{DbTarget, Engine};
use cavalcade_common::id::Digest;

use super::error::{DbError, Refusal};
use super::ledger::{qualified, table_exists};
use super::link::{Link, Purpose, text};

/// Name of the table.
pub(crate) const TABLE: &str = "cavalcade_incarnation";

/// What a database says of its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Its incarnation.
    pub incarnation: String,
    /// In whose place a restore put it ([`Ends::word`]); `None`: no restore made it.
    pub in_place_of: Option<String>,
}

/// Which life of a database a restore may end, besides the one that the backup was taken of.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a> {
    /// The one that the journal knows.
    pub known: Option<&'a str>,
    /// Who restores: the run and its step.
    pub by: &'a str,
}

impl Ends<'_> {
    /// What the new life says that it stands in the place of: the incarnation that the journal knows, which it knows until
    /// it learns of the new one; without a journal the step, which is the same when it is repeated.
    #[must_use]
    pub fn word(&self) -> String {
        match self.known {
            Some(known) => known.to_owned(),
            None => Digest::of(self.by.as_bytes()).as_str().to_owned(),
        }
    }

    /// Whether this life may be ended: it is the backup's, the known one, or what a restore whose answer was lost put in the
    /// place of the known one.
    #[must_use]
    pub fn covers(&self, backup: &str, found: &Life) -> bool {
        found.incarnation == backup
            || self.known == Some(found.incarnation.as_str())
            || found.in_place_of.as_ref() == Some(&self.word())
    }
}

/// Reads the database's incarnation, or writes the first one when we meet it.
///
/// # Errors
/// [`DbError`] when the database cannot be reached, read or written.
pub async fn incarnation(target: &DbTarget) -> Result<String, DbError> {
    let mut link = Link::open(target, Purpose::Own).await?;
    let found = match read(&mut link, target).await? {
        Some(found) => found,
        None => {
            create(&mut link, target).await?;
            let table = qualified(&mut link, target, TABLE).await?;
            let values = format!("VALUES (1, '{}')", uuid::Uuid::new_v4());
            // Two that meet the database at once: the first one wins.
            let sql = match target.engine {
                Engine::Mysql => format!("INSERT IGNORE INTO {table} (id, incarnation) {values}"),
                Engine::Postgresql => format!("INSERT INTO {table} (id, incarnation) {values} ON CONFLICT (id) DO NOTHING"),
            };
            link.run(&sql).await.map_err(DbError::query("writing the incarnation"))?;
            read(&mut link, target).await?.unwrap_or_default()
        }
    };
    link.close().await;
    Ok(found)
}

/// The incarnation, if the database has one.
pub(crate) async fn read(link: &mut Link, target: &DbTarget) -> Result<Option<String>, DbError> {
    if !table_exists(link, target, TABLE).await? {
        return Ok(None);
    }
    let table = qualified(link, target, TABLE).await?;
    link.value(&format!("SELECT incarnation FROM {table} WHERE id = 1"), "reading the incarnation").await
}

/// What the database says of its life, if it has one.
pub(crate) async fn life(link: &mut Link, target: &DbTarget) -> Result<Option<Life>, DbError> {
    let Some(incarnation) = read(link, target).await? else { return Ok(None) };
    let table = qualified(link, target, TABLE).await?;
    let sql = format!("SELECT incarnation FROM {table} WHERE id = 2");
    let in_place_of = link.value(&sql, "reading in whose place the incarnation stands").await?;
    Ok(Some(Life { incarnation, in_place_of }))
}

/// Refuses a database that is not the one meant.
pub(crate) async fn require(link: &mut Link, target: &DbTarget, expected: Option<&str>) -> Result<(), DbError> {
    let Some(expected) = expected else { return Ok(()) };
    let found = read(link, target).await?.unwrap_or_else(|| "none".to_owned());
    if found == expected {
        return Ok(());
    }
    Err(Refusal::Incarnation { found, expected: expected.to_owned() }.into())
}

/// Writes a new incarnation over whatever is there, in one statement with in whose place it stands.
pub(crate) async fn renew(link: &mut Link, target: &DbTarget, in_place_of: &str) -> Result<String, DbError> {
    create(link, target).await?;
    let table = qualified(link, target, TABLE).await?;
    let new = uuid::Uuid::new_v4().to_string();
    let rows = format!("(1, {}), (2, {})", text(target.engine, &new), text(target.engine, in_place_of));
    let over = match target.engine {
        Engine::Mysql => "ON DUPLICATE KEY UPDATE incarnation = VALUES(incarnation)",
        Engine::Postgresql => "ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation",
    };
    let sql = format!("INSERT INTO {table} (id, incarnation) VALUES {rows} {over}");
    link.run(&sql).await.map_err(DbError::query("writing the incarnation"))?;
    Ok(new)
}

async fn create(link: &mut Link, target: &DbTarget) -> Result<(), DbError> {
    if table_exists(link, target, TABLE).await? {
        return Ok(());
    }
    let table = qualified(link, target, TABLE).await?;
    let tail = match target.engine {
        Engine::Mysql => " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
        Engine::Postgresql => "",
    };
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {table} (id INTEGER NOT NULL, incarnation VARCHAR(64) NOT NULL, PRIMARY KEY (id)){tail}"
    );
    link.run(&sql).await.map_err(DbError::query("making the table of the incarnation"))
}
