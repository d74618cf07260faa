//! What an agent tells about a step: outcome, evidence, diffs, progress. The journal keeps these as they came.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::codes;
use crate::error::Fault;
use crate::id::AttemptId;

/// How evidence names the incarnation of a database: this, then the database's name.
pub const INCARNATION_OF: &str = "incarnation of ";

/// How an agent that refuses an effect names the attempt that it holds for it: evidence of this, with the attempt as text.
pub const EFFECT_HELD_BY: &str = "the effect was begun by";

/// How the evidence of a backup names its proof by a restore.
pub const RESTORED_ONCE: &str = "restored once into the scratch database and equal in tables, counts and checksums";

/// How evidence names the measured time of a restore: in seconds, as `41 s`.
pub const RESTORE_TOOK: &str = "measured time of the restore";

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Done, with evidence.
    Succeeded,
    /// Not done; what was changed is known.
    Failed,
    /// Nobody can tell without a person.
    Indeterminate,
}

/// One piece of evidence: what was looked at, what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was looked at ("log line", "process", "sha256 of repository/conf/deployment.toml").
    pub what: String,
    /// What was found.
    pub found: String,
    /// Whether it is as wanted.
    pub holds: bool,
}

impl Evidence {
    /// Evidence that is as wanted.
    #[must_use]
    pub fn holds(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), holds: true }
    }
    /// Evidence that is not as wanted.
    #[must_use]
    pub fn fails(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), holds: false }
    }
}

/// The change of one file, as a unified diff with secrets hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDiff {
    /// Absolute path.
    pub path: String,
    /// Unified diff; empty for a file that is only made or removed as a whole.
    pub diff: String,
    /// In a few words, for what is no text ("new, 4.1 MB", "removed, kept for undo").
    pub note: String,
}

/// What a look saw of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// It is ready.
    Up,
    /// A process of it lives; whether it is ready nobody asked.
    Running,
    /// A process of it lives and is not ready.
    NotReady,
    /// No process of it lives.
    Down,
}

/// What a look saw of the server of a home, and when. A look that could not see is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The home.
    pub home: String,
    /// What was seen.
    pub sight: Sight,
    /// The moment of the look, by the node's clock.
    pub at: Timestamp,
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Whether it changed anything.
    pub changed: bool,
    /// When the effect began, by the node's clock.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Evidence.
    pub evidence: Vec<Evidence>,
    /// Changes of files.
    pub diffs: Vec<FileDiff>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// For [`Ending::Indeterminate`]: what is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// For [`Ending::Indeterminate`]: what is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// What it saw of servers on the way, whatever its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<Observation>,
}

impl Outcome {
    /// One that says how it ended and nothing else.
    #[must_use]
    pub fn bare(ending: Ending, changed: bool, began: Timestamp, ended: Timestamp) -> Self {
        Self {
            ending,
            changed,
            began,
            ended,
            evidence: Vec::new(),
            diffs: Vec::new(),
            fault: None,
            known: Vec::new(),
            unknown: Vec::new(),
            observed: Vec::new(),
        }
    }

    /// Whether work that was interrupted was only refused to go on.
    #[must_use]
    pub fn refused_a_permit(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.code == codes::agent::NOT_PERMITTED)
    }

    /// The incarnations that it showed, by database.
    pub fn incarnations(&self) -> impl Iterator<Item = (&str, &String)> {
        self.evidence.iter().filter_map(|e| Some((e.what.strip_prefix(INCARNATION_OF)?, &e.found)))
    }
}

/// A durable report of the agent. Each is a record of its ledger and carries the record's sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "report")]
pub enum Report {
    /// The attempt is in the ledger; nothing began.
    Accepted {
        /// Which.
        attempt: AttemptId,
    },
    /// The effect begins.
    Began {
        /// Which.
        attempt: AttemptId,
    },
    /// The work of a never-interrupted child ended, well or badly.
    WorkEnded {
        /// Which.
        attempt: AttemptId,
        /// What showed it.
        shown_by: String,
    },
    /// The attempt ended.
    Ended {
        /// Which.
        attempt: AttemptId,
        /// How.
        outcome: Box<Outcome>,
    },
    /// Proved not begun, and it will not begin.
    Abandoned {
        /// Which.
        attempt: AttemptId,
        /// Why ("no permit: is-2 was not ready").
        why: String,
    },
}

impl Report {
    /// The attempt that it is about.
    #[must_use]
    pub fn attempt(&self) -> &AttemptId {
        match self {
            Self::Accepted { attempt }
            | Self::Began { attempt }
            | Self::WorkEnded { attempt, .. }
            | Self::Ended { attempt, .. }
            | Self::Abandoned { attempt, .. } => attempt,
        }
    }
}

/// Progress of an attempt; not durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// The true total; 0 where none is known.
    pub total: u64,
    /// What is under way ("order 9 of 17 GroupsAndRolesMigrator", "waits for its permit: is-2 is not ready").
    pub label: String,
    /// Seconds since the last sign of life (the last line of output).
    pub quiet_seconds: u64,
}

/// What a step that only looks saw, outside of any run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Whether all of it is as wanted.
    pub holds: bool,
    /// What was looked at.
    pub evidence: Vec<Evidence>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// What a preview of one step says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It would change something; the diff is true.
    Change,
    /// It would change nothing.
    Same,
    /// It depends on what steps before it do.
    Maybe,
    /// Nobody can tell beforehand; something else judges it.
    Opaque,
}

/// The preview of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Verdict.
    pub verdict: Verdict,
    /// In a few words: what, what it depends on, or what judges it.
    pub says: String,
    /// Diffs.
    pub diffs: Vec<FileDiff>,
}
