//! Answers the operator's socket: reads go to the run loop's view and the stores, verbs go through the run loop.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::HostId;
use cavalcade_common::written::nearest;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::request::{
    ArtifactHasAnswer, ArtifactHasRequest, ArtifactPutAnswer, ArtifactPutRequest, FactsRequest, LogsRequest, PreviewRequest,
    ReportRequest, RevokeAnswer, RevokeRequest, SecretGiveRequest, StatusRequest, TokenAnswer, TokenRequest, VerbAnswer,
    VerbRequest,
};
use super::{apply, ask, logs, report, verify};
use crate::artifact::ArtifactStore;
use crate::event::Who;
use crate::logs::LogStore;
use crate::rpc::enrolment::{EnrolmentDesk, Revoked};
use crate::rpc::method::Method;
use crate::rpc::operator::{AnswerStream, Operator, OperatorHandler, UploadStream};
use crate::run::WallClock;
use crate::run::input::{Done, Input, Order, Verb, WindowWord};
use crate::run::view::View;
use crate::vault::Vault;
use crate::view::document::{self, Status};

/// Between two answers of `Watch`.
const WATCH_PAUSE: Duration = Duration::from_millis(200);
/// `Watch` answers at least this often, so that ages move.
const WATCH_IDLE: Duration = Duration::from_secs(1);

/// Everything that the answers are made from.
pub struct Operations {
    /// To the run loop.
    pub inputs: mpsc::Sender<Input>,
    /// From the run loop.
    pub view: watch::Receiver<Arc<View>>,
    /// Artifacts.
    pub artifacts: ArtifactStore,
    /// The central log.
    pub logs: LogStore,
    /// Tokens and certificates.
    pub desk: Arc<EnrolmentDesk>,
    /// Secrets that only the controller has.
    pub vault: Arc<Vault>,
    /// The wall clock.
    pub clock: Arc<dyn WallClock>,
    /// Address of the enrolment listener, as agents reach it.
    pub enrol_at: String,
    /// Ends all streams: the controller goes down.
    pub stop: CancellationToken,
}

fn read<T: DeserializeOwned>(request: Value) -> Result<T, Fault> {
    serde_json::from_value(request).map_err(|e| Fault::new(codes::operator::USAGE, format!("the request cannot be read: {e}")))
}

fn write<T: Serialize>(answer: &T) -> Result<Value, Fault> {
    serde_json::to_value(answer).map_err(|e| Fault::new(codes::operator::USAGE, format!("the answer cannot be written: {e}")))
}

fn missing(what: &str) -> Fault {
    Fault::new(codes::operator::USAGE, format!("the request names no {what}"))
}

impl Operations {
    /// The present snapshot.
    pub(super) fn now(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Gives an order to the run loop and waits until it is durable.
    pub(super) async fn order(&self, who: &Operator, order: Order) -> Result<Done, Fault> {
        let (reply, answer) = oneshot::channel();
        let gone = || Fault::new(codes::operator::NO_CONTROLLER, "the controller is ending");
        let who = Who(who.name.clone());
        self.inputs.send(Input::Verb { who, order: Box::new(order), reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn status(&self, request: &StatusRequest) -> Status {
        let view = self.now();
        let status = filtered(document::status(&view, self.clock.now()), request);
        let upgraded = if request.upgraded { document::upgraded(&view.state) } else { Vec::new() };
        Status { upgraded, ..status }
    }

    fn watch(&self, request: StatusRequest) -> AnswerStream {
        let (view, clock) = (self.view.clone(), self.clock.clone());
        let answers = stream::unfold((view, clock, request, true), |(mut view, clock, request, first)| async move {
            if !first {
                tokio::time::sleep(WATCH_PAUSE).await;
                // Nothing new: the ages have moved all the same.
                if let Ok(Err(_)) = tokio::time::timeout(WATCH_IDLE, view.changed()).await {
                    return None;
                }
            }
            let snapshot = view.borrow_and_update().clone();
            let answer = write(&filtered(document::status(&snapshot, clock.now()), &request));
            Some((answer, (view, clock, request, false)))
        });
        answers.boxed()
    }

    async fn verb_request(&self, who: &Operator, method: Method, r: VerbRequest) -> Result<Value, Fault> {
        let step = || r.step.clone().ok_or_else(|| missing("step"));
        let why = r.why.clone();
        let verb = match method {
            Method::Pause => Verb::Pause,
            Method::Resume => {
                let past = r.past_window.then_some(WindowWord::Past);
                Verb::Resume { window: r.window_end.map(WindowWord::Ends).or(past), why }
            }
            Method::NodeLost => {
                let host = HostId::new(r.host.clone().ok_or_else(|| missing("host"))?)
                    .map_err(|e| Fault::new(codes::operator::USAGE, e.to_string()))?;
                Verb::HostLost { host, why }
            }
            Method::Cancel => Verb::Cancel { why },
            Method::Approve => Verb::Approve { stage: r.stage.ok_or_else(|| missing("stage"))?, says: why },
            Method::Retry => Verb::Retry { step: step()?, why },
            Method::Skip => Verb::Skip { step: step()?, why },
            Method::Resolve => {
                let resolution = r.resolution.ok_or_else(|| missing("resolution"))?;
                Verb::Resolve { step: step()?, resolution, evidence: r.evidenced, why }
            }
            Method::StopJob => Verb::StopJob { step: step()?, why },
            Method::Restore if r.databases.is_empty() => return Err(missing("database")),
            Method::Restore => Verb::Restore { databases: r.databases.clone(), why },
            Method::Rejudge => {
                let evidence = ask::rejudge(self, r.run.as_deref(), &step()?, r.evidence.clone()).await?;
                Verb::Rejudge { step: step()?, evidence }
            }
            other => return Err(Fault::new(codes::operator::USAGE, format!("{other:?} is no verb"))),
        };
        let done = self.order(who, Order { run: r.run, at: r.at, verb }).await?;
        write(&VerbAnswer { run: done.run.to_string(), position: done.position, says: done.says })
    }

    async fn secret_give(&self, who: &Operator, request: SecretGiveRequest) -> Result<VerbAnswer, Fault> {
        let (name, value) = request.secret.into_iter().next().ok_or_else(|| missing("secret"))?;
        let order = Order { run: request.run, at: None, verb: Verb::Give { name, value, repin: request.repin } };
        let done = self.order(who, order).await?;
        Ok(VerbAnswer { run: done.run.to_string(), position: done.position, says: done.says })
    }

    async fn artifact_has(&self, request: ArtifactHasRequest) -> Result<ArtifactHasAnswer, Fault> {
        let mut answer = ArtifactHasAnswer { sizes: std::collections::BTreeMap::new() };
        for digest in request.sha256 {
            if self.artifacts.has(&digest).await.map_err(|e| e.fault())? {
                let size = self.artifacts.open_artifact(&digest).await.map_err(|e| e.fault())?.size;
                answer.sizes.insert(digest, size);
            }
        }
        Ok(answer)
    }

    fn token(&self, who: &Operator, request: &TokenRequest) -> Result<TokenAnswer, Fault> {
        let host = HostId::new(request.host.clone())
            .map_err(|e| Fault::new(codes::operator::USAGE, format!("{}: {e}", request.host)))?;
        let life = request.ttl_seconds.map(|s| jiff::SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX)));
        let now = self.clock.now();
        let tokens = self.desk.tokens.create(std::slice::from_ref(&host), life, &who.name, now).map_err(|e| e.fault())?;
        let token = tokens.first().ok_or_else(|| missing("host"))?;
        let expires = now + life.unwrap_or(crate::token::DEFAULT_LIFE);
        Ok(TokenAnswer { token: token.text().expose().to_owned(), expires, enrol_at: self.enrol_at.clone() })
    }

    fn revoke(&self, who: &Operator, request: &RevokeRequest) -> Result<RevokeAnswer, Fault> {
        let usage = |message: String| Fault::new(codes::operator::USAGE, message);
        let host = HostId::new(request.host.clone()).map_err(|e| usage(format!("{}: {e}", request.host)))?;
        if request.why.trim().is_empty() {
            return Err(usage("a revocation says why".to_owned()));
        }
        let known = self.desk.certificates.hosts();
        if !known.contains_key(&host) {
            let near = nearest(host.as_str(), known.keys().map(HostId::as_str)).map(|near| format!("`{near}` has one"));
            let fault = usage(format!("no agent of `{host}` ever got a certificate"));
            return Err(match near {
                Some(near) => fault.help(near),
                None => fault,
            });
        }
        let why = format!("{}: {}", who.name, request.why.trim());
        let Revoked { certificates, connections } = self.desk.revoke(&host, &why, self.clock.now())?;
        tracing::warn!(%host, by = %who.name, why = %request.why, connections, "a host was revoked");
        Ok(RevokeAnswer { certificates, connections })
    }
}

/// The answers, cut with an error when the controller goes down: a command tries again then, or says that they are not all.
fn until(answers: AnswerStream, stop: CancellationToken) -> AnswerStream {
    let cut = stream::unfold(Some((answers, stop)), |open| async move {
        let (mut answers, stop) = open?;
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                Some((Err(Fault::new(codes::operator::NO_CONTROLLER, "the controller is ending")), None))
            }
            answer = answers.next() => Some((answer?, Some((answers, stop)))),
        }
    });
    cut.boxed()
}

fn filtered(mut status: Status, request: &StatusRequest) -> Status {
    if let Some(run) = &request.run {
        status.runs.retain(|r| &r.run == run || r.plan.starts_with(run.as_str()));
    }
    status
}

#[async_trait]
impl OperatorHandler for Operations {
    async fn call(&self, who: &Operator, method: Method, request: Value) -> Result<Value, Fault> {
        match method {
            Method::Status | Method::NodeList => write(&self.status(&read(request)?)),
            Method::Apply => write(&apply::apply(self, who, read(request)?).await?),
            Method::Facts => write(&ask::facts(self, read::<FactsRequest>(request)?).await),
            Method::Verify => write(&verify::verify(self, read(request)?).await?),
            Method::SecretGive => write(&self.secret_give(who, read(request)?).await?),
            Method::Report => write(&report::report(self, &read::<ReportRequest>(request)?).await?),
            Method::TokenCreate => write(&self.token(who, &read(request)?)?),
            Method::ArtifactHas => write(&self.artifact_has(read(request)?).await?),
            Method::HostRevoke => write(&self.revoke(who, &read(request)?)?),
            Method::Pause
            | Method::Resume
            | Method::Cancel
            | Method::Retry
            | Method::Skip
            | Method::Approve
            | Method::Resolve
            | Method::Rejudge
            | Method::StopJob
            | Method::NodeLost
            | Method::Restore => self.verb_request(who, method, read(request)?).await,
            Method::Watch | Method::Logs | Method::Preview | Method::ArtifactPut => {
                Err(Fault::new(codes::operator::USAGE, format!("{method:?} is not answered this way")))
            }
        }
    }

    async fn stream(&self, _who: &Operator, method: Method, request: Value) -> Result<AnswerStream, Fault> {
        let answers = match method {
            Method::Watch => self.watch(read(request)?),
            Method::Logs => logs::lines(&self.logs, &self.now().state, read::<LogsRequest>(request)?).await?,
            Method::Preview => ask::preview(self, read::<PreviewRequest>(request)?)?,
            other => return Err(Fault::new(codes::operator::USAGE, format!("{other:?} gives no stream"))),
        };
        Ok(until(answers, self.stop.clone()))
    }

    async fn put_artifact(&self, _who: &Operator, request: Value, bytes: UploadStream) -> Result<Value, Fault> {
        let request: ArtifactPutRequest = read(request)?;
        let bytes: BoxStream<'static, std::io::Result<tonic::codegen::Bytes>> =
            bytes.map(|b| b.map(tonic::codegen::Bytes::from).map_err(|fault| std::io::Error::other(fault.to_string()))).boxed();
        let reader = tokio_util::io::StreamReader::new(bytes);
        let (sha256, size) = self.artifacts.put(reader, request.sha256).await.map_err(|e| e.fault())?;
        write(&ArtifactPutAnswer { sha256, size })
    }
}
