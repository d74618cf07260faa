//! What checks before the work found. A plan keeps it, so that `apply` knows what stands against the plan.

use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The work must not begin, unless a person lets this pass.
    Error,
    /// A person should look.
    Warning,
    /// The check could not look: a fact that it needs is missing.
    Unseen,
}

impl Severity {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Unseen => "not looked at",
        }
    }
}

/// One thing found, on one or many nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable name of the check.
    pub check: String,
    /// The group that it is shown in.
    pub area: String,
    /// How much it matters.
    pub severity: Severity,
    /// The nodes, or hosts, in the fleet's order; empty for the fleet as a whole.
    pub nodes: Vec<String>,
    /// What was found; where nothing could be looked at, the facts that are missing.
    pub found: String,
    /// What to do.
    pub remedy: String,
}
