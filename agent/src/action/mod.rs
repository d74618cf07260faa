//! The actions: one file a kind, one contract for all.
//!
//! ```text
//! inspect (changes nothing) -> apply (INTENT is on disk) -> verify (evidence)
//! ```
//!
//! An action is free to be called again at any point: `apply` looks before it acts. What it may assume, and what it owes,
//! stands at [`Act`].

mod artifact;
pub mod aside;
mod autostart;
pub(crate) mod command;
mod copy;
mod copy_plan;
pub mod database;
#[cfg(test)]
mod edit_tests;
pub mod edited;
mod exchange;
#[cfg(test)]
mod exchange_tests;
#[cfg(test)]
mod file_tests;
mod fs_fault;
mod gate;
pub mod job;
pub mod judge;
mod launch;
#[cfg(test)]
pub(crate) mod real_kit;
mod remove;
mod server;
mod shown;
#[cfg(test)]
pub(crate) mod testkit;
mod undo;
mod unpack;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_common::action::Action;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, Epoch};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::{Evidence, FileDiff, Observation, Preview, Progress};
use cavalcade_common::secret::SecretBook;

use crate::host::Host;

pub(crate) use fs_fault::archive as archive_fault;
pub(crate) use server::own_ports;

/// What an action has to work with.
#[derive(Clone)]
pub struct Context {
    /// The machine.
    pub host: Arc<dyn Host>,
    /// The attempt.
    pub attempt: AttemptId,
    /// The controller's term; 0 for `step run`.
    pub epoch: Epoch,
    /// The step as planned.
    pub step: Arc<PlanStep>,
    /// Folder of this attempt in the agent's state: held children, scratch files.
    pub attempt_dir: PathBuf,
    /// Folder for kept copies of what was changed or removed, exclusive per (run, step) (10, rule 29).
    pub undo_dir: PathBuf,
    /// Folder of the agent's state: what outlives every run.
    pub state_dir: PathBuf,
    /// Folder of the artifact cache.
    pub cache_dir: PathBuf,
    /// Secrets, resolved on this host.
    pub secrets: Arc<SecretBook>,
    /// Key patterns whose values are hidden in diffs.
    pub hide: Arc<[String]>,
    /// Where artifacts come from.
    pub artifacts: Arc<dyn ArtifactSource>,
    /// Asks for a permit at the moment of a launch.
    pub permits: Arc<dyn PermitSource>,
    /// Where progress and output go.
    pub out: Arc<dyn OutputSink>,
    /// Whether an earlier process of this agent wrote INTENT for this very attempt: `apply` continues instead of
    /// beginning.
    pub resumed: bool,
    /// Incarnations of databases, by name, as the journal knows them.
    pub incarnations: Arc<std::collections::BTreeMap<String, String>>,
    /// A person's decision for this attempt, where one was needed.
    pub decision: Option<String>,
    /// What of this attempt goes on beside the run loop.
    pub beside: aside::Beside,
}

/// Brings artifacts into the cache.
#[async_trait]
pub trait ArtifactSource: Send + Sync {
    /// Path of a verified local copy, fetched first if need be; resumable, checked against the digest.
    async fn fetch(
        &self,
        artifact: &cavalcade_common::action::ArtifactRef,
        cache: &std::path::Path,
        out: &dyn OutputSink,
    ) -> Result<PathBuf, Failure>;
}

/// Permission for one launch.
#[async_trait]
pub trait PermitSource: Send + Sync {
    /// Returns when everything that the step needs was shown, not older than 60 s at this moment, or says what is missing.
    /// The caller spawns at once: the permit serves one launch.
    async fn obtain(&self, attempt: &AttemptId, step: &PlanStep) -> Result<Vec<Evidence>, PermitRefused>;
}

/// No permit: what is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no permit: {0}")]
pub struct PermitRefused(pub String);

/// Progress and lines of output of an attempt. Never blocks: what cannot be taken becomes a GAP record.
pub trait OutputSink: Send + Sync {
    /// Progress, replaced by the next.
    fn progress(&self, progress: Progress);
    /// One line of a stream (`output`, `wso2carbon.log`, `cavalcade`). Secrets are redacted behind this call.
    fn line(&self, stream: &str, line: &str);
    /// The work of a never-interrupted child ended; returns when that is durable.
    fn work_ended(&self, shown_by: &str);
    /// What a look saw of a server: it travels with the attempt's end, whatever that is. Where nobody asks, nothing is kept.
    fn saw(&self, _observation: Observation) {}
}

/// Why an action did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Not done. `changed` says whether anything was changed; nothing of it is still under way.
    Failed {
        /// What went wrong.
        fault: Fault,
        /// Whether anything was changed.
        changed: bool,
        /// What was seen.
        evidence: Vec<Evidence>,
    },
    /// Nobody can tell without a person.
    Indeterminate {
        /// What happened.
        fault: Fault,
        /// What is known.
        known: Vec<String>,
        /// What is not.
        unknown: Vec<String>,
    },
    /// Nothing was begun, and it may be tried again when something else changed (a permit was refused).
    NotBegun {
        /// What it waits for.
        why: String,
    },
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Failed { fault, changed: false, evidence: Vec::new() }
    }
}

/// What `apply` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Whether anything was changed.
    pub changed: bool,
    /// Changes of files.
    pub diffs: Vec<FileDiff>,
    /// What was seen on the way.
    pub evidence: Vec<Evidence>,
}

/// The contract of every action.
#[async_trait]
pub trait Act: Send + Sync {
    /// Says what `apply` would do, with true diffs. Changes nothing, ever.
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure>;

    /// Does it. INTENT is on disk before this is called. It may be called again for the same attempt after a crash at
    /// any point (`cx.resumed`), and for an effect that is there already: then it changes nothing and says so.
    async fn apply(&self, cx: &Context) -> Result<Applied, Failure>;

    /// Shows that the effect is there, from the machine and not from what `apply` remembers.
    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure>;
}

/// The action's code.
#[must_use]
pub fn of(action: &Action) -> Box<dyn Act> {
    match action {
        Action::Toml(a) => Box::new(edited::Edited(a.clone())),
        Action::Yaml(a) => Box::new(edited::Edited(a.clone())),
        Action::Text(a) => Box::new(edited::Edited(a.clone())),
        Action::Artifact(a) => Box::new(a.clone()),
        Action::Unpack(a) => Box::new(a.clone()),
        Action::Copy(a) => Box::new(a.clone()),
        Action::Remove(a) => Box::new(a.clone()),
        Action::Server(a) => Box::new(a.clone()),
        Action::Job(a) => Box::new(a.clone()),
        Action::Command(a) => Box::new(a.clone()),
        Action::Sql(a) => Box::new(a.clone()),
        Action::Query(a) => Box::new(a.clone()),
        Action::Backup(a) => Box::new(a.clone()),
        Action::Restore(a) => Box::new(a.clone()),
        Action::Http(a) => Box::new(a.clone()),
        Action::Tcp(a) => Box::new(a.clone()),
        Action::Log(a) => Box::new(a.clone()),
        Action::Exchange(a) => Box::new(a.clone()),
        Action::Autostart(a) => Box::new(a.clone()),
        Action::Undo(a) => Box::new(a.clone()),
    }
}
