//! Accepts TLS connections: each handshake in a task of its own with a limit, so that nobody who dawdles holds up others.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::HostId;
use cavalcade_common::tls::{IdentityError, certificate_digest, certificate_host};
use cavalcade_common::transport::{HANDSHAKE_LIMIT, Keepalive, MAX_HEADERS, WINDOW};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::access::{AccessLayer, Role};
use super::connections::{Admitted, Connections, NotAdmitted};

/// Handshakes under way at a time; further connections are dropped at once.
const HANDSHAKES: usize = 256;
/// Connections of the enrolment listener at a time.
const ENROLMENTS: usize = 128;
/// Streams of one connection at a time.
const STREAMS: u32 = 32;
/// Wait after a failed accept (no file descriptor left, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

impl ListenError {
    /// The fault that a person sees.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::new(codes::LISTEN, format!("{self}: {}", self.source))
    }
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The host of its certificate; `None` on the enrolment listener.
    pub host: Option<HostId>,
}

/// Why a connection was dropped before it carried a message.
#[derive(Debug, thiserror::Error)]
enum Dropped {
    #[error("the handshake took too long")]
    Limit,
    #[error("the handshake failed")]
    Handshake(#[source] io::Error),
    #[error("it showed no certificate")]
    NoCertificate,
    #[error("its certificate names no host")]
    Identity(#[source] IdentityError),
    #[error("it is not admitted")]
    NotAdmitted(#[source] NotAdmitted),
}

/// Who may connect.
#[derive(Debug, Clone)]
enum Door {
    Agents(Arc<Connections>),
    Enrolment(Arc<Semaphore>),
}

/// A TLS listener.
#[derive(Debug)]
pub struct TlsListener {
    tcp: TcpListener,
    tls: Arc<ServerConfig>,
    door: Door,
}

impl TlsListener {
    /// Listens for agents; `tls` is that of [`super::tls::agents`].
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn agents(address: SocketAddr, tls: Arc<ServerConfig>, connections: Arc<Connections>) -> Result<Self, ListenError> {
        Ok(Self { tcp: bind(address).await?, tls, door: Door::Agents(connections) })
    }

    /// Listens for enrolments; `tls` is that of [`super::tls::enrolment`].
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn enrolment(address: SocketAddr, tls: Arc<ServerConfig>) -> Result<Self, ListenError> {
        Ok(Self { tcp: bind(address).await?, tls, door: Door::Enrolment(Arc::new(Semaphore::new(ENROLMENTS))) })
    }

    /// Where it listens, with the true port.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The connections, for `serve_with_incoming`. Accepting ends with `stop`.
    pub(super) fn incoming(self, stop: CancellationToken) -> ReceiverStream<io::Result<PeerStream>> {
        let (ready, incoming) = mpsc::channel(64);
        tokio::spawn(self.accept(ready, stop));
        ReceiverStream::new(incoming)
    }

    async fn accept(self, ready: mpsc::Sender<io::Result<PeerStream>>, stop: CancellationToken) {
        let acceptor = TlsAcceptor::from(self.tls);
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.tcp.accept() => accepted,
            };
            let (tcp, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::error!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(turn) = Arc::clone(&handshakes).try_acquire_owned() else {
                tracing::warn!(%address, "dropped: {HANDSHAKES} handshakes are under way");
                continue;
            };
            let (acceptor, door, ready) = (acceptor.clone(), self.door.clone(), ready.clone());
            tokio::spawn(async move {
                match handshake(tcp, address, &acceptor, &door).await {
                    // The server is gone when nobody takes the connection; then it just closes.
                    Ok(stream) => drop(ready.send(Ok(stream)).await),
                    Err(dropped) => {
                        let cause = std::error::Error::source(&dropped).map(ToString::to_string).unwrap_or_default();
                        tracing::warn!(%address, cause, "a connection was dropped: {dropped}");
                    }
                }
                drop(turn);
            });
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source })
}

async fn handshake(tcp: TcpStream, address: SocketAddr, acceptor: &TlsAcceptor, door: &Door) -> Result<PeerStream, Dropped> {
    let place = match door {
        Door::Enrolment(places) => {
            let place = Arc::clone(places).try_acquire_owned();
            Some(place.map_err(|_| Dropped::NotAdmitted(NotAdmitted::TooMany))?)
        }
        Door::Agents(_) => None,
    };
    tcp.set_nodelay(true).map_err(Dropped::Handshake)?;
    let stream = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(tcp))
        .await
        .map_err(|_| Dropped::Limit)?
        .map_err(Dropped::Handshake)?;
    let (host, admitted) = match door {
        Door::Enrolment(_) => (None, None),
        Door::Agents(connections) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).ok_or(Dropped::NoCertificate)?;
            let host = certificate_host(shown).map_err(Dropped::Identity)?;
            let admitted = connections.admit(&host, certificate_digest(shown)).map_err(Dropped::NotAdmitted)?;
            (Some(host), Some(admitted))
        }
    };
    let cut = admitted.as_ref().map(|admitted| Box::pin(admitted.cut().cancelled_owned()));
    Ok(PeerStream { stream, peer: Peer { address, host }, cut, _admitted: admitted, _place: place })
}

/// A server with the limits of our listeners, which carries only methods of this role.
pub(super) fn server(
    role: Role,
    keepalive: Keepalive,
) -> tonic::transport::Server<tower::layer::util::Stack<AccessLayer, tower::layer::util::Identity>> {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(keepalive.interval))
        .http2_keepalive_timeout(Some(keepalive.timeout))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
        .layer(AccessLayer::new(role))
}

/// A TLS stream that ends when its host is cut off.
pub(super) struct PeerStream {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _admitted: Option<Admitted>,
    _place: Option<OwnedSemaphorePermit>,
}

impl PeerStream {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let cut = self.cut.as_mut().is_some_and(|cut| cut.as_mut().poll(cx).is_ready());
        if cut { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Connected for PeerStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerStream {
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
