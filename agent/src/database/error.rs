//! What can go wrong on a database, and what is then known.

use std::path::PathBuf;

use cavalcade_common::codes::database as codes;
use cavalcade_common::error::Fault;

use super::sessions::Session;
use super::split::{Span, SplitError};

/// Why something on a database did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Connection or login failed; nothing was begun.
    #[error("database `{database}` cannot be reached")]
    Unreachable {
        /// Name in the fleet file.
        database: String,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// The server wants a password over an unencrypted connection with a method that would need RSA.
    #[error("the account's login method at database `{database}` needs TLS")]
    NeedsTls {
        /// Name in the fleet file.
        database: String,
    },
    /// The script cannot be split as the vendor's client would.
    #[error("the script is refused")]
    Script(#[from] SplitError),
    /// Something does not fit; nothing was begun in this attempt.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server refused a statement, which then has no effect.
    #[error("statement {statement} (line {line}) failed after {done} of {total} were done: {message}")]
    Failed {
        /// Its number.
        statement: u32,
        /// Its line.
        line: u32,
        /// The server's code.
        code: Option<String>,
        /// The server's message.
        message: String,
        /// Statements that are done.
        done: u32,
        /// Statements of the script.
        total: u32,
        /// Those that hang together with it by session state.
        together: Option<Span>,
    },
    /// The connection ended while a statement was under way. The next attempt finds out what became of it.
    #[error("the connection ended in statement {statement} (line {line})")]
    Interrupted {
        /// Its number.
        statement: u32,
        /// Its line.
        line: u32,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// Whether a statement took place cannot be seen: a person decides.
    #[error("whether statement {statement} (line {line}) took place is not known")]
    Indeterminate {
        /// Its number.
        statement: u32,
        /// Its line.
        line: u32,
        /// What is known.
        known: Vec<String>,
        /// What is not.
        unknown: Vec<String>,
    },
    /// A query of our own failed.
    #[error("{what} failed")]
    Query {
        /// What was asked.
        what: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// The vendor's client could not be run or failed.
    #[error("`{program}` failed: {message}")]
    Client {
        /// Which.
        program: String,
        /// The end of what it said.
        message: String,
    },
    /// A file of a backup.
    #[error("{}: cannot be read or written", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The manifest or the dump is not what was written.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// In which way.
        reason: &'static str,
    },
    /// What was restored does not equal what was dumped.
    #[error("the restored database differs: {}", .0.join("; "))]
    Differs(Vec<String>),
    /// A restore failed with the database neither old nor new: the servers' accounts stay locked.
    #[error("{source}")]
    StaysLocked {
        /// The accounts.
        accounts: Vec<String>,
        /// Why it failed.
        source: Box<DbError>,
    },
}

/// Why nothing was begun.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The text is not the one that was planned.
    #[error("the script's SHA-256 is not the planned one")]
    Digest,
    /// This effect was begun with another script.
    #[error("this effect was begun with a script of another SHA-256 ({0})")]
    OtherScript(String),
    /// The database is not the one that is meant.
    #[error("the database has incarnation {found}, expected is {expected}")]
    Incarnation {
        /// What the database says.
        found: String,
        /// What the journal says.
        expected: String,
    },
    /// A newer controller was here.
    #[error("epoch {newer} has written to the script ledger, this command has epoch {ours}")]
    Epoch {
        /// In the ledger.
        newer: u64,
        /// In the command.
        ours: u64,
    },
    /// The lock is held by a session that is not ours to end.
    #[error("session {0} of another account holds the script's lock")]
    LockHeld(u64),
    /// The decision is about another statement than the one that is open.
    #[error("the decision is about statement {decided}, but {}", open.map_or_else(|| "none is open".to_owned(), |n| format!("statement {n} is open")))]
    StaleDecision {
        /// Of the decision.
        decided: u32,
        /// Of the ledger.
        open: Option<u32>,
    },
    /// A setting of the server changes what the script means.
    #[error("the server's {setting} is {value}, which changes what the script means")]
    Setting {
        /// Which.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// Someone else is connected.
    #[error("{} other sessions are in the database", .0.len())]
    Sessions(Vec<Session>),
    /// Whether someone else is connected cannot be seen.
    #[error("the account `{user}` does not see the sessions of others in `{database}`")]
    SessionsHidden {
        /// Name in the fleet file.
        database: String,
        /// The account.
        user: String,
    },
    /// A name that sessions may come from is not known here.
    #[error("`{host}` cannot be resolved on this node: {why}")]
    UnknownHost {
        /// The name.
        host: String,
        /// The resolver's answer.
        why: String,
    },
    /// The servers' accounts cannot be locked, and someone is there.
    #[error("the servers' accounts cannot be locked ({why}), and {} other sessions are in the database", sessions.len())]
    AccountsOpen {
        /// Why.
        why: String,
        /// Who is connected.
        sessions: Vec<Session>,
    },
    /// The database or scratch database holds something.
    #[error("`{database}` is not empty: it holds {holds}")]
    NotEmpty {
        /// Its name on the server.
        database: String,
        /// For example `3 tables`.
        holds: String,
    },
    /// The backup is not of the database that it is to be restored into.
    #[error("the backup holds `{found}`, and `{expected}` is to be restored")]
    OtherBackup {
        /// In the manifest.
        found: String,
        /// Of the step.
        expected: String,
    },
    /// The fleet file names no scratch database.
    #[error("no scratch database is named, so a backup cannot be proved")]
    NoScratch,
    /// The scratch database is the database itself.
    #[error("the scratch database is the database itself")]
    ScratchIsTarget,
}

impl DbError {
    /// The form that people and the wire see.
    #[must_use]
    pub fn fault(&self) -> Fault {
        if let Self::StaysLocked { accounts, source } = self {
            let help = format!("{} stay locked until the restore was repeated and ended well", accounts.join(", "));
            return source.fault().help(help);
        }
        let code = match self {
            Self::Unreachable { .. } => codes::DB_UNREACHABLE,
            Self::NeedsTls { .. } => codes::DB_NEEDS_TLS,
            Self::Script(_) => codes::SQL_REFUSED,
            Self::Refused(r) => r.code(),
            Self::Failed { .. } => codes::SQL_FAILED,
            Self::Interrupted { .. } => codes::SQL_INTERRUPTED,
            Self::Indeterminate { .. } => codes::SQL_INDETERMINATE,
            Self::Query { .. } => codes::DB_QUERY,
            Self::Client { .. } => codes::DB_CLIENT,
            Self::File { .. } => codes::BACKUP_FILE,
            Self::Damaged { .. } => codes::BACKUP_DAMAGED,
            Self::Differs(_) | Self::StaysLocked { .. } => codes::BACKUP_DIFFERS,
        };
        let mut message = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        let fault = Fault::new(code, message);
        match self {
            Self::Indeterminate { known, unknown, .. } => {
                fault.help(format!("known: {}; not known: {}", known.join(", "), unknown.join(", ")))
            }
            Self::Failed { statement, together, .. } => fault.help(match together {
                None => format!("a person's word `done` leaves statement {statement} out, `not-done` runs it again"),
                Some(span) => format!(
                    "statements {} to {} hang together by session state. A person's word is about all of them: `done`, that \
                     each took place, was done by hand or is left out; `not-done`, that none has an effect any more, so that \
                     they run again from {}",
                    span.first, span.last, span.first
                ),
            }),
            _ => fault,
        }
    }

    pub(crate) fn query(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Query { what, source }
    }
}

impl Refusal {
    fn code(&self) -> cavalcade_common::error::Code {
        match self {
            Self::Digest | Self::OtherScript(_) => codes::SQL_OTHER_SCRIPT,
            Self::Incarnation { .. } => codes::DB_INCARNATION,
            Self::Epoch { .. } => codes::SQL_EPOCH,
            Self::LockHeld(_) => codes::SQL_LOCK,
            Self::StaleDecision { .. } => codes::SQL_DECISION,
            Self::Setting { .. } => codes::DB_SETTING,
            Self::Sessions(_) => codes::DB_SESSIONS,
            Self::SessionsHidden { .. } => codes::DB_SESSIONS_HIDDEN,
            Self::UnknownHost { .. } => codes::DB_HOST_UNKNOWN,
            Self::AccountsOpen { .. } => codes::DB_ACCOUNTS,
            Self::NotEmpty { .. } => codes::DB_NOT_EMPTY,
            Self::OtherBackup { .. } => codes::BACKUP_OTHER,
            Self::NoScratch | Self::ScratchIsTarget => codes::BACKUP_SCRATCH,
        }
    }
}

/// Whether the session is gone, so that nothing is known of the statement. Everything else the server said is an answer:
/// the statement was refused.
pub(crate) fn connection_ended(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(e) => {
            // MySQL: server shutdown 1053, aborted 1079, 1152, 1184, killed 1927, gone 2006 and 2013, malformed 1835.
            const MYSQL: &[u16] = &[1053, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1835, 1927, 2006, 2013];
            if let Some(e) = e.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                return MYSQL.contains(&e.number());
            }
            // PostgreSQL: class 08, and shutdown, crash, cannot connect now, database dropped.
            e.code().is_some_and(|c| c.starts_with("08") || matches!(&*c, "57P01" | "57P02" | "57P03" | "57P04" | "57P05"))
        }
        _ => true,
    }
}
