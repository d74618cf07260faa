//! One session on a database, as the vendor's client would open it.

use std::time::Duration;

use cavalcade_common::action::{DbTarget, Engine};
use futures_util::TryStreamExt;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Either, Row};

use super::error::{DbError, Refusal};
use super::vendor;

/// How long opening a session may take.
const CONNECT: Duration = Duration::from_secs(30);

/// A row as text; `None` is NULL.
pub(crate) type TextRow = Vec<Option<String>>;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Runs the statements of a script: settings as the vendor's client has them.
    Script,
    /// Ours: ledger, questions. It may rest for long while a statement of the script runs.
    Own,
}

/// An open session.
#[derive(Debug)]
pub(crate) enum Link {
    Mysql(MySqlConnection),
    Postgresql(PgConnection),
}

impl Link {
    /// Opens a session in the target's database.
    pub(crate) async fn open(target: &DbTarget, purpose: Purpose) -> Result<Self, DbError> {
        let opened = tokio::time::timeout(CONNECT, connect(target)).await;
        let mut link = match opened {
            Ok(Ok(link)) => link,
            // The only configuration the driver refuses without TLS is an exchange of passwords by RSA.
            Ok(Err(sqlx::Error::Configuration(_))) if !target.tls && target.engine == Engine::Mysql => {
                return Err(DbError::NeedsTls { database: target.name.clone() });
            }
            Ok(Err(source)) => return Err(DbError::Unreachable { database: target.name.clone(), source }),
            Err(late) => {
                let source = sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, late));
                return Err(DbError::Unreachable { database: target.name.clone(), source });
            }
        };
        match purpose {
            Purpose::Script => link.as_vendor(target).await?,
            Purpose::Own => link.as_ours().await?,
        }
        Ok(link)
    }

    /// Takes back what the driver or its handshake set, so that the script means what it means in the vendor's client.
    async fn as_vendor(&mut self, target: &DbTarget) -> Result<(), DbError> {
        let what = "setting the script's session up";
        match self {
            Self::Mysql(_) => {
                let modes = self.row("SELECT @@GLOBAL.sql_mode, @@SESSION.sql_mode, @@autocommit", what).await?;
                let [global, session, autocommit] = three(modes);
                // IGNORE_SPACE comes with the driver's handshake.
                if !global.split(',').any(|m| m == "IGNORE_SPACE") {
                    let kept: Vec<&str> = session.split(',').filter(|m| *m != "IGNORE_SPACE").collect();
                    self.run(&format!("SET SESSION sql_mode = '{}'", kept.join(","))).await.map_err(DbError::query(what))?;
                }
                for mode in ["ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"] {
                    if session.split(',').any(|m| m == mode) {
                        return Err(Refusal::Setting { setting: "sql_mode", value: mode.to_owned() }.into());
                    }
                }
                if autocommit != "1" {
                    return Err(Refusal::Setting { setting: "autocommit", value: autocommit }.into());
                }
                // Lets the server choose its own collation for the character set, as it does for the vendor's client.
                self.run("SET NAMES utf8mb4").await.map_err(DbError::query(what))
            }
            Self::Postgresql(_) => {
                // The driver's startup packet sets these, and RESET goes back to the packet's values.
                for (name, value) in vendor::postgresql_settings(target).await? {
                    let set = format!("SET SESSION {name} = {}", text(Engine::Postgresql, &value));
                    self.run(&set).await.map_err(DbError::query(what))?;
                }
                let strings = self.value("SHOW standard_conforming_strings", what).await?.unwrap_or_default();
                if strings != "on" {
                    let setting = "standard_conforming_strings";
                    return Err(Refusal::Setting { setting, value: strings }.into());
                }
                // A statement must finish when its client dies (03-field-notes, section 3). Older servers, without the
                // setting, never look.
                if self.value("SELECT 1 FROM pg_settings WHERE name = 'client_connection_check_interval'", what).await?.is_some()
                {
                    self.run("SET client_connection_check_interval = 0").await.map_err(DbError::query(what))?;
                }
                Ok(())
            }
        }
    }

    async fn as_ours(&mut self) -> Result<(), DbError> {
        let what = "setting our own session up";
        let settings: &[&str] = match self {
            Self::Mysql(_) => &[
                "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', SESSION autocommit = 1, SESSION wait_timeout = 31536000",
                "SET SESSION lock_wait_timeout = 20, SESSION innodb_lock_wait_timeout = 20, time_zone = '+00:00'",
            ],
            Self::Postgresql(_) => &["SET lock_timeout = '20s'", "SET standard_conforming_strings = on"],
        };
        for set in settings {
            self.run(set).await.map_err(DbError::query(what))?;
        }
        let idle =
            "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('idle_session_timeout', 'statement_timeout')";
        if matches!(self, Self::Postgresql(_)) {
            self.run(idle).await.map_err(DbError::query(what))?;
        }
        Ok(())
    }

    /// Runs one statement and drops its rows.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Mysql(c) => {
                let mut stream = sql.fetch_many(c);
                while stream.try_next().await?.is_some() {}
            }
            Self::Postgresql(c) => {
                let mut stream = sql.fetch_many(c);
                while stream.try_next().await?.is_some() {}
            }
        }
        Ok(())
    }

    /// Rows of one statement, as text.
    pub(crate) async fn rows(&mut self, sql: &str) -> Result<Vec<TextRow>, sqlx::Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let mut out = Vec::new();
        match self {
            Self::Mysql(c) => {
                let mut stream = sql.fetch_many(c);
                while let Some(item) = stream.try_next().await? {
                    if let Either::Right(row) = item {
                        let cells = (0..row.len()).map(|i| row.try_get_unchecked::<Option<Vec<u8>>, _>(i));
                        let text = cells.map(|c| Ok(c?.map(|b| String::from_utf8_lossy(&b).into_owned())));
                        out.push(text.collect::<Result<TextRow, sqlx::Error>>()?);
                    }
                }
            }
            Self::Postgresql(c) => {
                let mut stream = sql.fetch_many(c);
                while let Some(item) = stream.try_next().await? {
                    if let Either::Right(row) = item {
                        let cells = (0..row.len()).map(|i| row.try_get_unchecked::<Option<String>, _>(i));
                        out.push(cells.collect::<Result<TextRow, sqlx::Error>>()?);
                    }
                }
            }
        }
        Ok(out)
    }

    /// The first row; empty without one.
    pub(crate) async fn row(&mut self, sql: &str, what: &'static str) -> Result<TextRow, DbError> {
        let rows = self.rows(sql).await.map_err(DbError::query(what))?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    /// The first column of the first row.
    pub(crate) async fn value(&mut self, sql: &str, what: &'static str) -> Result<Option<String>, DbError> {
        Ok(self.row(sql, what).await?.into_iter().next().flatten())
    }

    /// The first column of all rows.
    pub(crate) async fn column(&mut self, sql: &str, what: &'static str) -> Result<Vec<String>, DbError> {
        let rows = self.rows(sql).await.map_err(DbError::query(what))?;
        Ok(rows.into_iter().filter_map(|r| r.into_iter().next().flatten()).collect())
    }

    /// The server's number of this session.
    pub(crate) async fn id(&mut self) -> Result<u64, DbError> {
        let sql = match self {
            Self::Mysql(_) => "SELECT CONNECTION_ID()",
            Self::Postgresql(_) => "SELECT pg_backend_pid()",
        };
        let id = self.value(sql, "asking for the session's number").await?;
        Ok(id.and_then(|v| v.parse().ok()).unwrap_or_default())
    }

    /// Ends the session in order, so that its locks are free at once.
    pub(crate) async fn close(self) {
        let closed = match self {
            Self::Mysql(c) => c.close().await,
            Self::Postgresql(c) => c.close().await,
        };
        if let Err(e) = closed {
            tracing::debug!(error = %e, "closing a database session");
        }
    }
}

async fn connect(target: &DbTarget) -> Result<Link, sqlx::Error> {
    match target.engine {
        Engine::Mysql => {
            let mut options = MySqlConnectOptions::new()
                .username(&target.user)
                .database(&target.database)
                .pipes_as_concat(false)
                .no_engine_substitution(false)
                .timezone(None)
                .set_names(false)
                .statement_cache_capacity(0);
            if !target.password.is_empty() {
                options = options.password(&target.password);
            }
            options = match &target.socket {
                Some(path) => options.socket(path),
                None => options.host(&target.host).port(target.port),
            };
            options = options.ssl_mode(match target.tls {
                true if target.socket.is_none() => MySqlSslMode::VerifyIdentity,
                _ => MySqlSslMode::Disabled,
            });
            if let Some(ca) = &target.ca {
                options = options.ssl_ca(ca);
            }
            Ok(Link::Mysql(options.disable_statement_logging().connect().await?))
        }
        Engine::Postgresql => {
            let mut options = PgConnectOptions::new_without_pgpass()
                .username(&target.user)
                .database(&target.database)
                .port(target.port)
                .password(&target.password)
                .application_name("cavalcade")
                .extra_float_digits(None)
                .statement_cache_capacity(0);
            options = match &target.socket {
                Some(path) => options.socket(socket_folder(path)),
                None => options.host(&target.host),
            };
            options = options.ssl_mode(match target.tls {
                true if target.socket.is_none() => PgSslMode::VerifyFull,
                _ => PgSslMode::Disable,
            });
            if let Some(ca) = &target.ca {
                options = options.ssl_root_cert(ca);
            }
            Ok(Link::Postgresql(options.disable_statement_logging().connect().await?))
        }
    }
}

/// PostgreSQL names the folder of its socket; a path of the socket file itself is accepted too.
pub(crate) fn socket_folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((folder, file)) if file.starts_with(".s.PGSQL.") => folder,
        _ => path,
    }
}

/// A text literal.
pub(crate) fn text(engine: Engine, value: &str) -> String {
    match engine {
        // Independent of the session's rules for backslashes.
        Engine::Mysql if value.is_empty() => "''".to_owned(),
        Engine::Mysql => format!("CONVERT(0x{} USING utf8mb4)", hex::encode(value)),
        Engine::Postgresql => format!("'{}'", value.replace('\'', "''")),
    }
}

/// A quoted name.
pub(crate) fn name(engine: Engine, value: &str) -> String {
    match engine {
        Engine::Mysql => format!("`{}`", value.replace('`', "``")),
        Engine::Postgresql => format!("\"{}\"", value.replace('"', "\"\"")),
    }
}

fn three(row: TextRow) -> [String; 3] {
    let mut cells = row.into_iter().map(Option::unwrap_or_default);
    [cells.next().unwrap_or_default(), cells.next().unwrap_or_default(), cells.next().unwrap_or_default()]
}
