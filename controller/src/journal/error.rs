//! What can go wrong with the journal, and how a person is told.

use std::path::PathBuf;

use cavalcade_common::codes::run as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{Digest, Epoch};
use cavalcade_common::plan::PlanError;

use super::chain::Break;

/// The error that a storage backend gave.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the journal refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A later controller took over.
    #[error("term {} was followed by term {}: another controller took over", ours.0, stored.0)]
    Fenced {
        /// The caller's term.
        ours: Epoch,
        /// The journal's term.
        stored: Epoch,
    },
    /// The caller writes under a term that it did not take.
    #[error("term {} was never taken, the journal is at term {}", ours.0, stored.0)]
    NotTaken {
        /// The caller's term.
        ours: Epoch,
        /// The journal's term.
        stored: Epoch,
    },
    /// No space; nothing was written.
    #[error("no space is left for the journal")]
    Full(#[source] Cause),
    /// Another process holds the file's lock; nothing was written.
    #[error("the journal is locked by another process")]
    Busy(#[source] Cause),
    /// A read or write failed; nothing was written.
    #[error("the journal cannot be read or written")]
    Io(#[source] Cause),
    /// A sync failed: nobody knows what is on disk. The process must end.
    #[error("the journal could not be synced to disk; what was written last may be lost")]
    Suspect(#[source] Cause),
    /// An earlier sync failed; this journal does nothing any more.
    #[error("the journal is suspect since a failed sync and refuses everything until the next start")]
    AlreadySuspect,
    /// The database file itself is damaged.
    #[error("the journal's file is damaged")]
    Damaged(#[source] Cause),
    /// The chain of entries is broken.
    #[error("the journal is broken at entry {position}: {found}")]
    Broken {
        /// The first entry that does not fit.
        position: u64,
        /// What does not fit.
        found: Break,
    },
    /// Another text is kept under the same name.
    #[error("another {kind} is kept under {digest}")]
    BlobDiffers {
        /// Kind of the text.
        kind: String,
        /// Its digest.
        digest: Digest,
    },
    /// A kept text is not what was put.
    #[error("the {kind} {digest} is damaged")]
    BlobDamaged {
        /// Kind of the text.
        kind: String,
        /// Its digest.
        digest: Digest,
    },
    /// A plan has no text form, or a text is no plan.
    #[error("a plan in the journal cannot be used")]
    Plan(#[source] PlanError),
    /// An event cannot be written as JSON.
    #[error("an event has no JSON form")]
    Body(#[source] serde_json::Error),
    /// A number is too large for the storage.
    #[error("{0} is too large for the journal")]
    Number(u64),
    /// The SQLite library can lose committed writes.
    #[error("SQLite {found} can lose committed writes; {} or newer is needed", super::OLDEST_SQLITE)]
    OldSqlite {
        /// Its version.
        found: String,
    },
    /// A setting that durability rests on did not take.
    #[error("the journal's setting {setting} is {found:?} and must be {wanted:?}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A newer program wrote this journal.
    #[error("the journal has form {found}, this program knows forms up to {known}")]
    Newer {
        /// Form of the file.
        found: i64,
        /// Newest form that is known here.
        known: i64,
    },
    /// The file cannot be opened.
    #[error("the journal {} cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The backend refused a statement for a reason that has no name here.
    #[error("the journal's database refused a statement")]
    Backend(#[source] Cause),
}

impl JournalError {
    /// Whether the process must end, since it no longer knows what is on disk.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        matches!(self, Self::Suspect(_) | Self::AlreadySuspect)
    }

    /// The form for a person.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Fenced { .. } | Self::NotTaken { .. } => codes::JOURNAL_FENCED,
            Self::Full(_) => codes::JOURNAL_FULL,
            Self::Suspect(_) | Self::AlreadySuspect => codes::JOURNAL_SUSPECT,
            Self::Damaged(_) | Self::Broken { .. } | Self::BlobDiffers { .. } | Self::BlobDamaged { .. } | Self::Plan(_) => {
                codes::JOURNAL_DAMAGED
            }
            Self::OldSqlite { .. } => codes::JOURNAL_OLD_SQLITE,
            Self::Newer { .. } => codes::JOURNAL_NEWER,
            Self::Busy(_)
            | Self::Io(_)
            | Self::Body(_)
            | Self::Number(_)
            | Self::Setting { .. }
            | Self::Open { .. }
            | Self::Backend(_) => codes::JOURNAL,
        };
        let mut message = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Fault::new(code, message)
    }
}

impl From<&JournalError> for Fault {
    fn from(error: &JournalError) -> Self {
        error.fault()
    }
}
