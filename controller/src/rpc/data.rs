//! Logs and artifacts of agents.

use std::io::SeekFrom;
use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{Digest, HostId};
use cavalcade_common::message::{Chunk, FetchArtifact, LogRecord};
use cavalcade_common::wire::{self, DATA_CHUNK, WireError, fault_status};
use cavalcade_proto::v1;
use cavalcade_proto::v1::agent_data_server::AgentData;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::agents::host_of;

/// Chunks or acks that wait for the peer to read.
const QUEUE: usize = 2;

/// An artifact that can be read from any offset.
pub trait ArtifactRead: AsyncRead + AsyncSeek + Send + Unpin {}

impl<T: AsyncRead + AsyncSeek + Send + Unpin> ArtifactRead for T {}

/// Stores logs and gives artifacts: the logic behind the transport.
#[async_trait]
pub trait DataHandler: Send + Sync + 'static {
    /// Stores a batch whose sequence numbers ascend; records that are stored already are dropped. Gives the sequence up
    /// to which this host's records are durable.
    async fn logs(&self, host: &HostId, batch: Vec<LogRecord>) -> Result<u64, Fault>;

    /// Opens an artifact: its size in bytes, and its content.
    async fn open_artifact(&self, host: &HostId, sha256: &Digest) -> Result<(u64, Box<dyn ArtifactRead>), Fault>;
}

pub(super) struct DataService<D> {
    handler: Arc<D>,
}

impl<D> DataService<D> {
    pub(super) fn new(handler: Arc<D>) -> Self {
        Self { handler }
    }
}

#[tonic::async_trait]
impl<D: DataHandler> AgentData for DataService<D> {
    type ShipLogsStream = ReceiverStream<Result<v1::LogAck, Status>>;
    type FetchArtifactStream = ReceiverStream<Result<v1::ArtifactChunk, Status>>;

    async fn ship_logs(&self, request: Request<Streaming<v1::LogBatch>>) -> Result<Response<Self::ShipLogsStream>, Status> {
        let host = host_of(&request)?;
        let (acks, answer) = mpsc::channel(QUEUE);
        let (handler, batches) = (Arc::clone(&self.handler), request.into_inner());
        tokio::spawn(async move {
            if let Err(status) = take_logs(handler.as_ref(), &host, batches, &acks).await {
                tracing::warn!(%host, %status, "the log stream ended");
                // The agent may be gone already; then nobody needs the reason.
                let _gone = acks.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(answer)))
    }

    async fn fetch_artifact(
        &self,
        request: Request<v1::FetchArtifactRequest>,
    ) -> Result<Response<Self::FetchArtifactStream>, Status> {
        let host = host_of(&request)?;
        let fetch = wire::fetch_from_wire(request.into_inner()).map_err(|error| refuse(&host, &error))?;
        let FetchArtifact { sha256, offset } = fetch;
        let opened = self.handler.open_artifact(&host, &sha256).await;
        let (size, content) = opened.map_err(|fault| fault_status(Code::FailedPrecondition, &fault))?;
        if offset > size {
            let says = format!("artifact {} has {size} bytes, offset {offset} is behind its end", sha256.short());
            return Err(fault_status(Code::OutOfRange, &Fault::new(codes::ARTIFACT_STREAM, says)));
        }
        let (chunks, answer) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            if let Err(error) = send_artifact(content, size, offset, &chunks).await {
                let fault = Fault::new(codes::ARTIFACT_STREAM, format!("artifact {} cannot be read: {error}", sha256.short()));
                tracing::error!(%host, %fault, "an artifact cannot be sent");
                // The agent may be gone already; then nobody needs the reason.
                let _gone = chunks.send(Err(fault_status(Code::Internal, &fault))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(answer)))
    }
}

fn refuse(host: &HostId, error: &WireError) -> Status {
    let fault = error.fault();
    tracing::error!(%host, %fault, "a request was refused");
    fault_status(Code::InvalidArgument, &fault)
}

async fn take_logs<D: DataHandler>(
    handler: &D,
    host: &HostId,
    mut batches: Streaming<v1::LogBatch>,
    acks: &mpsc::Sender<Result<v1::LogAck, Status>>,
) -> Result<(), Status> {
    while let Some(batch) = batches.message().await? {
        let records = wire::log_batch_from_wire(batch).map_err(|error| refuse(host, &error))?;
        let up_to = handler.logs(host, records).await.map_err(|fault| fault_status(Code::Unavailable, &fault))?;
        if acks.send(Ok(v1::LogAck { up_to })).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends from an offset on. At least one chunk is sent, for it carries the size.
async fn send_artifact(
    mut content: Box<dyn ArtifactRead>,
    size: u64,
    mut offset: u64,
    chunks: &mpsc::Sender<Result<v1::ArtifactChunk, Status>>,
) -> std::io::Result<()> {
    content.seek(SeekFrom::Start(offset)).await?;
    loop {
        let room = usize::try_from(size - offset).unwrap_or(DATA_CHUNK).min(DATA_CHUNK);
        let mut bytes = vec![0; room];
        content.read_exact(&mut bytes).await?;
        let next = offset + room as u64;
        if chunks.send(Ok(wire::chunk_to_wire(size, Chunk { offset, bytes }))).await.is_err() || next == size {
            return Ok(());
        }
        offset = next;
    }
}
