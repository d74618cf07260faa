//! The agents' listener: control sessions and data, over mutual TLS. The host is that of the certificate, whatever a
//! message says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cavalcade_common::id::HostId;
use cavalcade_common::message::{FromAgent, MAX_MESSAGE, ToAgent};
use cavalcade_common::transport::{HANDSHAKE_LIMIT, Keepalive, SESSION_QUEUE, WIRE_QUEUE};
use cavalcade_common::wire::{self, SessionEnd};
use cavalcade_proto::v1;
use cavalcade_proto::v1::agent_data_server::AgentDataServer;
use cavalcade_proto::v1::agent_link_server::{AgentLink, AgentLinkServer};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::access::Role;
use super::data::{DataHandler, DataService};
use super::listen::{Peer, TlsListener, server};

/// Takes the sessions of agents: the logic behind the transport.
#[async_trait]
pub trait SessionAcceptor: Send + Sync + 'static {
    /// Runs one session. It ends when either channel end is dropped (what was sent before still goes out); `from` gives
    /// `None` when the agent is gone. Sessions of one host never overlap: when the agent dials again, the channels of the
    /// earlier session close, and the new one begins after this returned for it.
    async fn session(&self, host: HostId, from: mpsc::Receiver<FromAgent>, to: mpsc::Sender<ToAgent>);
}

/// Serves agents until `stop`, then waits until every connection is closed: the logic ends its sessions.
///
/// # Errors
/// Those of the HTTP server.
pub async fn serve<S: SessionAcceptor, D: DataHandler>(
    listener: TlsListener,
    keepalive: Keepalive,
    sessions: Arc<S>,
    data: Arc<D>,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let link = AgentLinkServer::new(LinkService { acceptor: sessions, turns: Turns::default() })
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let data = AgentDataServer::new(DataService::new(data))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    server(Role::Agent, keepalive)
        .add_service(link)
        .add_service(data)
        .serve_with_incoming_shutdown(listener.incoming(stop.clone()), stop.cancelled_owned())
        .await
}

/// The host of a request: that of its certificate.
pub(super) fn host_of<T>(request: &Request<T>) -> Result<HostId, Status> {
    let host = request.extensions().get::<Peer>().and_then(|peer| peer.host.clone());
    host.ok_or_else(|| Status::unauthenticated("no certificate of a host"))
}

struct LinkService<S> {
    acceptor: Arc<S>,
    turns: Turns,
}

#[tonic::async_trait]
impl<S: SessionAcceptor> AgentLink for LinkService<S> {
    type SessionStream = ReceiverStream<Result<v1::ToAgent, Status>>;

    async fn session(&self, request: Request<Streaming<v1::FromAgent>>) -> Result<Response<Self::SessionStream>, Status> {
        let host = host_of(&request)?;
        let turn = self.turns.take(&host).await.ok_or_else(|| Status::unavailable("the session before has not ended"))?;
        let (to_peer, outbound) = mpsc::channel(WIRE_QUEUE);
        let acceptor = Arc::clone(&self.acceptor);
        tokio::spawn(run(acceptor, host, request.into_inner(), to_peer, turn));
        Ok(Response::new(ReceiverStream::new(outbound)))
    }
}

async fn run<S: SessionAcceptor>(
    acceptor: Arc<S>,
    host: HostId,
    inbound: Streaming<v1::FromAgent>,
    to_peer: mpsc::Sender<Result<v1::ToAgent, Status>>,
    turn: Turn,
) {
    let (to_logic, from_agent) = mpsc::channel(SESSION_QUEUE);
    let (to_agent, from_logic) = mpsc::channel(SESSION_QUEUE);
    tracing::info!(%host, "a session began");
    let carried = async {
        tokio::select! {
            biased;
            () = turn.newer.cancelled() => tracing::info!(%host, "the session ended: the agent began a newer one"),
            end = wire::carry::<FromAgent, ToAgent>(inbound, to_logic, from_logic, to_peer) => log_end(&host, &end),
        }
    };
    tokio::join!(acceptor.session(host.clone(), from_agent, to_agent), carried);
    drop(turn);
}

fn log_end(host: &HostId, end: &SessionEnd) {
    match end {
        SessionEnd::Peer => tracing::info!(%host, "the agent ended the session"),
        SessionEnd::Logic => tracing::info!(%host, "the controller ended the session"),
        SessionEnd::Lost(status) => tracing::warn!(%host, %status, "the session is lost"),
        SessionEnd::Wire(error) => tracing::error!(%host, error = %error.fault(), "the session was ended"),
    }
}

/// One session at a time for each host; the newest wins, since an agent that dials again has given up its old one.
#[derive(Default)]
struct Turns {
    hosts: Mutex<BTreeMap<HostId, Place>>,
}

#[derive(Default, Clone)]
struct Place {
    newer: CancellationToken,
    held: Arc<tokio::sync::Mutex<()>>,
}

struct Turn {
    newer: CancellationToken,
    _held: tokio::sync::OwnedMutexGuard<()>,
}

impl Turns {
    /// Ends the host's session, if there is one, and waits until it has ended; `None` if it does not end in time.
    async fn take(&self, host: &HostId) -> Option<Turn> {
        let (held, newer) = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let place = hosts.entry(host.clone()).or_default();
            std::mem::take(&mut place.newer).cancel();
            (Arc::clone(&place.held), place.newer.clone())
        };
        let held = tokio::time::timeout(HANDSHAKE_LIMIT / 2, held.lock_owned()).await.ok()?;
        Some(Turn { newer, _held: held })
    }
}
