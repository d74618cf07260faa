//! Logs and artifacts, over a connection of their own, so that they never hold up the control stream (10, rule 30). The
//! connection is made at the first use and made anew after an error.

use std::sync::Arc;

use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;
use cavalcade_common::message::{Chunk, FetchArtifact, LogRecord, MAX_MESSAGE};
use cavalcade_common::wire;
use cavalcade_proto::v1;
use cavalcade_proto::v1::agent_data_client::AgentDataClient;
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::dial::{self, DialError, LinkConfig, Refusal};

/// Batches of logs on their way that are not yet written to the connection.
const SHIP_QUEUE: usize = 4;

/// Why logs or an artifact did not go through.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// No connection, or it broke.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The controller ended the stream before it acked everything, or before the artifact was complete.
    #[error("the controller ended the stream early")]
    Ended,
    /// A chunk that does not continue what was received.
    #[error("a chunk of artifact {sha256} has offset {found} where {expected} was expected")]
    Chunk {
        /// The artifact.
        sha256: Digest,
        /// Offset that came.
        found: u64,
        /// Offset that was expected.
        expected: u64,
    },
    /// The controller answered with a fault: it does not have the artifact, or cannot store logs.
    #[error("the controller refused: {}", .0.message)]
    Refused(Box<Fault>),
}

impl DataError {
    /// The fault that a person sees.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Dial(error) => error.fault(),
            Self::Ended => Fault::new(codes::LINK_LOST, self.to_string()),
            Self::Refused(fault) => (**fault).clone(),
            Self::Chunk { .. } => Fault::new(codes::ARTIFACT_STREAM, self.to_string()),
        }
    }
}

/// The data connection of this agent. Clones share it.
#[derive(Debug, Clone)]
pub struct DataLink {
    config: LinkConfig,
    line: Arc<Mutex<Option<Line>>>,
    shipping: Arc<Mutex<Option<Shipping>>>,
}

#[derive(Debug, Clone)]
struct Line {
    client: AgentDataClient<Channel>,
    refusal: Refusal,
}

#[derive(Debug)]
struct Shipping {
    batches: mpsc::Sender<v1::LogBatch>,
    acks: Streaming<v1::LogAck>,
    refusal: Refusal,
}

impl DataLink {
    /// A link that connects when it is first used.
    #[must_use]
    pub fn new(config: LinkConfig) -> Self {
        Self { config, line: Arc::default(), shipping: Arc::default() }
    }

    /// Ships records in ascending order of their sequence, and waits until the last one is durable at the controller.
    /// Gives the highest durable sequence.
    ///
    /// # Errors
    /// See [`DataError`]. What was not acked is shipped again by the caller; the controller drops what it has.
    pub async fn ship(&self, records: Vec<LogRecord>) -> Result<u64, DataError> {
        let Some(last) = records.last().map(|record| record.seq) else { return Ok(0) };
        let mut slot = self.shipping.lock().await;
        let mut shipping = match slot.take() {
            Some(shipping) => shipping,
            None => self.begin_shipping().await?,
        };
        match self.ship_on(&mut shipping, records, last).await {
            Ok(up_to) => {
                *slot = Some(shipping);
                Ok(up_to)
            }
            Err(error) => {
                self.drop_line().await;
                Err(error)
            }
        }
    }

    /// An artifact from an offset on: its whole size, and its chunks in order. The caller checks the digest.
    ///
    /// # Errors
    /// See [`DataError`].
    pub async fn fetch(&self, sha256: &Digest, offset: u64) -> Result<Fetch, DataError> {
        let Line { mut client, refusal } = self.line().await?;
        let request = wire::fetch_to_wire(FetchArtifact { sha256: sha256.clone(), offset });
        match client.fetch_artifact(request).await {
            Ok(answer) => {
                let fetch = Fetch {
                    link: self.clone(),
                    refusal,
                    stream: answer.into_inner(),
                    sha256: sha256.clone(),
                    next: offset,
                    size: None,
                };
                Ok(fetch)
            }
            Err(status) => Err(self.failed(&refusal, status).await),
        }
    }

    async fn ship_on(&self, shipping: &mut Shipping, records: Vec<LogRecord>, last: u64) -> Result<u64, DataError> {
        for batch in wire::log_batches_to_wire(records) {
            let first = batch.records.first().map_or(0, |r| r.seq);
            if shipping.batches.send(batch).await.is_err() {
                tracing::debug!(first, "the log stream ended before a batch was sent");
                break;
            }
        }
        loop {
            match shipping.acks.message().await {
                Ok(Some(v1::LogAck { up_to })) if up_to >= last => return Ok(up_to),
                Ok(Some(v1::LogAck { up_to: _ })) => {}
                Ok(None) => return Err(DataError::Ended),
                Err(status) => return Err(self.failed(&shipping.refusal, status).await),
            }
        }
    }

    async fn begin_shipping(&self) -> Result<Shipping, DataError> {
        let Line { mut client, refusal } = self.line().await?;
        let (batches, queue) = mpsc::channel(SHIP_QUEUE);
        match client.ship_logs(ReceiverStream::new(queue)).await {
            Ok(answer) => Ok(Shipping { batches, acks: answer.into_inner(), refusal }),
            Err(status) => Err(self.failed(&refusal, status).await),
        }
    }

    async fn line(&self) -> Result<Line, DataError> {
        let mut slot = self.line.lock().await;
        if let Some(line) = slot.as_ref() {
            return Ok(line.clone());
        }
        let (channel, refusal) = dial::open(&self.config.address, self.config.identity.tls(), self.config.keepalive).await?;
        let client = AgentDataClient::new(channel).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
        let line = Line { client, refusal };
        *slot = Some(line.clone());
        Ok(line)
    }

    async fn drop_line(&self) {
        *self.line.lock().await = None;
    }

    async fn failed(&self, refusal: &Refusal, status: tonic::Status) -> DataError {
        if let Some(fault) = wire::status_fault(&status) {
            return DataError::Refused(Box::new(fault));
        }
        self.drop_line().await;
        refusal.explain(&self.config.address, status).into()
    }
}

/// An artifact on its way.
#[derive(Debug)]
pub struct Fetch {
    link: DataLink,
    refusal: Refusal,
    stream: Streaming<v1::ArtifactChunk>,
    sha256: Digest,
    next: u64,
    size: Option<u64>,
}

impl Fetch {
    /// Size of the whole artifact in bytes; known after the first chunk.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next chunk; `None` when the artifact is complete.
    ///
    /// # Errors
    /// See [`DataError`]. What came before is good; ask again from there.
    pub async fn next(&mut self) -> Result<Option<Chunk>, DataError> {
        let wire = match self.stream.message().await {
            Ok(Some(wire)) => wire,
            Ok(None) if self.size == Some(self.next) => return Ok(None),
            Ok(None) => return Err(DataError::Ended),
            Err(status) => return Err(self.link.failed(&self.refusal, status).await),
        };
        let (size, chunk) = wire::chunk_from_wire(wire);
        let expected = self.next;
        let end = expected.checked_add(chunk.bytes.len() as u64).filter(|end| *end <= size);
        let steady = self.size.is_none_or(|known| known == size);
        let (Some(end), true, true) = (end, steady, chunk.offset == expected) else {
            return Err(DataError::Chunk { sha256: self.sha256.clone(), found: chunk.offset, expected });
        };
        self.size = Some(size);
        self.next = end;
        Ok(Some(chunk))
    }
}
