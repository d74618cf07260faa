//! Facts that MySQL and MariaDB tell.

use cavalcade_common::action::{DbTarget, Engine};

use super::{DbFacts, LONG, atomic_version, is_mariadb, number, pairs};
use crate::database::error::DbError;
use crate::database::grants::Grants;
use crate::database::link::{Link, TextRow, text};

/// Settings that are read.
const SETTINGS: &[&str] = &[
    "version",
    "read_only",
    "super_read_only",
    "innodb_flush_log_at_trx_commit",
    "sync_binlog",
    "log_bin",
    "log_bin_trust_function_creators",
    "lower_case_table_names",
    "wsrep_on",
];

pub(super) async fn read(link: &mut Link, target: &DbTarget, facts: &mut DbFacts) {
    let settings = settings(link, facts).await;
    facts.note(settings);
    let database = text(Engine::Mysql, &target.database);
    let schema = schema(link, &database, facts).await;
    facts.note(schema);
    let grants = Grants::of(link).await;
    if let Some(grants) = facts.note(grants) {
        rights(&grants, &target.database, facts);
    }
    let replicas = replicas(link, facts.rights.get("process").copied().flatten()).await;
    facts.replicas = facts.note(replicas).flatten();
    let transactions = format!(
        "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_started < NOW() - INTERVAL {LONG} SECOND \
         AND trx_mysql_thread_id <> CONNECTION_ID()"
    );
    let transactions = number(link, &transactions, "looking for long transactions").await;
    facts.long_transactions = facts.note(transactions).flatten();
    let prepared = link.rows("XA RECOVER").await.map_err(DbError::query("looking for prepared transactions"));
    facts.prepared = facts.note(prepared).map(|rows| rows.len() as u64);
    let login = link.value("SHOW CREATE USER CURRENT_USER()", "asking for the method of the login").await;
    facts.login_plugin = facts.note(login).flatten().as_deref().map(login_plugin);
    let cipher = link.row("SHOW SESSION STATUS LIKE 'Ssl_cipher'", "asking for TLS").await;
    facts.tls = facts.note(cipher).map(|row| !second(row).is_empty());
    // `process` is not one of the rights that are told: it decided above.
    facts.rights.remove("process");
}

async fn settings(link: &mut Link, facts: &mut DbFacts) -> Result<(), DbError> {
    let wanted: Vec<String> = SETTINGS.iter().map(|n| format!("'{n}'")).collect();
    let found = pairs(link, &format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", wanted.join(", "))).await?;
    let get = |name: &str| found.get(name).cloned();
    let on = |name: &str| found.get(name).map(|v| matches!(v.as_str(), "ON" | "1"));
    if let Some(version) = get("version") {
        facts.engine = if is_mariadb(&version) { "mariadb" } else { "mysql" }.to_owned();
        facts.atomic_ddl = Some(atomic_version(&version));
        facts.version = Some(version);
    }
    facts.read_only = on("read_only").map(|r| r || on("super_read_only") == Some(true));
    facts.flush = get("innodb_flush_log_at_trx_commit");
    facts.sync = get("sync_binlog");
    facts.log_bin = on("log_bin");
    facts.durable = durable(facts.flush.as_deref(), facts.log_bin, facts.sync.as_deref());
    facts.trust_function_creators = on("log_bin_trust_function_creators");
    facts.lower_case_table_names = get("lower_case_table_names");
    // A server without Galera has no such setting.
    facts.wsrep = Some(on("wsrep_on") == Some(true));
    Ok(())
}

/// Whether a commit is on disk when it is answered. Where there is a binary log, it decides after a crash which commits
/// took place.
fn durable(flush: Option<&str>, log_bin: Option<bool>, sync: Option<&str>) -> Option<bool> {
    let engine = flush? == "1";
    let log = if log_bin? { sync? == "1" } else { true };
    Some(engine && log)
}

async fn schema(link: &mut Link, database: &str, facts: &mut DbFacts) -> Result<(), DbError> {
    let sql = format!(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {database}"
    );
    let mut cells = link.row(&sql, "asking for the character set").await?.into_iter();
    facts.charset = cells.next().flatten();
    facts.collation = cells.next().flatten();
    facts.case_sensitive =
        facts.collation.as_deref().map(|c| ["_bin", "_cs"].iter().any(|end| c.ends_with(end)) || c == "binary");
    let sql = format!(
        "SELECT COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {database}"
    );
    facts.bytes = number(link, &sql, "asking for the size").await?;
    let sql = format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {database} \
         AND TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB' ORDER BY 1"
    );
    facts.non_transactional = Some(link.column(&sql, "asking for engines").await?);
    Ok(())
}

pub(super) fn rights(grants: &Grants, database: &str, facts: &mut DbFacts) {
    for (name, right) in [("create", "CREATE"), ("alter", "ALTER"), ("index", "INDEX"), ("write", "INSERT"), ("drop", "DROP")] {
        right_on(grants, database, name, right, facts);
    }
    let accounts = grants.everywhere("CREATE USER");
    facts.rights.insert("lock_accounts".to_owned(), accounts);
    if accounts == Some(false) {
        facts.refused.insert("lock_accounts".to_owned(), "the account has no CREATE USER".to_owned());
    }
    facts.rights.insert("process".to_owned(), grants.everywhere("PROCESS"));
    facts.superuser = grants.everywhere("SUPER");
}

fn right_on(grants: &Grants, database: &str, name: &str, right: &str, facts: &mut DbFacts) {
    let has = grants.on_database(right, database);
    facts.rights.insert(name.to_owned(), has);
    if has == Some(false) {
        facts.refused.insert(name.to_owned(), format!("the account has no {right} on `{database}`"));
    }
}

/// The right to make foreign keys. MariaDB has the word and asks for nothing.
pub(super) async fn references(link: &mut Link, grants: &Grants, database: &str, facts: &mut DbFacts) -> Result<(), DbError> {
    let version = link.value("SELECT VERSION()", "asking for the version").await?.unwrap_or_default();
    if !is_mariadb(&version) {
        right_on(grants, database, "references", "REFERENCES", facts);
    }
    Ok(())
}

/// Servers that replicate from this one: those that registered, or threads that send them the log.
async fn replicas(link: &mut Link, process: Option<bool>) -> Result<Option<u64>, DbError> {
    let mut found = None;
    for sql in ["SHOW REPLICAS", "SHOW REPLICA HOSTS", "SHOW SLAVE HOSTS"] {
        // Versions differ in the words, and the right is rarely given.
        if let Ok(rows) = link.rows(sql).await {
            found = Some(rows.len() as u64);
            break;
        }
    }
    if process == Some(true) {
        let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
        found = found.max(number(link, sql, "looking for replicas").await?);
    }
    Ok(found)
}

/// The method in what `SHOW CREATE USER` says; nothing else of it is kept, since it holds the hash.
fn login_plugin(said: &str) -> String {
    let after = |word: &str| said.split_once(word).map(|(_, rest)| rest);
    let Some(rest) = after(" IDENTIFIED WITH ").or_else(|| after(" IDENTIFIED VIA ")) else {
        return "mysql_native_password".to_owned();
    };
    rest.trim_start_matches(['\'', '`']).chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn second(row: TextRow) -> String {
    row.into_iter().nth(1).flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{durable, login_plugin};

    #[test]
    fn a_binary_log_that_is_not_synced_loses_commits() {
        for (flush, log_bin, sync, wanted) in [
            (Some("1"), Some(false), Some("0"), Some(true)),
            (Some("1"), Some(true), Some("1"), Some(true)),
            (Some("1"), Some(true), Some("0"), Some(false)),
            (Some("1"), Some(true), Some("100"), Some(false)),
            (Some("2"), Some(false), Some("1"), Some(false)),
            (Some("1"), Some(true), None, None),
            (Some("1"), None, Some("0"), None),
            (None, Some(false), Some("1"), None),
        ] {
            assert_eq!(durable(flush, log_bin, sync), wanted, "{flush:?} {log_bin:?} {sync:?}");
        }
    }

    #[test]
    fn the_method_of_a_login_is_told_without_its_hash() {
        for (said, plugin) in [
            ("CREATE USER `a`@`%` IDENTIFIED WITH 'caching_sha2_password' AS '$A$005$x' REQUIRE NONE", "caching_sha2_password"),
            ("CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*81F5'", "mysql_native_password"),
            ("CREATE USER `a`@`%` IDENTIFIED VIA ed25519 USING 'x'", "ed25519"),
            ("CREATE USER `root`@`localhost`", "mysql_native_password"),
        ] {
            assert_eq!(login_plugin(said), plugin);
        }
    }
}
