//! Facts that PostgreSQL tells.

use cavalcade_common::action::Engine;

use super::login::TABLES_OF_SCRIPTS;
use super::{DbFacts, LONG, number, pairs};
use crate::database::error::DbError;
use crate::database::link::{Link, text};

const WHAT: &str = "asking for facts";

pub(super) async fn read(link: &mut Link, facts: &mut DbFacts) {
    let settings = settings(link, facts).await;
    facts.note(settings);
    let database = database(link, facts).await;
    facts.note(database);
    let rights = rights(link, facts).await;
    facts.note(rights);
    let activity = activity(link, facts).await;
    facts.note(activity);
    let tls = link.value("SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()", WHAT).await;
    facts.tls = facts.note(tls).flatten().map(|v| v == "t");
}

async fn settings(link: &mut Link, facts: &mut DbFacts) -> Result<(), DbError> {
    let sql = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('server_version', 'fsync', \
               'synchronous_commit', 'default_transaction_read_only', 'client_connection_check_interval')";
    let found = pairs(link, sql).await?;
    let get = |name: &str| found.get(name).cloned();
    facts.version = get("server_version");
    facts.flush = get("fsync");
    facts.sync = get("synchronous_commit");
    facts.durable = facts.flush.as_deref().map(|f| f == "on" && facts.sync.as_deref() != Some("off"));
    facts.read_only = get("default_transaction_read_only").map(|v| v == "on");
    facts.client_connection_check_interval = get("client_connection_check_interval").and_then(|v| v.parse().ok());
    (facts.atomic_ddl, facts.wsrep) = (Some(true), Some(false));
    Ok(())
}

async fn database(link: &mut Link, facts: &mut DbFacts) -> Result<(), DbError> {
    let sql = "SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, pg_catalog.pg_is_in_recovery() \
               FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()";
    let mut cells = link.row(sql, WHAT).await?.into_iter();
    facts.charset = cells.next().flatten();
    facts.collation = cells.next().flatten();
    // The collation of a database is deterministic: equal are only equal bytes.
    facts.case_sensitive = Some(true);
    if cells.next().flatten().as_deref() == Some("t") {
        facts.read_only = Some(true);
    }
    facts.bytes = number(link, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())", WHAT).await?;
    facts.extensions = Some(link.column("SELECT extname FROM pg_catalog.pg_extension ORDER BY 1", WHAT).await?);
    let unlogged = "SELECT relname FROM pg_catalog.pg_class WHERE relpersistence = 'u' AND relkind = 'r' ORDER BY 1";
    facts.non_transactional = Some(link.column(unlogged, WHAT).await?);
    Ok(())
}

/// What the account may do in the database itself: make tables in its schema, and change those that it or its roles own.
pub(super) async fn rights(link: &mut Link, facts: &mut DbFacts) -> Result<(), DbError> {
    let sql = "SELECT r.rolsuper, r.rolsuper OR r.rolcreaterole, \
               COALESCE(pg_catalog.has_schema_privilege(pg_catalog.current_schema(), 'CREATE'), false), \
               (SELECT c.oid::regclass::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
                AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') ORDER BY 1 LIMIT 1) \
               FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
    let row = link.row(sql, "asking for rights").await?;
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let (superuser, accounts, create, foreign) = (next(), next(), next(), next());
    let yes = |cell: &Option<String>| cell.as_deref() == Some("t");
    facts.superuser = Some(yes(&superuser));
    let mut tell = |name: &str, why: Option<String>| {
        facts.rights.insert(name.to_owned(), Some(why.is_none()));
        if let Some(why) = why {
            facts.refused.insert(name.to_owned(), why);
        }
    };
    tell("create", (!yes(&create)).then(|| "the account has no CREATE on its schema".to_owned()));
    tell("lock_accounts", (!yes(&accounts)).then(|| "the account has no CREATEROLE".to_owned()));
    let foreign = foreign.map(|table| format!("the table {table} belongs to another role"));
    for name in ["alter", "index", "drop"] {
        tell(name, foreign.clone());
    }
    Ok(())
}

/// Whether the session's account may add the extensions to its database that need no superuser. Older servers have none.
pub(super) async fn trusted_extensions(link: &mut Link) -> Result<Option<bool>, DbError> {
    let sql = "SELECT pg_catalog.current_setting('server_version_num')::int >= 130000 \
               AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')";
    Ok(link.value(sql, "asking for rights on extensions").await?.map(|cell| cell == "t"))
}

/// Whether the session's account may use the tables that another one will make: as a member of its role, or by the default
/// privileges of that role.
pub(super) async fn tables_of(link: &mut Link, other: &str, facts: &mut DbFacts) -> Result<(), DbError> {
    let sql = format!(
        "SELECT pg_catalog.pg_has_role(r.oid, 'USAGE') OR EXISTS (SELECT 1 FROM pg_catalog.pg_default_acl d, \
         pg_catalog.aclexplode(d.defaclacl) a WHERE d.defaclrole = r.oid AND d.defaclobjtype = 'r' AND a.privilege_type = 'INSERT' \
         AND CASE a.grantee WHEN 0 THEN true ELSE pg_catalog.pg_has_role(a.grantee, 'USAGE') END) \
         FROM pg_catalog.pg_roles r WHERE r.rolname = {}",
        text(Engine::Postgresql, other)
    );
    let may = link.value(&sql, "asking for rights on tables of scripts").await?.map(|cell| cell == "t");
    facts.rights.insert(TABLES_OF_SCRIPTS.to_owned(), may);
    if may == Some(false) {
        let why = format!(
            "tables that {other} makes will be closed to it: GRANT {other}, or ALTER DEFAULT PRIVILEGES FOR ROLE {other}"
        );
        facts.refused.insert(TABLES_OF_SCRIPTS.to_owned(), why);
    }
    Ok(())
}

async fn activity(link: &mut Link, facts: &mut DbFacts) -> Result<(), DbError> {
    facts.replicas = number(link, "SELECT count(*) FROM pg_catalog.pg_stat_replication", WHAT).await?;
    let prepared = "SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()";
    facts.prepared = number(link, prepared, WHAT).await?;
    if !crate::database::sessions::sees_all(link).await? {
        return Ok(());
    }
    let others = "FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() \
                  AND pid <> pg_catalog.pg_backend_pid()";
    let long = format!("SELECT count(*) {others} AND xact_start < clock_timestamp() - interval '{LONG} seconds'");
    facts.long_transactions = number(link, &long, WHAT).await?;
    let idle = format!("SELECT count(*) {others} AND state LIKE 'idle in transaction%'");
    facts.idle_in_transaction = number(link, &idle, WHAT).await?;
    Ok(())
}
