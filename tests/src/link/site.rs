//! A controller's listeners with real TLS on loopback, and the means to enrol and dial.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_agent::link::dial::{Address, DialError, LinkConfig, connect};
use cavalcade_agent::link::enrol::{EnrolError, enrol};
use cavalcade_agent::link::identity::Identity;
use cavalcade_common::error::{Code, Fault};
use cavalcade_common::id::{Digest, HostId};
use cavalcade_common::message::{FromAgent, LogRecord, ToAgent};
use cavalcade_common::token::EnrolmentToken;
use cavalcade_common::transport::Keepalive;
use cavalcade_controller::ca::Ca;
use cavalcade_controller::ca::certificates::Certificates;
use cavalcade_controller::rpc::agents::{self, SessionAcceptor};
use cavalcade_controller::rpc::connections::Connections;
use cavalcade_controller::rpc::data::{ArtifactRead, DataHandler};
use cavalcade_controller::rpc::enrolment::{self, EnrolmentDesk};
use cavalcade_controller::rpc::listen::TlsListener;
use cavalcade_controller::rpc::tls;
use cavalcade_controller::token::TokenStore;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Long enough for a busy machine; a test that waits this long has failed.
pub(super) const SOON: Duration = Duration::from_secs(120);

/// One session as the controller's logic gets it.
pub(super) struct Accepted {
    pub(super) host: HostId,
    pub(super) from: mpsc::Receiver<FromAgent>,
    pub(super) to: mpsc::Sender<ToAgent>,
}

struct Door(mpsc::Sender<Accepted>);

#[async_trait]
impl SessionAcceptor for Door {
    async fn session(&self, host: HostId, from: mpsc::Receiver<FromAgent>, to: mpsc::Sender<ToAgent>) {
        self.0.send(Accepted { host, from, to }).await.ok();
    }
}

/// Keeps what agents ship, and has one artifact.
#[derive(Default)]
pub(super) struct Store {
    pub(super) logs: Mutex<Vec<(HostId, LogRecord)>>,
    pub(super) artifact: Vec<u8>,
}

pub(super) const NO_ARTIFACT: Code = Code(2199);

#[async_trait]
impl DataHandler for Store {
    async fn logs(&self, host: &HostId, batch: Vec<LogRecord>) -> Result<u64, Fault> {
        let mut logs = self.logs.lock().await;
        for record in batch {
            if logs.last().is_none_or(|(_, last)| last.seq < record.seq) {
                logs.push((host.clone(), record));
            }
        }
        Ok(logs.last().map_or(0, |(_, last)| last.seq))
    }

    async fn open_artifact(&self, _host: &HostId, sha256: &Digest) -> Result<(u64, Box<dyn ArtifactRead>), Fault> {
        if *sha256 != Digest::of(&self.artifact) {
            return Err(Fault::new(NO_ARTIFACT, "not in the store"));
        }
        Ok((self.artifact.len() as u64, Box::new(std::io::Cursor::new(self.artifact.clone()))))
    }
}

/// What differs between sites.
pub(super) struct Wanted {
    pub(super) names: Vec<String>,
    pub(super) keepalive: Keepalive,
    pub(super) artifact: Vec<u8>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { names: vec!["127.0.0.1".to_owned()], keepalive: Keepalive::default(), artifact: Vec::new() }
    }
}

/// A controller's listeners.
pub(super) struct Site {
    pub(super) state: TempDir,
    pub(super) desk: Arc<EnrolmentDesk>,
    pub(super) agents: SocketAddr,
    pub(super) enrolment: SocketAddr,
    pub(super) store: Arc<Store>,
    pub(super) sessions: mpsc::Receiver<Accepted>,
    pub(super) keepalive: Keepalive,
    _stop: DropGuard,
}

impl Site {
    pub(super) async fn new() -> Self {
        Self::with(Wanted::default()).await
    }

    pub(super) async fn with(wanted: Wanted) -> Self {
        let Wanted { names, keepalive, artifact } = wanted;
        let state = tempfile::tempdir().expect("a folder");
        let ca = Arc::new(Ca::open(state.path(), now()).expect("an authority"));
        let certificates = Arc::new(Certificates::open(state.path()).expect("a list"));
        let connections = Connections::new(Arc::clone(&certificates));
        let tokens = Arc::new(TokenStore::open(state.path(), ca.pin()).expect("tokens"));
        let server = ca.issue_server(&names, now()).expect("a certificate");
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let mutual = tls::agents(&ca, &server, Arc::clone(&certificates)).expect("TLS");
        let agents = TlsListener::agents(local, mutual, Arc::clone(&connections)).await.expect("listens");
        let plain = tls::enrolment(&server).expect("TLS");
        let enrolment = TlsListener::enrolment(local, plain).await.expect("listens");
        let addresses = (agents.local_addr().expect("an address"), enrolment.local_addr().expect("an address"));
        let desk = Arc::new(EnrolmentDesk { now, ca, tokens, certificates, connections });
        let store = Arc::new(Store { artifact, ..Store::default() });
        let (accepted, sessions) = mpsc::channel(8);
        let stop = CancellationToken::new();
        tokio::spawn(agents::serve(agents, keepalive, Arc::new(Door(accepted)), Arc::clone(&store), stop.clone()));
        tokio::spawn(enrolment::serve(enrolment, Arc::clone(&desk), stop.clone()));
        let (agents, enrolment) = addresses;
        Self { state, desk, agents, enrolment, store, sessions, keepalive, _stop: stop.drop_guard() }
    }

    pub(super) fn token(&self, host: &str) -> EnrolmentToken {
        self.token_for(host, None, now())
    }

    pub(super) fn token_for(&self, host: &str, life: Option<SignedDuration>, now: Timestamp) -> EnrolmentToken {
        self.desk.tokens.create(&[name(host)], life, "test", now).expect("a token").remove(0)
    }

    pub(super) async fn enrol(&self, token: &EnrolmentToken, state: &Path) -> Result<HostId, EnrolError> {
        enrol(token, &address(self.enrolment), state, |_| Ok(())).await
    }

    /// An agent that is enrolled.
    pub(super) async fn agent(&self, host: &str) -> LinkConfig {
        let state = tempfile::tempdir().expect("a folder");
        self.enrol(&self.token(host), state.path()).await.expect("is enrolled");
        self.config(state.path())
    }

    /// The agent of a state folder.
    pub(super) fn config(&self, state: &Path) -> LinkConfig {
        let identity = Identity::load(state).expect("an identity");
        LinkConfig { address: address(self.agents), identity, keepalive: self.keepalive }
    }

    /// The next session that the controller's logic gets.
    pub(super) async fn accepted(&mut self) -> Accepted {
        soon(self.sessions.recv()).await.expect("a session")
    }
}

pub(super) type Ends = (mpsc::Sender<FromAgent>, mpsc::Receiver<ToAgent>);

pub(super) async fn dial(config: &LinkConfig) -> Result<Ends, DialError> {
    soon(connect(config)).await
}

#[expect(clippy::disallowed_methods, reason = "TLS reads the true clock, so these tests do")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

pub(super) fn name(text: &str) -> HostId {
    HostId::new(text).expect("a name")
}

pub(super) fn address(at: SocketAddr) -> Address {
    at.to_string().parse().expect("an address")
}

pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("happens soon")
}
