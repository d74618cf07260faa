//! What nobody may leave out (10, rule 17): proofs, backups, and launches behind a permit.

use cavalcade_common::action::{Action, Class, ServerOp};
use cavalcade_common::plan::PlanStep;
use serde::{Deserialize, Serialize};

/// Why a step cannot be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// It looks at a fact: only evidence of the same fact stands in for it.
    Proof,
    /// It changes something behind a permit. Where nobody can tell whether it took place, a person says so; where it
    /// failed, evidence stands in for it.
    Launch,
}

/// What a step is that nobody may leave out, in words.
#[must_use]
pub fn never_skipped(step: &PlanStep) -> Option<(Kept, &'static str)> {
    match &step.action {
        Action::Server(s) if s.op == ServerOp::Down => Some((Kept::Proof, "a proof that an old server is down")),
        Action::Server(s) if s.op == ServerOp::Wait => Some((Kept::Proof, "a proof that a server is up")),
        Action::Backup(_) => Some((Kept::Proof, "a backup")),
        Action::Query(query) if query.asserts.iter().any(|a| a.no_sessions.is_some()) => {
            Some((Kept::Proof, "a proof that nobody else is in a database"))
        }
        _ if !step.needs.is_empty() && step.action.class() != Class::Redo => Some((Kept::Launch, "a launch behind a permit")),
        _ => None,
    }
}
