//! Wire conversion: between the logic's messages and the generated protobuf types.
//!
//! Every field of both sides is destructured, so that a new one breaks the build here. What a peer sends is hostile until
//! it went through this module: missing fields, unknown enum values, bad names and oversized messages are typed errors,
//! and the caller ends the session.

mod carry;
mod data;
mod fault;
mod field;
mod from_agent;
mod parts;
mod report;
mod to_agent;

use cavalcade_proto::prost;

use crate::codes::link as codes;
use crate::error::Fault;
use crate::id::{DigestError, NameError};

pub use carry::{SessionEnd, carry};
pub use data::{
    DATA_CHUNK, MAX_LINE, chunk_from_wire, chunk_to_wire, fetch_from_wire, fetch_to_wire, log_batch_from_wire,
    log_batches_to_wire,
};
pub use fault::{fault_status, status_fault};
pub use parts::{Inbound, MAX_WHOLE, Outbound, Wired};

/// Why a message of a peer is refused, or cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A field that must be there is not, or a oneof holds no variant that this version knows.
    #[error("the field {field} is missing or of a kind that this version does not know")]
    Missing {
        /// Path of the field.
        field: &'static str,
    },
    /// An enum value that this version does not know.
    #[error("the field {field} has the unknown value {value}")]
    UnknownValue {
        /// Path of the field.
        field: &'static str,
        /// The number that came.
        value: i32,
    },
    /// A number outside its range.
    #[error("the field {field} has the value {value}, which is out of range")]
    Range {
        /// Path of the field.
        field: &'static str,
        /// The number that came.
        value: u64,
    },
    /// A name outside the grammar.
    #[error("the field {field} holds no name")]
    Name {
        /// Path of the field.
        field: &'static str,
        /// Which rule was broken.
        #[source]
        source: NameError,
    },
    /// A text that is no digest.
    #[error("the field {field} holds no digest")]
    Digest {
        /// Path of the field.
        field: &'static str,
        /// Why not.
        #[source]
        source: DigestError,
    },
    /// A moment outside the calendar.
    #[error("the field {field} holds no moment")]
    Moment {
        /// Path of the field.
        field: &'static str,
        /// Why not.
        #[source]
        source: jiff::Error,
    },
    /// JSON that is not of the expected form, or a value that cannot be written as JSON.
    #[error("the field {field} does not have the expected JSON form")]
    Json {
        /// Path of the field.
        field: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A message that was sent in parts does not decode.
    #[error("a message in parts does not decode")]
    Decode(#[source] prost::DecodeError),
    /// Parts of a message that do not follow each other.
    #[error("part {index} of {count} of message {id} came where part {expected} was expected")]
    PartOrder {
        /// Id of the message.
        id: u64,
        /// Index that came.
        index: u32,
        /// Count that came.
        count: u32,
        /// Index that was expected.
        expected: u32,
    },
    /// Another message came between the parts of one.
    #[error("a message came between the parts of message {id}")]
    PartInterrupted {
        /// Id of the message that is incomplete.
        id: u64,
    },
    /// A message beyond the limit.
    #[error("a message of {bytes} bytes is beyond the limit of {limit} bytes")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Sequence numbers that do not ascend.
    #[error("the record {after} came after the record {before}")]
    Sequence {
        /// The earlier one.
        before: u64,
        /// The one that came after it.
        after: u64,
    },
}

impl WireError {
    /// The fault that a person sees.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::TooLarge { .. } => codes::TOO_LARGE,
            Self::Missing { .. }
            | Self::UnknownValue { .. }
            | Self::Range { .. }
            | Self::Name { .. }
            | Self::Digest { .. }
            | Self::Moment { .. }
            | Self::Json { .. }
            | Self::Decode(_)
            | Self::PartOrder { .. }
            | Self::PartInterrupted { .. }
            | Self::Sequence { .. } => codes::WIRE,
        };
        match std::error::Error::source(self) {
            Some(source) => Fault::new(code, format!("{self}: {source}")),
            None => Fault::new(code, self.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
