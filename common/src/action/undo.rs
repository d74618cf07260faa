//! `undo`: the way back of file steps.

use serde::{Deserialize, Serialize};

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
