//! Which life of a database this is: a random text in the database itself, new after every restore (rule 23).

use cavalcade_common::action::{DbTarget, Engine};

use super::error::{DbError, Refusal};
use super::ledger::{qualified, table_exists};
use super::link::{Link, Purpose, text};

/// Name of the table.
pub(crate) const TABLE: &str = "cavalcade_incarnation";

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

/// Refuses a database that is not the one meant.
pub(crate) async fn require(link: &mut Link, target: &DbTarget, expected: Option<&str>) -> Result<(), DbError> {
    let Some(expected) = expected else { return Ok(()) };
    let found = read(link, target).await?.unwrap_or_else(|| "none".to_owned());
    if found == expected {
        return Ok(());
    }
    Err(Refusal::Incarnation { found, expected: expected.to_owned() }.into())
}

/// Writes a new incarnation over whatever is there.
pub(crate) async fn renew(link: &mut Link, target: &DbTarget) -> Result<String, DbError> {
    create(link, target).await?;
    let table = qualified(link, target, TABLE).await?;
    let new = uuid::Uuid::new_v4().to_string();
    let value = text(target.engine, &new);
    let sql = match target.engine {
        Engine::Mysql => {
            format!("INSERT INTO {table} (id, incarnation) VALUES (1, {value}) ON DUPLICATE KEY UPDATE incarnation = {value}")
        }
        Engine::Postgresql => format!(
            "INSERT INTO {table} (id, incarnation) VALUES (1, {value}) ON CONFLICT (id) DO UPDATE SET incarnation = {value}"
        ),
    };
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
