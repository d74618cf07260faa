//! Everything that changes the controller's state, as one closed, numbered enum. The journal keeps numbers and bodies;
//! a number is never used twice. To change the body of an event, add a new number.

use cavalcade_common::id::{AttemptId, Digest, Epoch, Generation, HostId, Incarnation, Mark, NodeId, RunId, StepKey};
use cavalcade_common::plan::{Plan, PlanStep};
use cavalcade_common::report::{Evidence, Report, Sight};
use serde::{Deserialize, Serialize};

/// A person, as the operator's socket knows them, or the controller's own policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Who(pub String);

impl Who {
    /// The controller itself, following the plan.
    #[must_use]
    pub fn policy() -> Self {
        Self("policy".to_owned())
    }

    /// Whoever worked on a host without the controller: its agent knows no name.
    #[must_use]
    pub fn by_hand(host: &HostId) -> Self {
        Self(format!("by hand on {host}"))
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a run may go until somebody says more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Number of the last stage.
    pub until: Option<u32>,
    /// Only these nodes. Barriers count all nodes of the plan all the same (10, rule 17).
    pub nodes: Option<Vec<NodeId>>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunResult {
    /// Every step succeeded or was skipped.
    Done,
    /// A person cancelled it.
    Cancelled,
    /// A superseding plan took over.
    Superseded,
}

/// What a person says of a step that nobody else can judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// Its effect is there: go on behind it.
    Done,
    /// Its effect is not there: run it again, in a new attempt.
    NotDone,
    /// Its effect is there by other means, as evidence shows: the whole step counts as done.
    Replaced,
}

/// One of the two homes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Home {
    /// What was.
    Old,
    /// What will be.
    New,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A controller started with this term.
    EpochTaken {
        /// The term.
        epoch: Epoch,
    },
    /// A plan became a run.
    RunOpened {
        /// The run.
        run: RunId,
        /// The plan.
        plan: Box<Plan>,
        /// Its digest.
        sha256: Digest,
        /// Number of the superseding plan.
        generation: Generation,
        /// Who.
        by: Who,
        /// How far.
        scope: Scope,
        /// Findings and ages that were let pass, with who and why.
        waived: Vec<String>,
        /// Finished steps that it takes over from the run it supersedes, with their digests equal.
        carried: Vec<StepKey>,
    },
    /// `apply` again: a new scope.
    ScopeChanged {
        /// The run.
        run: RunId,
        /// Who.
        by: Who,
        /// How far.
        scope: Scope,
    },
    /// A stage was approved.
    Approved {
        /// The run.
        run: RunId,
        /// The stage's number.
        stage: u32,
        /// Who.
        by: Who,
        /// What they said.
        says: String,
    },
    /// An attempt is offered to its agent. Written before the command leaves.
    Offered {
        /// Which.
        attempt: AttemptId,
        /// The host.
        host: HostId,
    },
    /// An agent's report. Written before it is acked.
    Reported {
        /// The host.
        host: HostId,
        /// Identity of its ledger.
        incarnation: Incarnation,
        /// Sequence in its ledger.
        seq: u64,
        /// What the ledger held up to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<Mark>,
        /// The report.
        report: Report,
    },
    /// An agent came with this ledger for the first time, or with a new one, or with one that is behind: what was under
    /// way on the host is Indeterminate then (10, rule 2).
    HostMet {
        /// The host.
        host: HostId,
        /// Identity of its ledger.
        incarnation: Incarnation,
        /// From where its reports count: the highest sequence that it knows to be journaled.
        last_seq: u64,
        /// What the ledger held up to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<Mark>,
        /// Whether it was set back, or holds something else under a number that is journaled.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        other_past: bool,
    },
    /// A probe saw this process as the node's new server. From here on a permit may count it (10, rule 15).
    ServerSeen {
        /// The node.
        node: NodeId,
        /// The process (`pid@start`).
        process: String,
    },
    /// A permit was given.
    Permitted {
        /// The attempt that launches.
        attempt: AttemptId,
        /// The question's nonce.
        nonce: String,
        /// What was shown.
        evidence: Vec<Evidence>,
    },
    /// The run pauses: nothing new is offered.
    Paused {
        /// The run.
        run: RunId,
        /// Who.
        by: Who,
    },
    /// It goes on.
    Resumed {
        /// The run.
        run: RunId,
        /// Who.
        by: Who,
    },
    /// It is cancelled: nothing new is offered; what is under way ends.
    Cancelled {
        /// The run.
        run: RunId,
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// A step is left out by a person.
    Skipped {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// A step gets another attempt.
    Retried {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// A person decided what became of a step.
    Resolved {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Who.
        by: Who,
        /// What.
        resolution: Resolution,
        /// Why, or which evidence.
        why: String,
    },
    /// New patterns judged the stored output of a job.
    Rejudged {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Who.
        by: Who,
        /// Whether all of it holds now.
        holds: bool,
        /// The judgement.
        evidence: Vec<Evidence>,
    },
    /// A person ended a never-interrupted job.
    JobStopped {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// A database was restored: every step that changed it since is open again (10, rule 23).
    DatabaseRestored {
        /// The run.
        run: RunId,
        /// The database.
        database: String,
        /// Who.
        by: Who,
        /// Steps that are open again.
        reopened: Vec<StepKey>,
    },
    /// A person ordered a step beside the plan (a restore).
    StepAdded {
        /// The run.
        run: RunId,
        /// The step, in stage 0.
        step: Box<PlanStep>,
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// A secret that only the controller has was given for a run: another value of it is refused from here on.
    SecretPinned {
        /// The run.
        run: RunId,
        /// The secret.
        name: String,
        /// Digest of its value under a key that is in no journal.
        digest: Digest,
        /// Who gave it; the policy for one that was generated.
        by: Who,
    },
    /// A person gave another value in place of the one that the run had.
    SecretRepinned {
        /// The run.
        run: RunId,
        /// The secret.
        name: String,
        /// Digest of the new value, as in `SecretPinned`.
        digest: Digest,
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// A run knows what another one did to databases, and how they were before: the one that it supersedes, or one that is
    /// over and began the same jobs.
    TookOver {
        /// The run.
        run: RunId,
        /// The one before it.
        from: RunId,
    },
    /// A person lets the run go on past its maintenance window.
    PastWindow {
        /// The run.
        run: RunId,
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// A person moved the end of the maintenance window.
    WindowMoved {
        /// The run.
        run: RunId,
        /// The new end.
        end: jiff::Timestamp,
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// A person declared a host lost: what was under way there is Indeterminate, and its ledger counts no more.
    HostLost {
        /// The host.
        host: HostId,
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// Finished steps of a superseded run stay as they are, though the new plan has another action for them.
    Kept {
        /// The run.
        run: RunId,
        /// The steps.
        steps: Vec<StepKey>,
        /// Who.
        by: Who,
        /// Why.
        why: String,
    },
    /// An agent saw one of a node's servers otherwise than the journal had it: come up, gone down. Looks that saw nothing
    /// new are in no journal.
    ServiceSeen {
        /// The run whose step or permit looked.
        run: RunId,
        /// The node.
        node: NodeId,
        /// Which of its servers.
        home: Home,
        /// What was seen.
        sight: Sight,
        /// The moment of the look, by the node's clock.
        at: jiff::Timestamp,
    },
    /// A host told another time zone than the journal had.
    ZoneTold {
        /// The host.
        host: HostId,
        /// The zone's name; empty where the host has none.
        zone: String,
        /// Its offset then, in seconds east of UTC.
        offset_seconds: i32,
    },
    /// A step that nothing of ours interrupts takes longer than planned. Nothing else comes of it. Once for each attempt.
    Alarmed {
        /// Which.
        attempt: AttemptId,
        /// What was planned, in seconds.
        planned_seconds: u64,
    },
    /// The run is over.
    RunClosed {
        /// The run.
        run: RunId,
        /// How.
        result: RunResult,
    },
}

/// A stored event that this program does not understand.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Its number and its body do not fit.
    #[error("the journal's entry has number {stored}, its body is event {found}")]
    Number {
        /// As stored.
        stored: u32,
        /// As read.
        found: u32,
    },
    /// Its body cannot be read: a newer program wrote it.
    #[error("the journal's entry {number} cannot be read by this program")]
    Body {
        /// The number.
        number: u32,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Event {
    /// The stable number.
    #[must_use]
    pub fn number(&self) -> u32 {
        match self {
            Self::EpochTaken { .. } => 1,
            Self::RunOpened { .. } => 2,
            Self::ScopeChanged { .. } => 3,
            Self::Approved { .. } => 4,
            Self::Offered { .. } => 5,
            Self::Reported { .. } => 6,
            Self::HostMet { .. } => 7,
            Self::ServerSeen { .. } => 8,
            Self::Permitted { .. } => 9,
            Self::Paused { .. } => 10,
            Self::Resumed { .. } => 11,
            Self::Cancelled { .. } => 12,
            Self::Skipped { .. } => 13,
            Self::Retried { .. } => 14,
            Self::Resolved { .. } => 15,
            Self::Rejudged { .. } => 16,
            Self::JobStopped { .. } => 17,
            Self::DatabaseRestored { .. } => 18,
            Self::RunClosed { .. } => 19,
            Self::StepAdded { .. } => 20,
            Self::SecretPinned { .. } => 21,
            Self::PastWindow { .. } => 22,
            Self::SecretRepinned { .. } => 23,
            Self::TookOver { .. } => 24,
            Self::WindowMoved { .. } => 25,
            Self::HostLost { .. } => 26,
            Self::Kept { .. } => 27,
            Self::ServiceSeen { .. } => 28,
            Self::ZoneTold { .. } => 29,
            Self::Alarmed { .. } => 30,
        }
    }

    /// The run that it belongs to, for the journal's index.
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::EpochTaken { .. }
            | Self::HostMet { .. }
            | Self::HostLost { .. }
            | Self::ServerSeen { .. }
            | Self::ZoneTold { .. } => None,
            Self::Offered { attempt, .. } | Self::Permitted { attempt, .. } | Self::Alarmed { attempt, .. } => Some(&attempt.run),
            Self::Reported { report, .. } => Some(&report.attempt().run),
            Self::RunOpened { run, .. }
            | Self::ScopeChanged { run, .. }
            | Self::Approved { run, .. }
            | Self::Paused { run, .. }
            | Self::Resumed { run, .. }
            | Self::Cancelled { run, .. }
            | Self::Skipped { run, .. }
            | Self::Retried { run, .. }
            | Self::Resolved { run, .. }
            | Self::Rejudged { run, .. }
            | Self::JobStopped { run, .. }
            | Self::DatabaseRestored { run, .. }
            | Self::StepAdded { run, .. }
            | Self::SecretPinned { run, .. }
            | Self::SecretRepinned { run, .. }
            | Self::TookOver { run, .. }
            | Self::PastWindow { run, .. }
            | Self::WindowMoved { run, .. }
            | Self::Kept { run, .. }
            | Self::ServiceSeen { run, .. }
            | Self::RunClosed { run, .. } => Some(run),
        }
    }

    /// Reads a stored event.
    ///
    /// # Errors
    /// See [`EventError`].
    pub fn read(number: u32, body: serde_json::Value) -> Result<Self, EventError> {
        let event: Self = serde_json::from_value(body).map_err(|source| EventError::Body { number, source })?;
        if event.number() == number { Ok(event) } else { Err(EventError::Number { stored: number, found: event.number() }) }
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
