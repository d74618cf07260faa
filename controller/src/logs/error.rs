//! What can go wrong with the central log, and how a person is told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cavalcade_common::codes::run as codes;
use cavalcade_common::error::Fault;

use super::line::Address;

/// Why the log store refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system failed. Of an append nothing was acked: the agent sends it again.
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
    /// An earlier write failed and could not be taken back; nothing is stored until the next start.
    #[error("the central log stopped after a failed write and starts again with the controller")]
    Stopped,
    /// The write of several batches failed; none of them was acked.
    #[error("the lines could not be stored")]
    Group(#[source] Arc<LogError>),
    /// Another process has the store open.
    #[error("another process writes the central log in {}", .0.display())]
    Locked(PathBuf),
    /// A stored segment cannot be read from some place on.
    #[error("segment {segment} of the central log is damaged at byte {offset}; {records} of its lines cannot be read")]
    Damaged {
        /// Number of the segment.
        segment: u64,
        /// Offset of the first byte that cannot be used.
        offset: u64,
        /// How many records are lost.
        records: u64,
    },
    /// The address names no stored line.
    #[error("there is no line {0}")]
    NoLine(Address),
    /// A search pattern is no regular expression.
    #[error("the pattern cannot be used")]
    Pattern(#[source] regex::Error),
    /// The thread that did the work ended by a panic.
    #[error("a search ended early")]
    Worker(#[source] tokio::task::JoinError),
}

impl LogError {
    /// For `map_err` on file operations.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// The form for a person.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Group(inner) => return inner.fault(),
            Self::Io { .. } | Self::Stopped | Self::Locked(_) | Self::Worker(_) => codes::LOG_STORE,
            Self::Damaged { .. } => codes::LOG_DAMAGED,
            Self::NoLine(_) | Self::Pattern(_) => codes::LOG_QUERY,
        };
        let cause = std::error::Error::source(self).map(|s| format!(": {s}")).unwrap_or_default();
        Fault::new(code, format!("{self}{cause}"))
    }
}

impl From<&LogError> for Fault {
    fn from(error: &LogError) -> Self {
        error.fault()
    }
}
