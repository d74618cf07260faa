//! The simulated network: messages of a session are lost, late, doubled and out of order; sessions break.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_agent::link::session::{Connection, Dial, DialFailed};
use cavalcade_common::id::HostId;
use cavalcade_controller::session::Sessions;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::machine::World;

/// How bad the network is, in chances per thousand messages.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Lost.
    pub lost: u64,
    /// Doubled.
    pub doubled: u64,
    /// Very late (up to 20 s).
    pub late: u64,
}

/// The controller as agents reach it: absent while it is down.
pub struct Switchboard {
    /// The world.
    pub world: Arc<World>,
    /// Sessions of the controller that is up, if one is.
    pub sessions: watch::Receiver<Option<Sessions>>,
    /// Tasks of the controller's side; they die with it.
    pub controller_tasks: Arc<std::sync::Mutex<JoinSet<()>>>,
    /// How bad it is now.
    pub weather: watch::Receiver<Weather>,
}

/// One agent's way to the controller.
pub struct SimDial {
    /// The host.
    pub host: HostId,
    /// Where to.
    pub board: Arc<Switchboard>,
}

#[async_trait]
impl Dial for SimDial {
    async fn dial(&self) -> Result<Connection, DialFailed> {
        tokio::time::sleep(Duration::from_millis(5 + self.board.world.below(50))).await;
        let Some(sessions) = self.board.sessions.borrow().clone() else { return Err(DialFailed("nobody listens".to_owned())) };
        let (agent_to, agent_out) = mpsc::channel(64);
        let (controller_in, controller_from) = mpsc::channel(64);
        let (controller_to, controller_out) = mpsc::channel(64);
        let (agent_in, agent_from) = mpsc::channel(64);
        let host = self.host.clone();
        let mut tasks = self.board.controller_tasks.lock().map_err(|_| DialFailed("the controller died".to_owned()))?;
        tasks.spawn(async move { sessions.serve(host, controller_from, controller_to).await });
        tasks.spawn(carry(self.board.clone(), agent_out, controller_in));
        tasks.spawn(carry(self.board.clone(), controller_out, agent_in));
        drop(tasks);
        Ok(Connection { to: agent_to, from: agent_from })
    }
}

/// Carries one direction until either end is gone.
async fn carry<T: Clone + Send + 'static>(board: Arc<Switchboard>, mut from: mpsc::Receiver<T>, to: mpsc::Sender<T>) {
    let mut under_way = JoinSet::new();
    loop {
        let message = tokio::select! {
            biased;
            () = to.closed() => return,
            message = from.recv() => message,
        };
        let Some(message) = message else { break };
        let weather = *board.weather.borrow();
        if board.world.chance(weather.lost) {
            continue;
        }
        let copies = if board.world.chance(weather.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            let late = board.world.chance(weather.late);
            let delay = Duration::from_millis(if late { 1_000 + board.world.below(19_000) } else { 1 + board.world.below(4) });
            let (message, to) = (message.clone(), to.clone());
            under_way.spawn(async move {
                tokio::time::sleep(delay).await;
                // The receiver is gone: the session broke with this message under way.
                let _ = to.send(message).await;
            });
        }
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}
