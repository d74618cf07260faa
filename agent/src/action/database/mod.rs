//! Actions on databases: the engine is in [`crate::database`], here is only what makes actions of it.

pub mod backup;
pub mod query;
pub mod restore;
pub mod sql;

use cavalcade_common::action::DbTarget;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, INCARNATION_OF};

use super::{Context, Failure};
use crate::database::DbError;

/// The target with its password in place.
pub(super) fn revealed(cx: &Context, target: &DbTarget) -> Result<DbTarget, Failure> {
    let password = cx.secrets.reveal(&target.password).map_err(|e| Fault::new(codes::agent::SECRET_MISSING, e.to_string()))?;
    Ok(DbTarget { password: password.expose().to_owned(), ..target.clone() })
}

/// Which incarnation of a database this is: the controller keeps it, and puts it into the keys of later effects.
fn incarnation_evidence(name: &str, incarnation: &str) -> Evidence {
    Evidence::holds(format!("{INCARNATION_OF}{name}"), incarnation)
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
