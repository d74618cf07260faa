//! The operator's socket: a Unix socket in the state folder. Who calls is the user of the peer's process, as the kernel
//! says; who may call is what the modes of folder and socket allow.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use cavalcade_common::codes::{link as link_codes, operator as codes};
use cavalcade_common::error::Fault;
use cavalcade_common::private_file::create_private_dir;
use cavalcade_common::wire::fault_status;
use cavalcade_proto::v1;
use cavalcade_proto::v1::operator_server::{Operator as OperatorApi, OperatorServer};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use nix::unistd::{Gid, Uid, User};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tonic::{Code, Request, Response, Status, Streaming};

use super::access::{AccessLayer, Role};
use super::method::Method;

/// Name of the socket in the state folder.
pub const SOCKET: &str = "operator.sock";
/// Largest request or answer, in bytes.
pub const MAX_JSON: usize = 64 << 20;
/// Connections at a time.
const CONNECTIONS: usize = 128;
/// Answers of a stream that wait for the peer to read.
const QUEUE: usize = 16;

/// Who calls: the user of the peer's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Number of the user.
    pub uid: u32,
    /// Name of the user; `uid N` for one without a name.
    pub name: String,
}

/// Answers operators: the logic behind the transport.
///
/// A call runs to its end even when the operator's command is gone (hang-up, broken pipe); a stream is dropped then.
#[async_trait]
pub trait OperatorHandler: Send + Sync + 'static {
    /// Answers a method of the shape [`super::method::Shape::Call`].
    async fn call(&self, who: &Operator, method: Method, request: Value) -> Result<Value, Fault>;

    /// Answers a method of the shape [`super::method::Shape::Stream`].
    async fn stream(&self, who: &Operator, method: Method, request: Value) -> Result<AnswerStream, Fault>;

    /// Takes an artifact: the request, then its bytes in order. An error among them means that the upload broke off.
    async fn put_artifact(&self, who: &Operator, request: Value, bytes: UploadStream) -> Result<Value, Fault>;
}

/// Answers of a stream.
pub type AnswerStream = BoxStream<'static, Result<Value, Fault>>;
/// Bytes of an upload.
pub type UploadStream = BoxStream<'static, Result<Vec<u8>, Fault>>;

/// The socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another controller answers on it.
    #[error("another controller serves {}", .0.display())]
    InUse(PathBuf),
    /// It cannot be made.
    #[error("{} cannot be made", .path.display())]
    Make {
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl SocketError {
    /// The fault that a person sees.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match std::error::Error::source(self) {
            Some(source) => Fault::new(link_codes::LISTEN, format!("{self}: {source}")),
            None => Fault::new(link_codes::LISTEN, self.to_string()),
        }
    }
}

/// The operator's socket, open.
#[derive(Debug)]
pub struct OperatorSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl OperatorSocket {
    /// Opens the socket of a state folder: the folder of mode 0700 where it is made here, the socket of mode 0600. Members
    /// of a group may be operators too: then it may pass through the folder (0710) and use the socket (0660), and every
    /// other file in there stays the controller's own. A socket that a dead controller left behind is replaced.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn open(state_dir: &Path, operators: Option<Gid>) -> Result<Self, SocketError> {
        let path = state_dir.join(SOCKET);
        let make = |source| SocketError::Make { path: path.clone(), source };
        create_private_dir(state_dir).map_err(make)?;
        match UnixStream::connect(&path).await {
            Ok(_) => return Err(SocketError::InUse(path)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(&path).map_err(make)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(make(error)),
        }
        let listener = UnixListener::bind(&path).map_err(make)?;
        let Some(group) = operators else {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(make)?;
            return Ok(Self { listener, path });
        };
        for (place, mode) in [(path.as_path(), 0o660), (state_dir, 0o710)] {
            std::os::unix::fs::chown(place, None, Some(group.as_raw())).map_err(make)?;
            std::fs::set_permissions(place, std::fs::Permissions::from_mode(mode)).map_err(make)?;
        }
        Ok(Self { listener, path })
    }

    /// Serves operators until `stop`; then the socket is removed.
    ///
    /// # Errors
    /// Those of the HTTP server.
    pub async fn serve<H: OperatorHandler>(
        self,
        handler: Arc<H>,
        stop: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        let Self { listener, path } = self;
        let (ready, incoming) = mpsc::channel(CONNECTIONS);
        tokio::spawn(accept(listener, ready, stop.clone()));
        let service = OperatorServer::new(OperatorService { handler })
            .max_decoding_message_size(MAX_JSON)
            .max_encoding_message_size(MAX_JSON);
        let served = tonic::transport::Server::builder()
            .layer(AccessLayer::new(Role::Operator))
            .add_service(service)
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stop.cancelled_owned())
            .await;
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(%error, "the operator's socket is gone already");
        }
        served
    }
}

async fn accept(listener: UnixListener, ready: mpsc::Sender<io::Result<OperatorStream>>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted.inspect_err(|error| tracing::error!(%error, "an operator cannot be accepted")) else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("an operator was dropped: {CONNECTIONS} are connected");
            continue;
        };
        let ready = ready.clone();
        tokio::spawn(async move {
            match operator_of(&stream).await {
                // The server is gone when nobody takes the connection; then it just closes.
                Ok(operator) => drop(ready.send(Ok(OperatorStream { stream, operator, _place: place })).await),
                Err(error) => tracing::error!(%error, "an operator was dropped: the peer's user is unknown"),
            }
        });
    }
}

/// The user of the peer's process. Looked up aside: a directory service may take its time.
async fn operator_of(stream: &UnixStream) -> io::Result<Operator> {
    let uid = stream.peer_cred()?.uid();
    let found = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid))).await.map_err(io::Error::other)?;
    let name = found.map_err(io::Error::from)?.map_or_else(|| format!("uid {uid}"), |user| user.name);
    Ok(Operator { uid, name })
}

struct OperatorStream {
    stream: UnixStream,
    operator: Operator,
    _place: OwnedSemaphorePermit,
}

impl Connected for OperatorStream {
    type ConnectInfo = Operator;

    fn connect_info(&self) -> Operator {
        self.operator.clone()
    }
}

impl AsyncRead for OperatorStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for OperatorStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

struct OperatorService<H> {
    handler: Arc<H>,
}

type Answers = Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::Json, Status>> + Send>>;

impl<H: OperatorHandler> OperatorService<H> {
    async fn call(&self, method: Method, request: Request<v1::Json>) -> Result<Response<v1::Json>, Status> {
        let (who, request) = (who(&request)?, parse(&request.get_ref().text)?);
        let handler = Arc::clone(&self.handler);
        // In a task of its own: a command that hangs up does not stop what it asked for half-way.
        let answer = tokio::spawn(async move { handler.call(&who, method, request).await }).await;
        finished(answer)
    }

    async fn stream(&self, method: Method, request: Request<v1::Json>) -> Result<Response<Answers>, Status> {
        let (who, request) = (who(&request)?, parse(&request.get_ref().text)?);
        let answers = self.handler.stream(&who, method, request).await.map_err(|fault| refused(&fault))?;
        Ok(Response::new(Box::pin(answers.map(|answer| answer.map_err(|fault| refused(&fault)).and_then(|value| json(&value))))))
    }

    async fn put(&self, request: Request<Streaming<v1::ArtifactUpload>>) -> Result<Response<v1::Json>, Status> {
        let who = who(&request)?;
        let mut parts = request.into_inner();
        let Some(v1::ArtifactUpload { part: Some(v1::artifact_upload::Part::Head(head)) }) = parts.message().await? else {
            return Err(refused(&Fault::new(codes::USAGE, "an upload begins with its head")));
        };
        let head = parse(&head)?;
        let (chunks, bytes) = mpsc::channel(QUEUE);
        tokio::spawn(take_upload(parts, chunks));
        let handler = Arc::clone(&self.handler);
        let bytes = ReceiverStream::new(bytes).boxed();
        finished(tokio::spawn(async move { handler.put_artifact(&who, head, bytes).await }).await)
    }
}

/// Passes the bytes of an upload on. The stream ends without an error only if the upload is whole.
async fn take_upload(mut parts: Streaming<v1::ArtifactUpload>, chunks: mpsc::Sender<Result<Vec<u8>, Fault>>) {
    use v1::artifact_upload::Part;
    let broken = |why: &str| Err(Fault::new(link_codes::ARTIFACT_STREAM, format!("the upload broke off: {why}")));
    let mut taken = 0;
    loop {
        let chunk = match parts.message().await {
            Ok(Some(v1::ArtifactUpload { part: Some(Part::Chunk(chunk)) })) => {
                taken += chunk.len() as u64;
                Ok(chunk)
            }
            Ok(Some(v1::ArtifactUpload { part: Some(Part::End(size)) })) if size == taken => return,
            Ok(Some(v1::ArtifactUpload { part: Some(Part::End(_)) })) => broken("its size is not the announced one"),
            Ok(Some(v1::ArtifactUpload { part: Some(Part::Head(_)) | None })) => broken("its parts are out of order"),
            Ok(None) => broken("its end is missing"),
            Err(status) => broken(status.message()),
        };
        let last = chunk.is_err();
        if chunks.send(chunk).await.is_err() || last {
            return;
        }
    }
}

fn who<T>(request: &Request<T>) -> Result<Operator, Status> {
    request.extensions().get::<Operator>().cloned().ok_or_else(|| Status::unauthenticated("the peer's user is unknown"))
}

fn parse(text: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(text).map_err(|error| refused(&Fault::new(codes::USAGE, format!("the request is no JSON: {error}"))))
}

fn json(value: &Value) -> Result<v1::Json, Status> {
    let text = serde_json::to_vec(value).map_err(|error| Status::internal(error.to_string()))?;
    Ok(v1::Json { text })
}

fn refused(fault: &Fault) -> Status {
    fault_status(Code::FailedPrecondition, fault)
}

fn finished(answer: Result<Result<Value, Fault>, tokio::task::JoinError>) -> Result<Response<v1::Json>, Status> {
    let answer = answer.map_err(|error| {
        tracing::error!(%error, "the answer to an operator was lost");
        Status::internal("the controller failed while it answered; see its log")
    })?;
    json(&answer.map_err(|fault| refused(&fault))?).map(Response::new)
}

macro_rules! operator_api {
    (calls: [$($call:ident $call_method:ident,)*] streams: [ $($stream:ident $stream_type:ident $stream_method:ident,)*]) => {
        #[tonic::async_trait]
        impl<H: OperatorHandler> OperatorApi for OperatorService<H> {
            $(async fn $call(&self, request: Request<v1::Json>) -> Result<Response<v1::Json>, Status> {
                self.call(Method::$call_method, request).await
            })*
            $(type $stream_type = Answers;
            async fn $stream(&self, request: Request<v1::Json>) -> Result<Response<Answers>, Status> {
                self.stream(Method::$stream_method, request).await
            })*
            async fn artifact_put(
                &self,
                request: Request<Streaming<v1::ArtifactUpload>>,
            ) -> Result<Response<v1::Json>, Status> {
                self.put(request).await
            }
        }
    };
}

operator_api! {
    calls: [
        status Status,
        apply Apply,
        verify Verify,
        facts Facts,
        pause Pause,
        resume Resume,
        cancel Cancel,
        retry Retry,
        skip Skip,
        approve Approve,
        resolve Resolve,
        rejudge Rejudge,
        stop_job StopJob,
        restore Restore,
        secret_give SecretGive,
        report Report,
        token_create TokenCreate,
        node_list NodeList,
        host_revoke HostRevoke,
        node_lost NodeLost,
        artifact_has ArtifactHas,
    ]
    streams: [
        watch WatchStream Watch,
        logs LogsStream Logs,
        preview PreviewStream Preview,
    ]
}
