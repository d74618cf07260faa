//! The hash chain over the entries: who changes, removes or puts in an entry breaks every later hash.

use std::fmt;

use cavalcade_common::id::{Digest, Epoch, RunId};
use sha2::Digest as _;

use super::error::JournalError;
use super::{Entry, Journal, NewEntry};

/// First words under every hash; a changed form of the chain gets other words.
const FORM: &[u8] = b"cavalcade.journal/1";
/// Entries read at a time while the chain is checked.
const PAGE: u32 = 1000;

/// An entry as it is stored: the very texts that its hash covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Place in the journal, from 1.
    pub position: u64,
    /// RFC 3339 in UTC, with all its digits.
    pub at: String,
    /// Term of the writer.
    pub epoch: u64,
    /// The run, if one is concerned.
    pub run: Option<String>,
    /// Number of the event.
    pub kind: u32,
    /// The event as JSON text.
    pub body: String,
    /// SHA-256 over the hash before it and all fields above.
    pub hash: String,
}

/// The last entry of a verified chain: what a signed checkpoint holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChainHead {
    /// Position of the entry, which is also the number of entries; 0 for an empty journal.
    pub position: u64,
    /// Its hash.
    pub hash: Digest,
}

/// What breaks a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Break {
    /// Another position was due.
    Position {
        /// The position that was found.
        found: u64,
    },
    /// The hash does not follow from the entry and the hash before it.
    Hash,
    /// A field cannot be read.
    Field(&'static str),
    /// The journal does not hold the entry that a checkpoint names.
    Checkpoint,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position { found } => write!(f, "entry {found} stands in its place"),
            Self::Hash => f.write_str("its hash does not follow from its content and the entry before it"),
            Self::Field(name) => write!(f, "its field `{name}` cannot be read"),
            Self::Checkpoint => f.write_str("it is not the entry that the checkpoint names"),
        }
    }
}

/// The head of an empty journal.
pub(super) fn genesis() -> ChainHead {
    ChainHead { position: 0, hash: Digest::of(FORM) }
}

/// Every field is preceded by its length, so that no two entries share one sequence of bytes.
fn field(hasher: &mut sha2::Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

fn hash_after(previous: &Digest, entry: &Stored) -> Digest {
    let mut hasher = sha2::Sha256::new();
    field(&mut hasher, FORM);
    field(&mut hasher, previous.as_str().as_bytes());
    field(&mut hasher, &entry.position.to_be_bytes());
    field(&mut hasher, entry.at.as_bytes());
    field(&mut hasher, &entry.epoch.to_be_bytes());
    field(&mut hasher, &[u8::from(entry.run.is_some())]);
    field(&mut hasher, entry.run.as_deref().unwrap_or_default().as_bytes());
    field(&mut hasher, &entry.kind.to_be_bytes());
    field(&mut hasher, entry.body.as_bytes());
    Digest::from_hasher(hasher)
}

/// The stored form of `entries` behind `head`.
pub(super) fn extend(head: &ChainHead, epoch: Epoch, entries: &[NewEntry]) -> Result<Vec<Stored>, JournalError> {
    let mut previous = head.hash.clone();
    let mut all = Vec::with_capacity(entries.len());
    for (position, entry) in (head.position + 1..).zip(entries) {
        let mut stored = Stored {
            position,
            at: entry.at.to_string(),
            epoch: epoch.0,
            run: entry.run.as_ref().map(ToString::to_string),
            kind: entry.kind,
            body: serde_json::to_string(&entry.body).map_err(JournalError::Body)?,
            hash: String::new(),
        };
        previous = hash_after(&previous, &stored);
        previous.as_str().clone_into(&mut stored.hash);
        all.push(stored);
    }
    Ok(all)
}

impl Stored {
    /// The entry in this form.
    pub(super) fn entry(&self) -> Result<Entry, JournalError> {
        let broken = |name| JournalError::Broken { position: self.position, found: Break::Field(name) };
        Ok(Entry {
            position: self.position,
            at: self.at.parse().map_err(|_| broken("at"))?,
            epoch: Epoch(self.epoch),
            run: self.run.clone().map(RunId::new).transpose().map_err(|_| broken("run"))?,
            kind: self.kind,
            body: serde_json::from_str(&self.body).map_err(|_| broken("body"))?,
        })
    }

    /// This entry as the head of a chain.
    pub(super) fn head(&self) -> Result<ChainHead, JournalError> {
        let broken = |_| JournalError::Broken { position: self.position, found: Break::Field("hash") };
        Ok(ChainHead { position: self.position, hash: Digest::new(&self.hash).map_err(broken)? })
    }
}

/// Checks one entry behind `head` and gives the new head.
fn follow(head: &ChainHead, entry: &Stored) -> Result<ChainHead, JournalError> {
    let due = head.position + 1;
    if entry.position != due {
        return Err(JournalError::Broken { position: due, found: Break::Position { found: entry.position } });
    }
    let hash = hash_after(&head.hash, entry);
    if hash.as_str() != entry.hash {
        return Err(JournalError::Broken { position: due, found: Break::Hash });
    }
    Ok(ChainHead { position: due, hash })
}

/// Walks the whole chain.
pub(super) async fn verify<J: Journal + ?Sized>(journal: &J, checkpoint: Option<&ChainHead>) -> Result<ChainHead, JournalError> {
    let mut head = genesis();
    let mut met = checkpoint.is_none_or(|c| *c == head);
    loop {
        let page = journal.read_stored(head.position + 1, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for entry in &page {
            head = follow(&head, entry)?;
            met |= checkpoint.is_some_and(|c| *c == head);
        }
    }
    match checkpoint {
        Some(c) if !met => Err(JournalError::Broken { position: c.position, found: Break::Checkpoint }),
        _ => Ok(head),
    }
}
