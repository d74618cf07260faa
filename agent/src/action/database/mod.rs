//! Actions on databases: the engine is in [`crate::database`], here is only what makes actions of it.

pub mod backup;
pub mod query;
pub mod restore;
pub mod sql;

use cavalcade_common::action::DbTarget;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, INCARNATION_OF};

use super::launch::failed;
use super::{Context, Failure};
use crate::database::{DbError, Refusal, Session, each_named};

/// The target with its password in place.
pub(super) fn revealed(cx: &Context, target: &DbTarget) -> Result<DbTarget, Failure> {
    let password = cx.secrets.reveal(&target.password).map_err(|e| Fault::new(codes::agent::SECRET_MISSING, e.to_string()))?;
    Ok(DbTarget { password: password.expose().to_owned(), ..target.clone() })
}

/// Which incarnation of a database this is: the controller keeps it, and puts it into the keys of later effects.
fn incarnation_evidence(name: &str, incarnation: &str) -> Evidence {
    Evidence::holds(format!("{INCARNATION_OF}{name}"), incarnation)
}

/// As [`failure`], of a backup or a restore. After the death of an agent its clients live on and are sessions like any other:
/// what was interrupted and meets them goes on when they are gone, as where a permit is missing, and so does the attempt after
/// it.
fn failure_of_client(error: &DbError, cx: &Context) -> Failure {
    let Some(sessions) = met_sessions(error) else { return failure(error, true) };
    // Its help says which accounts stay locked.
    let fault = error.fault();
    let message = format!("{}: {}", fault.message, each_named(sessions).join(", "));
    match error {
        DbError::Refused(_) if !cx.resumed => Failure::NotBegun { why: message },
        _ => failed(Fault { code: codes::agent::NOT_PERMITTED, message, ..fault }, Vec::new()),
    }
}

/// Who was connected where nobody may be.
fn met_sessions(error: &DbError) -> Option<&[Session]> {
    match error {
        DbError::Refused(Refusal::Sessions(sessions) | Refusal::AccountsOpen { sessions, .. }) => Some(sessions),
        DbError::StaysLocked { source, .. } => met_sessions(source),
        _ => None,
    }
}

/// How a database error ends the attempt.
fn failure(error: &DbError, changed: bool) -> Failure {
    match error {
        DbError::Indeterminate { known, unknown, .. } => {
            Failure::Indeterminate { fault: error.fault(), known: known.clone(), unknown: unknown.clone() }
        }
        DbError::Failed { done, total, .. } => Failure::Failed {
            fault: error.fault(),
            changed: *done > 0,
            evidence: vec![Evidence::fails("statements done", format!("{done} of {total}"))],
        },
        _ => Failure::Failed { fault: error.fault(), changed, evidence: Vec::new() },
    }
}

#[cfg(test)]
mod tests;
