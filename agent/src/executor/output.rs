//! Output of one attempt: lines go to the log, progress to the link, the end of work to the ledger.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use cavalcade_common::id::AttemptId;
use cavalcade_common::report::{Observation, Progress};
use cavalcade_common::secret::SecretBook;

use super::{Executor, LineOrigin, LineSink};
use crate::action::OutputSink;

/// Most observations of one attempt. A server that comes and goes all the time is told by its first changes.
const MOST_SEEN: usize = 32;

pub(super) struct AttemptOutput {
    executor: Weak<Executor>,
    attempt: AttemptId,
    origin: LineOrigin,
    lines: Arc<dyn LineSink>,
    secrets: Arc<SecretBook>,
    observed: Mutex<Vec<Observation>>,
}

impl AttemptOutput {
    pub(super) fn new(executor: &Arc<Executor>, attempt: &AttemptId, secrets: Arc<SecretBook>) -> Self {
        let origin = LineOrigin {
            node: attempt.step.node.clone(),
            run: attempt.run.clone(),
            step: format!("{}.{}", attempt.step.stage, attempt.step.step),
            attempt: attempt.number,
        };
        Self {
            executor: Arc::downgrade(executor),
            attempt: attempt.clone(),
            origin,
            lines: executor.lines.clone(),
            secrets,
            observed: Mutex::default(),
        }
    }

    /// What was seen of servers so far.
    pub(super) fn observed(&self) -> Vec<Observation> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl OutputSink for AttemptOutput {
    fn progress(&self, progress: Progress) {
        if let Some(executor) = self.executor.upgrade() {
            executor.note_progress(&self.attempt, Progress { label: self.secrets.redact(&progress.label), ..progress });
        }
    }

    fn line(&self, stream: &str, line: &str) {
        self.lines.line(&self.origin, stream, &self.secrets.redact(line));
    }

    fn work_ended(&self, shown_by: &str) {
        let Some(executor) = self.executor.upgrade() else { return };
        let written = executor.ledger().work_ended(&self.attempt, &self.secrets.redact(shown_by));
        if let Err(error) = written {
            executor.fail(error);
        }
        executor.news.notify_one();
    }

    fn saw(&self, observation: Observation) {
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |seen: &&Observation| seen.home == observation.home;
        let known = observed.iter().rev().find(same).is_some_and(|seen| seen.sight == observation.sight);
        if !known && observed.len() < MOST_SEEN {
            observed.push(observation);
        }
    }
}
