//! One connected agent: waits for its hello, then hands its messages to the run loop until it falls silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cavalcade_common::id::HostId;
use cavalcade_common::message::{FromAgent, ToAgent};
use tokio::sync::mpsc;

use crate::run::input::{Input, SessionId};

/// An agent that says nothing for this long is unreachable: its heartbeats come every 5 s.
pub const SILENCE: Duration = Duration::from_secs(25);

/// Serves sessions into one run loop.
#[derive(Clone)]
pub struct Sessions {
    inputs: mpsc::Sender<Input>,
    next: Arc<AtomicU64>,
}

impl Sessions {
    /// Sessions that feed this loop.
    #[must_use]
    pub fn new(inputs: mpsc::Sender<Input>) -> Self {
        Self { inputs, next: Arc::new(AtomicU64::new(1)) }
    }

    /// Serves one session until either side ends it. `host` is the name of the certificate.
    pub async fn serve(&self, host: HostId, mut from: mpsc::Receiver<FromAgent>, to: mpsc::Sender<ToAgent>) {
        let session = SessionId(self.next.fetch_add(1, Ordering::Relaxed));
        match tokio::time::timeout(SILENCE, from.recv()).await {
            Ok(Some(FromAgent::Hello(hello))) => {
                let up = Input::SessionUp { host: host.clone(), session, hello: Box::new(hello), to: to.clone() };
                if self.inputs.send(up).await.is_err() {
                    return;
                }
            }
            Ok(Some(_)) => {
                // The queue is new and empty; a peer that is gone needs no answer.
                let _ = to.try_send(ToAgent::Refuse { why: "a session begins with a hello".to_owned() });
                return;
            }
            Ok(None) | Err(_) => return,
        }
        drop(to);
        loop {
            let message = match tokio::time::timeout(SILENCE, from.recv()).await {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(_) => {
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
