//! What preflight must know of a database (10-hard-cases, rule 25; 03-field-notes, section 5).

use std::collections::BTreeMap;

use cavalcade_common::action::{DbTarget, Engine};
use serde::{Deserialize, Serialize};

use super::error::DbError;
use super::ledger::qualified;
use super::link::{Link, Purpose, text};
use super::{lock, sessions};

/// Facts of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DbFacts {
    /// `mariadb`, `mysql` or `postgresql`.
    pub product: String,
    /// The server's own version text.
    pub version: String,
    /// Character set of the database.
    pub charset: String,
    /// Collation of the database.
    pub collation: String,
    /// Whether DDL is atomic across a crash (MySQL 8.0, MariaDB 10.6, PostgreSQL).
    pub atomic_ddl: bool,
    /// Galera is on: refused by name, or one pinned server.
    pub galera: bool,
    /// The server accepts no writes.
    pub read_only: bool,
    /// A commit is on disk when it is answered.
    pub durable: bool,
    /// Tables of the database in an engine without transactions.
    pub non_transactional: Vec<String>,
    /// PostgreSQL: the account is superuser (`uuid-ossp`).
    pub superuser: bool,
    /// Settings that matter, by name.
    pub settings: BTreeMap<String, String>,
    /// What was tried in a scratch table, and why it failed where it did: `create`, `alter`, `index`, `drop`, `lock`,
    /// `sessions`.
    pub rights: BTreeMap<String, Option<String>>,
}

/// Reads the facts and tries the rights. Leaves nothing behind.
///
/// # Errors
/// [`DbError`] when the database cannot be reached or asked. A missing right is a fact, not an error.
pub async fn describe(target: &DbTarget) -> Result<DbFacts, DbError> {
    let mut link = Link::open(target, Purpose::Own).await?;
    let mut facts = match target.engine {
        Engine::Mysql => mysql(&mut link, target).await?,
        Engine::Postgresql => postgresql(&mut link).await?,
    };
    facts.rights = rights(&mut link, target).await?;
    link.close().await;
    Ok(facts)
}

/// Whether the server's DDL is atomic across a crash.
pub(crate) async fn atomic_ddl(link: &mut Link) -> Result<bool, DbError> {
    if matches!(link, Link::Postgresql(_)) {
        return Ok(true);
    }
    let version = link.value("SELECT VERSION()", "asking for the version").await?.unwrap_or_default();
    Ok(atomic_version(&version))
}

fn atomic_version(version: &str) -> bool {
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(|p| p.parse::<u32>().unwrap_or_default());
    let found = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    found >= if version.to_lowercase().contains("mariadb") { (10, 6) } else { (8, 0) }
}

async fn mysql(link: &mut Link, target: &DbTarget) -> Result<DbFacts, DbError> {
    let names = [
        "version",
        "read_only",
        "innodb_flush_log_at_trx_commit",
        "sync_binlog",
        "log_bin",
        "log_bin_trust_function_creators",
        "sql_mode",
        "lower_case_table_names",
        "wsrep_on",
        "super_read_only",
        "max_allowed_packet",
        "time_zone",
    ];
    let wanted: Vec<String> = names.iter().map(|n| format!("'{n}'")).collect();
    let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", wanted.join(", "));
    let settings = pairs(link, &sql).await?;
    let get = |name: &str| settings.get(name).map(String::as_str).unwrap_or_default();
    let on = |name: &str| matches!(get(name), "ON" | "1");
    let database = text(Engine::Mysql, &target.database);
    let row = link
        .row(
            &format!(
                "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {database}"
            ),
            "asking for the character set",
        )
        .await?;
    let mut cells = row.into_iter().map(Option::unwrap_or_default);
    let (charset, collation) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
    let non_transactional = link
        .column(
            &format!(
                "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {database} \
                 AND TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB' ORDER BY 1"
            ),
            "asking for engines",
        )
        .await?;
    let version = get("version").to_owned();
    Ok(DbFacts {
        product: if version.to_lowercase().contains("mariadb") { "mariadb" } else { "mysql" }.to_owned(),
        atomic_ddl: atomic_version(&version),
        galera: on("wsrep_on"),
        read_only: on("read_only") || on("super_read_only"),
        durable: get("innodb_flush_log_at_trx_commit") == "1",
        superuser: false,
        rights: BTreeMap::new(),
        version,
        charset,
        collation,
        non_transactional,
        settings,
    })
}

async fn postgresql(link: &mut Link) -> Result<DbFacts, DbError> {
    let sql = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('server_version', 'fsync', \
               'synchronous_commit', 'full_page_writes', 'default_transaction_read_only', 'standard_conforming_strings', \
               'TimeZone', 'DateStyle', 'client_connection_check_interval', 'max_connections') ORDER BY name";
    let settings = pairs(link, sql).await?;
    let what = "asking for facts";
    let row = link
        .row(
            "SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, pg_catalog.pg_is_in_recovery(), \
             (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) \
             FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()",
            what,
        )
        .await?;
    let cells: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
    let cell = |i: usize| cells.get(i).cloned().unwrap_or_default();
    let get = |name: &str| settings.get(name).map(String::as_str).unwrap_or_default();
    let non_transactional = link
        .column("SELECT relname FROM pg_catalog.pg_class WHERE relpersistence = 'u' AND relkind = 'r' ORDER BY 1", what)
        .await?;
    Ok(DbFacts {
        product: "postgresql".to_owned(),
        version: get("server_version").to_owned(),
        charset: cell(0),
        collation: cell(1),
        atomic_ddl: true,
        galera: false,
        read_only: cell(2) == "t" || get("default_transaction_read_only") == "on",
        durable: get("fsync") == "on" && get("synchronous_commit") != "off",
        superuser: cell(3) == "t",
        rights: BTreeMap::new(),
        non_transactional,
        settings,
    })
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

/// Tries what a script will need.
async fn rights(link: &mut Link, target: &DbTarget) -> Result<BTreeMap<String, Option<String>>, DbError> {
    let table = qualified(link, target, &format!("cavalcade_try_{}", uuid::Uuid::new_v4().simple())).await?;
    let engine = if target.engine == Engine::Mysql { " ENGINE=InnoDB" } else { "" };
    let index = format!("cavalcade_try_{}", uuid::Uuid::new_v4().simple());
    let tries = [
        ("create", format!("CREATE TABLE {table} (a INTEGER NOT NULL PRIMARY KEY){engine}")),
        ("alter", format!("ALTER TABLE {table} ADD b INTEGER")),
        ("index", format!("CREATE INDEX {index} ON {table} (b)")),
        ("write", format!("INSERT INTO {table} (a, b) VALUES (1, 1)")),
        ("drop", format!("DROP TABLE {table}")),
    ];
    let mut out = BTreeMap::new();
    let mut created = true;
    for (right, sql) in tries {
        let why = match created {
            true => link.run(&sql).await.err().map(|e| e.to_string()),
            false => Some("not tried: no table could be created".to_owned()),
        };
        created = created && (right != "create" || why.is_none());
        out.insert(right.to_owned(), why);
    }
    let locked = match lock::try_take(link, target).await {
        Ok(true) => None,
        Ok(false) => Some("another session holds it".to_owned()),
        Err(e) => Some(e.to_string()),
    };
    out.insert("lock".to_owned(), locked);
    let own = link.id().await?;
    let seen = sessions::list(link, target, &[]).await?.iter().any(|s| s.id == own);
    out.insert("sessions".to_owned(), (!seen).then(|| "the account does not see its own session".to_owned()));
    let sees_all = match target.engine {
        Engine::Mysql => {
            let grants = link.rows("SHOW GRANTS").await.map_err(DbError::query("asking for grants"))?;
            let globally = |g: &str| g.contains(" ON *.* ") && (g.contains("PROCESS") || g.contains("ALL PRIVILEGES"));
            grants.iter().flatten().flatten().any(|g| globally(g))
        }
        Engine::Postgresql => {
            let sql = "SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')";
            link.value(sql, "asking for a role").await?.as_deref() == Some("t")
        }
    };
    let why = "the account sees only its own sessions: grant PROCESS (MySQL, MariaDB) or pg_monitor (PostgreSQL)";
    out.insert("others' sessions".to_owned(), (!sees_all).then(|| why.to_owned()));
    Ok(out)
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
