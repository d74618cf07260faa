//! The statements of the journal, one text for SQLite and PostgreSQL (06: `$1` serves both).
//!
//! Types are those that mean the same on both: BIGINT and TEXT. Times and JSON are TEXT, since the hash chain covers the
//! very characters that were written.

/// Migrations in order; the n-th one leads to form n. A published one is never changed.
pub(super) const MIGRATIONS: &[&[&str]] = &[&[
    "CREATE TABLE term (id BIGINT PRIMARY KEY CHECK (id = 1), epoch BIGINT NOT NULL)",
    "INSERT INTO term (id, epoch) VALUES (1, 0)",
    "CREATE TABLE entry (position BIGINT PRIMARY KEY, at TEXT NOT NULL, epoch BIGINT NOT NULL, run TEXT, \
     kind BIGINT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE TABLE blob (kind TEXT NOT NULL, digest TEXT NOT NULL, body TEXT NOT NULL, sum TEXT NOT NULL, \
     PRIMARY KEY (kind, digest))",
]];

/// Makes the table that holds the form's number.
pub(super) const CREATE_VERSION: &str =
    "CREATE TABLE IF NOT EXISTS schema_version (id BIGINT PRIMARY KEY CHECK (id = 1), version BIGINT NOT NULL)";
/// The form's number.
pub(super) const READ_VERSION: &str = "SELECT version FROM schema_version WHERE id = 1";
/// Notes the form's number.
pub(super) const WRITE_VERSION: &str = "INSERT INTO schema_version (id, version) VALUES (1, $1) \
     ON CONFLICT (id) DO UPDATE SET version = excluded.version";

/// Holds the row of the term until the transaction ends; no row is touched when the term is another one.
pub(super) const HOLD_EPOCH: &str = "UPDATE term SET epoch = epoch WHERE id = 1 AND epoch = $1";
/// The term.
pub(super) const READ_EPOCH: &str = "SELECT epoch FROM term WHERE id = 1";
/// Takes the next term above the stored one and `$1`.
pub(super) const TAKE_EPOCH: &str =
    "UPDATE term SET epoch = CASE WHEN epoch > $1 THEN epoch ELSE $1 END + 1 WHERE id = 1 RETURNING epoch";

/// The last entry's position and hash.
pub(super) const READ_TAIL: &str = "SELECT position, hash FROM entry ORDER BY position DESC LIMIT 1";
/// Appends one entry.
pub(super) const INSERT_ENTRY: &str =
    "INSERT INTO entry (position, at, epoch, run, kind, body, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)";
/// Entries from a position on.
pub(super) const READ_ENTRIES: &str =
    "SELECT position, at, epoch, run, kind, body, hash FROM entry WHERE position >= $1 ORDER BY position LIMIT $2";

/// Keeps a text if none is kept under its name.
pub(super) const INSERT_BLOB: &str =
    "INSERT INTO blob (kind, digest, body, sum) VALUES ($1, $2, $3, $4) ON CONFLICT (kind, digest) DO NOTHING";
/// A kept text with its checksum.
pub(super) const READ_BLOB: &str = "SELECT body, sum FROM blob WHERE kind = $1 AND digest = $2";
