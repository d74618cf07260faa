//! Assertions on a database.

use std::time::Duration;

use cavalcade_common::action::{Assert, DbTarget, Engine};

use super::alone;
use super::error::DbError;
use super::link::{Link, Purpose, text};

/// How an assertion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertResult {
    /// What it shows, in the recipe's words.
    pub says: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was expected and what was found where it does not hold; sessions in any case.
    pub found: Option<String>,
}

/// Looks whether assertions hold, in one read-only session. Other sessions may take up to `patience` to go away. One that holds nothing to look at does not hold.
///
/// # Errors
/// [`DbError`] when the database cannot be reached or a SELECT is refused by the server.
pub async fn run_query(target: &DbTarget, asserts: &[Assert], patience: Duration) -> Result<Vec<AssertResult>, DbError> {
    let mut link = Link::open(target, Purpose::Own).await?;
    let own = link.id().await?;
    let read_only = match target.engine {
        Engine::Mysql => "START TRANSACTION READ ONLY",
        Engine::Postgresql => "BEGIN READ ONLY",
    };
    link.run(read_only).await.map_err(DbError::query("beginning a read-only transaction"))?;
    let mut out = Vec::with_capacity(asserts.len());
    for assert in asserts {
        let (holds, found) = match &assert.no_sessions {
            Some(wanted) => alone::alone(target, wanted, own, patience).await?,
            None => {
                let found = failing(&mut link, target, assert).await?;
                (found.is_none(), found)
            }
        };
        out.push(AssertResult { says: assert.says.clone(), holds, found });
    }
    link.close().await;
    Ok(out)
}

/// What is wrong, if anything is.
async fn failing(link: &mut Link, target: &DbTarget, assert: &Assert) -> Result<Option<String>, DbError> {
    if assert.column.is_none() && assert.table.is_none() && assert.select.is_none() {
        return Ok(Some("the assertion names no column, table or SELECT".to_owned()));
    }
    if let Some(table) = &assert.table
        && !exists(link, target, table, None).await?
    {
        return Ok(Some(format!("there is no table {table}")));
    }
    if let Some(column) = &assert.column {
        let Some((table, name)) = column.rsplit_once('.') else {
            return Ok(Some(format!("{column} is not TABLE.COLUMN")));
        };
        if !exists(link, target, table, Some(name)).await? {
            return Ok(Some(format!("there is no column {column}")));
        }
    }
    if let Some(select) = &assert.select {
        let row = link.row(select, "the SELECT of an assertion").await?;
        let found = row.into_iter().next();
        let wanted = assert.equals.as_deref();
        let said = match &found {
            None => "no row",
            Some(None) => "NULL",
            Some(Some(value)) => value.as_str(),
        };
        let value = found.as_ref().and_then(Option::as_deref);
        if value.is_none() || wanted.is_some_and(|w| Some(w) != value) {
            return Ok(Some(format!("expected {}, found {said}", wanted.unwrap_or("a value"))));
        }
    }
    Ok(None)
}

async fn exists(link: &mut Link, target: &DbTarget, table: &str, column: Option<&str>) -> Result<bool, DbError> {
    let engine = target.engine;
    let schemas = match engine {
        Engine::Mysql => format!("= {}", text(engine, &target.database)),
        Engine::Postgresql => "= ANY (pg_catalog.current_schemas(false))".to_owned(),
    };
    let (from, and) = match column {
        Some(column) => ("columns", format!(" AND LOWER(column_name) = LOWER({})", text(engine, column))),
        None => ("tables", String::new()),
    };
    let sql = format!(
        "SELECT 1 FROM information_schema.{from} WHERE table_schema {schemas} AND LOWER(table_name) = LOWER({}){and} LIMIT 1",
        text(engine, table)
    );
    Ok(link.value(&sql, "looking for a table or column").await?.is_some())
}
