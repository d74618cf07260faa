//! The journal: what the controller knows, in the order in which it came to know it.
//!
//! The journal stores an event as its number and its JSON text and never looks inside; the closed list of events is
//! elsewhere. Every backend obeys the contract of [`Journal`] and passes the one test suite of this module.
//!
//! Absences: the journal decides nothing, reads no clock and sends nothing.

mod chain;
mod error;
mod files;
mod memory;
mod sql;
mod sqlite;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod suite;

use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_common::id::{Digest, Epoch, RunId};
use cavalcade_common::plan::HashedPlan;
use serde_json::Value;

pub use chain::{Break, ChainHead, Stored};
pub use error::JournalError;
pub use memory::{Failure, MemoryJournal};
pub use sqlite::{OLDEST_SQLITE, SqliteJournal};

/// Kind of blob under which plans are kept.
pub const PLAN_BLOB: &str = "plan";

/// Called once when the storage is suspect after a failed sync, before the failing call returns. In the daemon it ends
/// the process ([`abort_process`]); in tests it records that it was called.
pub type SuspectHook = Arc<dyn Fn(&JournalError) + Send + Sync>;

/// The daemon's hook: what the process believes is on disk may not be there, so it must not go on (04, promise 5).
#[must_use]
pub fn abort_process() -> SuspectHook {
    Arc::new(|error| {
        tracing::error!(%error, "the journal is suspect; the process ends now");
        std::process::abort();
    })
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Place in the journal, from 1, without gaps.
    pub position: u64,
    /// When the run loop made it, by the controller's wall clock.
    pub at: jiff::Timestamp,
    /// Term of the controller that wrote it.
    pub epoch: Epoch,
    /// The run that it belongs to, if to one.
    pub run: Option<RunId>,
    /// Number of the event.
    pub kind: u32,
    /// The event.
    pub body: Value,
}

/// An entry to be appended; the journal gives it its position.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// When the run loop made it, by the controller's wall clock.
    pub at: jiff::Timestamp,
    /// The run that it belongs to, if to one.
    pub run: Option<RunId>,
    /// Number of the event.
    pub kind: u32,
    /// The event.
    pub body: Value,
}

/// Durable, ordered, fenced storage of entries, and of immutable texts by digest.
///
/// A future of this trait that is dropped before its end leaves open whether its write happened; [`Journal::head`] tells.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends all of `entries` or none of them and returns the position of the last one (of the head, where `entries`
    /// is empty). What is returned as appended survives kill -9 and loss of power.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] when a later term was taken, checked in the same transaction (10, rule 35);
    /// [`JournalError::NotTaken`] when nobody took this term; else nothing was written, except for
    /// [`JournalError::Suspect`], after which nobody knows and the process must end.
    async fn append(&self, epoch: Epoch, entries: Vec<NewEntry>) -> Result<u64, JournalError>;

    /// The stored form of at most `limit` entries from position `from` on, in order.
    ///
    /// # Errors
    /// Storage errors.
    async fn read_stored(&self, from: u64, limit: u32) -> Result<Vec<Stored>, JournalError>;

    /// Takes a new term, higher than every earlier one and than `floor`, durably. `floor` is the highest term that an
    /// agent reported: a journal restored from a backup may be behind it (10, rule 4).
    ///
    /// # Errors
    /// Storage errors; nothing was taken, except for [`JournalError::Suspect`].
    async fn take_epoch_above(&self, floor: Epoch) -> Result<Epoch, JournalError>;

    /// Position of the last entry; 0 where there is none.
    ///
    /// # Errors
    /// Storage errors.
    async fn head(&self) -> Result<u64, JournalError>;

    /// Keeps an immutable text under its kind and digest, durably. To put the same text again is no error.
    ///
    /// # Errors
    /// [`JournalError::BlobDiffers`] when another text is kept under this name; else storage errors.
    async fn put_blob(&self, kind: &str, digest: &Digest, text: &str) -> Result<(), JournalError>;

    /// The text under this kind and digest.
    ///
    /// # Errors
    /// [`JournalError::BlobDamaged`] when the text is not what was put; else storage errors.
    async fn get_blob(&self, kind: &str, digest: &Digest) -> Result<Option<String>, JournalError>;

    /// Whether the journal has touched its reserve of disk space: then nothing new is dispatched (10, rule 31), and what
    /// is written are outcomes of what runs.
    fn in_reserve(&self) -> bool {
        false
    }

    /// Tries to take the reserve back, not at every call; whether it is there. Nothing is written while nothing runs, so
    /// who looks at the journal from time to time has to ask.
    fn refill(&self) -> bool {
        !self.in_reserve()
    }

    /// At most `limit` entries from position `from` on, in order.
    ///
    /// # Errors
    /// [`JournalError::Broken`] for an entry that cannot be read; else storage errors.
    async fn read(&self, from: u64, limit: u32) -> Result<Vec<Entry>, JournalError> {
        self.read_stored(from, limit).await?.iter().map(Stored::entry).collect()
    }

    /// Takes the next term, durably. Every start of a controller does this first.
    ///
    /// # Errors
    /// See [`Journal::take_epoch_above`].
    async fn take_epoch(&self) -> Result<Epoch, JournalError> {
        self.take_epoch_above(Epoch(0)).await
    }

    /// Reads the whole journal and checks that every entry follows from the one before it.
    ///
    /// # Errors
    /// [`JournalError::Broken`] names the first entry that was changed, removed or put in; else storage errors.
    async fn verify_chain(&self) -> Result<ChainHead, JournalError> {
        chain::verify(self, None).await
    }

    /// As [`Journal::verify_chain`], and the entry at the checkpoint's position must be the one that it names: a cut
    /// tail or a rewritten history shows against a checkpoint that left this machine.
    ///
    /// # Errors
    /// As [`Journal::verify_chain`]; [`Break::Checkpoint`] where the journal does not hold the checkpoint.
    async fn verify_against(&self, checkpoint: &ChainHead) -> Result<ChainHead, JournalError> {
        chain::verify(self, Some(checkpoint)).await
    }

    /// Keeps a plan.
    ///
    /// # Errors
    /// [`JournalError::Plan`] when it has no file form; else as [`Journal::put_blob`].
    async fn put_plan(&self, plan: &HashedPlan) -> Result<(), JournalError> {
        let text = plan.to_text().map_err(JournalError::Plan)?;
        self.put_blob(PLAN_BLOB, &plan.sha256, &text).await
    }

    /// The plan with this digest, its digest checked again.
    ///
    /// # Errors
    /// [`JournalError::Plan`] when the text is not that plan; else as [`Journal::get_blob`].
    async fn get_plan(&self, digest: &Digest) -> Result<Option<HashedPlan>, JournalError> {
        let Some(text) = self.get_blob(PLAN_BLOB, digest).await? else { return Ok(None) };
        let plan = HashedPlan::from_text(&text).map_err(JournalError::Plan)?;
        if plan.sha256 != *digest {
            return Err(JournalError::BlobDamaged { kind: PLAN_BLOB.to_owned(), digest: digest.clone() });
        }
        Ok(Some(plan))
    }
}
