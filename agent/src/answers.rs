//! Answers to the controller's questions. Nothing here changes anything but one: a job that a person ends.

pub(crate) mod databases;
mod logins;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_common::action::{Action, Evidence as Wanted, Job};
use cavalcade_common::id::AttemptId;
use cavalcade_common::message::{Answer, Ask, Seen};
use cavalcade_common::plan::Probe;
use cavalcade_common::report::Evidence;
use cavalcade_common::secret::SecretBook;

use crate::action::ArtifactSource;
use crate::action::job::judge_stored;
use crate::check;
use crate::executor::book::{book, preview_book};
use crate::executor::{Executor, SecretResolver};
use crate::facts;
use crate::host::{HeldState, Host};
use crate::link::session::Answers;
use crate::preview::Previewer;
use crate::probe;

/// What answers are made from.
pub struct HostAnswers {
    /// The machine.
    pub host: Arc<dyn Host>,
    /// The agent's state folder.
    pub state_dir: PathBuf,
    /// Where packs come from, for previews.
    pub artifacts: Arc<dyn ArtifactSource>,
    /// Where secrets come from, for previews.
    pub secrets: Arc<dyn SecretResolver>,
    /// The executor, for jobs.
    pub executor: Arc<Executor>,
}

#[async_trait]
impl Answers for HostAnswers {
    async fn answer(&self, ask: Ask) -> Result<Answer, String> {
        match ask {
            Ask::Facts(wanted) => {
                let mut all = facts::gather(&self.host, &wanted).await;
                for (node, found) in databases::facts(&wanted.databases, &wanted.secrets, self.secrets.as_ref()).await {
                    // `apply` may ask for a database alone.
                    all.entry(node).or_insert_with(|| serde_json::json!({}))["databases"] = found.into();
                }
                for (node, found) in logins::facts(&wanted.logins, &wanted.secrets, self.secrets.as_ref()).await {
                    all.entry(node).or_insert_with(|| serde_json::json!({}))["logins"] = found.into();
                }
                facts::state_disk(&self.host, &self.state_dir, &mut all).await;
                Ok(Answer::Facts(all))
            }
            Ask::Preview { steps, secrets, given, hide } => {
                let book = preview_book(self.secrets.as_ref(), &secrets, &given).await.map_err(|f| f.to_string())?;
                Ok(Answer::Previews(self.previewer(book, hide).all(&steps).await))
            }
            Ask::Check { steps, secrets, given, hide } => {
                if let Some(why) = check::refused(&steps) {
                    return Err(why);
                }
                let book = book(self.secrets.as_ref(), &secrets, &given).await.map_err(|f| f.to_string())?;
                Ok(Answer::Checked(check::all(&self.previewer(book, hide), &steps).await))
            }
            Ask::Strangers { database, but_from, secrets, given } => {
                let book = book(self.secrets.as_ref(), &secrets, &given).await.map_err(|f| f.to_string())?;
                databases::strangers(&database, but_from, &book).await.map(Answer::Strangers)
            }
            Ask::Rejudge { attempt, evidence } => self.rejudge(&attempt, &evidence).map(Answer::Judged),
        }
    }

    async fn probe(&self, probe: Option<Probe>, old_home: Option<String>) -> Seen {
        probe::probe(self.host.as_ref(), &self.state_dir, probe.as_ref(), old_home.as_deref()).await
    }

    async fn stop_job(&self, attempt: AttemptId, why: String) {
        let Some(job) = self.job(&attempt) else { return };
        // Another server of the same home, started by a person meanwhile, is none of this attempt's.
        match self.host.held(&self.executor.attempt_dir(&attempt), false) {
            Ok(Some(HeldState::Alive { .. })) => {}
            state => return tracing::warn!(%attempt, ?state, "nothing of this job lives; nothing was signalled"),
        }
        tracing::warn!(%attempt, %why, "a person ends this job");
        let ended = self
            .host
            .processes_of(job.home.as_ref())
            .and_then(|found| found.iter().try_for_each(|process| self.host.terminate(&process.id)));
        if let Err(error) = ended {
            tracing::error!(%attempt, %error, "the job's server could not be signalled");
        }
    }
}

impl HostAnswers {
    fn previewer(&self, secrets: SecretBook, hide: Vec<String>) -> Previewer {
        Previewer {
            host: self.host.clone(),
            state_dir: self.state_dir.clone(),
            artifacts: self.artifacts.clone(),
            secrets: Arc::new(secrets),
            hide: hide.into(),
        }
    }

    fn job(&self, attempt: &AttemptId) -> Option<Job> {
        let ledger = self.executor.ledger();
        match &ledger.state().attempts.get(attempt)?.offer.as_ref()?.step.action {
            Action::Job(job) => Some(job.clone()),
            _ => None,
        }
    }

    fn rejudge(&self, attempt: &AttemptId, wanted: &Wanted) -> Result<Vec<Evidence>, String> {
        let job = self.job(attempt).ok_or("this host has no such job in its ledger any more")?;
        judge_stored(self.host.as_ref(), &self.executor.attempt_dir(attempt), &job, wanted).map_err(|f| f.to_string())
    }
}
