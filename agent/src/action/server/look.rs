//! One look at a server that is waited for.

use std::path::Path;
use std::time::Duration;

use cavalcade_common::action::Server;
use cavalcade_common::codes::server as codes;
use cavalcade_common::duration;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, Progress};

use super::{names, processes, stranger};
use crate::action::Context;
use crate::action::watch::Watch;
use crate::host::{Process, ProcessId};
use crate::probe::{name, of_started, same_process};
use crate::ready::{self, Patterns, StartedLine, shortened};
use crate::started::StartedIn;

/// Tells what is waited for.
pub(super) fn tell(cx: &Context, label: &str, quiet_seconds: u64) {
    cx.out.progress(Progress { done: 0, total: 0, label: label.to_owned(), quiet_seconds });
}

/// What one look found.
pub(super) enum Look {
    /// Everything that was asked for.
    Ready(Vec<Evidence>),
    /// Something is not there yet: the last piece of evidence.
    Waiting(Vec<Evidence>),
    /// It will not come.
    Failed(Fault, Vec<Evidence>),
}

fn failed_by(line: &str) -> Look {
    let said = Evidence::fails("line of the log", line);
    Look::Failed(Fault::new(codes::START_FAILED, format!("the server says: {line}")), vec![said])
}

/// Looks at one server again and again.
pub(super) struct Looker<'a> {
    spec: &'a Server,
    cx: &'a Context,
    patterns: Patterns,
    /// Lines of what this attempt launched; without it the log's own stamps say whose line it is.
    watch: Option<Watch>,
    process: Option<ProcessId>,
    /// The line that says started, read after the process was seen.
    started: Option<String>,
    /// The same, read before: perhaps of a process before it.
    early: Option<String>,
    began: Duration,
}

impl<'a> Looker<'a> {
    pub(super) fn new(spec: &'a Server, cx: &'a Context, watch: Option<Watch>) -> Result<Self, Fault> {
        let patterns = Patterns::of(&spec.ready)?;
        Ok(Self { spec, cx, patterns, watch, process: None, started: None, early: None, began: cx.host.monotonic() })
    }

    /// Time since the first look.
    pub(super) fn elapsed(&self) -> Duration {
        self.cx.host.monotonic().saturating_sub(self.began)
    }

    /// Says what is waited for, and since when.
    pub(super) fn tell(&self, seen: &[Evidence]) {
        let waits = seen.last().map_or_else(|| "process".to_owned(), |e| format!("{}: {}", e.what, e.found));
        let elapsed = duration::format(Duration::from_secs(self.elapsed().as_secs()));
        let quiet = self.watch.as_ref().map_or(0, |w| w.quiet_seconds(self.cx));
        tell(self.cx, &self.cx.secrets.redact(&format!("waits {elapsed} for {}", shortened(&waits))), quiet);
    }

    /// All lines that are left, for the log.
    pub(super) fn drain(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.drain(self.cx);
        }
    }

    /// One look.
    pub(super) async fn look(&mut self) -> Look {
        if let Some(line) = self.read_lines() {
            return failed_by(&line);
        }
        let running = match processes(self.spec, self.cx) {
            Ok(running) => running,
            Err(fault) => return Look::Waiting(vec![Evidence::fails("process", fault.message)]),
        };
        let what = format!("process with -Dcarbon.home={}", self.spec.home);
        let process = match running.as_slice() {
            [] => return Look::Waiting(vec![Evidence::fails(what, "none")]),
            [process] => process,
            [_, _, ..] => return Look::Waiting(vec![Evidence::fails(what, names(&running))]),
        };
        let mut seen = vec![Evidence::holds(what, names(&running))];
        if let Some(fault) = stranger(self.spec, process) {
            return Look::Failed(fault, seen);
        }
        if let Some(line) = self.note_process(process) {
            return failed_by(&line);
        }
        if let Some(line) = self.started_line(process) {
            let holds = line.holds;
            seen.push(line);
            if !holds {
                return Look::Waiting(seen);
            }
        }
        seen.extend(ready::answers(&*self.cx.host, &self.spec.ready, false).await);
        if seen.iter().any(|e| !e.holds) {
            return Look::Waiting(seen);
        }
        let same = same_process(&*self.cx.host, Path::new(&self.spec.home), process);
        let holds = same.holds;
        seen.push(same);
        if holds { Look::Ready(seen) } else { Look::Waiting(seen) }
    }

    /// Takes lines; the one that says that the start failed, if one does.
    fn take(&mut self, lines: &[String]) -> Option<String> {
        for line in lines {
            if self.patterns.failed.iter().any(|p| p.is_match(line)) {
                return Some(self.cx.secrets.redact(&shortened(line)));
            }
            if self.patterns.started.as_ref().is_some_and(|p| p.is_match(line)) {
                self.started = Some(shortened(line));
            }
        }
        None
    }

    fn read_lines(&mut self) -> Option<String> {
        let lines = self.watch.as_mut()?.pump(self.cx);
        self.take(&lines)
    }

    /// A process is seen for the first time. Lines up to now may be those of one before it (exit 121 starts another);
    /// lines from now on are its own, since the one before it has ended. Where "started" is among the first, only the
    /// stamps in the log tell whose it is.
    fn note_process(&mut self, process: &Process) -> Option<String> {
        if self.process.as_ref() == Some(&process.id) {
            return None;
        }
        self.process = Some(process.id.clone());
        let lines = self.watch.as_mut().map(|watch| watch.drain(self.cx)).unwrap_or_default();
        let failed = self.take(&lines);
        self.early = self.started.take();
        failed
    }

    fn started_line(&self, process: &Process) -> Option<Evidence> {
        let started = self.patterns.started.as_ref()?;
        let what = format!("line of {} that matches {:?}", name(&process.id), started.as_str());
        let log = super::log_of(self.spec);
        let its_log =
            log.as_ref().map(|log| StartedIn { host: &*self.cx.host, state_dir: &self.cx.state_dir, log, pattern: started });
        if let Some(line) = &self.started {
            if let Some(its_log) = its_log {
                its_log.note(process, line);
            }
            return Some(Evidence::holds(what, self.cx.secrets.redact(line)));
        }
        if self.watch.is_some() && self.early.is_none() {
            return Some(Evidence::fails(what, "none yet"));
        }
        let by_stamp = its_log.map(|its_log| its_log.line_of(process));
        match (&self.early, by_stamp) {
            // At least it was written after the launch.
            (Some(line), None | Some(Ok(StartedLine::Unstamped(_)))) => Some(Evidence::holds(what, self.cx.secrets.redact(line))),
            (_, Some(line)) => Some(of_started(what, line)),
            (None, None) => None,
        }
    }
}
