//! A journal in memory, for the simulation: deterministic, survives the crash of its controller, and can be told to fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cavalcade_common::id::{Digest, Epoch};

use super::chain::{self, Stored};
use super::error::JournalError;
use super::{Journal, NewEntry, SuspectHook};

/// How a chosen append fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The disk is full: nothing was written and the journal goes on.
    Full,
    /// The sync fails before the entries are durable: they are lost, the journal is suspect.
    BeforeDurable,
    /// The entries are durable, but the caller never learns it: the journal is suspect.
    AfterDurable,
}

/// Why a simulated write failed.
#[derive(Debug, thiserror::Error)]
#[error("the simulated disk was told to fail: {0:?}")]
struct Simulated(Failure);

/// What survives a crash of the controller.
#[derive(Default)]
struct Disk {
    epoch: u64,
    entries: Vec<Stored>,
    blobs: BTreeMap<(String, Digest), String>,
    appends: u64,
    failures: BTreeMap<u64, Failure>,
    in_reserve: bool,
}

/// One controller's handle on a simulated disk. [`MemoryJournal::restart`] gives the next controller's.
pub struct MemoryJournal {
    disk: Arc<Mutex<Disk>>,
    suspect: AtomicBool,
    hook: SuspectHook,
}

impl MemoryJournal {
    /// An empty disk.
    #[must_use]
    pub fn new(hook: SuspectHook) -> Self {
        Self { disk: Arc::default(), suspect: AtomicBool::new(false), hook }
    }

    /// A handle on the same disk for a controller that starts now; the old one's handle stays usable, as an old leader
    /// that wakes up would find it.
    #[must_use]
    pub fn restart(&self, hook: SuspectHook) -> Self {
        Self { disk: Arc::clone(&self.disk), suspect: AtomicBool::new(false), hook }
    }

    /// Lets the `number`-th append of this disk fail, counted from 1 over all handles. A refused append (fenced) counts
    /// as well.
    pub fn fail_append(&self, number: u64, failure: Failure) {
        self.disk().failures.insert(number, failure);
    }

    /// Says whether the disk has touched its reserve.
    pub fn set_in_reserve(&self, in_reserve: bool) {
        self.disk().in_reserve = in_reserve;
    }

    /// Number of appends tried so far on this disk.
    #[must_use]
    pub fn appends(&self) -> u64 {
        self.disk().appends
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self) -> Result<MutexGuard<'_, Disk>, JournalError> {
        if self.suspect.load(Ordering::SeqCst) { Err(JournalError::AlreadySuspect) } else { Ok(self.disk()) }
    }

    fn suspect(&self, failure: Failure) -> JournalError {
        let error = JournalError::Suspect(Box::new(Simulated(failure)));
        if !self.suspect.swap(true, Ordering::SeqCst) {
            (self.hook)(&error);
        }
        error
    }

    #[cfg(test)]
    pub(super) fn tamper(&self, change: impl FnOnce(&mut Vec<Stored>)) {
        change(&mut self.disk().entries);
    }

    fn append_now(&self, epoch: Epoch, entries: &[NewEntry]) -> Result<u64, JournalError> {
        let mut disk = self.usable()?;
        disk.appends += 1;
        let number = disk.appends;
        let failure = disk.failures.remove(&number);
        let stored = Epoch(disk.epoch);
        if epoch < stored {
            return Err(JournalError::Fenced { ours: epoch, stored });
        }
        if epoch > stored || epoch == Epoch(0) {
            return Err(JournalError::NotTaken { ours: epoch, stored });
        }
        let head = disk.entries.last().map_or_else(|| Ok(chain::genesis()), Stored::head)?;
        let new = chain::extend(&head, epoch, entries)?;
        match failure {
            Some(Failure::Full) => Err(JournalError::Full(Box::new(Simulated(Failure::Full)))),
            Some(Failure::BeforeDurable) => {
                drop(disk);
                Err(self.suspect(Failure::BeforeDurable))
            }
            Some(Failure::AfterDurable) => {
                disk.entries.extend(new);
                drop(disk);
                Err(self.suspect(Failure::AfterDurable))
            }
            None => {
                disk.entries.extend(new);
                Ok(disk.entries.len() as u64)
            }
        }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn in_reserve(&self) -> bool {
        self.disk().in_reserve
    }

    async fn append(&self, epoch: Epoch, entries: Vec<NewEntry>) -> Result<u64, JournalError> {
        self.append_now(epoch, &entries)
    }

    async fn read_stored(&self, from: u64, limit: u32) -> Result<Vec<Stored>, JournalError> {
        let disk = self.usable()?;
        Ok(disk.entries.iter().filter(|e| e.position >= from).take(limit as usize).cloned().collect())
    }

    async fn take_epoch_above(&self, floor: Epoch) -> Result<Epoch, JournalError> {
        let mut disk = self.usable()?;
        let next = disk.epoch.max(floor.0);
        if next >= i64::MAX as u64 {
            return Err(JournalError::Number(next));
        }
        disk.epoch = next + 1;
        Ok(Epoch(disk.epoch))
    }

    async fn head(&self) -> Result<u64, JournalError> {
        Ok(self.usable()?.entries.len() as u64)
    }

    async fn put_blob(&self, kind: &str, digest: &Digest, text: &str) -> Result<(), JournalError> {
        let mut disk = self.usable()?;
        let name = (kind.to_owned(), digest.clone());
        match disk.blobs.get(&name) {
            Some(kept) if kept != text => Err(JournalError::BlobDiffers { kind: name.0, digest: name.1 }),
            Some(_) => Ok(()),
            None => {
                disk.blobs.insert(name, text.to_owned());
                Ok(())
            }
        }
    }

    async fn get_blob(&self, kind: &str, digest: &Digest) -> Result<Option<String>, JournalError> {
        Ok(self.usable()?.blobs.get(&(kind.to_owned(), digest.clone())).cloned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::super::suite::entry;
    use super::*;

    fn counted() -> (SuspectHook, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&calls);
        let hook = move |_: &JournalError| {
            seen.fetch_add(1, Ordering::SeqCst);
        };
        (Arc::new(hook), calls)
    }

    #[tokio::test]
    async fn fails_at_the_chosen_append_before_or_after_it_is_durable() {
        for (failure, kept, suspect) in
            [(Failure::Full, 1, false), (Failure::BeforeDurable, 1, true), (Failure::AfterDurable, 2, true)]
        {
            let (hook, calls) = counted();
            let journal = MemoryJournal::new(hook);
            let epoch = journal.take_epoch().await.unwrap();
            journal.fail_append(2, failure);
            journal.append(epoch, vec![entry(1)]).await.unwrap();
            let error = journal.append(epoch, vec![entry(2)]).await.unwrap_err();
            assert_eq!(error.is_suspect(), suspect, "{failure:?}");
            assert_eq!(calls.load(Ordering::SeqCst), u32::from(suspect));
            assert_eq!(journal.append(epoch, vec![entry(3)]).await.is_err(), suspect);
            let next = journal.restart(counted().0);
            assert_eq!(next.head().await.unwrap(), kept + u64::from(!suspect), "{failure:?}");
            next.verify_chain().await.unwrap();
            assert_eq!(next.appends(), if suspect { 2 } else { 3 });
        }
    }

    #[tokio::test]
    async fn a_changed_entry_breaks_the_chain() {
        let journal = MemoryJournal::new(counted().0);
        let epoch = journal.take_epoch().await.unwrap();
        journal.append(epoch, (1..=4).map(entry).collect()).await.unwrap();
        journal.tamper(|entries| entries[2].body = "{}".to_owned());
        let found = journal.verify_chain().await;
        assert!(matches!(found, Err(JournalError::Broken { position: 3, found: chain::Break::Hash })), "{found:?}");
    }
}
