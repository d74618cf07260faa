//! Conversion of single fields.

use cavalcade_proto::v1;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::WireError;
use crate::id::{AttemptId, Incarnation, Mark, NodeId, RunId, StepKey, check_name};

pub(super) fn required<T>(value: Option<T>, field: &'static str) -> Result<T, WireError> {
    value.ok_or(WireError::Missing { field })
}

/// A name type's value from its text.
pub(super) fn name<T: std::str::FromStr<Err = crate::id::NameError>>(text: &str, field: &'static str) -> Result<T, WireError> {
    text.parse().map_err(|source| WireError::Name { field, source })
}

/// An incarnation obeys the grammar of names too, since it can end up in keys and on screens.
pub(super) fn incarnation(text: String, field: &'static str) -> Result<Incarnation, WireError> {
    check_name(&text).map_err(|source| WireError::Name { field, source })?;
    Ok(Incarnation(text))
}

/// A mark obeys it as well; an older peer sends none.
pub(super) fn mark(text: String, field: &'static str) -> Result<Option<Mark>, WireError> {
    if text.is_empty() {
        return Ok(None);
    }
    check_name(&text).map_err(|source| WireError::Name { field, source })?;
    Ok(Some(Mark(text)))
}

pub(super) fn attempt_to_wire(attempt: AttemptId) -> v1::AttemptId {
    let AttemptId { run, step: StepKey { stage, step, node }, number } = attempt;
    v1::AttemptId { run: run.into(), stage, step, node: node.into(), number }
}

pub(super) fn attempt(attempt: v1::AttemptId, field: &'static str) -> Result<AttemptId, WireError> {
    let v1::AttemptId { run, stage, step, node, number } = attempt;
    let run: RunId = name(&run, field)?;
    let node: NodeId = name(&node, field)?;
    Ok(AttemptId { run, step: StepKey { stage, step, node }, number })
}

pub(super) fn required_attempt(value: Option<v1::AttemptId>, field: &'static str) -> Result<AttemptId, WireError> {
    attempt(required(value, field)?, field)
}

pub(super) fn instant_to_wire(at: Timestamp) -> v1::Instant {
    v1::Instant { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

pub(super) fn instant(at: Option<v1::Instant>, field: &'static str) -> Result<Timestamp, WireError> {
    let v1::Instant { seconds, nanos } = required(at, field)?;
    Timestamp::new(seconds, nanos).map_err(|source| WireError::Moment { field, source })
}

pub(super) fn json_to_wire<T: Serialize>(value: &T, field: &'static str) -> Result<Vec<u8>, WireError> {
    serde_json::to_vec(value).map_err(|source| WireError::Json { field, source })
}

pub(super) fn json<T: DeserializeOwned>(bytes: &[u8], field: &'static str) -> Result<T, WireError> {
    serde_json::from_slice(bytes).map_err(|source| WireError::Json { field, source })
}
