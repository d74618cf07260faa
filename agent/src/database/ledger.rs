//! The script ledger: a table inside the target database that says what was begun and what was done.
//!
//! It is written over a session of its own (10-hard-cases, rule 20), but for DONE on PostgreSQL, which goes into the
//! statement's own transaction (rule 21).

use std::collections::BTreeMap;

use cavalcade_common::action::{DbTarget, Engine};
use cavalcade_common::id::Digest;

use super::error::{DbError, connection_ended};
use super::link::{Link, Purpose, TextRow, name, text};
use super::split::{Script, Statement};

/// Name of the table.
pub(crate) const TABLE: &str = "cavalcade_script_ledger";

/// What the ledger says of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Begun; nothing is known of its end.
    Intent,
    /// Took place.
    Done,
    /// Did not take place: the server refused it, or a person says so.
    NotDone,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Done => "done",
            Self::NotDone => "not done",
        }
    }

    fn read(word: &str) -> Self {
        match word {
            "done" => Self::Done,
            "not done" => Self::NotDone,
            // An unknown word of a newer program: nothing is known of its end.
            _ => Self::Intent,
        }
    }
}

/// A statement's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) script_sha256: String,
    pub(crate) statement_sha256: String,
    pub(crate) state: State,
    pub(crate) attempt: String,
    pub(crate) epoch: u64,
    /// Connection of the script's session.
    pub(crate) session: u64,
    /// When the server itself was started, in seconds since 1970; where it matters.
    pub(crate) server_start: Option<u64>,
    /// What the statement would change, as it was before ([`super::verify`]).
    pub(crate) before: Option<String>,
    /// When it was begun, on the server's clock.
    pub(crate) begun: String,
}

/// Who writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) attempt: &'a str,
    pub(crate) epoch: u64,
}

/// The ledger of one effect in one database.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    pub(crate) link: Link,
    target: &'a DbTarget,
    table: String,
    effect: &'a str,
    key: Digest,
}

impl<'a> Ledger<'a> {
    /// Opens the second session. The table is not made.
    pub(crate) async fn open(target: &'a DbTarget, effect: &'a str) -> Result<Self, DbError> {
        let mut link = Link::open(target, Purpose::Own).await?;
        let table = qualified(&mut link, target, TABLE).await?;
        Ok(Self { link, target, table, effect, key: Digest::of(effect.as_bytes()) })
    }

    /// Makes the table where it is missing.
    pub(crate) async fn create(&mut self) -> Result<(), DbError> {
        if self.exists().await? {
            return Ok(());
        }
        let (time, long, tail) = match self.target.engine {
            Engine::Mysql => ("DATETIME(3)", "BIGINT UNSIGNED", " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"),
            Engine::Postgresql => ("TIMESTAMP(3) WITH TIME ZONE", "BIGINT", ""),
        };
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {} (effect_sha256 CHAR(64) NOT NULL, statement INTEGER NOT NULL, effect TEXT NOT NULL, \
             script_sha256 CHAR(64) NOT NULL, line INTEGER NOT NULL, statement_sha256 CHAR(64) NOT NULL, \
             state VARCHAR(16) NOT NULL, attempt VARCHAR(255) NOT NULL, epoch {long} NOT NULL, session {long} NOT NULL, \
             server_start {long} NULL, before_state TEXT NULL, begun_at {time} NOT NULL, ended_at {time} NULL, \
             note VARCHAR(255) NULL, PRIMARY KEY (effect_sha256, statement)){tail}",
            self.table
        );
        self.link.run(&sql).await.map_err(DbError::query("making the script ledger"))
    }

    /// Whether the table is there.
    pub(crate) async fn exists(&mut self) -> Result<bool, DbError> {
        table_exists(&mut self.link, self.target, TABLE).await
    }

    /// The effect's rows by statement; none without the table.
    pub(crate) async fn rows(&mut self) -> Result<BTreeMap<u32, Row>, DbError> {
        if !self.exists().await? {
            return Ok(BTreeMap::new());
        }
        let sql = format!(
            "SELECT statement, script_sha256, statement_sha256, state, attempt, epoch, session, server_start, before_state, \
             begun_at FROM {} WHERE effect_sha256 = '{}' ORDER BY statement",
            self.table, self.key
        );
        let rows = self.link.rows(&sql).await.map_err(DbError::query("reading the script ledger"))?;
        Ok(rows.into_iter().map(row).collect())
    }

    /// INTENT, on disk when this returns.
    pub(crate) async fn intent(
        &mut self,
        script: &Digest,
        statement: &Statement,
        writer: Writer<'_>,
        session: u64,
        server_start: Option<u64>,
        before: Option<&str>,
    ) -> Result<(), DbError> {
        let engine = self.target.engine;
        let optional = |v: Option<String>| v.unwrap_or_else(|| "NULL".to_owned());
        let changing = [
            ("script_sha256", format!("'{script}'")),
            ("line", statement.line.to_string()),
            ("statement_sha256", format!("'{}'", statement.sha256)),
            ("state", text(engine, State::Intent.word())),
            ("attempt", text(engine, writer.attempt)),
            ("epoch", writer.epoch.to_string()),
            ("session", session.to_string()),
            ("server_start", optional(server_start.map(|s| s.to_string()))),
            ("before_state", optional(before.map(|b| text(engine, b)))),
            ("begun_at", self.now().to_owned()),
            ("ended_at", "NULL".to_owned()),
            ("note", "NULL".to_owned()),
        ];
        let names: Vec<&str> = changing.iter().map(|(n, _)| *n).collect();
        let values: Vec<&str> = changing.iter().map(|(_, v)| v.as_str()).collect();
        let update: Vec<String> = changing.iter().map(|(n, v)| format!("{n} = {v}")).collect();
        let on_conflict = match engine {
            Engine::Mysql => "ON DUPLICATE KEY UPDATE",
            Engine::Postgresql => "ON CONFLICT (effect_sha256, statement) DO UPDATE SET",
        };
        let sql = format!(
            "INSERT INTO {} (effect_sha256, statement, effect, {}) VALUES ('{}', {}, {}, {}) {on_conflict} {}",
            self.table,
            names.join(", "),
            self.key,
            statement.number,
            text(engine, self.effect),
            values.join(", "),
            update.join(", ")
        );
        self.link.run(&sql).await.map_err(DbError::query("writing INTENT into the script ledger"))
    }

    fn now(&self) -> &'static str {
        match self.target.engine {
            Engine::Mysql => "UTC_TIMESTAMP(3)",
            Engine::Postgresql => "pg_catalog.clock_timestamp()",
        }
    }

    /// The statement that writes an outcome of some statements that were begun.
    pub(crate) fn outcome_sql(&self, statements: std::ops::RangeInclusive<u32>, state: State, note: &str) -> String {
        let (first, last) = statements.into_inner();
        let engine = self.target.engine;
        format!(
            "UPDATE {} SET state = {}, ended_at = {}, note = {} WHERE effect_sha256 = '{}' AND statement BETWEEN {first} AND {last}",
            self.table,
            text(engine, state.word()),
            self.now(),
            text(engine, note),
            self.key
        )
    }

    /// Writes an outcome. This session rests while a long statement runs; when it was lost meanwhile, it is opened again.
    pub(crate) async fn outcome(
        &mut self,
        statements: std::ops::RangeInclusive<u32>,
        state: State,
        note: &str,
    ) -> Result<(), DbError> {
        let sql = self.outcome_sql(statements, state, note);
        let mut written = self.link.run(&sql).await;
        if written.as_ref().is_err_and(connection_ended) {
            self.link = Link::open(self.target, Purpose::Own).await?;
            written = self.link.run(&sql).await;
        }
        written.map_err(DbError::query("writing an outcome into the script ledger"))
    }

    /// Writes what a person decided. Statements of the script that have no row yet get one.
    pub(crate) async fn decide(
        &mut self,
        (script, sha256): (&Script, &Digest),
        statements: std::ops::RangeInclusive<u32>,
        state: State,
        writer: Writer<'_>,
        note: &str,
    ) -> Result<(), DbError> {
        for number in statements.clone() {
            if let Some(statement) = script.statement(number) {
                self.intent(sha256, statement, writer, 0, None, None).await?;
            }
        }
        self.outcome(statements, state, note).await
    }
}

fn row(cells: TextRow) -> (u32, Row) {
    let mut cells = cells.into_iter();
    let mut next = || cells.next().flatten();
    let number = |cell: Option<String>| cell.and_then(|c| c.trim().parse::<u64>().ok());
    let statement = number(next()).and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
    let row = Row {
        script_sha256: next().unwrap_or_default(),
        statement_sha256: next().unwrap_or_default(),
        state: State::read(&next().unwrap_or_default()),
        attempt: next().unwrap_or_default(),
        epoch: number(next()).unwrap_or_default(),
        session: number(next()).unwrap_or_default(),
        server_start: number(next()),
        before: next(),
        begun: next().unwrap_or_default(),
    };
    (statement, row)
}

/// A table's full name: in the target's database, on PostgreSQL in the account's own first schema.
pub(crate) async fn qualified(link: &mut Link, target: &DbTarget, table: &str) -> Result<String, DbError> {
    let schema = match target.engine {
        Engine::Mysql => target.database.clone(),
        Engine::Postgresql => {
            let found = link.value("SELECT pg_catalog.current_schema()", "asking for the schema").await?;
            found.unwrap_or_else(|| "public".to_owned())
        }
    };
    Ok(format!("{}.{}", name(target.engine, &schema), name(target.engine, table)))
}

/// Whether a table is there, in the place that [`qualified`] names.
pub(crate) async fn table_exists(link: &mut Link, target: &DbTarget, table: &str) -> Result<bool, DbError> {
    let schema = match target.engine {
        Engine::Mysql => text(target.engine, &target.database),
        Engine::Postgresql => "COALESCE(pg_catalog.current_schema(), 'public')".to_owned(),
    };
    let table = text(target.engine, table);
    let sql = format!("SELECT 1 FROM information_schema.tables WHERE table_schema = {schema} AND table_name = {table}");
    Ok(link.value(&sql, "looking for a table").await?.is_some())
}
