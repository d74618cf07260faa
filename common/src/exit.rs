//! Exit codes of the commands of both programs: the one list, which `docs/cli.md` shows too.

use std::process::ExitCode;

use crate::codes::{agent, artifact, link, operator, run};
use crate::error::{Code, Fault};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done, or there was nothing to do.
    Done = 0,
    /// A step or the command failed.
    Failed = 1,
    /// Wrong use, or a file that is not valid.
    Usage = 2,
    /// A preview found changes (`preview --exit-code` only).
    Changes = 3,
    /// A check before the work found an error.
    Blocked = 4,
    /// The run waits for a person.
    Person = 5,
    /// The run is paused or was cancelled.
    Stopped = 6,
    /// A step is indeterminate: a person decides what became of it.
    Indeterminate = 7,
    /// The controller or an agent cannot be reached.
    Unreachable = 8,
    /// The other side, or the person who was asked, refused the command.
    Refused = 9,
    /// The operator left with Ctrl-C; the run goes on.
    Left = 130,
}

const UNREACHABLE: [Code; 4] = [operator::NO_CONTROLLER, run::HOST_UNREACHABLE, link::UNREACHABLE, link::LINK_LOST];
/// A name that is not there is wrong use, and so is a file that is not what another file says of it.
const USAGE: [Code; 6] =
    [operator::USAGE, run::NO_STEP, artifact::PACK_UNREADABLE, artifact::ARTIFACT_DIGEST, link::BAD_ADDRESS, link::NOT_ENROLLED];
const REFUSED: [Code; 9] = [
    operator::ANSWERED_NO,
    link::TOKEN_REFUSED,
    link::ENROLMENT_BUSY,
    link::WRONG_CONTROLLER,
    link::ALREADY_ENROLLED,
    link::CSR_REFUSED,
    link::TLS_REFUSED,
    link::REVOKED,
    agent::LEDGER_EXISTS,
];

impl Exit {
    /// All of them, in the order of the numbers.
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Changes,
        Self::Blocked,
        Self::Person,
        Self::Stopped,
        Self::Indeterminate,
        Self::Unreachable,
        Self::Refused,
        Self::Left,
    ];

    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// What it means, for help and manual.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::Failed => "failed",
            Self::Usage => "wrong use or invalid file",
            Self::Changes => "changes found (preview --exit-code only)",
            Self::Blocked => "a check before the work found an error",
            Self::Person => "waits for a person",
            Self::Stopped => "paused or cancelled",
            Self::Indeterminate => "indeterminate: a person decides about a step",
            Self::Unreachable => "the controller or an agent cannot be reached",
            Self::Refused => "refused",
            Self::Left => "left with Ctrl-C; the run goes on",
        }
    }

    /// How a command ends that met this fault.
    #[must_use]
    pub fn of(fault: &Fault) -> Self {
        let code = fault.code;
        let among = |codes: &[Code]| codes.contains(&code);
        match code.0 {
            _ if among(&UNREACHABLE) => Self::Unreachable,
            _ if among(&USAGE) => Self::Usage,
            // Files that people write, fleet, recipe and plan.
            1100..=1299 => Self::Usage,
            _ if code == run::CHECKS_BLOCK => Self::Blocked,
            _ if code == run::AGENT_ANSWER => Self::Failed,
            _ if among(&REFUSED) => Self::Refused,
            // What the run refuses; the journal's own failures are not refusals.
            5020..=5099 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_manual() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|e| e.number()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130]);
    }

    #[test]
    fn faults_end_a_command_by_their_area() {
        let of = |code| Exit::of(&Fault::new(code, ""));
        assert_eq!(of(operator::NO_CONTROLLER), Exit::Unreachable);
        assert_eq!(of(operator::USAGE), Exit::Usage);
        assert_eq!(of(crate::codes::plan::PLAN_DAMAGED), Exit::Usage);
        assert_eq!(of(run::STEP_CHANGED), Exit::Refused);
        assert_eq!(of(run::CHECKS_BLOCK), Exit::Blocked);
        assert_eq!(of(run::JOURNAL_FULL), Exit::Failed);
        assert_eq!(of(run::HOST_UNREACHABLE), Exit::Unreachable);
        assert_eq!(of(link::TOKEN_STORE), Exit::Failed);
        assert_eq!(of(run::NO_STEP), Exit::Usage);
        assert_eq!(of(run::NO_RUN), Exit::Refused);
        assert_eq!(of(artifact::ARTIFACT_DIGEST), Exit::Usage);
        assert_eq!(of(operator::ANSWERED_NO), Exit::Refused);
        assert_eq!(of(link::TOKEN_REFUSED), Exit::Refused);
        assert_eq!(of(link::UNREACHABLE), Exit::Unreachable);
        assert_eq!(of(link::NOT_ENROLLED), Exit::Usage);
    }
}
