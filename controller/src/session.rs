//! One connected agent: waits for its hello, then hands its messages to the run loop until it falls silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cavalcade_common::id::HostId;
use cavalcade_common::message::{FromAgent, ToAgent};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::run::input::{Input, SessionId};

/// An agent that says nothing for this long is unreachable: its heartbeats come every 5 s.
pub const SILENCE: Duration = Duration::from_secs(25);

/// Serves sessions into one run loop.
#[derive(Clone)]
pub struct Sessions {
    inputs: mpsc::Sender<Input>,
    next: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// What a session heard.
enum Next {
    Message(Box<FromAgent>),
    Over,
    Silent,
}

impl Sessions {
    /// Sessions that feed this loop.
    #[must_use]
    pub fn new(inputs: mpsc::Sender<Input>) -> Self {
        Self { inputs, next: Arc::new(AtomicU64::new(1)), stop: CancellationToken::new() }
    }

    /// The same sessions, ended when this is cancelled: the controller goes down, work at the agents goes on.
    #[must_use]
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// The next message; `None` when the session is over.
    async fn next(&self, from: &mut mpsc::Receiver<FromAgent>) -> Next {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Next::Over,
            message = tokio::time::timeout(SILENCE, from.recv()) => match message {
                Ok(Some(message)) => Next::Message(Box::new(message)),
                Ok(None) => Next::Over,
                Err(_) => Next::Silent,
            },
        }
    }

    /// Serves one session until either side ends it. `host` is the name of the certificate.
    pub async fn serve(&self, host: HostId, mut from: mpsc::Receiver<FromAgent>, to: mpsc::Sender<ToAgent>) {
        let session = SessionId(self.next.fetch_add(1, Ordering::Relaxed));
        match self.next(&mut from).await {
            Next::Message(message) => match *message {
                FromAgent::Hello(hello) => {
                    let up = Input::SessionUp { host: host.clone(), session, hello: Box::new(hello), to: to.clone() };
                    if self.inputs.send(up).await.is_err() {
                        return;
                    }
                }
                _ => {
                    // The queue is new and empty; a peer that is gone needs no answer.
                    let _ = to.try_send(ToAgent::Refuse { why: "a session begins with a hello".to_owned() });
                    return;
                }
            },
            Next::Over | Next::Silent => return,
        }
        drop(to);
        loop {
            let message = match self.next(&mut from).await {
                Next::Message(message) => *message,
                Next::Over => break,
                Next::Silent => {
                    tracing::warn!(%host, "silent for 25 s: the session is ended; its work there may still go on");
                    break;
                }
            };
            if self.inputs.send(Input::Message { host: host.clone(), session, message }).await.is_err() {
                return;
            }
        }
        // The loop is gone when this fails, and with it everything that the session could tell.
        let _ = self.inputs.send(Input::SessionDown { host, session }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_ends_when_the_controller_goes_down() {
        let (inputs, mut taken) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let sessions = Sessions::new(inputs).until(stop.clone());
        let (to_session, from) = mpsc::channel(8);
        let (to, _kept) = mpsc::channel(8);
        let hello = cavalcade_common::message::Hello {
            version: 1,
            host: HostId::new("h").expect("a name"),
            incarnation: cavalcade_common::id::Incarnation("ab".to_owned()),
            program: "test".to_owned(),
            highest_epoch: cavalcade_common::id::Epoch(0),
            last_seq: 0,
            acked: 0,
            marks: std::collections::BTreeMap::new(),
            open: Vec::new(),
            utc_offset_seconds: 0,
            zone: String::new(),
            now: jiff::Timestamp::UNIX_EPOCH,
        };
        to_session.send(FromAgent::Hello(hello)).await.expect("is open");
        let host = HostId::new("h").expect("a name");
        let served = tokio::spawn(async move { sessions.serve(host, from, to).await });
        assert!(matches!(taken.recv().await, Some(Input::SessionUp { .. })));
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(60), served).await.expect("in time").expect("ends");
        assert!(matches!(taken.recv().await, Some(Input::SessionDown { .. })), "the loop hears of it");
    }
}
