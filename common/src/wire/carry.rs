//! Carries the messages of one session between its stream and the logic, the same on both sides.

use std::time::Duration;

use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::{Inbound, Outbound, WireError, Wired};

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionEnd {
    /// The peer closed its stream.
    #[error("the peer ended the session")]
    Peer,
    /// The logic of this side dropped its end.
    #[error("this side ended the session")]
    Logic,
    /// The connection broke, or the peer refused.
    #[error("the connection is lost")]
    Lost(#[source] Box<Status>),
    /// A message of the peer is none, or one of ours cannot be sent.
    #[error("a message cannot be carried")]
    Wire(#[source] WireError),
}

/// How long this side waits, after its own end, for the peer to take what is still on its way.
const LINGER: Duration = Duration::from_secs(2);

/// Carries messages until either side ends the session. What the logic said before it dropped an end is still sent (a
/// refusal, for example).
///
/// Both channels are bounded; a logic that stops reading makes the peer's sends wait, by the flow control of the stream.
pub async fn carry<In, Out>(
    mut inbound: Streaming<In::Wire>,
    to_logic: mpsc::Sender<In>,
    mut from_logic: mpsc::Receiver<Out>,
    to_peer: mpsc::Sender<Result<Out::Wire, Status>>,
) -> SessionEnd
where
    In: Wired,
    Out: Wired + Clone,
{
    let mut outbound = Outbound::<Out>::default();
    let end = tokio::select! {
        biased;
        end = send(&mut outbound, &mut from_logic, &to_peer) => end,
        end = receive(&mut inbound, &to_logic) => end,
        () = to_logic.closed() => SessionEnd::Logic,
    };
    drop(to_logic);
    match &end {
        SessionEnd::Logic | SessionEnd::Peer => {
            from_logic.close();
            send(&mut outbound, &mut from_logic, &to_peer).await;
        }
        // The peer's log names the reason too (an oversized message, for example); if it is gone there is nobody to tell.
        SessionEnd::Wire(error) => drop(to_peer.send(Err(Status::invalid_argument(error.fault().to_string()))).await),
        SessionEnd::Lost(status) => drop(to_peer.send(Err(Status::clone(status))).await),
    }
    drop(to_peer);
    if matches!(end, SessionEnd::Logic) {
        // A client that drops its half of the stream cancels the call, and with it what is still on its way.
        let peer_ends = async { while let Ok(Some(_)) = inbound.message().await {} };
        if tokio::time::timeout(LINGER, peer_ends).await.is_err() {
            tracing::debug!("the peer did not end the session in time");
        }
    }
    end
}

async fn send<Out: Wired + Clone>(
    outbound: &mut Outbound<Out>,
    from_logic: &mut mpsc::Receiver<Out>,
    to_peer: &mpsc::Sender<Result<Out::Wire, Status>>,
) -> SessionEnd {
    loop {
        let message = tokio::select! {
            biased;
            () = to_peer.closed() => return SessionEnd::Peer,
            message = from_logic.recv() => match message {
                Some(message) => message,
                None => return SessionEnd::Logic,
            },
        };
        let pieces = match outbound.encode(message) {
            Ok(pieces) => pieces,
            Err(error) => return SessionEnd::Wire(error),
        };
        for piece in pieces {
            if to_peer.send(Ok(piece)).await.is_err() {
                return SessionEnd::Peer;
            }
        }
    }
}

async fn receive<In: Wired>(inbound: &mut Streaming<In::Wire>, to_logic: &mpsc::Sender<In>) -> SessionEnd {
    let mut parts = Inbound::<In>::default();
    loop {
        let wire = match inbound.message().await {
            Ok(Some(wire)) => wire,
            Ok(None) => return SessionEnd::Peer,
            Err(status) => return SessionEnd::Lost(Box::new(status)),
        };
        match parts.decode(wire) {
            Ok(None) => {}
            Ok(Some(message)) => {
                if to_logic.send(message).await.is_err() {
                    return SessionEnd::Logic;
                }
            }
            Err(error) => return SessionEnd::Wire(error),
        }
    }
}
