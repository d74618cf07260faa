//! The agent put together: what lives on the host, and the connections to the controller.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_common::error::Fault;
use cavalcade_common::id::HostId;
use cavalcade_common::message::LogRecord;
use cavalcade_common::private_file::create_private_dir;
use cavalcade_common::token::EnrolmentToken;
use cavalcade_common::transport::Keepalive;
use tokio::signal::unix::{SignalKind, signal};

use crate::answers::HostAnswers;
use crate::artifact_cache::ArtifactCache;
use crate::controller_chunks::ControllerChunks;
use crate::executor::bugs::Bugs;
use crate::executor::{Executor, Parts};
use crate::host::Host;
use crate::host::real::RealHost;
use crate::host::secrets::HostSecrets;
use crate::host::spool::Spool;
use crate::ledger::{Ledger, LedgerError};
use crate::link::data::DataLink;
use crate::link::dial::{Address, LinkConfig, connect};
use crate::link::enrol;
use crate::link::identity::Identity as Certified;
use crate::link::session::{Connection, Dial, DialFailed, Identity, keep};
use crate::logs::{Shipping, SpooledLines, ship};

/// The ledger's file in the state folder.
pub const LEDGER: &str = "ledger";

/// How the agent runs.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// State folder.
    pub state_dir: PathBuf,
    /// The agents' listener of the controller.
    pub controller: Address,
}

/// Enrols this host and makes its ledger.
///
/// # Errors
/// What went wrong; the host is not enrolled then.
pub async fn enrol_host(token: &EnrolmentToken, at: &Address, state_dir: &Path) -> Result<HostId, Fault> {
    // Before the token is used up: a folder that cannot be made must not cost one.
    create_private_dir(state_dir).map_err(|e| spool_fault(&e))?;
    let make = |_: &HostId| {
        let (host, path) = (RealHost::default(), state_dir.join(LEDGER));
        let made = match Ledger::create(&host, &path) {
            // Left by an enrolment that did not come to its end: nothing was ever recorded in it.
            Err(LedgerError::Exists) => match Ledger::open(&host, &path) {
                Ok(ledger) if !ledger.state().attempts.is_empty() => Err(LedgerError::Exists),
                opened => opened,
            },
            made => made,
        };
        made.map(|_| ()).map_err(|e| io::Error::other(e.fault().to_string()))
    };
    enrol::enrol(token, at, state_dir, make).await.map_err(|e| e.fault())
}

#[async_trait]
impl Shipping for DataLink {
    async fn ship(&self, batch: Vec<LogRecord>) -> Result<u64, String> {
        DataLink::ship(self, batch).await.map_err(|e| e.fault().to_string())
    }
}

#[async_trait]
impl Dial for LinkConfig {
    async fn dial(&self) -> Result<Connection, DialFailed> {
        let (to, from) = connect(self).await.map_err(|e| DialFailed(e.fault().to_string()))?;
        Ok(Connection { to, from })
    }
}

/// Runs the agent until TERM or INT, or until its ledger fails. Children live on in either case.
///
/// # Errors
/// What ended it.
pub async fn run(config: AgentConfig) -> Result<(), Fault> {
    let certified = Certified::load(&config.state_dir).map_err(|e| e.fault())?;
    let host: Arc<dyn Host> = Arc::new(RealHost::default());
    let ledger = Ledger::open(host.as_ref(), &config.state_dir.join(LEDGER)).map_err(|e| e.fault())?;
    let spool = Spool::open(&config.state_dir.join("spool")).map_err(|e| spool_fault(&e))?;
    let spool = Arc::new(spool);
    let identity = Identity { host: certified.host().clone(), program: env!("CARGO_PKG_VERSION").to_owned() };
    let link = LinkConfig { address: config.controller.clone(), identity: certified, keepalive: Keepalive::default() };
    let data = DataLink::new(link.clone());
    let artifacts = Arc::new(ArtifactCache::new(host.clone(), ControllerChunks(data.clone())));
    let secrets = Arc::new(HostSecrets);
    let executor = Executor::new(Parts {
        host: host.clone(),
        state_dir: config.state_dir.clone(),
        ledger,
        artifacts: artifacts.clone(),
        lines: Arc::new(SpooledLines { host: host.clone(), spool: spool.clone() }),
        secrets: secrets.clone(),
        bugs: Bugs::default(),
    });
    executor.adopt();
    let answers = HostAnswers { host, state_dir: config.state_dir, artifacts, secrets, executor: executor.clone() };
    tracing::info!(host = %identity.host, controller = %config.controller, "the agent is up");
    tokio::select! {
        biased;
        ended = keep(executor, identity, Arc::new(link), Arc::new(answers)) => match ended {
            Ok(()) => Ok(()),
            Err(crate::link::session::LinkEnd::Ledger(error)) => Err(LedgerError::fault(&error)),
        },
        never = ship(spool, Arc::new(data)) => match never {},
        signal = stopped() => signal.map_err(|e| spool_fault(&e)),
    }
}

fn spool_fault(error: &io::Error) -> Fault {
    Fault::new(cavalcade_common::codes::agent::SPOOL, format!("the agent's state folder: {error}"))
}

/// Returns at TERM or INT; a hang-up is ignored.
async fn stopped() -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            biased;
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            _ = hang_up.recv() => {}
        }
    }
}
