//! The journal in one SQLite file: WAL, synchronous=FULL, one writing connection, a few reading ones.
//!
//! Checkpoints are run here and not by SQLite on its own: SQLite swallows the errors of automatic ones, and an error of
//! a sync must end the process (04, promise 5).

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::id::{Digest, Epoch};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, Transaction};
use tokio::sync::Mutex;

use super::chain::{self, Break, ChainHead, Stored};
use super::error::JournalError;
use super::files::{self, Reserve};
use super::{Journal, NewEntry, SuspectHook, sql};

/// Oldest SQLite that is accepted: earlier ones can lose committed writes when the WAL starts over while a checkpoint
/// runs (06; fixed upstream in 3.51.3).
pub const OLDEST_SQLITE: &str = "3.51.3";
/// How long a statement waits for another process's lock.
const BUSY: Duration = Duration::from_secs(30);
/// Reading connections.
const READERS: u32 = 3;
/// Bytes of new content after which the WAL is copied into the database file.
const CHECKPOINT_BYTES: u64 = 4 << 20;
/// What one entry adds to the WAL, roughly, in bytes.
const ENTRY_BYTES: u64 = 1 << 10;
/// What one write adds to the WAL beside its texts, roughly, in bytes.
const ROW_BYTES: u64 = 256;

/// The journal in a SQLite file.
pub struct SqliteJournal {
    file: PathBuf,
    options: SqliteConnectOptions,
    writer: Mutex<Writer>,
    readers: SqlitePool,
    reserve: Reserve,
    suspect: AtomicBool,
    hook: SuspectHook,
}

/// The one writing connection. It is taken out while it works, so that an abandoned or failed write closes it instead of
/// leaving a transaction open in it.
struct Writer {
    connection: Option<SqliteConnection>,
    since_checkpoint: u64,
}

impl SqliteJournal {
    /// Opens the journal at `path`, makes it if there is none (readable by its owner only), and brings its form up to
    /// date. After a failed sync the last process left a mark: then the entries are verified, copied into a new file
    /// (`path` with `.recovered-2` behind it), and that file is used from then on (10, rule 32). `hook` is called when a sync
    /// fails; the daemon gives [`super::abort_process`].
    ///
    /// # Errors
    /// [`JournalError::OldSqlite`], [`JournalError::Newer`], [`JournalError::Setting`], [`JournalError::Open`];
    /// [`JournalError::Broken`] when a suspect file does not verify; storage errors.
    pub async fn open(path: &Path, hook: SuspectHook) -> Result<Self, JournalError> {
        let (mut file, number) = files::current(path).map_err(opening(path))?;
        if files::is_suspect(&file).map_err(opening(&file))? {
            let next = files::numbered(path, number.saturating_add(1));
            tracing::warn!(from = %file.display(), to = %next.display(), "the journal is verified and copied after a failed sync");
            recover(&file, &next).await?;
            file = next;
        }
        let reserve = Reserve::take(files::beside(path, ".reserve"));
        Self::open_file(file, reserve, hook).await
    }

    async fn open_file(file: PathBuf, reserve: Reserve, hook: SuspectHook) -> Result<Self, JournalError> {
        drop(OpenOptions::new().create(true).append(true).mode(0o600).open(&file).map_err(opening(&file))?);
        let base = connect_options(&file);
        let options = base
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("wal_autocheckpoint", "0");
        let mut connection = options.connect().await.map_err(classify)?;
        check_library(&mut connection).await?;
        check_settings(&mut connection).await?;
        transact(&mut connection, Change::Migrate).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(base.read_only(true));
        let writer = Mutex::new(Writer { connection: Some(connection), since_checkpoint: 0 });
        Ok(Self { file, options, writer, readers, reserve, suspect: AtomicBool::new(false), hook })
    }

    /// Ends all connections in order; the WAL is copied into the database file.
    ///
    /// # Errors
    /// Storage errors; what was acked is durable all the same.
    pub async fn close(self) -> Result<(), JournalError> {
        self.readers.close().await;
        match self.writer.into_inner().connection {
            Some(connection) => connection.close().await.map_err(classify),
            None => Ok(()),
        }
    }

    fn usable(&self) -> Result<(), JournalError> {
        if self.suspect.load(Ordering::SeqCst) { Err(JournalError::AlreadySuspect) } else { Ok(()) }
    }

    /// Passes a result on; a failed sync closes this journal for good, leaves a mark and calls the hook.
    fn judge<T>(&self, result: Result<T, JournalError>) -> Result<T, JournalError> {
        if let Err(error @ JournalError::Suspect(_)) = &result
            && !self.suspect.swap(true, Ordering::SeqCst)
        {
            if let Err(mark) = files::mark_suspect(&self.file) {
                tracing::error!(error = %mark, "the suspect journal could not be marked");
            }
            (self.hook)(error);
        }
        result
    }

    /// Runs one write transaction, a second time out of the reserve where there is no other room.
    async fn write(&self, change: Change<'_>) -> Result<u64, JournalError> {
        self.usable()?;
        let bytes = change.bytes();
        let mut writer = self.writer.lock().await;
        let mut done = self.attempt(&mut writer, change).await;
        if matches!(done, Err(JournalError::Full(_))) && self.reserve.release() {
            done = self.attempt(&mut writer, change).await;
        }
        let value = done?;
        self.reserve.after_write();
        writer.since_checkpoint = writer.since_checkpoint.saturating_add(bytes.saturating_add(ROW_BYTES));
        if writer.since_checkpoint >= CHECKPOINT_BYTES {
            writer.since_checkpoint = 0;
            self.checkpoint(&mut writer).await?;
        }
        Ok(value)
    }

    async fn attempt(&self, writer: &mut Writer, change: Change<'_>) -> Result<u64, JournalError> {
        let mut connection = match writer.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(classify)?,
        };
        let value = self.judge(transact(&mut connection, change).await)?;
        writer.connection = Some(connection);
        Ok(value)
    }

    /// Copies the WAL into the database file. The transaction before it stands whatever becomes of this: only a failed
    /// sync matters.
    async fn checkpoint(&self, writer: &mut Writer) -> Result<(), JournalError> {
        let Some(mut connection) = writer.connection.take() else { return Ok(()) };
        let query = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)");
        match query.fetch_one(&mut connection).await.map_err(classify) {
            Ok(_) => writer.connection = Some(connection),
            Err(error @ JournalError::Suspect(_)) => return self.judge(Err(error)),
            Err(error) => tracing::warn!(%error, "the journal's checkpoint is put off"),
        }
        Ok(())
    }
}

fn opening(path: &Path) -> impl FnOnce(std::io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Open { path, source }
}

fn connect_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file).busy_timeout(BUSY).disable_statement_logging()
}

/// Copies a suspect journal into a new file, verifies the copy, syncs it, and only then gives it its name.
async fn recover(from: &Path, to: &Path) -> Result<(), JournalError> {
    let copy = files::beside(to, ".tmp");
    for suffix in ["", "-wal", "-shm"] {
        let left = files::beside(&copy, suffix);
        match std::fs::remove_file(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(opening(&left)(error)),
            _ => {}
        }
    }
    // Readable by its owner only, also while it is written; VACUUM INTO takes an empty file.
    drop(OpenOptions::new().create_new(true).write(true).mode(0o600).open(&copy).map_err(opening(&copy))?);
    let mut old = connect_options(from).read_only(true).connect().await.map_err(classify)?;
    let target = copy.to_str().ok_or_else(|| opening(&copy)(std::io::ErrorKind::InvalidFilename.into()))?;
    sqlx::query("VACUUM INTO $1").bind(target).execute(&mut old).await.map_err(classify)?;
    old.close().await.map_err(classify)?;
    let journal = SqliteJournal::open_file(copy.clone(), Reserve::none(), std::sync::Arc::new(|_| {})).await?;
    journal.verify_chain().await?;
    journal.close().await?;
    let finish = || {
        std::fs::File::open(&copy)?.sync_all()?;
        std::fs::rename(&copy, to)?;
        files::sync_parent(to)
    };
    finish().map_err(opening(to))
}

type Write<'c> = Transaction<'c, sqlx::Sqlite>;

/// One write transaction.
#[derive(Clone, Copy)]
enum Change<'a> {
    /// Gives the form's number.
    Migrate,
    /// Gives the position of the last entry.
    Append { epoch: Epoch, entries: &'a [NewEntry] },
    /// Gives the new term.
    TakeEpoch { floor: Epoch },
    /// Gives nothing.
    PutBlob { kind: &'a str, digest: &'a Digest, text: &'a str },
}

impl Change<'_> {
    /// About what it adds to the WAL.
    fn bytes(self) -> u64 {
        match self {
            Self::Migrate | Self::TakeEpoch { .. } => 0,
            Self::Append { entries, .. } => entries.len() as u64 * ENTRY_BYTES,
            Self::PutBlob { text, .. } => text.len() as u64,
        }
    }

    async fn run(self, transaction: &mut Write<'_>) -> Result<u64, JournalError> {
        match self {
            Self::Migrate => migrate(transaction).await,
            Self::Append { epoch, entries } => append(transaction, epoch, entries).await,
            Self::TakeEpoch { floor } => {
                let query = sqlx::query(sql::TAKE_EPOCH).bind(signed(floor.0)?);
                unsigned(&query.fetch_one(&mut **transaction).await.map_err(classify)?, "epoch", 0)
            }
            Self::PutBlob { kind, digest, text } => put_blob(transaction, kind, digest, text).await.map(|()| 0),
        }
    }
}

async fn transact(connection: &mut SqliteConnection, change: Change<'_>) -> Result<u64, JournalError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(classify)?;
    let value = change.run(&mut transaction).await?;
    transaction.commit().await.map_err(classify)?;
    Ok(value)
}

/// Splits `major.minor.patch`; anything else is older than everything.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(str::parse);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Ok(a)), Some(Ok(b)), Some(Ok(c)), None) => Some((a, b, c)),
        _ => None,
    }
}

fn accept_library(found: &str) -> Result<(), JournalError> {
    if version(found) >= version(OLDEST_SQLITE) { Ok(()) } else { Err(JournalError::OldSqlite { found: found.to_owned() }) }
}

async fn check_library(connection: &mut SqliteConnection) -> Result<(), JournalError> {
    let row = sqlx::query("SELECT sqlite_version()").fetch_one(connection).await.map_err(classify)?;
    accept_library(&row.try_get::<String, _>(0).map_err(classify)?)
}

async fn check_settings(connection: &mut SqliteConnection) -> Result<(), JournalError> {
    let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut *connection).await.map_err(classify)?;
    let found: String = row.try_get(0).map_err(classify)?;
    if found != "wal" {
        return Err(JournalError::Setting { setting: "journal_mode", found, wanted: "wal" });
    }
    for (setting, query, wanted) in [("synchronous", "PRAGMA synchronous", "2"), ("foreign_keys", "PRAGMA foreign_keys", "1")] {
        let row = sqlx::query(query).fetch_one(&mut *connection).await.map_err(classify)?;
        let found = row.try_get::<i64, _>(0).map_err(classify)?.to_string();
        if found != wanted {
            return Err(JournalError::Setting { setting, found, wanted });
        }
    }
    Ok(())
}

async fn migrate(transaction: &mut Write<'_>) -> Result<u64, JournalError> {
    let known = i64::try_from(sql::MIGRATIONS.len()).unwrap_or(i64::MAX);
    sqlx::query(sql::CREATE_VERSION).execute(&mut **transaction).await.map_err(classify)?;
    let row = sqlx::query(sql::READ_VERSION).fetch_optional(&mut **transaction).await.map_err(classify)?;
    let found: i64 = row.map_or(Ok(0), |r| r.try_get(0)).map_err(classify)?;
    let Some(missing) = usize::try_from(found).ok().and_then(|n| sql::MIGRATIONS.get(n..)) else {
        return Err(JournalError::Newer { found, known });
    };
    for statement in missing.concat() {
        sqlx::query(statement).execute(&mut **transaction).await.map_err(classify)?;
    }
    if !missing.is_empty() {
        sqlx::query(sql::WRITE_VERSION).bind(known).execute(&mut **transaction).await.map_err(classify)?;
    }
    Ok(known.unsigned_abs())
}

/// Gives a driver's error its name, by SQLite's extended result codes (sqlite.org/rescode.html).
fn classify(error: sqlx::Error) -> JournalError {
    const IOERR_FSYNC: i32 = 10 | (4 << 8);
    const IOERR_DIR_FSYNC: i32 = 10 | (5 << 8);
    const IOERR_DATA: i32 = 10 | (32 << 8);
    let code = match &error {
        sqlx::Error::Database(inner) => inner.code().and_then(|c| c.parse::<i32>().ok()),
        sqlx::Error::Io(_) => return JournalError::Io(Box::new(error)),
        _ => None,
    };
    let cause = Box::new(error);
    match code {
        Some(IOERR_FSYNC | IOERR_DIR_FSYNC) => JournalError::Suspect(cause),
        Some(IOERR_DATA) => JournalError::Damaged(cause),
        Some(code) => match code & 0xff {
            5 => JournalError::Busy(cause),
            8 | 10 | 14 => JournalError::Io(cause),
            11 | 26 => JournalError::Damaged(cause),
            13 => JournalError::Full(cause),
            _ => JournalError::Backend(cause),
        },
        None => JournalError::Backend(cause),
    }
}

fn signed(number: u64) -> Result<i64, JournalError> {
    i64::try_from(number).map_err(|_| JournalError::Number(number))
}

/// A number that only this program writes; a negative one is damage.
fn unsigned(row: &SqliteRow, name: &'static str, position: u64) -> Result<u64, JournalError> {
    let number: i64 = row.try_get(name).map_err(classify)?;
    u64::try_from(number).map_err(|_| JournalError::Broken { position, found: Break::Field(name) })
}

fn stored(row: &SqliteRow) -> Result<Stored, JournalError> {
    let position = unsigned(row, "position", 0)?;
    let kind = unsigned(row, "kind", position)?;
    Ok(Stored {
        position,
        at: row.try_get("at").map_err(classify)?,
        epoch: unsigned(row, "epoch", position)?,
        run: row.try_get("run").map_err(classify)?,
        kind: u32::try_from(kind).map_err(|_| JournalError::Broken { position, found: Break::Field("kind") })?,
        body: row.try_get("body").map_err(classify)?,
        hash: row.try_get("hash").map_err(classify)?,
    })
}

/// Holds the term's row until the end of the transaction (10, rule 35).
async fn hold_epoch(transaction: &mut Write<'_>, ours: Epoch) -> Result<(), JournalError> {
    let held = sqlx::query(sql::HOLD_EPOCH).bind(signed(ours.0)?).execute(&mut **transaction).await.map_err(classify)?;
    if held.rows_affected() == 1 && ours != Epoch(0) {
        return Ok(());
    }
    let row = sqlx::query(sql::READ_EPOCH).fetch_one(&mut **transaction).await.map_err(classify)?;
    let stored = Epoch(unsigned(&row, "epoch", 0)?);
    if ours < stored { Err(JournalError::Fenced { ours, stored }) } else { Err(JournalError::NotTaken { ours, stored }) }
}

async fn tail(transaction: &mut Write<'_>) -> Result<ChainHead, JournalError> {
    let row = sqlx::query(sql::READ_TAIL).fetch_optional(&mut **transaction).await.map_err(classify)?;
    let Some(row) = row else { return Ok(chain::genesis()) };
    let position = unsigned(&row, "position", 0)?;
    let hash: String = row.try_get("hash").map_err(classify)?;
    let hash = Digest::new(&hash).map_err(|_| JournalError::Broken { position, found: Break::Field("hash") })?;
    Ok(ChainHead { position, hash })
}

async fn insert(transaction: &mut Write<'_>, entry: Stored) -> Result<(), JournalError> {
    sqlx::query(sql::INSERT_ENTRY)
        .bind(signed(entry.position)?)
        .bind(entry.at)
        .bind(signed(entry.epoch)?)
        .bind(entry.run)
        .bind(i64::from(entry.kind))
        .bind(entry.body)
        .bind(entry.hash)
        .execute(&mut **transaction)
        .await
        .map_err(classify)?;
    Ok(())
}

async fn append(transaction: &mut Write<'_>, epoch: Epoch, entries: &[NewEntry]) -> Result<u64, JournalError> {
    hold_epoch(transaction, epoch).await?;
    let head = tail(transaction).await?;
    let mut last = head.position;
    for entry in chain::extend(&head, epoch, entries)? {
        last = entry.position;
        insert(transaction, entry).await?;
    }
    Ok(last)
}

async fn put_blob(transaction: &mut Write<'_>, kind: &str, digest: &Digest, text: &str) -> Result<(), JournalError> {
    let sum = blob_sum(kind, digest, text);
    let query = sqlx::query(sql::INSERT_BLOB).bind(kind).bind(digest.as_str()).bind(text).bind(sum.as_str());
    if query.execute(&mut **transaction).await.map_err(classify)?.rows_affected() == 1 {
        return Ok(());
    }
    let query = sqlx::query(sql::READ_BLOB).bind(kind).bind(digest.as_str());
    let row = query.fetch_one(&mut **transaction).await.map_err(classify)?;
    if row.try_get::<String, _>("sum").map_err(classify)? == sum {
        return Ok(());
    }
    Err(JournalError::BlobDiffers { kind: kind.to_owned(), digest: digest.clone() })
}

/// Checksum of a kept text under its name.
fn blob_sum(kind: &str, digest: &Digest, text: &str) -> String {
    Digest::of(format!("{kind}\n{digest}\n{text}").as_bytes()).into()
}

#[async_trait]
impl Journal for SqliteJournal {
    fn in_reserve(&self) -> bool {
        !self.reserve.is_held()
    }

    fn refill(&self) -> bool {
        self.reserve.after_look();
        self.reserve.is_held()
    }

    async fn append(&self, epoch: Epoch, entries: Vec<NewEntry>) -> Result<u64, JournalError> {
        self.write(Change::Append { epoch, entries: &entries }).await
    }

    async fn read_stored(&self, from: u64, limit: u32) -> Result<Vec<Stored>, JournalError> {
        self.usable()?;
        let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
        let query = sqlx::query(sql::READ_ENTRIES).bind(from).bind(i64::from(limit));
        let rows = query.fetch_all(&self.readers).await.map_err(classify)?;
        rows.iter().map(stored).collect()
    }

    async fn take_epoch_above(&self, floor: Epoch) -> Result<Epoch, JournalError> {
        if signed(floor.0)? == i64::MAX {
            return Err(JournalError::Number(floor.0));
        }
        self.write(Change::TakeEpoch { floor }).await.map(Epoch)
    }

    async fn head(&self) -> Result<u64, JournalError> {
        self.usable()?;
        let row = sqlx::query(sql::READ_TAIL).fetch_optional(&self.readers).await.map_err(classify)?;
        row.map_or(Ok(0), |row| unsigned(&row, "position", 0))
    }

    async fn put_blob(&self, kind: &str, digest: &Digest, text: &str) -> Result<(), JournalError> {
        self.write(Change::PutBlob { kind, digest, text }).await?;
        Ok(())
    }

    async fn get_blob(&self, kind: &str, digest: &Digest) -> Result<Option<String>, JournalError> {
        self.usable()?;
        let query = sqlx::query(sql::READ_BLOB).bind(kind).bind(digest.as_str());
        let Some(row) = query.fetch_optional(&self.readers).await.map_err(classify)? else { return Ok(None) };
        let text: String = row.try_get("body").map_err(classify)?;
        let sum: String = row.try_get("sum").map_err(classify)?;
        if sum != blob_sum(kind, digest, &text) {
            return Err(JournalError::BlobDamaged { kind: kind.to_owned(), digest: digest.clone() });
        }
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests;
