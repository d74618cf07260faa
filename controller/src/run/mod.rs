//! The only loop that changes state: input -> events -> journal -> state -> schedule, and only behind the journal what
//! others can see: messages, acks, answers, the view.
//!
//! Inputs that wait are taken together, so that one sync of the journal serves them all.

pub mod bugs;
pub mod input;
pub mod kept;
mod looks;
mod opening;
mod permit;
mod restores;
mod secrets;
mod services;
mod sessions;
mod supersede;
#[cfg(test)]
mod tests;
mod verbs;
pub mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cavalcade_common::action::Action;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, Epoch, HostId, NodeId, RunId, StepKey};
use cavalcade_common::message::{Answer, ApprovedRepeat, Offer, ToAgent};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::Progress;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::event::{Event, EventError, Who};
use crate::journal::{Journal, JournalError, NewEntry};
use crate::schedule::{Decision, Schedule, World, schedule};
use crate::state::transition::{Illegal, Moment};
use crate::state::{HostZone, State};
use crate::vault::Vault;
use bugs::Bugs;
use input::{Connected, Done, Input, SessionId};
use permit::PermitQuery;
use view::View;

/// Inputs that may wait for the loop.
pub const INPUT_ROOM: usize = 256;
const MOST_AT_ONCE: usize = 64;
const TICK: Duration = Duration::from_secs(1);
/// An attempt that was given back unbegun is offered again after this long at the earliest.
const GIVEN_BACK_PAUSE: Duration = Duration::from_secs(2);

/// The wall clock, for what people read.
pub trait WallClock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Why the loop ended. The process must end with it: nothing that is not in the journal may take effect.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal failed.
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    /// The journal holds an event that this program cannot read.
    #[error("the journal holds an event that this program cannot read")]
    Event(#[from] EventError),
    /// The journal's events do not follow on each other.
    #[error("the journal's events do not follow on each other at {position}")]
    Replay {
        /// Where.
        position: u64,
        /// Why.
        #[source]
        why: Illegal,
    },
}

type AnswerTo = oneshot::Sender<Result<Answer, Fault>>;
type DoneTo = oneshot::Sender<Result<Done, Fault>>;

struct Link {
    session: SessionId,
    to: mpsc::Sender<ToAgent>,
    /// What its hello said of another ledger than the journal's, and the session has not proved yet.
    unproved: Option<Event>,
    /// The time zone that its hello told, until the session shows that the hello is of today.
    zone: Option<HostZone>,
}

/// A look that was asked for.
struct Asked {
    run: RunId,
    host: HostId,
    node: NodeId,
    /// The nonce of the permit that it is for.
    permit: Option<String>,
}

/// The loop.
pub struct RunLoop {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn WallClock>,
    start: Instant,
    state: State,
    head: u64,
    world: World,
    links: BTreeMap<HostId, Link>,
    connected: BTreeMap<HostId, Connected>,
    progress: BTreeMap<AttemptId, (Duration, Progress)>,
    permits: BTreeMap<String, PermitQuery>,
    probes: BTreeMap<u64, Asked>,
    asks: BTreeMap<u64, (HostId, AnswerTo)>,
    looks: BTreeMap<u64, looks::UnderWay>,
    next_id: u64,
    schedules: BTreeMap<RunId, Schedule>,
    vault: Arc<Vault>,
    bugs: Bugs,
    // What a batch has produced, in order; it leaves behind the journal.
    events: Vec<NewEntry>,
    outbox: Vec<(HostId, ToAgent)>,
    replies: Vec<(DoneTo, Result<Done, Fault>)>,
    inputs: mpsc::Receiver<Input>,
    view: watch::Sender<Arc<View>>,
}

impl RunLoop {
    /// Replays the journal and takes a new term.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn open(
        journal: Arc<dyn Journal>,
        clock: Arc<dyn WallClock>,
        inputs: mpsc::Receiver<Input>,
        view: watch::Sender<Arc<View>>,
    ) -> Result<Self, RunError> {
        let mut state = State::default();
        let mut from = 1;
        loop {
            let entries = journal.read(from, 1000).await?;
            let Some(last) = entries.last() else { break };
            from = last.position + 1;
            for entry in entries {
                let event = Event::read(entry.kind, entry.body)?;
                let moment = Moment { position: entry.position, at: entry.at };
                state.apply(moment, &event).map_err(|why| RunError::Replay { position: entry.position, why })?;
            }
        }
        let epoch = journal.take_epoch().await?;
        let head = journal.head().await?;
        let mut this = Self {
            journal,
            clock,
            start: Instant::now(),
            state,
            head,
            world: World::default(),
            links: BTreeMap::new(),
            connected: BTreeMap::new(),
            progress: BTreeMap::new(),
            permits: BTreeMap::new(),
            probes: BTreeMap::new(),
            asks: BTreeMap::new(),
            looks: BTreeMap::new(),
            next_id: 1,
            schedules: BTreeMap::new(),
            vault: Arc::new(Vault::in_memory()),
            bugs: Bugs::default(),
            events: Vec::new(),
            outbox: Vec::new(),
            replies: Vec::new(),
            inputs,
            view,
        };
        this.happen_or_log(Event::EpochTaken { epoch });
        this.flush(epoch).await?;
        Ok(this)
    }

    /// Takes the values of secrets from here.
    #[must_use]
    pub fn with_vault(mut self, vault: Arc<Vault>) -> Self {
        self.vault = vault;
        self.look_for_secrets();
        self
    }

    /// Leaves guards out on purpose, in tests of the simulation's checkers.
    #[must_use]
    pub fn with_bugs(mut self, bugs: Bugs) -> Self {
        self.bugs = bugs;
        self
    }

    /// Runs until all senders of inputs are gone.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(mut self) -> Result<(), RunError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(MOST_AT_ONCE);
        loop {
            tokio::select! {
                biased;
                taken = self.inputs.recv_many(&mut batch, MOST_AT_ONCE) => if taken == 0 {
                    return Ok(());
                },
                _ = tick.tick() => {}
            }
            self.world.now = self.start.elapsed();
            self.world.wall = self.clock.now();
            for input in batch.drain(..) {
                self.take(input);
            }
            self.expire_permits();
            self.decide();
            self.flush(self.state.epoch).await?;
            self.publish();
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::SessionUp { host, session, hello, to } => self.session_up(host, session, &hello, to),
            Input::Message { host, session, message } => {
                if self.links.get(&host).is_some_and(|l| l.session == session) {
                    self.message(&host, message);
                }
            }
            Input::SessionDown { host, session } => self.session_down(&host, session),
            Input::Verb { who, order, reply } => {
                let result = self.verb(&who, *order);
                self.replies.push((reply, result));
            }
            Input::Ask { host, ask, reply } => self.ask(host, ask, reply),
        }
    }

    /// An event that must be legal here: it goes into the state and, with the batch, into the journal.
    ///
    /// # Errors
    /// [`Illegal`]; then nothing happened.
    fn happen(&mut self, event: Event) -> Result<(), Illegal> {
        let moment = Moment { position: self.head + self.events.len() as u64 + 1, at: self.clock.now() };
        let body = serde_json::to_value(&event);
        self.state.apply(moment, &event)?;
        match body {
            Ok(body) => {
                self.events.push(NewEntry { at: moment.at, run: event.run().cloned(), kind: event.number(), body });
            }
            // Maps with text keys and plain values: serde_json has no reason to refuse. If it did, going on without the
            // event in the journal would break promise 5.
            Err(error) => {
                tracing::error!(%error, "an event cannot be written as JSON");
                std::process::abort();
            }
        }
        Ok(())
    }

    /// An event that the loop itself derived; if it is not legal, the state is newer than what it was derived from.
    fn happen_or_log(&mut self, event: Event) -> bool {
        match self.happen(event) {
            Ok(()) => true,
            Err(why) => {
                tracing::warn!(%why, "an event did not follow");
                false
            }
        }
    }

    /// Asks the scheduler for every open run and carries out what it says.
    fn decide(&mut self) {
        self.schedules.clear();
        self.look_for_secrets();
        // The reserve of the disk is for outcomes of what runs (10, rule 31).
        self.world.no_room = self.journal.in_reserve() && !self.journal.refill();
        let runs: Vec<RunId> = self.state.open_runs().map(|r| r.id.clone()).collect();
        for id in runs {
            // A decision may open the way for the next one (a retry, then its offer): ask again until nothing new comes.
            // Each round but the last changes a step's phase or raises its one alarm, so this ends.
            while let Some(run) = self.state.runs.get(&id).filter(|r| !r.is_closed()) {
                let answer = schedule(&self.state, run, &self.world);
                let mut again = false;
                for decision in answer.decisions.clone() {
                    again |= self.carry_out(decision);
                }
                self.schedules.insert(id.clone(), answer);
                if !again {
                    break;
                }
            }
        }
    }

    /// Carries out one decision; says whether it changed the state.
    fn carry_out(&mut self, decision: Decision) -> bool {
        match decision {
            Decision::Offer { attempt, host } => {
                if !self.happen_or_log(Event::Offered { attempt: attempt.clone(), host: host.clone() }) {
                    return false;
                }
                self.send_offer(&host, &attempt);
                true
            }
            Decision::Probe { run, node } => {
                self.world.asked.insert(node.clone(), self.world.now);
                self.send_probe(&run, &node, None);
                false
            }
            Decision::Look { look, from } => {
                self.world.looking.insert(look.clone(), self.world.now);
                self.send_look(look, &from, None);
                false
            }
            Decision::Retry { run, step } => {
                let why = "the step's retry policy".to_owned();
                self.happen_or_log(Event::Retried { run, step, by: Who::policy(), why })
            }
            Decision::Alarm { attempt, planned } => {
                self.happen_or_log(Event::Alarmed { attempt, planned_seconds: planned.as_secs() })
            }
            Decision::Close { run, result } => {
                if let Some(state) = self.state.runs.get(&run) {
                    self.vault.forget(&state.plan.plan.fleet);
                }
                self.happen_or_log(Event::RunClosed { run, result })
            }
        }
    }

    /// Writes the batch's events, then lets out what they allow.
    async fn flush(&mut self, epoch: Epoch) -> Result<(), RunError> {
        if !self.events.is_empty() {
            self.head = self.journal.append(epoch, std::mem::take(&mut self.events)).await?;
        }
        for (host, message) in std::mem::take(&mut self.outbox) {
            self.send(&host, message);
        }
        for (reply, result) in self.replies.drain(..) {
            // The operator left: the verb is done all the same.
            let _ = reply.send(result);
        }
        Ok(())
    }

    fn publish(&self) {
        let view = View {
            state: Arc::new(self.state.clone()),
            schedules: self.schedules.clone(),
            connected: self.connected.clone(),
            progress: self.progress.clone(),
            seen: self.world.seen.clone(),
            now: self.world.now,
        };
        self.view.send_replace(Arc::new(view));
    }

    /// Puts a message into a session's queue; a full queue means a peer that stopped reading: its session is cut.
    fn send(&mut self, host: &HostId, message: ToAgent) {
        let Some(link) = self.links.get(host) else { return };
        if let Err(error) = link.to.try_send(message) {
            tracing::warn!(%host, %error, "the session is cut");
            let session = link.session;
            self.session_down(host, session);
        }
    }

    /// The offer of a step's current attempt.
    fn send_offer(&mut self, host: &HostId, attempt: &AttemptId) {
        let Some(run) = self.state.runs.get(&attempt.run) else { return };
        let (Some(step), Some(state)) = (run.plan_step(&attempt.step), run.step(&attempt.step)) else { return };
        let plan = &run.plan.plan;
        let home = plan.node(&attempt.step.node).and_then(|n| n.new.as_ref().or(n.old.as_ref())).map(|s| s.home.clone());
        // Without its secrets an offer would fail the step, or confirm it to an agent that could not go on.
        let Some((secrets, mut given)) = self.secrets_of(run, step) else { return };
        let also_hide = self.hidden_with(run, step, &mut given);
        // A restore may replace what an earlier one of this run made.
        let replaced = |name: &str| matches!(&step.action, Action::Restore(restore) if restore.database.name == name);
        let concerns = |name: &str| step.action.changes(name) || replaced(name);
        let incarnations = run.incarnations.iter().filter(|(name, _)| concerns(name));
        let incarnations: BTreeMap<String, String> = incarnations.map(|(n, i)| (n.clone(), i.clone())).collect();
        let effect = run.effect_key(step);
        let approved = state.approved.clone().zip(effect.clone()).map(|(a, effect)| ApprovedRepeat { effect, ..a });
        let step = PlanStep { effect, ..step.clone() };
        let offer = Offer {
            attempt: attempt.clone(),
            epoch: self.state.epoch,
            generation: self.state.highest_generation(),
            step,
            home,
            incarnations: incarnations.clone(),
            secrets,
            also_hide,
            given,
            hide: plan.hide.clone(),
            approved,
            decision: state.decision.clone(),
        };
        self.outbox.push((host.clone(), ToAgent::Offer(Box::new(offer))));
    }

    fn send_probe(&mut self, run: &RunId, node: &NodeId, permit: Option<String>) {
        let Some(node) = self.state.runs.get(run).and_then(|r| r.plan.plan.node(node)) else { return };
        let (host, probe) = (node.host.clone(), node.probe.clone());
        let old_home = node.old.as_ref().map(|o| o.home.clone());
        let node = node.id.clone();
        let id = self.id();
        self.probes.insert(id, Asked { run: run.clone(), host: host.clone(), node: node.clone(), permit });
        self.outbox.push((host, ToAgent::Probe { id, node, probe, old_home }));
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn pause_step(&mut self, step: StepKey, pause: Duration) {
        self.world.not_before.insert(step, self.world.now + pause);
    }
}
