//! What can go wrong with the artifact store, and how a person is told.

use std::io;
use std::path::{Path, PathBuf};

use cavalcade_common::codes::artifact as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;

/// Why the store refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The content has another digest than was asked for; nothing was kept.
    #[error("the content has the SHA-256 {found}, {expected} was pinned")]
    Digest {
        /// What was pinned.
        expected: Digest,
        /// What the content has.
        found: Digest,
    },
    /// It is not in the store.
    #[error("the artifact {0} is not in the store")]
    Missing(Digest),
    /// The stored file is not what was put.
    #[error("the stored artifact {digest} is damaged: {damage}")]
    Damaged {
        /// Which.
        digest: Digest,
        /// In which way.
        damage: Damage,
    },
    /// The store may not grow any more; nothing was kept.
    #[error("no room for an artifact: {limit}")]
    NoRoom {
        /// Which limit was met.
        limit: Limit,
    },
    /// The reader that gave the content failed; nothing was kept.
    #[error("the content could not be read to its end")]
    Source(#[source] io::Error),
    /// The store's file system failed; nothing was kept.
    #[error("{} cannot be {doing}", path.display())]
    Io {
        /// What was tried, as a participle ("written").
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The thread that did the work ended by a panic.
    #[error("the store's worker ended early")]
    Worker(#[source] tokio::task::JoinError),
}

/// How a stored file differs from what was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Another length, in bytes.
    Size {
        /// When it was put.
        put: u64,
        /// Now.
        found: u64,
    },
    /// Another content.
    Content {
        /// The digest that it has now.
        found: Digest,
    },
    /// It is no ordinary file.
    NoFile,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Size { put, found } => write!(f, "it had {put} bytes and has {found}"),
            Self::Content { found } => write!(f, "its content has the SHA-256 {found}"),
            Self::NoFile => f.write_str("it is no ordinary file"),
        }
    }
}

/// A limit of the store, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The store's own budget.
    Budget {
        /// What may be used.
        budget: u64,
    },
    /// What must stay free on the file system, for the journal.
    KeepFree {
        /// What must stay free.
        keep: u64,
        /// What is free.
        free: u64,
    },
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Budget { budget } => write!(f, "the store's budget of {budget} bytes is used"),
            Self::KeepFree { keep, free } => write!(f, "{free} bytes are free, {keep} must stay free"),
        }
    }
}

impl ArtifactError {
    /// For `map_err` on file operations.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// The form for a person.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Digest { .. } => codes::ARTIFACT_DIGEST,
            Self::Missing(_) => codes::ARTIFACT_MISSING,
            Self::Damaged { .. } => codes::ARTIFACT_DAMAGED,
            Self::NoRoom { .. } => codes::ARTIFACT_NO_ROOM,
            Self::Source(_) => codes::ARTIFACT_SOURCE,
            Self::Io { .. } | Self::Worker(_) => codes::ARTIFACT_STORE,
        };
        let cause = std::error::Error::source(self).map(|s| format!(": {s}")).unwrap_or_default();
        Fault::new(code, format!("{self}{cause}"))
    }
}

impl From<&ArtifactError> for Fault {
    fn from(error: &ArtifactError) -> Self {
        error.fault()
    }
}
