//! Admits offered attempts, keeps each from running twice, runs it and writes down how it ended.
//!
//! What keeps promise 1 on this side: an attempt is in the ledger before anything happens; INTENT is on disk before the
//! effect; what an earlier process left open is begun or repeated only after the controller offered it again in this
//! session; an effect key that was started is refused unless a person replaced that start.

mod adoption;
pub mod attempt;
pub mod book;
pub mod bugs;
mod fit;
pub(crate) mod forbidden;
pub mod output;
pub mod permit;
pub mod turns;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cavalcade_common::id::{AttemptId, Epoch, NodeId, RunId};
use cavalcade_common::message::{MOST_UNCONFIRMED, Offer};
use cavalcade_common::report::Progress;
use cavalcade_common::secret::{SecretBook, SecretRef};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::action::ArtifactSource;
use crate::host::Host;
use crate::ledger::state::Phase;
use crate::ledger::{Ledger, LedgerError};
use bugs::Bugs;
use permit::PermitDesk;
use turns::Turns;

/// Where lines of output go.
pub trait LineSink: Send + Sync {
    /// One line of a stream of a step.
    fn line(&self, origin: &LineOrigin, stream: &str, line: &str);
}

/// What a line belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineOrigin {
    /// The node.
    pub node: NodeId,
    /// The run.
    pub run: RunId,
    /// The step as `3.2`.
    pub step: String,
    /// The attempt's number.
    pub attempt: u32,
}

/// Finds the values of secrets on this host.
#[async_trait]
pub trait SecretResolver: Send + Sync {
    /// All of them, or the fault of the first that has none.
    async fn resolve(&self, refs: &BTreeMap<String, SecretRef>) -> Result<SecretBook, cavalcade_common::error::Fault>;
}

/// Everything that an executor is built from.
pub struct Parts {
    /// The machine.
    pub host: Arc<dyn Host>,
    /// The agent's state folder.
    pub state_dir: PathBuf,
    /// The ledger.
    pub ledger: Ledger,
    /// Where artifacts come from.
    pub artifacts: Arc<dyn ArtifactSource>,
    /// Where lines go.
    pub lines: Arc<dyn LineSink>,
    /// Where secrets come from.
    pub secrets: Arc<dyn SecretResolver>,
    /// Guards left out on purpose, in tests.
    pub bugs: Bugs,
}

/// The executor of one agent.
pub struct Executor {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) state_dir: PathBuf,
    ledger: Mutex<Ledger>,
    running: Mutex<BTreeMap<AttemptId, Running>>,
    progress: Mutex<BTreeMap<AttemptId, Progress>>,
    tasks: Mutex<JoinSet<()>>,
    pub(crate) turns: Turns,
    pub(crate) artifacts: Arc<dyn ArtifactSource>,
    pub(crate) lines: Arc<dyn LineSink>,
    pub(crate) secrets: Arc<dyn SecretResolver>,
    /// Asks for permits.
    pub permits: Arc<PermitDesk>,
    /// Something is to be sent.
    pub news: Notify,
    fatal: Mutex<Option<LedgerError>>,
    pub(crate) bugs: Bugs,
    /// The ledger failed: the agent must end.
    pub failed: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct Running {
    withdrawn: bool,
}

/// What became of an offer.
#[derive(Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is in the ledger and runs.
    Started,
    /// It was known; it goes on now that the controller confirmed it.
    Confirmed,
    /// It was known and needs nothing.
    Known,
    /// It comes from an older term or plan and is refused.
    Stale,
    /// It is larger than the ledger can keep: nothing begins, and its end says so.
    TooLarge,
}

/// A secret that only the controller has and that what began cannot go on without: one that it uses, or one that its lines may
/// show. They stand in the shim's file until then; nothing of them is lost.
fn lacks(offer: &Offer) -> Option<&str> {
    offer.given.lacks(&offer.secrets).or_else(|| offer.given.lacks(&offer.also_hide))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in another task does not make the ledger's state wrong: it is written record by record.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executor {
    /// Puts an executor together. Nothing begins.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(PermitDesk::new(parts.host.clone(), parts.bugs)),
            bugs: parts.bugs,
            host: parts.host,
            state_dir: parts.state_dir,
            ledger: Mutex::new(parts.ledger),
            running: Mutex::default(),
            progress: Mutex::default(),
            tasks: Mutex::default(),
            turns: Turns::default(),
            artifacts: parts.artifacts,
            lines: parts.lines,
            secrets: parts.secrets,
            news: Notify::new(),
            fatal: Mutex::default(),
            failed: Notify::new(),
        })
    }

    /// The ledger, for a short look or one write.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// After a start: goes on watching what was started before (10, rule 3). Begins and repeats nothing.
    pub fn adopt(self: &Arc<Self>) {
        if self.bugs.begins_again() {
            return;
        }
        let intended: Vec<Offer> = {
            let ledger = self.ledger();
            let attempts = ledger.state().attempts.values();
            attempts.filter(|a| a.phase == Phase::Intended).filter_map(|a| a.offer.as_deref().cloned()).collect()
        };
        for offer in intended {
            if self.bugs.ends_children_at_restart() {
                adoption::end(self.host.as_ref(), &offer.step.action);
            }
            if let Some(name) = lacks(&offer) {
                tracing::info!(attempt = %offer.attempt, secret = name, "adopted when the controller brings the secret again");
                continue;
            }
            match self.host.held(&self.attempt_dir(&offer.attempt), false) {
                Ok(Some(state)) if adoption::only_watches(&offer.step.action, &state) => self.start(offer, true),
                Ok(Some(_) | None) => {}
                Err(error) => {
                    tracing::warn!(attempt = %offer.attempt, %error, "the attempt's folder cannot be read; it waits for its confirmation")
                }
            }
        }
    }

    /// Takes an offer: the first starts the attempt, a later one confirms it.
    ///
    /// # Errors
    /// Those of the ledger; the agent must end then.
    pub fn offer(self: &Arc<Self>, offer: Offer) -> Result<Admitted, LedgerError> {
        let phase = {
            let mut ledger = self.ledger();
            let older = offer.epoch < ledger.state().epoch || offer.generation < ledger.state().generation;
            if older {
                return Ok(Admitted::Stale);
            }
            ledger.fence(offer.epoch, offer.generation)?;
            let known = ledger.state().attempts.get(&offer.attempt).map(|a| a.phase);
            if known.is_none() {
                match ledger.accept(offer.clone()) {
                    Err(LedgerError::Encode(error)) => {
                        ledger.refuse(&offer.attempt, fit::refused(&error, self.host.now()))?;
                        drop(ledger);
                        self.news.notify_one();
                        return Ok(Admitted::TooLarge);
                    }
                    accepted => accepted?,
                }
            }
            known
        };
        self.news.notify_one();
        match phase {
            None => {
                self.start(offer, false);
                Ok(Admitted::Started)
            }
            Some(_) if self.bugs.starts_known_attempts() => {
                self.start(offer, false);
                Ok(Admitted::Started)
            }
            Some(Phase::Accepted | Phase::Intended) if self.is_running(&offer.attempt) => Ok(Admitted::Known),
            Some(Phase::Intended) if lacks(&offer).is_some() => {
                tracing::warn!(attempt = %offer.attempt, "the offer lacks a secret; the attempt waits for one that brings it");
                Ok(Admitted::Known)
            }
            Some(phase @ (Phase::Accepted | Phase::Intended)) => {
                self.renew(&offer)?;
                self.start(offer, phase == Phase::Intended && !self.bugs.begins_again());
                Ok(Admitted::Confirmed)
            }
            Some(Phase::Abandoned | Phase::Ended(_)) => Ok(Admitted::Known),
        }
    }

    /// What was accepted goes on by its newer offer, kept or not: a restart then knows the one before.
    fn renew(&self, offer: &Offer) -> Result<(), LedgerError> {
        match self.ledger().renew(offer.clone()) {
            Err(LedgerError::Encode(error)) => {
                tracing::warn!(attempt = %offer.attempt, %error, "the newer offer is not kept");
                Ok(())
            }
            renewed => renewed,
        }
    }

    /// Withdraws an attempt in which nothing began yet: it is abandoned. One that began goes on. One that never came here is
    /// abandoned too: its offer may still be under way, and must find that (10, rule 3).
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn withdraw(&self, attempt: &AttemptId, epoch: Epoch) -> Result<(), LedgerError> {
        let mut ledger = self.ledger();
        if epoch < ledger.state().epoch {
            return Ok(());
        }
        match ledger.state().attempts.get(attempt).map(|a| a.phase) {
            None => ledger.abandon(attempt, "withdrawn before it came to this host")?,
            Some(Phase::Accepted) => match lock(&self.running).get_mut(attempt) {
                // The task sees it before it writes INTENT, under the same lock.
                Some(running) => running.withdrawn = true,
                None => ledger.abandon(attempt, "withdrawn before it began")?,
            },
            // The controller knows of no beginning, or it would not take it back: it confirms what it is told of.
            Some(Phase::Intended) => ledger.tell_begun(attempt)?,
            Some(Phase::Abandoned | Phase::Ended(_)) => return Ok(()),
        }
        self.news.notify_one();
        Ok(())
    }

    pub(crate) fn is_withdrawn(&self, attempt: &AttemptId) -> bool {
        lock(&self.running).get(attempt).is_some_and(|r| r.withdrawn)
    }

    /// Whether a task of this process works on it.
    #[must_use]
    pub fn is_running(&self, attempt: &AttemptId) -> bool {
        lock(&self.running).contains_key(attempt)
    }

    /// How many attempts are under way.
    #[must_use]
    pub fn running(&self) -> u32 {
        u32::try_from(lock(&self.running).len()).unwrap_or(u32::MAX)
    }

    /// Attempts that an earlier process left open and nobody works on: they wait for the controller's confirmation in this
    /// session (10, rule 3). Said with every heartbeat, since a confirmation may get lost.
    #[must_use]
    pub fn unconfirmed(&self) -> Vec<AttemptId> {
        let ledger = self.ledger();
        let running = lock(&self.running);
        let open = ledger.state().attempts.iter().filter(|(_, a)| matches!(a.phase, Phase::Accepted | Phase::Intended));
        open.map(|(id, _)| id).filter(|id| !running.contains_key(id)).take(MOST_UNCONFIRMED).cloned().collect()
    }

    fn start(self: &Arc<Self>, offer: Offer, resumed: bool) {
        lock(&self.running).insert(offer.attempt.clone(), Running::default());
        let this = self.clone();
        lock(&self.tasks).spawn(async move {
            let attempt = offer.attempt.clone();
            if let Err(error) = attempt::run(&this, &offer, resumed).await {
                this.fail(error);
            }
            lock(&this.running).remove(&attempt);
            lock(&this.progress).remove(&attempt);
            this.news.notify_one();
        });
    }

    /// Notes that the ledger failed; the agent ends.
    pub fn fail(&self, error: LedgerError) {
        tracing::error!(%error, "the ledger failed");
        lock(&self.fatal).get_or_insert(error);
        self.failed.notify_one();
    }

    /// The failure, once.
    pub fn take_failure(&self) -> Option<LedgerError> {
        lock(&self.fatal).take()
    }

    /// Notes progress for the link.
    pub(crate) fn note_progress(&self, attempt: &AttemptId, progress: Progress) {
        lock(&self.progress).insert(attempt.clone(), progress);
        self.news.notify_one();
    }

    /// Progress noted since the last call.
    pub fn take_progress(&self) -> BTreeMap<AttemptId, Progress> {
        std::mem::take(&mut *lock(&self.progress))
    }

    /// Folder of an attempt: held child, scratch files.
    #[must_use]
    pub fn attempt_dir(&self, attempt: &AttemptId) -> PathBuf {
        self.state_dir.join("attempts").join(attempt.folder())
    }

    /// Ends all tasks where they stand, as the death of the process would. Children live on.
    pub fn abort(&self) {
        lock(&self.tasks).abort_all();
    }

    /// Collects tasks that have ended, so that the set does not grow.
    pub(crate) fn reap(&self) {
        while lock(&self.tasks).try_join_next().is_some() {}
    }
}

#[cfg(test)]
mod tests;
