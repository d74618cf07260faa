//! Permits at the moment of a launch (10, rule 15): the agent asks with a nonce, and the answer ages on the agent's own
//! monotonic clock from when it asked, so that no clock of another host and no delay on the way makes it younger.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::action::HttpCheck;
use cavalcade_common::id::AttemptId;
use cavalcade_common::plan::{Need, PlanStep};
use cavalcade_common::report::Evidence;
use regex::Regex;
use tokio::sync::{Notify, oneshot};

use super::bugs::Bugs;
use crate::action::{PermitRefused, PermitSource};
use crate::host::Host;

/// Oldest evidence that still permits a launch (promise 3).
pub const PERMIT_AGE: Duration = Duration::from_secs(60);
/// How long an answer is waited for: well below [`PERMIT_AGE`], since the checks from this node come on top.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const CHECK_LIMIT: Duration = Duration::from_secs(10);

type Answer = Result<Vec<Evidence>, String>;

/// Questions for permits that wait for their answers.
pub struct PermitDesk {
    host: Arc<dyn Host>,
    bugs: Bugs,
    open: Mutex<BTreeMap<String, (AttemptId, oneshot::Sender<Answer>)>>,
    /// A new question is there.
    pub asked: Notify,
}

impl PermitDesk {
    pub(super) fn new(host: Arc<dyn Host>, bugs: Bugs) -> Self {
        Self { host, bugs, open: Mutex::default(), asked: Notify::new() }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (AttemptId, oneshot::Sender<Answer>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All open questions: nonce and attempt. The link sends each until it is answered.
    #[must_use]
    pub fn questions(&self) -> Vec<(String, AttemptId)> {
        self.table().iter().map(|(n, (a, _))| (n.clone(), a.clone())).collect()
    }

    /// Takes an answer; one for a nonce that nobody waits for is dropped.
    pub fn answer(&self, nonce: &str, answer: Answer) {
        if let Some((_, waits)) = self.table().remove(nonce) {
            // The step gave up in the meantime: its question is gone with it.
            let _ = waits.send(answer);
        }
    }
}

#[async_trait]
impl PermitSource for PermitDesk {
    async fn obtain(&self, attempt: &AttemptId, step: &PlanStep) -> Result<Vec<Evidence>, PermitRefused> {
        if step.needs.is_empty() || self.bugs.launches_unpermitted() {
            return Ok(Vec::new());
        }
        let asked = self.host.monotonic();
        let nonce = self.host.random_id();
        let (send, receive) = oneshot::channel();
        self.table().insert(nonce.clone(), (attempt.clone(), send));
        self.asked.notify_one();
        let answer = tokio::time::timeout(ANSWER_LIMIT, receive).await;
        self.table().remove(&nonce);
        let mut evidence = match answer {
            Ok(Ok(Ok(evidence))) => evidence,
            Ok(Ok(Err(missing))) => return Err(PermitRefused(missing)),
            Ok(Err(_)) | Err(_) => return Err(PermitRefused("the controller gave no answer in 30 s".to_owned())),
        };
        evidence.extend(check_from_here(self.host.as_ref(), step).await?);
        let age = self.host.monotonic().saturating_sub(asked);
        if age > PERMIT_AGE {
            return Err(PermitRefused(format!("the evidence is {} s old, at most 60 s are allowed", age.as_secs())));
        }
        evidence.push(Evidence::holds("age of the permit at the launch", format!("{} ms", age.as_millis())));
        Ok(evidence)
    }
}

/// The checks that the launching node makes itself, through the addresses that its server will use.
///
/// # Errors
/// What was not as wanted.
pub async fn check_from_here(host: &dyn Host, step: &PlanStep) -> Result<Vec<Evidence>, PermitRefused> {
    let mut evidence = Vec::new();
    for need in &step.needs {
        let Need::Ready { via, .. } = need else { continue };
        for check in via {
            evidence.push(one_check(host, check).await.map_err(PermitRefused)?);
        }
    }
    Ok(evidence)
}

async fn one_check(host: &dyn Host, check: &HttpCheck) -> Result<Evidence, String> {
    let answer =
        host.http_get(check, CHECK_LIMIT).await.map_err(|e| format!("{} does not answer from this node: {e}", check.url))?;
    if !check.status.contains(&answer.status) {
        return Err(format!("{} answers {} to this node", check.url, answer.status));
    }
    if let Some(pattern) = &check.body {
        let pattern = Regex::new(pattern).map_err(|e| format!("the pattern for {} is not valid: {e}", check.url))?;
        if !pattern.is_match(&String::from_utf8_lossy(&answer.body)) {
            return Err(format!("{} answers {} without the body that says ready", check.url, answer.status));
        }
    }
    Ok(Evidence::holds(format!("{} from this node", check.url), format!("status {}", answer.status)))
}
