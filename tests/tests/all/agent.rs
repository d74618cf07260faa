//! A real executor over a temporary state folder: real files, real ledger, real spool; packs from memory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_agent::artifact_cache::{ArtifactCache, ChunkSource, Chunks};
use cavalcade_agent::executor::bugs::Bugs;
use cavalcade_agent::executor::{Executor, Parts};
use cavalcade_agent::host::Host;
use cavalcade_agent::host::real::RealHost;
use cavalcade_agent::host::secrets::HostSecrets;
use cavalcade_agent::host::spool::Spool;
use cavalcade_agent::ledger::Ledger;
use cavalcade_agent::logs::SpooledLines;
use cavalcade_common::action::{Action, ArtifactRef};
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{AttemptId, Digest};
use cavalcade_common::message::Offer;
use cavalcade_common::report::{Outcome, Report};
use cavalcade_common::secret::SecretRef;
use cavalcade_tests::one_node;
use tempfile::TempDir;
use walkdir::WalkDir;

/// Packs by the digest under which they are asked for.
pub(super) type Packs = BTreeMap<Digest, Vec<u8>>;

struct Store(Packs);

struct Rest(Option<Vec<u8>>);

#[async_trait]
impl ChunkSource for Store {
    async fn open(&self, artifact: &ArtifactRef, offset: u64) -> Result<Box<dyn Chunks>, String> {
        let pack = self.0.get(&artifact.sha256).ok_or("no such pack")?;
        let from = usize::try_from(offset).map_err(|e| e.to_string())?.min(pack.len());
        Ok(Box::new(Rest(Some(pack[from..].to_vec()).filter(|rest| !rest.is_empty()))))
    }
}

#[async_trait]
impl Chunks for Rest {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.take())
    }
}

/// A host with an agent on it.
pub(super) struct Agent {
    folder: TempDir,
    pub(super) executor: Arc<Executor>,
    secrets: BTreeMap<String, SecretRef>,
    /// What the controller brings with each offer.
    pub(super) given: GivenSecrets,
}

impl Agent {
    /// A newly enrolled agent.
    pub(super) fn new(packs: Packs, secrets: BTreeMap<String, SecretRef>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let state_dir = folder.path().join("state");
        for dir in [&state_dir, &folder.path().join("site")] {
            fs::create_dir(dir).expect("is made");
        }
        let host: Arc<dyn Host> = Arc::new(RealHost::default());
        let executor = Executor::new(Parts {
            ledger: Ledger::create(host.as_ref(), &state_dir.join("ledger")).expect("a ledger"),
            artifacts: Arc::new(ArtifactCache::new(host.clone(), Store(packs))),
            lines: Arc::new(SpooledLines {
                host: host.clone(),
                spool: Arc::new(Spool::open(&state_dir.join("spool")).expect("a spool")),
            }),
            secrets: Arc::new(HostSecrets),
            bugs: Bugs::default(),
            host,
            state_dir,
        });
        Self { folder, executor, secrets, given: GivenSecrets::default() }
    }

    /// The folder of the agent's state.
    pub(super) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The folder in which homes lie.
    pub(super) fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    /// The home whose lock each step takes. It need not exist.
    pub(super) fn home(&self) -> PathBuf {
        self.site().join("wso2is-5.11.0")
    }

    /// Runs these actions one after the other, as the steps of one stage.
    pub(super) async fn run(&self, actions: Vec<Action>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for step in one_node::steps(actions).expect("steps") {
            let mut offer = one_node::offer(step, &self.home()).expect("an offer");
            offer.secrets = self.secrets.clone();
            offer.given = self.given.clone();
            outcomes.push(self.outcome(offer).await);
        }
        outcomes
    }

    async fn outcome(&self, offer: Offer) -> Outcome {
        let attempt = offer.attempt.clone();
        self.executor.offer(offer).expect("the ledger takes it");
        self.ended(&attempt).await
    }

    /// The outcome of an attempt, once it is there.
    pub(super) async fn ended(&self, attempt: &AttemptId) -> Outcome {
        let ended = async {
            loop {
                let found = self.executor.ledger().state().unacked.values().find_map(|report| match report {
                    Report::Ended { attempt: of, outcome } if of == attempt => Some((**outcome).clone()),
                    _ => None,
                });
                if let Some(outcome) = found {
                    return outcome;
                }
                self.executor.news.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(300), ended).await.expect("ends in time")
    }

    /// Everything that the agent would send to its controller now, as text.
    pub(super) fn reports(&self) -> String {
        format!("{:?}", self.executor.ledger().state().unacked)
    }
}

/// Paths with mode and content.
pub(super) type Tree = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// Everything below a folder.
pub(super) fn tree(folder: &Path) -> Tree {
    let entries = WalkDir::new(folder).into_iter().map(|entry| {
        let entry = entry.expect("can be read");
        let mode = entry.metadata().expect("has a mode").permissions().mode();
        let content = if entry.file_type().is_file() { fs::read(entry.path()).expect("can be read") } else { Vec::new() };
        (entry.path().to_owned(), (mode, content))
    });
    entries.collect()
}
