//! The controller as the commands reach it: typed requests and answers, a limit on every wait, and what is certain when
//! it goes away in the middle.

use std::time::Duration;

use cavalcade_common::codes::{link as link_codes, operator as codes};
use cavalcade_common::error::Fault;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::context::Context;
use super::failure::Failure;
use crate::operate::request::{FACTS_LIMIT, StatusRequest};
use crate::rpc::client::OperatorClient;
use crate::rpc::method::Method;
use crate::view::document::{RunStatus, Status};

/// How long an answer from the controller's own memory may take.
const SOON: Duration = Duration::from_secs(30);
/// How long an answer may take for which agents are asked: longer than the controller waits for any of them, so that
/// one that hangs does not take the answers of the others along.
const AGENTS: Duration = FACTS_LIMIT.saturating_add(Duration::from_secs(60));

/// A connection.
#[derive(Debug, Clone)]
pub(super) struct Controller {
    client: OperatorClient,
}

impl Controller {
    /// Connects to the controller of the state folder.
    pub(super) async fn connect(context: &Context) -> Result<Self, Failure> {
        let help = format!("is `cavalcade serve` running, and is {} its state folder?", context.state.display());
        let connecting = async { OperatorClient::connect(&context.state).await.map_err(|fault| fault.help(help)) };
        let connected = within(Duration::from_secs(30), connecting).await;
        Ok(Self { client: connected? })
    }

    /// The client beneath, for uploads.
    pub(super) fn client(&self) -> &OperatorClient {
        &self.client
    }

    /// Asks something that changes nothing.
    pub(super) async fn ask<A: DeserializeOwned>(&self, method: Method, request: &impl Serialize) -> Result<A, Failure> {
        let (request, limit) = (value(request)?, limit(method));
        let call = self.client.call(method, &request);
        match limit {
            Some(limit) => typed(within(limit, call).await?),
            None => typed(call.await?),
        }
    }

    /// Orders something. Where the controller goes away before it answers, nobody knows whether it was done.
    pub(super) async fn order<A: DeserializeOwned>(&self, method: Method, request: &impl Serialize) -> Result<A, Failure> {
        let answer = within(AGENTS, self.client.call(method, &value(request)?)).await;
        answer.map_err(unsure).and_then(typed)
    }

    /// Asks for a stream of answers.
    pub(super) async fn stream<A: DeserializeOwned + 'static>(
        &self,
        method: Method,
        request: &impl Serialize,
    ) -> Result<BoxStream<'static, Result<A, Failure>>, Failure> {
        let request = value(request)?;
        let answers = within(AGENTS, self.client.stream(method, &request)).await?;
        Ok(answers.map(|answer| typed(answer?)).boxed())
    }

    /// The status document.
    pub(super) async fn status(&self, run: Option<&str>) -> Result<Status, Failure> {
        self.ask(Method::Status, &StatusRequest { run: run.map(str::to_owned), upgraded: false }).await
    }

    /// The status document with what finished runs made.
    pub(super) async fn status_with_upgraded(&self) -> Result<Status, Failure> {
        self.ask(Method::Status, &StatusRequest { run: None, upgraded: true }).await
    }

    /// The open run of this name, or the only one.
    pub(super) async fn open_run(&self, name: Option<&str>) -> Result<RunStatus, Failure> {
        let runs = self.status(name).await?.runs;
        let mut open = runs.into_iter().filter(|r| r.closed_at.is_none());
        let none = |what: String| Failure::from(Fault::new(cavalcade_common::codes::run::NO_RUN, what));
        match (open.next(), open.next()) {
            (Some(run), None) => Ok(run),
            (None, _) => {
                Err(none(name.map_or_else(|| "no run is open".to_owned(), |name| format!("no open run is called {name}"))))
            }
            (Some(a), Some(b)) => {
                let what = format!("several runs are open ({} of fleet {}, {} of fleet {})", a.run, a.fleet, b.run, b.fleet);
                Err(Fault::new(cavalcade_common::codes::run::NO_RUN, what).help("say which: --run RUN").into())
            }
        }
    }
}

/// How long the answer to a question may take. The steps of `verify` wait as long as they were told to, one after the
/// other, and the controller bounds their sum: Ctrl-C ends that wait.
fn limit(method: Method) -> Option<Duration> {
    match method {
        Method::Verify => None,
        Method::Facts | Method::Report => Some(AGENTS),
        _ => Some(SOON),
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Failure> {
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => {
            let message = format!("the controller did not answer within {} s", limit.as_secs());
            Err(Fault::new(codes::NO_CONTROLLER, message).into())
        }
    }
}

fn unsure(failure: Failure) -> Failure {
    match failure.is_unreachable() {
        true => failure.changed("Whether the command was carried out is not known: look at `cavalcade status`."),
        false => failure,
    }
}

fn value(request: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(request).map_err(|error| Failure::usage(format!("the request cannot be written: {error}")))
}

fn typed<A: DeserializeOwned>(answer: Value) -> Result<A, Failure> {
    serde_json::from_value(answer).map_err(|error| {
        let message = format!("the controller's answer is not understood: {error}");
        Fault::new(link_codes::WIRE, message).help("both programs must have the same version").into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_is_given_up_before_the_controller_gives_up_its_agents() {
        assert!(limit(Method::Facts) > Some(FACTS_LIMIT) && AGENTS > FACTS_LIMIT);
        assert_eq!(limit(Method::Verify), None);
        assert_eq!(limit(Method::Status), Some(SOON));
    }
}
