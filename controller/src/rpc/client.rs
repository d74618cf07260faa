//! The operator's side of the socket, for the commands of the same program.

use std::path::Path;

use cavalcade_common::codes::{link as link_codes, operator as codes};
use cavalcade_common::error::Fault;
use cavalcade_common::wire::{DATA_CHUNK, status_fault};
use cavalcade_proto::{ProstCodec, v1};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::method::Method;
use super::operator::{MAX_JSON, SOCKET};

/// Headers carry a fault; room for the largest.
const MAX_HEADERS: u32 = 64 << 10;

/// A connection to the controller of a state folder.
#[derive(Debug, Clone)]
pub struct OperatorClient {
    channel: Channel,
}

impl OperatorClient {
    /// Connects to the controller of this state folder.
    ///
    /// # Errors
    /// [`codes::NO_CONTROLLER`].
    pub async fn connect(state_dir: &Path) -> Result<Self, Fault> {
        let path = state_dir.join(SOCKET);
        let none = |error: &dyn std::fmt::Display| Fault::new(codes::NO_CONTROLLER, format!("{}: {error}", path.display()));
        let stream = UnixStream::connect(&path).await.map_err(|error| none(&error))?;
        let mut once = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_| {
            std::future::ready(once.take().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)))
        });
        let endpoint = Endpoint::from_static("http://operator").http2_max_header_list_size(MAX_HEADERS);
        let channel = endpoint.connect_with_connector(connector).await.map_err(|error| none(&error))?;
        Ok(Self { channel })
    }

    /// Calls a method that gives one answer.
    ///
    /// # Errors
    /// The controller's fault, or [`codes::NO_CONTROLLER`] where it went away.
    pub async fn call(&self, method: Method, request: &Value) -> Result<Value, Fault> {
        let mut grpc = self.ready().await?;
        let codec = ProstCodec::<v1::Json, v1::Json>::default();
        let answer = grpc.unary(Request::new(json(request)?), path(method), codec).await.map_err(fault)?;
        parse(&answer.into_inner())
    }

    /// Calls a method that gives a stream of answers.
    ///
    /// # Errors
    /// As [`OperatorClient::call`]; also as an item of the stream.
    pub async fn stream(&self, method: Method, request: &Value) -> Result<BoxStream<'static, Result<Value, Fault>>, Fault> {
        let mut grpc = self.ready().await?;
        let codec = ProstCodec::<v1::Json, v1::Json>::default();
        let answers = grpc.server_streaming(Request::new(json(request)?), path(method), codec).await.map_err(fault)?;
        Ok(answers.into_inner().map(|answer| parse(&answer.map_err(fault)?)).boxed())
    }

    /// Uploads a file as an artifact. `progress` gets bytes sent and bytes in total.
    ///
    /// # Errors
    /// As [`OperatorClient::call`], and [`link_codes::ARTIFACT_STREAM`] for a file that cannot be read.
    pub async fn put_artifact(
        &self,
        file: &Path,
        request: &Value,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Value, Fault> {
        let unreadable = |error| Fault::new(link_codes::ARTIFACT_STREAM, format!("{}: {error}", file.display()));
        let content = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let total = content.metadata().await.map_err(unreadable)?.len();
        let mut grpc = self.ready().await?;
        let head = v1::artifact_upload::Part::Head(json(request)?.text);
        let (parts, upload) = mpsc::channel(4);
        let reading = tokio::spawn(read_parts(content, head, total, parts, progress));
        let codec = ProstCodec::<v1::ArtifactUpload, v1::Json>::default();
        let answer = grpc.client_streaming(Request::new(ReceiverStream::new(upload)), path(Method::ArtifactPut), codec).await;
        match (answer, reading.await) {
            // Whatever the controller says of an upload that was cut short here, the cause is here.
            (_, Ok(Err(error))) => Err(unreadable(error)),
            (Ok(answer), _) => parse(&answer.into_inner()),
            (Err(status), _) => Err(fault(status)),
        }
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Fault> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_JSON).max_encoding_message_size(MAX_JSON);
        grpc.ready().await.map_err(|error| Fault::new(codes::NO_CONTROLLER, error.to_string()))?;
        Ok(grpc)
    }
}

async fn read_parts(
    mut content: tokio::fs::File,
    head: v1::artifact_upload::Part,
    total: u64,
    parts: mpsc::Sender<v1::ArtifactUpload>,
    mut progress: impl FnMut(u64, u64),
) -> std::io::Result<()> {
    use v1::artifact_upload::Part;
    let mut next = head;
    let mut sent = 0;
    loop {
        // The controller stops reading when it has refused the upload; its answer says why.
        if parts.send(v1::ArtifactUpload { part: Some(next) }).await.is_err() {
            return Ok(());
        }
        progress(sent, total);
        let mut chunk = vec![0; DATA_CHUNK];
        let read = content.read(&mut chunk).await?;
        if read == 0 {
            let end = v1::ArtifactUpload { part: Some(Part::End(sent)) };
            return parts.send(end).await.or(Ok(()));
        }
        chunk.truncate(read);
        sent += read as u64;
        next = Part::Chunk(chunk);
    }
}

fn path(method: Method) -> PathAndQuery {
    PathAndQuery::from_static(method.path())
}

fn json(value: &Value) -> Result<v1::Json, Fault> {
    let text = serde_json::to_vec(value).map_err(|error| Fault::new(codes::USAGE, error.to_string()))?;
    Ok(v1::Json { text })
}

fn parse(answer: &v1::Json) -> Result<Value, Fault> {
    serde_json::from_slice(&answer.text)
        .map_err(|error| Fault::new(link_codes::WIRE, format!("the controller's answer is no JSON: {error}")))
}

fn fault(status: Status) -> Fault {
    status_fault(&status).unwrap_or_else(|| {
        Fault::new(codes::NO_CONTROLLER, format!("the controller did not answer to the end: {}", status.message()))
    })
}
