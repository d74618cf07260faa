//! One step's state in a run.

use std::sync::Arc;

use cavalcade_common::action::Action;
use cavalcade_common::message::ApprovedRepeat;
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::Outcome;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Who;

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not offered yet.
    Pending,
    /// Offered to its agent.
    Offered,
    /// In the agent's ledger.
    Accepted,
    /// INTENT is on the agent's disk.
    Running,
    /// Done, with evidence.
    Succeeded,
    /// Not done.
    Failed,
    /// Will not be done: the run was cancelled before it began.
    Cancelled,
    /// Left out by a person, or carried over.
    Skipped,
    /// A person decides.
    Indeterminate,
}

impl Phase {
    /// Whether the step lets those behind it go on.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped)
    }

    /// Whether an agent has it or may have it.
    #[must_use]
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Offered | Self::Accepted | Self::Running)
    }

    /// The word for screens and journals; one verb is one word everywhere.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Indeterminate => "indeterminate",
        }
    }
}

/// One step.
#[derive(Debug, Clone)]
pub struct StepState {
    /// Where it stands.
    pub phase: Phase,
    /// Number of the last attempt; 0 before the first offer.
    pub attempt: u32,
    /// Attempts that ended in failure since the last decision of a person: what the retry policy counts.
    pub failures: u32,
    /// Journal position of its last change: what `--at` is compared with (10, rule 19).
    pub position: u64,
    /// When it changed last, by the controller's clock.
    pub at: Timestamp,
    /// Outcome of the last attempt that ended.
    pub outcome: Option<Arc<Outcome>>,
    /// Journal position where an attempt was known, or had to be feared, to have begun its effect last.
    pub begun: Option<u64>,
    /// What `begun` was before the present attempt: where that one shows that it changed nothing, it holds again.
    pub begun_before: Option<u64>,
    /// Whether the work of its never-interrupted child is known to have ended.
    pub work_ended: bool,
    /// Why the last attempt was given back without having begun.
    pub given_back: Option<String>,
    /// Whether the run that this one superseded finished it.
    pub carried: bool,
    /// Who left it out or decided about it, and why.
    pub decided: Option<(Who, String)>,
    /// The next attempt's licence to start an effect that was started before.
    pub approved: Option<ApprovedRepeat>,
    /// A person's word about an interrupted statement, for the next attempt.
    pub decision: Option<String>,
}

impl StepState {
    /// A step that nothing has happened to.
    #[must_use]
    pub fn new(position: u64, at: Timestamp) -> Self {
        Self {
            phase: Phase::Pending,
            attempt: 0,
            failures: 0,
            position,
            at,
            outcome: None,
            begun: None,
            begun_before: None,
            work_ended: false,
            given_back: None,
            carried: false,
            decided: None,
            approved: None,
            decision: None,
        }
    }

    /// Whether interrupted work on a database was only refused to go on (somebody else was in it, an old server was up): it
    /// waits for what it needs in a new attempt, as it would have before its first one. Its script's ledger, or its manifest,
    /// says where it stands.
    #[must_use]
    pub fn was_refused_a_permit(&self, step: &PlanStep) -> bool {
        let of_database = matches!(step.action, Action::Sql(_) | Action::Backup(_) | Action::Restore(_));
        of_database && self.outcome.as_ref().is_some_and(|outcome| outcome.refused_a_permit())
    }
}
