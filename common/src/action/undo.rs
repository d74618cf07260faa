//! `undo`: the way back of file steps.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::id::{RunId, StepKey};

/// Puts back what finished file steps did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// The run that the steps were of.
    pub run: RunId,
    /// The steps, in the order in which they ran: they are undone from the last to the first.
    pub steps: Vec<StepKey>,
    /// Markers of the secrets that the steps wrote: what is put back and what goes is shown without their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hides: Vec<String>,
}

impl Action {
    /// Whether it changes files and nothing else, each with a kept copy that it can be undone from.
    #[must_use]
    pub fn is_of_files(&self) -> bool {
        match self {
            Self::Toml(_)
            | Self::Yaml(_)
            | Self::Text(_)
            | Self::Artifact(_)
            | Self::Unpack(_)
            | Self::Copy(_)
            | Self::Remove(_) => true,
            Self::Server(_)
            | Self::Job(_)
            | Self::Command(_)
            | Self::Sql(_)
            | Self::Query(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Http(_)
            | Self::Tcp(_)
            | Self::Log(_)
            | Self::Exchange(_)
            | Self::Autostart(_)
            | Self::Undo(_) => false,
        }
    }
}
