//! `serve`: puts the controller together and keeps it up until a signal or a fault that must end it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{Digest, HostId, Incarnation, NodeId};
use cavalcade_common::message::{FromAgent, LogRecord, ToAgent};
use cavalcade_common::transport::Keepalive;
use futures_util::FutureExt;
use jiff::Timestamp;
use nix::unistd::Gid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::artifact::{ArtifactStore, Limits};
use crate::ca::Ca;
use crate::ca::certificates::Certificates;
use crate::journal::{Journal, SqliteJournal, abort_process};
use crate::logs::{LogLimits, LogStore};
use crate::operate::handler::Operations;
use crate::rpc::agents::SessionAcceptor;
use crate::rpc::connections::Connections;
use crate::rpc::data::{ArtifactRead, DataHandler};
use crate::rpc::enrolment::EnrolmentDesk;
use crate::rpc::listen::TlsListener;
use crate::rpc::operator::OperatorSocket;
use crate::rpc::{agents, enrolment, tls};
use crate::run::input::Input;
use crate::run::view::View;
use crate::run::{INPUT_ROOM, RunLoop, WallClock};
use crate::session::Sessions;
use crate::token::TokenStore;
use crate::vault::Vault;

/// How the controller is served.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// State folder.
    pub state_dir: PathBuf,
    /// Listener of agents.
    pub agents: SocketAddr,
    /// Listener of enrolments.
    pub enrol: SocketAddr,
    /// Names and addresses for the server's certificate; the first is the one that agents are told.
    pub names: Vec<String>,
    /// Group whose members may be operators, beside the controller's own user and root.
    pub operators: Option<Gid>,
}

/// The system's wall clock.
pub struct SystemClock;

impl WallClock for SystemClock {
    fn now(&self) -> Timestamp {
        wall_clock()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place of the controller that reads the wall clock")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}

struct Data {
    artifacts: ArtifactStore,
    logs: LogStore,
    view: watch::Receiver<Arc<View>>,
}

#[async_trait]
impl DataHandler for Data {
    async fn logs(&self, host: &HostId, batch: Vec<LogRecord>) -> Result<u64, Fault> {
        let state = self.view.borrow().state.clone();
        let elsewhere =
            |node: &NodeId| state.open_runs().any(|run| run.plan.plan.node(node).is_some_and(|planned| &planned.host != host));
        let (batch, left_out) = served_here(batch, elsewhere);
        if left_out > 0 {
            tracing::warn!(%host, left_out, "lines of nodes that another host serves are left out");
        }
        // The ledger's identity numbers the lines too: an agent that was enrolled again counts from 1.
        let incarnation = self.view.borrow().state.hosts.get(host).map(|h| h.incarnation.clone());
        let incarnation = incarnation.unwrap_or_else(|| Incarnation(String::new()));
        self.logs.append(host, &incarnation, batch).await.map_err(|e| e.fault())
    }

    async fn open_artifact(&self, _host: &HostId, sha256: &Digest) -> Result<(u64, Box<dyn ArtifactRead>), Fault> {
        let open = self.artifacts.open_artifact(sha256).await.map_err(|e| e.fault())?;
        Ok((open.size, Box::new(open.reader().map_err(|e| e.fault())?)))
    }
}

/// The batch without the text of lines of nodes that are served elsewhere, and how many these are. A host that was replaced
/// still sends what its node wrote before: that must not keep everything else that it has.
fn served_here(batch: Vec<LogRecord>, elsewhere: impl Fn(&NodeId) -> bool) -> (Vec<LogRecord>, usize) {
    let mut left_out = 0;
    let kept = batch.into_iter().map(|record| {
        if !elsewhere(&record.node) {
            return record;
        }
        left_out += 1;
        LogRecord { text: format!("(a line of {}, which another host serves, is left out)", record.node), ..record }
    });
    (kept.collect(), left_out)
}

#[async_trait]
impl SessionAcceptor for Sessions {
    async fn session(&self, host: HostId, from: mpsc::Receiver<FromAgent>, to: mpsc::Sender<ToAgent>) {
        self.serve(host, from, to).await;
    }
}

/// Sessions have this long to end by themselves after a signal.
const SOON: Duration = Duration::from_millis(300);
/// Sessions and streams have this long to end after a signal, and the central log as long again.
const GRACE: Duration = Duration::from_secs(2);

fn ending(what: &str, error: impl std::fmt::Display) -> Fault {
    Fault::new(codes::run::SERVE, format!("{what}: {error}"))
}

/// Everything that is open before the first connection is taken.
struct Controller {
    socket: OperatorSocket,
    run_loop: RunLoop,
    inputs: mpsc::Sender<Input>,
    view: watch::Receiver<Arc<View>>,
    clock: Arc<dyn WallClock>,
    artifacts: ArtifactStore,
    logs: LogStore,
    vault: Arc<Vault>,
    connections: Arc<Connections>,
    agents: TlsListener,
    enrolment: TlsListener,
    desk: Arc<EnrolmentDesk>,
    enrol_at: String,
}

/// Serves until TERM, INT, or a fault that must end the process. Hang-ups are ignored: the controller outlives the
/// session that started it.
///
/// # Errors
/// The fault that ended it.
pub async fn serve(config: ServeConfig) -> Result<(), Fault> {
    let controller = Controller::open(&config).await?;
    tracing::info!(agents = %config.agents, enrol = %config.enrol, state = %config.state_dir.display(), "the controller is up");
    let logs = controller.logs.clone();
    let ended = controller.run().await;
    if tokio::time::timeout(GRACE, logs.close()).await.is_err() {
        tracing::warn!("the central log is still being written; agents send again what was not acked");
    }
    tracing::info!("the controller has ended");
    ended
}

impl Controller {
    async fn open(config: &ServeConfig) -> Result<Self, Fault> {
        let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
        let socket = OperatorSocket::open(&config.state_dir, config.operators).await.map_err(|e| e.fault())?;
        let state_dir = &config.state_dir;
        let ca = Arc::new(Ca::open(state_dir, clock.now()).map_err(|e| e.fault())?);
        let identity = ca.issue_server(&config.names, clock.now()).map_err(|e| e.fault())?;
        let certificates = Arc::new(Certificates::open(state_dir).map_err(|e| e.fault())?);
        let connections = Connections::new(certificates.clone());
        let tokens = Arc::new(TokenStore::open(state_dir, ca.pin()).map_err(|e| e.fault())?);
        let journal = SqliteJournal::open(&state_dir.join("journal.db"), abort_process()).await.map_err(|e| e.fault())?;
        // An entry that was changed, taken out or put in says that this file is not what happened.
        journal.verify_chain().await.map_err(|e| e.fault())?;
        let vault = Arc::new(Vault::open(state_dir).map_err(|e| e.fault())?);
        let artifacts = ArtifactStore::open(&state_dir.join("artifacts"), Limits::default()).await.map_err(|e| e.fault())?;
        let logs = LogStore::open(&state_dir.join("logs"), LogLimits::default()).await.map_err(|e| e.fault())?;

        let (inputs, taken) = mpsc::channel(INPUT_ROOM);
        let (publish, view) = watch::channel(Arc::new(View::default()));
        let run_loop = RunLoop::open(Arc::new(journal), clock.clone(), taken, publish).await;
        let run_loop = run_loop.map_err(|e| ending("journal", chain(&e)))?.with_vault(vault.clone());

        let agents_tls = tls::agents(&ca, &identity, certificates.clone()).map_err(|e| ending("TLS", e))?;
        let agents = TlsListener::agents(config.agents, agents_tls, connections.clone()).await.map_err(|e| e.fault())?;
        let enrol_tls = tls::enrolment(&identity).map_err(|e| ending("TLS", e))?;
        let enrolment = TlsListener::enrolment(config.enrol, enrol_tls).await.map_err(|e| e.fault())?;
        let enrol_at = format!("{}:{}", config.names.first().map_or("localhost", String::as_str), config.enrol.port());
        let desk = Arc::new(EnrolmentDesk { now: wall_clock, ca, tokens, certificates, connections: connections.clone() });
        Ok(Self { socket, run_loop, inputs, view, clock, artifacts, logs, vault, connections, agents, enrolment, desk, enrol_at })
    }

    /// Serves until a signal or a fault, then ends sessions and streams. What is under way at agents goes on; the next
    /// start adopts it.
    async fn run(self) -> Result<(), Fault> {
        let Self {
            socket,
            run_loop,
            inputs,
            view,
            clock,
            artifacts,
            logs,
            vault,
            connections,
            agents,
            enrolment,
            desk,
            enrol_at,
        } = self;
        let stop = CancellationToken::new();
        let sessions = Arc::new(Sessions::new(inputs.clone()).until(stop.clone()));
        let data = Arc::new(Data { artifacts: artifacts.clone(), logs: logs.clone(), view: view.clone() });
        let room = tokio::spawn({
            let (logs, clock, stop) = (logs.clone(), clock.clone(), stop.clone());
            async move { logs.keep_room(|| clock.now(), stop).await }
        });
        let operations =
            Operations { inputs, view, artifacts, logs, vault, desk: desk.clone(), clock, enrol_at, stop: stop.clone() };
        let sweep = tokio::spawn({
            let (connections, stop) = (connections.clone(), stop.clone());
            async move { connections.keep_sweeping(stop).await }
        });
        let mut run_loop = pin!(run_loop.run().fuse());
        let mut agents = pin!(agents::serve(agents, Keepalive::default(), sessions, data, stop.clone()).fuse());
        let mut enrolment = pin!(enrolment::serve(enrolment, desk, stop.clone()).fuse());
        let mut operators = pin!(socket.serve(Arc::new(operations), stop.clone()).fuse());
        let ended = tokio::select! {
            biased;
            ended = &mut run_loop => ended.map_err(|e| ending("the run loop ended", chain(&e))),
            ended = &mut agents => ended.map_err(|e| ending("agents' listener", e)),
            ended = &mut enrolment => ended.map_err(|e| ending("enrolment's listener", e)),
            ended = &mut operators => ended.map_err(|e| ending("operators' socket", e)),
            signal = stopped() => signal.map_err(|e| ending("signals", e)),
        };
        stop.cancel();
        let closing = async {
            // Sessions end by themselves; logs and artifacts are streams that only their connection ends.
            tokio::time::sleep(SOON).await;
            connections.cut_all();
            tokio::join!(sweep, room)
        };
        // The loop works on meanwhile. One that has ended answers nothing any more: nothing else is waited for then.
        tokio::select! {
            biased;
            _ = &mut run_loop => {}
            _ = tokio::time::timeout(GRACE, async { tokio::join!(&mut agents, &mut enrolment, &mut operators, closing) }) => {}
        }
        ended
    }
}

/// An error with everything behind it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// Returns at TERM or INT.
async fn stopped() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            biased;
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            _ = hang_up.recv() => tracing::info!("the terminal is gone; the controller goes on"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_another_hosts_node_keeps_nothing_else_back() {
        let line = |seq: u64, node: &str| LogRecord {
            seq,
            node: NodeId::new(node).expect("a name"),
            run: None,
            step: String::new(),
            stream: "output".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            text: format!("said by {node}"),
            gap: 0,
        };
        let batch = vec![line(1, "gw-1"), line(2, "moved"), line(3, "gw-1")];
        let (kept, left_out) = served_here(batch.clone(), |node| node.as_str() == "moved");
        assert_eq!((kept.len(), left_out), (3, 1), "the numbers stay without a hole");
        assert_eq!((&kept[0], &kept[2]), (&batch[0], &batch[2]));
        assert_eq!((kept[1].seq, kept[1].text.contains("said by")), (2, false), "its text is nobody's to give");
    }
}
