//! Bugs put in on purpose, to see that the checkers catch them.

use cavalcade_agent::executor::bugs::Bugs as AgentBugs;
use cavalcade_controller::run::bugs::Bugs as ControllerBugs;

/// A bug put in on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeededBug {
    /// The agent starts an attempt for every offer of it.
    DedupeLeftOut,
    /// The agent begins again what it finds with an INTENT and no outcome.
    RedoAfterIntent,
    /// The agent launches without asking for a permit.
    PermitLeftOut,
    /// The agent reports what nobody can tell as a success.
    UnknownIsSuccess,
    /// The agent's restart ends the job that its earlier process started.
    RestartEndsChildren,
    /// A run is over as soon as it is cancelled, whatever is under way.
    CancelWaitsForNothing,
    /// A cancelled run goes on offering what had not begun.
    CancelTakesNothingBack,
    /// A superseding run opens before the old one has drained.
    SupersededUndrained,
    /// The controller takes a report that comes twice for two.
    ReportTakenTwice,
    /// The controller acks reports before they are in its journal.
    AckBeforeJournal,
    /// A verb goes through though its step changed since the operator looked.
    StaleVerbTaken,
    /// A restored database keeps its incarnation.
    IncarnationKept,
}

impl SeededBug {
    /// What the agent leaves out.
    pub(super) fn of_agent(bug: Option<Self>) -> AgentBugs {
        AgentBugs {
            starts_known_attempts: bug == Some(Self::DedupeLeftOut),
            begins_again: bug == Some(Self::RedoAfterIntent),
            launches_unpermitted: bug == Some(Self::PermitLeftOut),
            unknown_is_success: bug == Some(Self::UnknownIsSuccess),
            ends_children_at_restart: bug == Some(Self::RestartEndsChildren),
        }
    }

    /// What the controller leaves out.
    pub(super) fn of_controller(bug: Option<Self>) -> ControllerBugs {
        ControllerBugs {
            cancel_waits_for_nothing: bug == Some(Self::CancelWaitsForNothing),
            cancel_takes_nothing_back: bug == Some(Self::CancelTakesNothingBack),
            supersedes_undrained: bug == Some(Self::SupersededUndrained),
            takes_reports_twice: bug == Some(Self::ReportTakenTwice),
            acks_before_the_journal: bug == Some(Self::AckBeforeJournal),
            verbs_ignore_what_was_seen: bug == Some(Self::StaleVerbTaken),
        }
    }
}
