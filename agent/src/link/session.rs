//! The agent's side of the link: dial, say hello, then pump until the session ends; and again, with backoff.
//!
//! What is sent again until it is acked: every report. What may be lost: progress, heartbeats. Questions for permits are
//! repeated in every session until they are answered or given up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backoff::BackoffBuilder;
use cavalcade_common::id::{HostId, NodeId};
use cavalcade_common::message::{Answer, Ask, FromAgent, Heartbeat, Hello, LINK_VERSION, ToAgent};
use cavalcade_common::plan::Probe;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::executor::Executor;
use crate::ledger::LedgerError;

/// Time between heartbeats.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// Without any message of the controller for this long the session is given up.
pub const SILENCE: Duration = Duration::from_secs(25);
/// Reports that are not acked are sent again after this long.
const RESEND: Duration = Duration::from_secs(10);
const MOST_BACKOFF: Duration = Duration::from_secs(15);

/// The two ends of an open connection.
pub struct Connection {
    /// Towards the controller. Bounded: a full queue holds the pump up, never the executor.
    pub to: mpsc::Sender<FromAgent>,
    /// From the controller. Closed when the connection is gone.
    pub from: mpsc::Receiver<ToAgent>,
}

/// Opens connections.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Opens one.
    async fn dial(&self) -> Result<Connection, DialFailed>;
}

/// A connection that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the controller cannot be reached: {0}")]
pub struct DialFailed(pub String);

/// Answers questions that change nothing.
#[async_trait]
pub trait Answers: Send + Sync {
    /// Facts, previews, judgements.
    async fn answer(&self, ask: Ask) -> Result<Answer, String>;
    /// A probe of one node's servers.
    async fn probe(&self, probe: Option<Probe>, old_home: Option<String>) -> cavalcade_common::message::Seen;
    /// A person ended a never-interrupted job.
    async fn stop_job(&self, attempt: cavalcade_common::id::AttemptId, why: String);
}

/// What the agent is, for its hello.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The host's name, as in its certificate.
    pub host: HostId,
    /// Version of this program.
    pub program: String,
}

/// Why the link loop ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkEnd {
    /// The ledger failed; the process must end.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Why one session ended.
#[derive(Debug)]
enum SessionEnd {
    Gone(String),
    Ledger(LedgerError),
}

impl From<LedgerError> for SessionEnd {
    fn from(e: LedgerError) -> Self {
        Self::Ledger(e)
    }
}

/// Keeps a session open for ever. Returns only when the ledger failed.
///
/// # Errors
/// [`LinkEnd::Ledger`].
pub async fn keep(
    executor: Arc<Executor>,
    identity: Identity,
    dial: Arc<dyn Dial>,
    answers: Arc<dyn Answers>,
) -> Result<(), LinkEnd> {
    let pauses = || {
        backoff::ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(MOST_BACKOFF)
            .without_max_times()
            .build()
    };
    let mut pause = pauses();
    loop {
        if let Some(error) = executor.take_failure() {
            return Err(error.into());
        }
        match dial.dial().await {
            Ok(connection) => {
                let (end, welcomed) = Session::new(&executor, &answers, connection).run(&identity).await;
                match end {
                    SessionEnd::Ledger(error) => return Err(error.into()),
                    SessionEnd::Gone(why) => tracing::warn!(%why, "the session ended; the agent dials again"),
                }
                if welcomed {
                    pause = pauses();
                }
            }
            Err(error) => tracing::debug!(%error, "dial"),
        }
        tokio::time::sleep(pause.next().unwrap_or(MOST_BACKOFF)).await;
    }
}

struct Session<'a> {
    executor: &'a Arc<Executor>,
    answers: &'a Arc<dyn Answers>,
    to: mpsc::Sender<FromAgent>,
    from: mpsc::Receiver<ToAgent>,
    /// Reports sent in this session, up to this sequence.
    sent: u64,
    sent_at: Instant,
    heard: Instant,
    beats: u64,
    asked: BTreeSet<String>,
    /// Answers of tasks that look at something.
    answered: (mpsc::Sender<FromAgent>, mpsc::Receiver<FromAgent>),
}

impl<'a> Session<'a> {
    fn new(executor: &'a Arc<Executor>, answers: &'a Arc<dyn Answers>, connection: Connection) -> Self {
        let now = Instant::now();
        let Connection { to, from } = connection;
        Self {
            executor,
            answers,
            to,
            from,
            sent: 0,
            sent_at: now,
            heard: now,
            beats: 0,
            asked: BTreeSet::new(),
            answered: mpsc::channel(16),
        }
    }

    /// Runs the session. The flag says whether the controller welcomed it.
    async fn run(mut self, identity: &Identity) -> (SessionEnd, bool) {
        match self.greet(identity).await {
            Err(end) => (end, false),
            Ok(()) => match self.pump().await {
                Err(end) => (end, true),
                Ok(never) => match never {},
            },
        }
    }

    async fn greet(&mut self, identity: &Identity) -> Result<(), SessionEnd> {
        let now = self.executor.host.now();
        let zone = jiff::tz::TimeZone::system();
        let hello = {
            let ledger = self.executor.ledger();
            let state = ledger.state();
            Hello {
                version: LINK_VERSION,
                host: identity.host.clone(),
                incarnation: state.incarnation.clone().unwrap_or_else(|| cavalcade_common::id::Incarnation(String::new())),
                program: identity.program.clone(),
                highest_epoch: state.epoch,
                last_seq: state.last_seq,
                acked: state.acked,
                marks: state.marks.clone(),
                open: state.open().cloned().collect(),
                utc_offset_seconds: zone.to_offset(now).seconds(),
                zone: zone.iana_name().unwrap_or_default().to_owned(),
                now,
            }
        };
        self.send(FromAgent::Hello(hello)).await?;
        match tokio::time::timeout(SILENCE, self.from.recv()).await {
            Ok(Some(ToAgent::Welcome { epoch, acked })) => {
                let mut ledger = self.executor.ledger();
                if epoch < ledger.state().epoch {
                    return Err(SessionEnd::Gone(format!(
                        "the controller's term {} is older than {}",
                        epoch.0,
                        ledger.state().epoch.0
                    )));
                }
                let generation = ledger.state().generation;
                ledger.fence(epoch, generation)?;
                ledger.ack(acked)?;
                Ok(())
            }
            Ok(Some(ToAgent::Refuse { why })) => Err(SessionEnd::Gone(format!("the controller refused the session: {why}"))),
            Ok(Some(_)) => Err(SessionEnd::Gone("the controller did not begin with a welcome".to_owned())),
            Ok(None) => Err(SessionEnd::Gone("the connection closed before the welcome".to_owned())),
            Err(_) => Err(SessionEnd::Gone("no welcome within 25 s".to_owned())),
        }
    }

    async fn pump(&mut self) -> Result<std::convert::Infallible, SessionEnd> {
        let mut beat = tokio::time::interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let executor = self.executor.clone();
        loop {
            self.send_news().await?;
            tokio::select! {
                biased;
                () = executor.failed.notified() => {
                    let error = executor.take_failure();
                    return Err(error.map_or_else(|| SessionEnd::Gone("the ledger failed".to_owned()), SessionEnd::Ledger));
                }
                message = self.from.recv() => match message {
                    Some(message) => self.take(message)?,
                    None => return Err(SessionEnd::Gone("the connection closed".to_owned())),
                },
                Some(answer) = self.answered.1.recv() => self.send(answer).await?,
                () = executor.news.notified() => {}
                () = executor.permits.asked.notified() => {}
                _ = beat.tick() => self.beat().await?,
            }
        }
    }

    async fn send(&self, message: FromAgent) -> Result<(), SessionEnd> {
        match tokio::time::timeout(SILENCE, self.to.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SessionEnd::Gone("the connection closed".to_owned())),
            Err(_) => Err(SessionEnd::Gone("the controller takes no messages".to_owned())),
        }
    }

    async fn beat(&mut self) -> Result<(), SessionEnd> {
        if self.heard.elapsed() > SILENCE {
            return Err(SessionEnd::Gone("nothing was heard from the controller for 25 s".to_owned()));
        }
        self.executor.reap();
        if self.sent_at.elapsed() >= RESEND {
            self.sent = 0;
        }
        // A question that was lost on the way is asked again; the answer serves one launch in any case.
        self.asked.clear();
        self.beats += 1;
        let beat = Heartbeat {
            count: self.beats,
            running: self.executor.running(),
            resident_kib: self.executor.host.resident_kib(),
            unconfirmed: self.executor.unconfirmed(),
        };
        self.send(FromAgent::Heartbeat(beat)).await
    }

    /// Sends what is new: reports, questions, progress.
    async fn send_news(&mut self) -> Result<(), SessionEnd> {
        let reports: Vec<_> = {
            let ledger = self.executor.ledger();
            let state = ledger.state();
            let news = state.unacked.range(self.sent + 1..);
            news.map(|(seq, report)| (*seq, state.marks.get(seq).cloned(), report.clone())).collect()
        };
        for (seq, mark, report) in reports {
            self.send(FromAgent::Report { seq, mark, report }).await?;
            self.sent = seq;
            self.sent_at = Instant::now();
        }
        for (nonce, attempt) in self.executor.permits.questions() {
            if self.asked.insert(nonce.clone()) {
                self.send(FromAgent::AskPermit { nonce, attempt }).await?;
            }
        }
        for (attempt, progress) in self.executor.take_progress() {
            self.send(FromAgent::Progress { attempt, progress }).await?;
        }
        Ok(())
    }

    fn take(&mut self, message: ToAgent) -> Result<(), SessionEnd> {
        self.heard = Instant::now();
        match message {
            ToAgent::Welcome { .. } | ToAgent::Heartbeat { .. } => {}
            ToAgent::Refuse { why } => return Err(SessionEnd::Gone(format!("the controller refused the session: {why}"))),
            ToAgent::Offer(offer) => {
                let attempt = offer.attempt.clone();
                let admitted = self.executor.offer(*offer)?;
                tracing::debug!(%attempt, ?admitted, "offer");
            }
            ToAgent::Ack { seq } => self.executor.ledger().ack(seq)?,
            ToAgent::Withdraw { attempt, epoch } => self.executor.withdraw(&attempt, epoch)?,
            ToAgent::StopJob { attempt, epoch, why } => {
                if epoch >= self.executor.ledger().state().epoch {
                    let answers = self.answers.clone();
                    tokio::spawn(async move { answers.stop_job(attempt, why).await });
                }
            }
            ToAgent::Permit { nonce, answer } => self.executor.permits.answer(&nonce, answer),
            ToAgent::Probe { id, node, probe, old_home } => self.look(id, node, probe, old_home),
            ToAgent::Ask { id, ask } => {
                let (answers, send) = (self.answers.clone(), self.answered.0.clone());
                tokio::spawn(async move {
                    let answer = answers.answer(*ask).await;
                    // The session is gone: the controller asks again in the next one.
                    let _ = send.send(FromAgent::Answer { id, answer }).await;
                });
            }
        }
        Ok(())
    }

    fn look(&self, id: u64, node: NodeId, probe: Option<Probe>, old_home: Option<String>) {
        let (answers, send) = (self.answers.clone(), self.answered.0.clone());
        tokio::spawn(async move {
            let seen = answers.probe(probe, old_home).await;
            let _ = send.send(FromAgent::Probed { id, node, seen }).await;
        });
    }
}
