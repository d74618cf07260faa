//! The simulated network: messages of a session are lost, late, doubled and out of order; sessions break; what an older
//! controller sent comes up again in a session of a newer one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_agent::link::session::{Connection, Dial, DialFailed};
use cavalcade_common::id::{AttemptId, Epoch, HostId};
use cavalcade_common::message::ToAgent;
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
    /// Followed by one of an older controller.
    pub stale: u64,
}

impl Weather {
    /// Everything arrives.
    pub const CALM: Self = Self { lost: 0, doubled: 0, late: 0, stale: 0 };
}

/// What the network saw of the controller's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// An offer left the controller.
    OfferSent {
        /// Which.
        attempt: AttemptId,
    },
    /// An offer came to an agent.
    OfferCame {
        /// Where.
        host: String,
        /// Which life of the agent.
        life: u64,
        /// Which.
        attempt: AttemptId,
        /// The controller's term.
        epoch: Epoch,
    },
    /// A welcome came to an agent.
    WelcomeCame {
        /// Where.
        host: String,
        /// The controller's term.
        epoch: Epoch,
    },
}

/// Messages of older controllers to one host, with their terms.
type Old = BTreeMap<HostId, Vec<(Epoch, ToAgent)>>;

/// The controller as agents reach it: absent while it is down.
pub struct Switchboard {
    /// The world.
    pub world: Arc<World>,
    /// Sessions of the controller that is up, if one is.
    pub sessions: watch::Receiver<Option<Sessions>>,
    /// Tasks of the controller's side; they die with it.
    pub controller_tasks: Arc<Mutex<JoinSet<()>>>,
    /// How bad it is now.
    pub weather: watch::Receiver<Weather>,
    /// What was seen, in order.
    pub carried: Mutex<Vec<(Duration, Carried)>>,
    /// What comes up again.
    pub old: Mutex<Old>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Switchboard {
    fn saw(&self, carried: Carried) {
        lock(&self.carried).push((self.world.now(), carried));
    }

    /// A message left the controller.
    fn left(&self, host: &HostId, message: &ToAgent) {
        let epoch = match message {
            ToAgent::Offer(offer) => {
                self.saw(Carried::OfferSent { attempt: offer.attempt.clone() });
                offer.epoch
            }
            ToAgent::Withdraw { epoch, .. } | ToAgent::StopJob { epoch, .. } => *epoch,
            ToAgent::Welcome { .. }
            | ToAgent::Refuse { .. }
            | ToAgent::Ack { .. }
            | ToAgent::Permit { .. }
            | ToAgent::Probe { .. }
            | ToAgent::Ask { .. }
            | ToAgent::Heartbeat { .. } => return,
        };
        lock(&self.old).entry(host.clone()).or_default().push((epoch, message.clone()));
    }

    /// A message comes to an agent.
    fn came(&self, host: &HostId, message: &ToAgent) {
        let name = host.to_string();
        match message {
            ToAgent::Welcome { epoch, .. } => self.saw(Carried::WelcomeCame { host: name, epoch: *epoch }),
            ToAgent::Offer(offer) => {
                let life = self.world.lock().machine(&name).life;
                let (attempt, epoch) = (offer.attempt.clone(), offer.epoch);
                self.saw(Carried::OfferCame { host: name, life, attempt, epoch });
            }
            ToAgent::Refuse { .. }
            | ToAgent::Withdraw { .. }
            | ToAgent::StopJob { .. }
            | ToAgent::Ack { .. }
            | ToAgent::Permit { .. }
            | ToAgent::Probe { .. }
            | ToAgent::Ask { .. }
            | ToAgent::Heartbeat { .. } => {}
        }
    }

    /// A message of an older controller than the one that welcomed the agent last.
    fn stale(&self, host: &HostId) -> Option<ToAgent> {
        let newest = lock(&self.carried).iter().rev().find_map(|(_, c)| match c {
            Carried::WelcomeCame { host: of, epoch } if *of == host.as_str() => Some(*epoch),
            _ => None,
        })?;
        let old = lock(&self.old);
        let older: Vec<&ToAgent> = old.get(host)?.iter().filter(|(epoch, _)| *epoch < newest).map(|(_, m)| m).collect();
        let from = older.len().saturating_sub(4);
        let last = &older[from..];
        let pick = if last.is_empty() { return None } else { self.world.below(last.len() as u64) };
        last.get(usize::try_from(pick).ok()?).map(|m| (*m).clone())
    }
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
        tasks.spawn(carry(Way { board: self.board.clone(), watched: None }, agent_out, controller_in));
        let watched = Some(Watched { host: self.host.clone(), left: Switchboard::left, came: Switchboard::came });
        tasks.spawn(carry(Way { board: self.board.clone(), watched }, controller_out, agent_in));
        drop(tasks);
        Ok(Connection { to: agent_to, from: agent_from })
    }
}

/// A direction whose messages are written down.
#[derive(Clone)]
struct Watched<T> {
    host: HostId,
    left: fn(&Switchboard, &HostId, &T),
    came: fn(&Switchboard, &HostId, &T),
}

struct Way<T> {
    board: Arc<Switchboard>,
    watched: Option<Watched<T>>,
}

/// What may come up again in a direction.
trait Again: Sized {
    fn again(board: &Switchboard, host: &HostId) -> Option<Self>;
}

impl Again for ToAgent {
    fn again(board: &Switchboard, host: &HostId) -> Option<Self> {
        board.stale(host)
    }
}

impl Again for cavalcade_common::message::FromAgent {
    fn again(_: &Switchboard, _: &HostId) -> Option<Self> {
        None
    }
}

/// Carries one direction until either end is gone.
async fn carry<T: Again + Clone + Send + 'static>(way: Way<T>, mut from: mpsc::Receiver<T>, to: mpsc::Sender<T>) {
    let Way { board, watched } = way;
    let mut under_way = JoinSet::new();
    loop {
        let message = tokio::select! {
            biased;
            () = to.closed() => return,
            message = from.recv() => message,
        };
        let Some(message) = message else { break };
        if let Some(w) = &watched {
            (w.left)(&board, &w.host, &message);
        }
        let weather = *board.weather.borrow();
        let mut messages = Vec::new();
        if !board.world.chance(weather.lost) {
            messages.push(message.clone());
            messages.extend(board.world.chance(weather.doubled).then_some(message));
        }
        if let Some(w) = watched.as_ref().filter(|_| board.world.chance(weather.stale)) {
            messages.extend(T::again(&board, &w.host));
        }
        for message in messages {
            let late = board.world.chance(weather.late);
            let delay = Duration::from_millis(if late { 1_000 + board.world.below(19_000) } else { 1 + board.world.below(4) });
            let (to, watched, board) = (to.clone(), watched.clone(), board.clone());
            under_way.spawn(async move {
                tokio::time::sleep(delay).await;
                // The receiver is gone: the session broke with this message under way.
                let Ok(room) = to.reserve().await else { return };
                if let Some(w) = watched {
                    (w.came)(&board, &w.host, &message);
                }
                room.send(message);
            });
        }
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}
