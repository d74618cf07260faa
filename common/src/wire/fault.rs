//! Faults in the details of a gRPC status, as JSON.

use tonic::{Code, Status};

use super::report::cut;
use crate::error::Fault;

/// Longest message and hint in a status, in bytes: details travel in a header, whose size is limited.
const LONGEST: usize = 2 << 10;

/// A status that carries this fault. The status message holds the code alone.
#[must_use]
pub fn fault_status(code: Code, fault: &Fault) -> Status {
    let mut fault = fault.clone();
    fault.message = cut(&fault.message, LONGEST);
    fault.help = fault.help.map(|help| cut(&help, LONGEST));
    let details = serde_json::to_vec(&fault).unwrap_or_default();
    Status::with_details(code, fault.code.to_string(), details.into())
}

/// The fault that a status carries, if it does.
#[must_use]
pub fn status_fault(status: &Status) -> Option<Fault> {
    serde_json::from_slice(status.details()).ok()
}
