//! The form of one ledger record on disk.
//!
//! ```text
//! length u32 | crc32 of length u32 | crc32 of payload u32 | payload (JSON)
//! ```
//!
//! The length has a checksum of its own: else a flipped bit in the length of an old record would look like a torn tail,
//! and everything behind it would be cut off in silence (10, rule 7).

use cavalcade_common::id::{AttemptId, Epoch, Generation, Incarnation, Mark};
use cavalcade_common::message::Offer;
use cavalcade_common::report::Report;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Largest payload, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// Largest payload of a record with an outcome, in bytes. It is less, so that its room can be set aside before the effect.
pub const MAX_OUTCOME: usize = 448 << 10;
const HEADER: usize = 12;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// First record: the ledger's identity, made at enrolment only.
    Born {
        /// The identity.
        incarnation: Incarnation,
    },
    /// A higher term or plan number was met; lower ones are refused from here on.
    Fence {
        /// The term.
        epoch: Epoch,
        /// The plan number.
        generation: Generation,
    },
    /// The offer behind the report `Accepted`, kept whole, for the time after a crash.
    Offer(Box<Offer>),
    /// First of the two INTENT records.
    IntentBegins {
        /// Which.
        attempt: AttemptId,
    },
    /// A report with its sequence number. `Began` is the second INTENT record.
    Report {
        /// Sequence, from 1.
        seq: u64,
        /// The report.
        report: Report,
    },
    /// The controller has everything up to here in its journal.
    Acked {
        /// The sequence.
        seq: u64,
    },
}

/// Writes a record.
///
/// # Errors
/// A record that cannot be written as JSON, or is larger than [`MAX_PAYLOAD`].
pub fn encode(record: &Record) -> Result<Vec<u8>, EncodeError> {
    let payload = serde_json::to_vec(record)?;
    if payload.len() > MAX_PAYLOAD {
        return Err(EncodeError::TooLarge(payload.len()));
    }
    let length = u32::try_from(payload.len()).map_err(|_| EncodeError::TooLarge(payload.len()))?.to_le_bytes();
    let mut out = Vec::with_capacity(HEADER + payload.len());
    out.extend_from_slice(&length);
    out.extend_from_slice(&crc32fast::hash(&length).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    out.extend_from_slice(&payload);
    Ok(out)
}

/// Why a record cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// No JSON.
    #[error("a ledger record cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// Too large.
    #[error("a ledger record has {0} bytes, at most {MAX_PAYLOAD} are allowed")]
    TooLarge(usize),
}

/// Takes the records of a file in as they lie there, and gives the mark up to each.
#[derive(Debug, Clone, Default)]
pub struct Past(Sha256);

impl Past {
    /// One more record, as [`encode`] wrote it.
    pub fn take(&mut self, encoded: &[u8]) -> Mark {
        self.0.update(encoded);
        Mark(hex::encode(&self.0.clone().finalize()[..16]))
    }
}

/// What a ledger file holds.
#[derive(Debug)]
pub struct Decoded {
    /// The records, in order, each with the mark up to it.
    pub records: Vec<(Record, Mark)>,
    /// For the records to come.
    pub past: Past,
    /// Length of the sound part; what lies behind it is a torn tail.
    pub sound: u64,
}

/// A damaged ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is damaged at byte {at}: {why}")]
pub struct Damage {
    /// Offset of the damaged record.
    pub at: u64,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Reads all records. A last record that is too short is a torn tail and is left out; everything else that does not fit
/// is damage.
///
/// # Errors
/// [`Damage`] says where.
pub fn decode(bytes: &[u8]) -> Result<Decoded, Damage> {
    let mut records = Vec::new();
    let mut past = Past::default();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.len() < HEADER {
            break;
        }
        let damage = |why| Damage { at: at as u64, why };
        let length_bytes = &rest[0..4];
        if crc32fast::hash(length_bytes) != word(&rest[4..8]) {
            return Err(damage("the checksum of its length is wrong"));
        }
        let length = word(length_bytes) as usize;
        if length > MAX_PAYLOAD {
            return Err(damage("its length is impossible"));
        }
        let Some(payload) = rest.get(HEADER..HEADER + length) else { break };
        if crc32fast::hash(payload) != word(&rest[8..12]) {
            return Err(damage("its checksum is wrong"));
        }
        let record = serde_json::from_slice(payload).map_err(|_| damage("it cannot be read"))?;
        records.push((record, past.take(&rest[..HEADER + length])));
        at += HEADER + length;
    }
    Ok(Decoded { records, past, sound: at as u64 })
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |n, b| (n << 8) | u32::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for seq in 1..=3 {
            bytes.extend(encode(&Record::Acked { seq }).expect("encodes"));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_tail_cut_at_any_byte_is_torn_and_nothing_else_is_lost() {
        let (bytes, ends) = three();
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|e| **e <= cut).count();
            let decoded = decode(&bytes[..cut]).expect("a cut is no damage");
            assert_eq!(decoded.records.len(), whole, "cut at {cut}");
            assert_eq!(decoded.sound as usize, ends.get(whole.wrapping_sub(1)).copied().unwrap_or(0));
        }
    }

    #[test]
    fn a_flipped_bit_at_any_byte_is_damage() {
        let (bytes, _) = three();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(decode(&flipped).is_err(), "byte {at}, bit {bit} went unseen");
            }
        }
    }
}
