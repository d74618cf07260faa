//! From a request to the run loop's verb, and there and back. The simulation's operators come in here, too.

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::HostId;
use tokio::sync::{mpsc, oneshot};

use super::request::VerbRequest;
use crate::event::Who;
use crate::rpc::method::Method;
use crate::run::input::{Done, Input, Order, Verb, WindowWord};

pub(super) fn missing(what: &str) -> Fault {
    Fault::new(codes::operator::USAGE, format!("the request names no {what}"))
}

/// The verb that a request means.
///
/// # Errors
/// [`codes::operator::USAGE`]: something is missing, or the method is no verb that the request tells whole (`Rejudge`: an
/// agent judges first).
pub fn verb(method: Method, request: &VerbRequest) -> Result<Verb, Fault> {
    let step = || request.step.clone().ok_or_else(|| missing("step"));
    let why = request.why.clone();
    Ok(match method {
        Method::Pause => Verb::Pause,
        Method::Resume => {
            let past = request.past_window.then_some(WindowWord::Past);
            Verb::Resume { window: request.window_end.map(WindowWord::Ends).or(past), why }
        }
        Method::NodeLost => {
            let host = HostId::new(request.host.clone().ok_or_else(|| missing("host"))?)
                .map_err(|e| Fault::new(codes::operator::USAGE, e.to_string()))?;
            Verb::HostLost { host, why }
        }
        Method::Cancel => Verb::Cancel { why },
        Method::Approve => Verb::Approve { stage: request.stage.ok_or_else(|| missing("stage"))?, says: why },
        Method::Retry => Verb::Retry { step: step()?, why },
        Method::Skip => Verb::Skip { step: step()?, why },
        Method::Resolve => {
            let resolution = request.resolution.ok_or_else(|| missing("resolution"))?;
            Verb::Resolve { step: step()?, resolution, evidence: request.evidenced, why }
        }
        Method::StopJob => Verb::StopJob { step: step()?, why },
        Method::Restore if request.databases.is_empty() => return Err(missing("database")),
        Method::Restore => Verb::Restore { databases: request.databases.clone(), why },
        other => return Err(Fault::new(codes::operator::USAGE, format!("{other:?} is no verb"))),
    })
}

/// Gives an order to the run loop and waits until it is durable.
///
/// # Errors
/// Those of the verb; [`codes::operator::NO_CONTROLLER`].
pub async fn order(inputs: &mpsc::Sender<Input>, who: Who, order: Order) -> Result<Done, Fault> {
    let (reply, answer) = oneshot::channel();
    let gone = || Fault::new(codes::operator::NO_CONTROLLER, "the controller is ending");
    inputs.send(Input::Verb { who, order: Box::new(order), reply }).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}
