//! The databases of a home, reached as its JDBC URLs say.

use anyhow::{Context as _, bail};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Executor as _, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlSslMode},
};

use super::config::DatabaseTable;

/// Opens a connection to a MySQL or MariaDB database.
///
/// The session stays as the server has it: sqlx would set its mode, names and time zone.
///
/// # Errors
///
/// When the table is of another engine, the URL is none, or the server refuses.
pub async fn connect(table: &DatabaseTable) -> anyhow::Result<MySqlConnection> {
    let options = options(table)?;
    options.connect().await.with_context(|| format!("Communications link failure: {}", table.url))
}

fn options(table: &DatabaseTable) -> anyhow::Result<MySqlConnectOptions> {
    let Some(rest) = table.url.strip_prefix("jdbc:mysql://").or_else(|| table.url.strip_prefix("jdbc:mariadb://")) else {
        bail!("{} is no URL of MySQL", table.url)
    };
    let (authority, path) = rest.split_once('/').context("the URL names no database")?;
    let (host, port) = authority.split_once(':').unwrap_or((authority, "3306"));
    let schema = path.split('?').next().unwrap_or_default();
    Ok(MySqlConnectOptions::new()
        .host(host)
        .port(port.parse().context("the URL's port is no number")?)
        .database(schema)
        .username(&table.username)
        .password(&table.password)
        .ssl_mode(MySqlSslMode::Disabled)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .set_names(false)
        .timezone(None))
}

/// Runs one statement in the text protocol (the only one that takes PREPARE and CREATE PROCEDURE).
///
/// # Errors
///
/// What the server says.
pub async fn execute(connection: &mut MySqlConnection, statement: &str) -> Result<u64, sqlx::Error> {
    Ok(connection.execute(sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))).await?.rows_affected())
}

/// The one number that a query answers.
///
/// # Errors
///
/// What the server says.
pub async fn number(connection: &mut MySqlConnection, query: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(query).fetch_one(connection).await
}

/// Whether the connection's database has a table.
///
/// # Errors
///
/// What the server says.
pub async fn has_table(connection: &mut MySqlConnection, table: &str) -> Result<bool, sqlx::Error> {
    let found: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = DATABASE() AND UPPER(TABLE_NAME) = ?",
    )
    .bind(table)
    .fetch_one(connection)
    .await?;
    Ok(found > 0)
}

/// Whether a table of the connection's database has a column.
///
/// # Errors
///
/// What the server says.
pub async fn has_column(connection: &mut MySqlConnection, table: &str, column: &str) -> Result<bool, sqlx::Error> {
    let found: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND UPPER(TABLE_NAME) = ? AND \
         UPPER(COLUMN_NAME) = ?",
    )
    .bind(table)
    .bind(column)
    .fetch_one(connection)
    .await?;
    Ok(found > 0)
}

/// Splits a script as WSO2's migration client does: a statement ends at a line that ends in `;`, lines of comment are left out.
#[must_use]
pub fn statements(script: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut current = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--")) {
        current.push_str(line);
        if let Some(statement) = current.strip_suffix(';') {
            all.push(statement.to_owned());
            current.clear();
        } else {
            current.push(' ');
        }
    }
    if !current.trim().is_empty() {
        all.push(current.trim().to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_at_the_end_of_a_line_only() {
        let script = "-- c\nCREATE TABLE A (\n  X INT\n);\n\nCREATE PROCEDURE p() BEGIN SELECT 1; END;\nSELECT 2";
        let parts = statements(script);
        assert_eq!(parts, ["CREATE TABLE A ( X INT )", "CREATE PROCEDURE p() BEGIN SELECT 1; END", "SELECT 2"]);
    }

    #[test]
    fn another_engine_is_refused() {
        let table = |url: &str| DatabaseTable {
            name: "apim_db".to_owned(),
            engine: "x".to_owned(),
            url: url.to_owned(),
            username: String::new(),
            password: String::new(),
        };
        assert!(options(&table("jdbc:h2:./repository/database/X")).is_err());
        assert!(options(&table("jdbc:mysql://h:3x/d")).is_err());
        assert!(options(&table("jdbc:mysql://h/d?useSSL=false&x=y")).is_ok());
    }
}
