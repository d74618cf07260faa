//! Follows runs until they come to rest or the operator leaves: `apply` and `watch`. The run never notices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cavalcade_common::codes::operator as codes;
use cavalcade_common::error::Fault;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::keys::{Key, Keys};
use super::output::{self, print, say};
use super::painter::{Painter, Stream};
use crate::operate::request::StatusRequest;
use crate::rpc::method::Method;
use crate::view::document::{RunStatus, Status};
use crate::view::ending::{Goal, Standing, standing};
use crate::view::lines::{RunLine, as_opened, between, heartbeat};
use crate::view::screen::{Look, screen};
use cavalcade_common::exit::Exit;

/// Between two pictures without news: ages move on.
const TICK: Duration = Duration::from_secs(1);
/// Between two lines that show that all is alive, where there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a run must be at rest before that counts: the next step may be a moment away.
const REST: Duration = Duration::from_secs(1);
/// The same where something may begin by itself: the age of a probe that still counts.
const STUCK: Duration = Duration::from_secs(60);
/// How long a controller that went away is waited for.
const COMES_BACK: Duration = Duration::from_secs(60);
/// Between two tries to reach it.
const RETRY: Duration = Duration::from_millis(500);

/// How the course is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// A picture where the stream is a terminal, else lines.
    On(Stream),
    /// One JSON document for each event, to standard output.
    Jsonl,
}

/// What to follow.
#[derive(Debug)]
pub(super) struct Following {
    /// Only this run.
    pub(super) run: Option<String>,
    /// How far; `None`: to the end of the run, whatever it waits for.
    pub(super) goal: Option<Goal>,
    /// How to show it.
    pub(super) course: Course,
    /// Whether this command opened the run just now: then all of it is news.
    pub(super) opened: bool,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Followed {
    /// The exit code.
    pub(super) exit: Exit,
    /// The last that was seen of the run.
    pub(super) run: Option<RunStatus>,
}

/// Follows.
pub(super) async fn follow(context: &Context, following: Following) -> Result<Followed, Failure> {
    let live = match following.course {
        Course::On(Stream::Out) => context.live_out,
        Course::On(Stream::Err) => context.live_err,
        Course::Jsonl => false,
    };
    let stream = if following.course == Course::On(Stream::Err) { Stream::Err } else { Stream::Out };
    let keys = Keys::open(live && context.asks);
    let mut follower = Follower {
        context,
        look: Look {
            colour: if stream == Stream::Out { context.colour_out } else { context.colour_err },
            details: false,
            keys: keys.is_open(),
            stays: false,
        },
        following,
        painter: live.then(|| Painter::new(stream)),
        seen: BTreeMap::new(),
        last: None,
        rest: None,
        gone_since: None,
    };
    let followed = follower.run(keys).await;
    if let Some(painter) = &mut follower.painter {
        painter.leave();
    }
    followed
}

struct Follower<'a> {
    context: &'a Context,
    following: Following,
    look: Look,
    painter: Option<Painter>,
    /// Runs as they were shown last.
    seen: BTreeMap<String, RunStatus>,
    /// The last document, and when it came.
    last: Option<(Status, Instant)>,
    /// At rest: the code, and when that counts.
    rest: Option<(Exit, Instant)>,
    /// Since when the controller does not answer.
    gone_since: Option<Instant>,
}

type Documents = BoxStream<'static, Result<Status, Failure>>;

/// What woke the follower.
enum Woke {
    Left,
    Key(Key),
    Document(Option<Result<Status, Failure>>),
    Tick,
    Rested(Exit),
}

impl Follower<'_> {
    async fn run(&mut self, mut keys: Keys) -> Result<Followed, Failure> {
        let mut documents = Some(self.connect().await?);
        let mut tick = every(if self.painter.is_some() { TICK } else { HEARTBEAT });
        let mut ends = Ends::open().map_err(|error| Failure::usage(format!("signals cannot be taken: {error}")))?;
        loop {
            let woke = self.wait(&mut documents, &mut tick, &mut keys, &mut ends).await;
            match woke {
                Woke::Left => return Ok(self.leave()),
                Woke::Key(Key::Leave) => return Ok(self.leave()),
                Woke::Key(Key::Details) => {
                    self.look.details = !self.look.details;
                    self.picture()?;
                }
                Woke::Key(Key::Logs) => self.point_to_logs()?,
                Woke::Document(Some(Ok(status))) => {
                    self.gone_since = None;
                    if let Some(exit) = self.document(status)? {
                        return Ok(self.end(exit));
                    }
                }
                Woke::Document(gone) => {
                    if let Some(Err(failure)) = gone
                        && !failure.is_unreachable()
                    {
                        return Err(failure);
                    }
                    documents = self.come_back().await?;
                }
                Woke::Tick => self.tick()?,
                Woke::Rested(exit) => return Ok(self.end(exit)),
            }
        }
    }

    async fn connect(&self) -> Result<Documents, Failure> {
        let controller = Controller::connect(self.context).await?;
        controller.stream(Method::Watch, &StatusRequest { run: self.following.run.clone(), upgraded: false }).await
    }

    async fn wait(&self, documents: &mut Option<Documents>, tick: &mut Interval, keys: &mut Keys, ends: &mut Ends) -> Woke {
        let rest = self.rest;
        let rested = async move {
            match rest {
                Some((exit, at)) => {
                    sleep_until(at).await;
                    exit
                }
                None => std::future::pending().await,
            }
        };
        let next = async {
            match documents {
                Some(documents) => documents.next().await,
                None => {
                    tokio::time::sleep(RETRY).await;
                    None
                }
            }
        };
        tokio::select! {
            biased;
            () = ends.next() => Woke::Left,
            key = keys.next() => Woke::Key(key),
            document = next => Woke::Document(document),
            exit = rested => Woke::Rested(exit),
            _ = tick.tick() => Woke::Tick,
        }
    }

    /// The controller went away: tries again, for a while.
    async fn come_back(&mut self) -> Result<Option<Documents>, Failure> {
        self.rest = None;
        let since = match self.gone_since {
            Some(since) => since,
            None => {
                // A word under the picture would stay in it for ever; the next picture begins below the word.
                self.painter.as_mut().map_or(Ok(()), Painter::clear)?;
                say("The controller does not answer; trying again. Work under way at the agents goes on.");
                *self.gone_since.insert(Instant::now())
            }
        };
        match self.connect().await {
            Ok(documents) => Ok(Some(documents)),
            Err(failure) if !failure.is_unreachable() => Err(failure),
            Err(_) if since.elapsed() < COMES_BACK => Ok(None),
            Err(_) => {
                let message = format!("the controller did not come back within {} s", COMES_BACK.as_secs());
                let fault = Fault::new(codes::NO_CONTROLLER, message);
                Err(Failure::from(fault).changed("Work under way at the agents goes on."))
            }
        }
    }

    /// Shows a document. An exit code where all is over.
    fn document(&mut self, status: Status) -> Result<Option<Exit>, Failure> {
        let status = self.relevant(status);
        if let Some(named) = self.following.run.as_ref().filter(|_| status.runs.is_empty() && self.seen.is_empty()) {
            return Err(Fault::new(cavalcade_common::codes::run::NO_RUN, format!("there is no run {named}")).into());
        }
        if status.runs.is_empty() && self.last.is_none() && self.painter.is_none() {
            say("No run is open; waiting for one.");
        }
        for run in &status.runs {
            let old = self.seen.get(&run.run);
            if self.painter.is_none() {
                let first = (old.is_none() && self.following.opened).then(|| as_opened(run));
                let opening = first.iter().flat_map(|first| between(None, first, status.at));
                let lines: Vec<RunLine> = opening.chain(between(first.as_ref().or(old), run, status.at)).collect();
                for line in lines {
                    self.line(&line)?;
                }
            }
            self.seen.insert(run.run.clone(), run.clone());
        }
        let over = (!status.runs.is_empty() && status.runs.iter().all(|r| r.closed_at.is_some()))
            .then(|| status.runs.iter().map(of_closed).max().unwrap_or(Exit::Done));
        self.judge(&status);
        self.last = Some((status, Instant::now()));
        self.picture()?;
        Ok(over)
    }

    /// The runs that are followed: the one that was named, or those that were open since; else the last ones.
    fn relevant(&self, mut status: Status) -> Status {
        let open: BTreeSet<String> = status.runs.iter().filter(|r| r.closed_at.is_none()).map(|r| r.run.clone()).collect();
        if !open.is_empty() || !self.seen.is_empty() {
            status.runs.retain(|r| open.contains(&r.run) || self.seen.contains_key(&r.run));
        }
        status
    }

    /// Notes since when the run is at rest.
    fn judge(&mut self, status: &Status) {
        let Some(goal) = &self.following.goal else { return };
        let Some(run) = status.runs.first() else { return };
        let (exit, pause) = match standing(run, goal) {
            Standing::Moves => {
                self.rest = None;
                return;
            }
            Standing::Stuck(exit) => (exit, STUCK),
            Standing::Settled(exit) => (exit, REST),
        };
        if self.rest.is_none_or(|(before, _)| before != exit) {
            self.rest = Some((exit, Instant::now() + pause));
        } else if let Some((_, at)) = &mut self.rest {
            *at = (*at).min(Instant::now() + pause);
        }
    }

    /// The controller's time now, by the last document.
    fn now(&self) -> Option<(&Status, Timestamp)> {
        let (status, came) = self.last.as_ref()?;
        let since = jiff::SignedDuration::try_from(came.elapsed()).unwrap_or_default();
        Some((status, status.at.saturating_add(since).unwrap_or(status.at)))
    }

    fn picture(&mut self) -> Result<(), Failure> {
        let Some((status, now)) = self.now() else { return Ok(()) };
        let lines = screen(status, now, self.context.size(), self.look);
        self.painter.as_mut().map_or(Ok(()), |painter| painter.draw(&lines))
    }

    fn tick(&mut self) -> Result<(), Failure> {
        if self.painter.is_some() {
            return self.picture();
        }
        let Some((status, now)) = self.now() else { return Ok(()) };
        let beats: Vec<RunLine> = status.runs.iter().map(|run| heartbeat(status, run, now)).collect();
        beats.iter().try_for_each(|line| self.line(line))
    }

    fn line(&self, line: &RunLine) -> Result<(), Failure> {
        match self.following.course {
            Course::On(Stream::Out) => print(&line.text(&TimeZone::system())),
            Course::On(Stream::Err) => {
                say(&line.text(&TimeZone::system()));
                Ok(())
            }
            Course::Jsonl => output::line("cavalcade.event/1", line),
        }
    }

    fn point_to_logs(&mut self) -> Result<(), Failure> {
        if let Some(painter) = &mut self.painter {
            painter.clear()?;
        }
        say(&format!("Logs, in another terminal: {} logs -f", self.context.program()));
        self.picture()
    }

    fn leave(&mut self) -> Followed {
        let program = self.context.program();
        let open = self.last.as_ref().is_none_or(|(s, _)| s.runs.is_empty() || s.runs.iter().any(|r| r.closed_at.is_none()));
        let followed = self.end(Exit::Left);
        if open {
            say(&format!("\nLeft; the run goes on. Come back with: {program} watch"));
        }
        followed
    }

    fn end(&mut self, exit: Exit) -> Followed {
        self.look.stays = true;
        if self.gone_since.is_none() {
            // Nobody reads it any more: the command has ended all the same.
            let _ = self.picture();
        }
        Followed { exit, run: self.last.take().and_then(|(status, _)| status.runs.into_iter().next()) }
    }
}

/// Signals with which a person, or the system, ends this command. Both are taken, so that the terminal is set back.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    fn open() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one comes at once.
    tick.reset();
    tick
}

/// The code of a closed run.
pub(super) fn of_closed(run: &RunStatus) -> Exit {
    match standing(run, &Goal::default()) {
        Standing::Settled(exit) | Standing::Stuck(exit) => exit,
        Standing::Moves => Exit::Done,
    }
}
