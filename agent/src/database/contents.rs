//! What a database holds, in a form that two databases can be compared by: definitions, counts and checksums.

use std::collections::BTreeMap;

use cavalcade_common::action::{DbTarget, Engine};
use cavalcade_common::id::Digest;
use serde::{Deserialize, Serialize};

use super::error::DbError;
use super::link::{Link, name, text};

/// Table that marks a database as being filled by us: debris of an interrupted restore, not someone's data.
pub(crate) const MARKER: &str = "cavalcade_restoring";

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    /// Rows.
    pub rows: u64,
    /// Checksum over all rows, independent of their order; comparable between databases of one server version.
    pub checksum: String,
    /// SHA-256 of the definition: columns, keys, constraints, indexes.
    pub definition: Digest,
}

/// A database's content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contents {
    /// Tables by name (PostgreSQL: `schema.name`).
    pub tables: BTreeMap<String, TableFacts>,
    /// Views, routines, triggers, events, sequences, by `kind name`, with what can be compared of them.
    pub objects: BTreeMap<String, String>,
}

impl Contents {
    /// Reads everything. The session's display settings must be those of [`prepare`].
    pub(crate) async fn read(link: &mut Link, target: &DbTarget) -> Result<Self, DbError> {
        match target.engine {
            Engine::Mysql => mysql(link, target).await,
            Engine::Postgresql => postgresql(link).await,
        }
    }

    /// In what another database differs from this one.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for (table, facts) in &self.tables {
            match other.tables.get(table) {
                None => out.push(format!("table {table} is missing")),
                Some(found) if found.rows != facts.rows => {
                    out.push(format!("table {table} has {} rows instead of {}", found.rows, facts.rows));
                }
                Some(found) if found.checksum != facts.checksum => out.push(format!("table {table} has other rows")),
                Some(found) if found.definition != facts.definition => {
                    out.push(format!("table {table} has another definition"));
                }
                Some(_) => {}
            }
        }
        out.extend(other.tables.keys().filter(|t| !self.tables.contains_key(*t)).map(|t| format!("table {t} is new")));
        for (object, value) in &self.objects {
            match other.objects.get(object) {
                None => out.push(format!("{object} is missing")),
                Some(found) if found != value => out.push(format!("{object} differs")),
                Some(_) => {}
            }
        }
        out.extend(other.objects.keys().filter(|o| !self.objects.contains_key(*o)).map(|o| format!("{o} is new")));
        out
    }
}

/// Makes values show the same in every session: they go into checksums as text.
pub(crate) async fn prepare(link: &mut Link) -> Result<(), DbError> {
    if matches!(link, Link::Postgresql(_)) {
        let sql = "SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; \
                   SET bytea_output = 'hex'; SET xmloption = 'content'; SET search_path = pg_catalog";
        link.run(sql).await.map_err(DbError::query("setting the session up for checksums"))?;
    }
    Ok(())
}

/// Names of what a database holds, without reading rows: enough to see whether it is empty. The marker is left out.
pub(crate) async fn names(link: &mut Link, target: &DbTarget) -> Result<Vec<String>, DbError> {
    let what = "listing the database's objects";
    match target.engine {
        Engine::Mysql => {
            let schema = text(Engine::Mysql, &target.database);
            let mut out = link
                .column(
                    &format!(
                        "SELECT CONCAT(IF(TABLE_TYPE = 'VIEW', 'view ', 'table '), TABLE_NAME) FROM information_schema.TABLES \
                         WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME <> '{MARKER}' ORDER BY 1"
                    ),
                    what,
                )
                .await?;
            out.extend(mysql_programs(link, &schema).await?.into_keys());
            Ok(out)
        }
        Engine::Postgresql => {
            let sql = format!(
                "SELECT c.relkind::text || ' ' || n.nspname || '.' || c.relname FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {USER_SCHEMA} AND c.relkind IN ('r','p','v','m','f','S') \
                 AND c.relname <> '{MARKER}' AND {}",
                no_extension("pg_class", "c.oid")
            );
            let mut out = link.column(&sql, what).await?;
            out.extend(postgresql_programs(link).await?.into_keys());
            let schemas = format!(
                "SELECT 'schema ' || n.nspname FROM pg_catalog.pg_namespace n WHERE {USER_SCHEMA} AND n.nspname <> 'public'"
            );
            out.extend(link.column(&schemas, what).await?);
            Ok(out)
        }
    }
}

async fn mysql_programs(link: &mut Link, schema: &str) -> Result<BTreeMap<String, String>, DbError> {
    let sql = format!(
        "SELECT CONCAT(LOWER(ROUTINE_TYPE), ' ', ROUTINE_NAME), SHA2(ROUTINE_DEFINITION, 256) FROM information_schema.ROUTINES \
         WHERE ROUTINE_SCHEMA = {schema} \
         UNION ALL SELECT CONCAT('trigger ', TRIGGER_NAME), SHA2(CONCAT_WS(' ', ACTION_TIMING, EVENT_MANIPULATION, \
         EVENT_OBJECT_TABLE, ACTION_STATEMENT), 256) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {schema} \
         UNION ALL SELECT CONCAT('event ', EVENT_NAME), SHA2(EVENT_DEFINITION, 256) FROM information_schema.EVENTS \
         WHERE EVENT_SCHEMA = {schema}"
    );
    pairs(link, &sql, "reading stored programs").await
}

async fn mysql(link: &mut Link, target: &DbTarget) -> Result<Contents, DbError> {
    let schema = text(Engine::Mysql, &target.database);
    let what = "reading the database's contents";
    let sql = format!(
        "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} \
         AND TABLE_NAME <> '{MARKER}' ORDER BY 1"
    );
    let mut contents = Contents { objects: mysql_programs(link, &schema).await?, ..Contents::default() };
    for (table, kind) in pairs(link, &sql, what).await? {
        if kind != "BASE TABLE" {
            contents.objects.insert(format!("{} {table}", kind.to_lowercase()), String::new());
            continue;
        }
        let full = format!("{}.{}", name(Engine::Mysql, &target.database), name(Engine::Mysql, &table));
        let rows = link.value(&format!("SELECT COUNT(*) FROM {full}"), what).await?;
        let sum = link.row(&format!("CHECKSUM TABLE {full} EXTENDED"), what).await?;
        let definition = link.row(&format!("SHOW CREATE TABLE {full}"), what).await?;
        let definition = definition.into_iter().nth(1).flatten().unwrap_or_default();
        contents.tables.insert(
            table,
            TableFacts {
                rows: rows.and_then(|r| r.parse().ok()).unwrap_or_default(),
                checksum: sum.into_iter().nth(1).flatten().unwrap_or_default(),
                definition: Digest::of(definition.as_bytes()),
            },
        );
    }
    Ok(contents)
}

/// Schemas that belong to people.
const USER_SCHEMA: &str =
    "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(temp|toast_temp)_'";

/// Objects that an extension made come back with the extension.
fn no_extension(catalog: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.{catalog}'::regclass \
         AND d.objid = {oid} AND d.deptype = 'e')"
    )
}

async fn postgresql_programs(link: &mut Link) -> Result<BTreeMap<String, String>, DbError> {
    let sql = format!(
        "SELECT 'routine ' || p.oid::regprocedure::text, md5(pg_get_functiondef(p.oid)) FROM pg_catalog.pg_proc p \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE {USER_SCHEMA} AND p.prokind IN ('f', 'p') AND {} \
         UNION ALL SELECT 'trigger ' || t.tgrelid::regclass::text || '.' || t.tgname, md5(pg_get_triggerdef(t.oid)) \
         FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal \
         UNION ALL SELECT 'type ' || n.nspname || '.' || t.typname, '' FROM pg_catalog.pg_type t \
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE {USER_SCHEMA} AND t.typtype IN ('e', 'd') AND {} \
         UNION ALL SELECT 'extension ' || e.extname, e.extversion FROM pg_catalog.pg_extension e WHERE e.extname <> 'plpgsql'",
        no_extension("pg_proc", "p.oid"),
        no_extension("pg_type", "t.oid")
    );
    pairs(link, &sql, "reading routines").await
}

async fn postgresql(link: &mut Link) -> Result<Contents, DbError> {
    let what = "reading the database's contents";
    prepare(link).await?;
    let mut contents = Contents { objects: postgresql_programs(link).await?, ..Contents::default() };
    let sql = format!(
        "SELECT c.oid::text, n.nspname, c.relname, c.relkind::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {USER_SCHEMA} AND c.relkind IN ('r','p','v','m','S') \
         AND c.relname <> '{MARKER}' AND {} ORDER BY 2, 3",
        no_extension("pg_class", "c.oid")
    );
    for row in link.rows(&sql).await.map_err(DbError::query(what))? {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || cells.next().unwrap_or_default();
        let (oid, schema, relation, kind) = (next(), next(), next(), next());
        let full = format!("{}.{}", name(Engine::Postgresql, &schema), name(Engine::Postgresql, &relation));
        match kind.as_str() {
            "S" => {
                let value = link.row(&format!("SELECT last_value, is_called FROM {full}"), what).await?;
                contents.objects.insert(format!("sequence {schema}.{relation}"), format!("{value:?}"));
            }
            "v" | "m" => {
                let sql = format!("SELECT md5(pg_get_viewdef({oid}::oid))");
                let value = link.value(&sql, what).await?.unwrap_or_default();
                contents.objects.insert(format!("view {schema}.{relation}"), value);
            }
            _ => {
                contents.tables.insert(format!("{schema}.{relation}"), postgresql_table(link, &oid, &full).await?);
            }
        }
    }
    Ok(contents)
}

async fn postgresql_table(link: &mut Link, oid: &str, full: &str) -> Result<TableFacts, DbError> {
    let what = "reading a table";
    // A sum of digests does not depend on the order of the rows, and does not lose equal ones.
    let sql = format!(
        "SELECT count(*), COALESCE(sum(('x' || substr(md5(t::text), 1, 16))::bit(64)::bigint::numeric), 0)::text FROM ONLY {full} t"
    );
    let mut cells = link.row(&sql, what).await?.into_iter().map(Option::unwrap_or_default);
    let rows = cells.next().and_then(|r| r.parse().ok()).unwrap_or_default();
    let checksum = cells.next().unwrap_or_default();
    let definition = format!(
        "SELECT line FROM (SELECT 'column ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull \
         || ' ' || COALESCE(pg_get_expr(d.adbin, d.adrelid), '') AS line FROM pg_catalog.pg_attribute a \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped \
         UNION ALL SELECT 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint WHERE conrelid = {oid} \
         UNION ALL SELECT 'index ' || pg_get_indexdef(indexrelid) FROM pg_catalog.pg_index WHERE indrelid = {oid}) l ORDER BY 1"
    );
    let lines = link.column(&definition, what).await?;
    Ok(TableFacts { rows, checksum, definition: Digest::of(lines.join("\n").as_bytes()) })
}

async fn pairs(link: &mut Link, sql: &str, what: &'static str) -> Result<BTreeMap<String, String>, DbError> {
    let rows = link.rows(sql).await.map_err(DbError::query(what))?;
    let pair = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
    };
    Ok(rows.into_iter().map(pair).collect())
}
