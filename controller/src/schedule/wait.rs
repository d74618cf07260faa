//! What a step, a stage or a run waits for.

use cavalcade_common::id::StepKey;
use serde::{Deserialize, Serialize};

/// The kind of a wait: what ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitKind {
    /// An earlier stage, on all its nodes.
    Stage,
    /// Other nodes of its stage, which go before it.
    Batch,
    /// A step that a person ordered beside the plan.
    Ordered,
    /// Work that is under way and that nothing of ours interrupts.
    Child,
    /// What must be shown before its launch: servers that are up, or down.
    Permit,
    /// A pause before its next attempt.
    Retry,
    /// An agent that is not connected.
    Link,
    /// Room for the journal on the controller's disk.
    Room,
    /// An approval.
    Approval,
    /// The value of a secret.
    Secret,
    /// Another night: the maintenance window is too short for what comes next.
    Window,
    /// A wider `apply`: it lies behind `--until` or beside `--node`.
    Scope,
    /// `resume`.
    Paused,
    /// A decision about a step.
    Person,
}

impl WaitKind {
    /// Whether only a person can end it.
    #[must_use]
    pub fn is_persons(self) -> bool {
        match self {
            Self::Stage | Self::Batch | Self::Ordered | Self::Child | Self::Permit | Self::Retry | Self::Link | Self::Room => {
                false
            }
            Self::Approval | Self::Secret | Self::Window | Self::Scope | Self::Paused | Self::Person => true,
        }
    }

    /// Whether it may end with nobody's doing and nothing else going on.
    #[must_use]
    pub fn may_end_by_itself(self) -> bool {
        matches!(self, Self::Child | Self::Permit | Self::Retry | Self::Link | Self::Room)
    }
}

/// What a step or stage waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The step, or `None` where a whole stage waits.
    pub step: Option<StepKey>,
    /// Number of the stage; 0 for the whole run.
    pub stage: u32,
    /// What kind of wait.
    pub kind: WaitKind,
    /// What for, in words.
    pub why: String,
    /// Whether only a person can end it.
    pub person: bool,
}

impl Wait {
    /// A wait of a step, a stage, or (stage 0) the run.
    #[must_use]
    pub fn new(step: Option<&StepKey>, stage: u32, kind: WaitKind, why: impl Into<String>) -> Self {
        Self { step: step.cloned(), stage, kind, why: why.into(), person: kind.is_persons() }
    }
}

/// Whether nothing goes on without a person. What lies outside the scope that the operator chose counts only where nothing
/// else is left to wait for.
#[must_use]
pub fn needs_person(waits: &[Wait]) -> bool {
    let any = |holds: &dyn Fn(&Wait) -> bool| waits.iter().any(holds);
    any(&|w| w.person && w.kind != WaitKind::Scope)
        || (any(&|w| w.kind == WaitKind::Scope) && !any(&|w| w.kind.may_end_by_itself()))
}
