//! Dials the controller: TCP, TLS, HTTP/2, and one session of the control stream. Reconnecting is the caller's.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::message::{FromAgent, MAX_MESSAGE, ToAgent};
use cavalcade_common::transport::{HANDSHAKE_LIMIT, Keepalive, MAX_HEADERS, SESSION_QUEUE, WINDOW, WIRE_QUEUE};
use cavalcade_common::wire::{self, SessionEnd};
use cavalcade_proto::v1::agent_link_client::AgentLinkClient;
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use super::identity::Identity;

/// Address of a listener: `HOST:PORT` or `[IPV6]:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    name: ServerName<'static>,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address: write HOST:PORT or [IPV6]:PORT")]
pub struct AddressError(pub String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || AddressError(text.chars().take(80).collect());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(bad)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if bare == host && host.contains(':') {
            return Err(bad());
        }
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| bad())?;
        Ok(Self { text: text.to_owned(), name })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a connection of this agent needs.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// The agents' listener of the controller.
    pub address: Address,
    /// Who this agent is.
    pub identity: Identity,
    /// Pings.
    pub keepalive: Keepalive,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No TCP connection.
    #[error("{address} cannot be reached")]
    Connect {
        /// Where to.
        address: Address,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// TCP, TLS or the answer took longer than the limit.
    #[error("{address} did not answer within {} s", HANDSHAKE_LIMIT.as_secs())]
    Limit {
        /// Where to.
        address: Address,
    },
    /// A certificate was refused, by this side or by the controller.
    #[error("the encrypted connection to {address} was refused")]
    Tls {
        /// Where to.
        address: Address,
        /// Which side refused what.
        #[source]
        source: rustls::Error,
    },
    /// The controller says that this agent's certificate is revoked.
    #[error("the controller at {address} says that this agent's certificate is revoked")]
    Revoked {
        /// Where to.
        address: Address,
    },
    /// HTTP/2 did not begin.
    #[error("{address} does not speak the link's protocol")]
    Http {
        /// Where to.
        address: Address,
        /// Why not.
        #[source]
        source: tonic::transport::Error,
    },
    /// The controller refused the call.
    #[error("the controller at {address} refused the call")]
    Call {
        /// Where to.
        address: Address,
        /// What it said.
        #[source]
        source: Box<tonic::Status>,
    },
}

impl DialError {
    /// The fault that a person sees.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Connect { .. } | Self::Limit { .. } => codes::UNREACHABLE,
            Self::Tls { .. } => codes::TLS_REFUSED,
            Self::Revoked { .. } => codes::REVOKED,
            Self::Http { .. } | Self::Call { .. } => codes::LINK_LOST,
        };
        match self.source() {
            Some(source) => Fault::new(code, format!("{self}: {source}")),
            None => Fault::new(code, self.to_string()),
        }
    }
}

/// Opens a session: the ends of the two channels that the logic works with. Both are bounded; the session ends when
/// either is dropped, and the receiver gives `None` when the link is lost. The reason is logged here.
///
/// # Errors
/// See [`DialError`]. Nothing is retried.
pub async fn connect(config: &LinkConfig) -> Result<(mpsc::Sender<FromAgent>, mpsc::Receiver<ToAgent>), DialError> {
    let (channel, refusal) = open(&config.address, config.identity.tls(), config.keepalive).await?;
    let (to_peer, outbound) = mpsc::channel(WIRE_QUEUE);
    // The client's half of a stream cannot carry an error; a wire error of ours only ends it.
    let outbound = ReceiverStream::new(outbound).take_while(Result::is_ok).filter_map(Result::ok);
    let mut client = AgentLinkClient::new(channel).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
    let inbound = tokio::time::timeout(HANDSHAKE_LIMIT, client.session(outbound))
        .await
        .map_err(|_| DialError::Limit { address: config.address.clone() })?
        .map_err(|status| refusal.explain(&config.address, status))?
        .into_inner();
    let (to_link, from_logic) = mpsc::channel(SESSION_QUEUE);
    let (to_logic, from_link) = mpsc::channel(SESSION_QUEUE);
    let address = config.address.clone();
    tokio::spawn(async move {
        match wire::carry::<ToAgent, FromAgent>(inbound, to_logic, from_logic, to_peer).await {
            SessionEnd::Peer => tracing::info!(%address, "the controller ended the session"),
            SessionEnd::Logic => tracing::debug!(%address, "this agent ended the session"),
            SessionEnd::Lost(status) => {
                let error = refusal.explain(&address, *status).fault();
                tracing::warn!(%address, %error, "the session is lost");
            }
            SessionEnd::Wire(error) => tracing::error!(%address, error = %error.fault(), "the session was ended"),
        }
    });
    Ok((to_link, from_link))
}

/// Opens one HTTP/2 connection. It is not made anew when it breaks.
pub(super) async fn open(
    address: &Address,
    tls: Arc<ClientConfig>,
    keepalive: Keepalive,
) -> Result<(Channel, Refusal), DialError> {
    let limit = || DialError::Limit { address: address.clone() };
    let tcp = tokio::time::timeout(HANDSHAKE_LIMIT, TcpStream::connect(&address.text))
        .await
        .map_err(|_| limit())?
        .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
        .map_err(|source| DialError::Connect { address: address.clone(), source })?;
    let tls = tokio::time::timeout(HANDSHAKE_LIMIT, TlsConnector::from(tls).connect(address.name.clone(), tcp))
        .await
        .map_err(|_| limit())?
        .map_err(|error| handshake_error(address, error))?;
    let refusal = Refusal::default();
    let stream = WatchedStream { stream: tls, refusal: refusal.clone() };
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = once.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        std::future::ready(stream)
    });
    let channel = Endpoint::from_static("http://controller")
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_keep_alive_interval(keepalive.interval)
        .keep_alive_timeout(keepalive.timeout)
        .keep_alive_while_idle(true)
        .buffer_size(SESSION_QUEUE)
        .connect_timeout(HANDSHAKE_LIMIT)
        .connect_with_connector(connector)
        .await
        .map_err(|source| match refusal.take() {
            Some(error) => tls_error(address, error),
            None => DialError::Http { address: address.clone(), source },
        })?;
    Ok((channel, refusal))
}

fn handshake_error(address: &Address, error: io::Error) -> DialError {
    match rustls_error(&error) {
        Some(error) => tls_error(address, error),
        None => DialError::Connect { address: address.clone(), source: error },
    }
}

fn tls_error(address: &Address, source: rustls::Error) -> DialError {
    let address = address.clone();
    match source {
        rustls::Error::AlertReceived(AlertDescription::CertificateRevoked) => DialError::Revoked { address },
        source => DialError::Tls { address, source },
    }
}

fn rustls_error(error: &io::Error) -> Option<rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>().cloned()
}

/// The TLS alert with which the controller refused this agent. With TLS 1.3 it comes after the client's handshake, where
/// HTTP/2 keeps only its text; so it is caught on the way.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal(Arc<Mutex<Option<rustls::Error>>>);

impl Refusal {
    fn take(&self) -> Option<rustls::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why a call failed.
    pub(super) fn explain(&self, address: &Address, status: tonic::Status) -> DialError {
        match self.take() {
            Some(error) => tls_error(address, error),
            None => DialError::Call { address: address.clone(), source: Box::new(status) },
        }
    }
}

/// A TLS stream that remembers the alert that ended it.
struct WatchedStream {
    stream: TlsStream<TcpStream>,
    refusal: Refusal,
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Err(error)) = &read
            && let Some(error) = rustls_error(error)
        {
            *self.refusal.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        read
    }
}

impl AsyncWrite for WatchedStream {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for good in ["controller:7421", "controller.example:1", "10.0.0.1:7421", "[::1]:7421"] {
            assert_eq!(good.parse::<Address>().map(|a| a.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "controller", "controller:", ":7421", "controller:0", "controller:70000", "::1:7421", "a b:1", "[::1:1"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
