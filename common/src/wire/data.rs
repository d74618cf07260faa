//! Logs and artifacts.

use cavalcade_proto::prost::Message;
use cavalcade_proto::v1;

use super::WireError;
use super::field::{instant, instant_to_wire, name};
use super::report::cut;
use crate::id::Digest;
use crate::message::{Chunk, FetchArtifact, LogRecord, MAX_MESSAGE};

/// Bytes of an artifact in one chunk.
pub const DATA_CHUNK: usize = 128 << 10;

/// Longest text of one log record, in bytes; a longer one is cut with a note.
pub const MAX_LINE: usize = 64 << 10;

/// Room that one record may take in a message beside its text, in bytes.
const BATCH_BYTES: usize = MAX_MESSAGE - (8 << 10);

/// Batches of these records, each within the limit of a message, in their order.
#[must_use]
pub fn log_batches_to_wire(records: Vec<LogRecord>) -> Vec<v1::LogBatch> {
    let mut batches = Vec::new();
    let mut open = Vec::new();
    let mut size = 0;
    for record in records {
        let record = log_record_to_wire(record);
        // Field number and length of the record inside its batch take at most 8 bytes.
        let own = record.encoded_len() + 8;
        if size + own > BATCH_BYTES && !open.is_empty() {
            batches.push(v1::LogBatch { records: std::mem::take(&mut open) });
            size = 0;
        }
        size += own;
        open.push(record);
    }
    if !open.is_empty() {
        batches.push(v1::LogBatch { records: open });
    }
    batches
}

/// The records of a batch.
///
/// # Errors
/// Names, moments, and sequence numbers that do not ascend inside the batch.
pub fn log_batch_from_wire(batch: v1::LogBatch) -> Result<Vec<LogRecord>, WireError> {
    let v1::LogBatch { records } = batch;
    let mut out: Vec<LogRecord> = Vec::with_capacity(records.len());
    for record in records {
        let record = log_record(record)?;
        let before = out.last().map_or(0, |r| r.seq);
        if record.seq <= before {
            return Err(WireError::Sequence { before, after: record.seq });
        }
        out.push(record);
    }
    Ok(out)
}

fn log_record_to_wire(record: LogRecord) -> v1::LogRecord {
    let LogRecord { seq, node, run, step, stream, at, text, gap } = record;
    let text = if text.len() > MAX_LINE { cut(&text, MAX_LINE) } else { text };
    v1::LogRecord {
        seq,
        node: node.into(),
        run: run.map(Into::into),
        step: cut(&step, 256),
        stream: cut(&stream, 1 << 10),
        at: Some(instant_to_wire(at)),
        text,
        gap,
    }
}

fn log_record(record: v1::LogRecord) -> Result<LogRecord, WireError> {
    let v1::LogRecord { seq, node, run, step, stream, at, text, gap } = record;
    Ok(LogRecord {
        seq,
        node: name(&node, "log.node")?,
        run: run.map(|run| name(&run, "log.run")).transpose()?,
        step,
        stream,
        at: instant(at, "log.at")?,
        text,
        gap,
    })
}

/// A request for an artifact.
#[must_use]
pub fn fetch_to_wire(fetch: FetchArtifact) -> v1::FetchArtifactRequest {
    let FetchArtifact { sha256, offset } = fetch;
    v1::FetchArtifactRequest { sha256: sha256.into(), offset }
}

/// The request of a peer.
///
/// # Errors
/// A text that is no digest.
pub fn fetch_from_wire(wire: v1::FetchArtifactRequest) -> Result<FetchArtifact, WireError> {
    let v1::FetchArtifactRequest { sha256, offset } = wire;
    let sha256 = Digest::new(&sha256).map_err(|source| WireError::Digest { field: "fetch.sha256", source })?;
    Ok(FetchArtifact { sha256, offset })
}

/// One chunk of an artifact of `size` bytes.
#[must_use]
pub fn chunk_to_wire(size: u64, chunk: Chunk) -> v1::ArtifactChunk {
    let Chunk { offset, bytes } = chunk;
    v1::ArtifactChunk { size, offset, bytes: bytes.into() }
}

/// Size of the artifact, and the chunk.
#[must_use]
pub fn chunk_from_wire(wire: v1::ArtifactChunk) -> (u64, Chunk) {
    let v1::ArtifactChunk { size, offset, bytes } = wire;
    (size, Chunk { offset, bytes: bytes.into() })
}
