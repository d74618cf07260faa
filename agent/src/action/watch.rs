//! Watches what a held child says: its output file, and the product's log from the moment of the launch on.
//!
//! Where the log ended just before the launch is noted on disk first, so that an agent that comes back reads the same
//! lines again: whatever stands behind the note was written by what this attempt launched. How many lines went to the
//! central log already is noted too, every few seconds, and where the last of them stood in the log; a crash repeats a few.
//! Where the log rolled away meanwhile, nothing is counted: what stands behind that place is new.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cavalcade_common::error::Fault;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::Context;
use crate::action::launch::not_seen;
use crate::follow::{Follower, Lines, Place};
use crate::host::Host;

/// Name of the stream of a child's own output.
const OUTPUT: &str = "output";
/// Name of the stream of the agent's own words.
pub(super) const OWN: &str = "cavalcade";
/// The note, in the attempt's folder.
const MARKS: &str = "marks.json";
/// How often the counts are noted: each note costs a sync.
const NOTE_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Marks {
    /// When the launch was prepared, for people.
    began: Timestamp,
    /// Where the log ended then; `None`: there was none.
    log_begin: Option<Place>,
    /// Lines of output that were passed on.
    output_lines: u64,
    /// Lines of the log that were passed on.
    log_lines: u64,
    /// Where the last of them ended (10, rule 33).
    #[serde(default)]
    log_at: Option<Place>,
}

fn read_marks(host: &dyn Host, dir: &Path) -> io::Result<Option<Marks>> {
    let Some(bytes) = host.read(&dir.join(MARKS))? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Passes a child's lines on as they come.
pub(super) struct Watch {
    dir: PathBuf,
    marks: Marks,
    noted_at: Duration,
    output: Lines,
    offset: u64,
    output_seen: u64,
    log: Option<(String, Follower)>,
    log_seen: u64,
    last_line: Duration,
    /// What could not be read at the last call, so that it is said once.
    complaint: Option<String>,
}

impl Watch {
    /// Notes where the log ends now. The launch comes after this.
    pub(super) fn begin(cx: &Context, log: Option<&Path>) -> Result<Self, Fault> {
        let log_begin = match log {
            Some(log) => Follower::end_of(&*cx.host, log).map_err(|e| not_seen(&log.display().to_string(), &e))?,
            None => None,
        };
        let marks = Marks { began: cx.host.now(), log_begin, output_lines: 0, log_lines: 0, log_at: None };
        let watch = Self::new(cx, marks, log);
        cx.host.create_dirs(&cx.attempt_dir).map_err(|e| not_seen("the attempt's folder", &e))?;
        watch.note(cx)?;
        Ok(watch)
    }

    /// Goes on where an earlier process of the agent began; `None` where it noted nothing, so launched nothing.
    pub(super) fn resume(cx: &Context, log: Option<&Path>) -> Result<Option<Self>, Fault> {
        let marks = read_marks(&*cx.host, &cx.attempt_dir).map_err(|e| not_seen("the attempt's note", &e))?;
        Ok(marks.map(|marks| Self::new(cx, marks, log)))
    }

    fn new(cx: &Context, marks: Marks, log: Option<&Path>) -> Self {
        let follow = |log: &Path| {
            let name = log.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            (name, Follower::from(log.to_owned(), marks.log_begin))
        };
        Self {
            dir: cx.attempt_dir.clone(),
            log: log.map(follow),
            marks,
            noted_at: cx.host.monotonic(),
            output: Lines::default(),
            offset: 0,
            output_seen: 0,
            log_seen: 0,
            last_line: cx.host.monotonic(),
            complaint: None,
        }
    }

    fn note(&self, cx: &Context) -> Result<(), Fault> {
        let text = serde_json::to_vec(&self.marks).map_err(|e| not_seen("the attempt's note", &e.into()))?;
        let written = cx.host.replace(&self.dir.join(MARKS), &text);
        written.map_err(|e| not_seen("the attempt's note cannot be written", &e))
    }

    /// When the launch was prepared.
    pub(super) fn began(&self) -> Timestamp {
        self.marks.began
    }

    /// Seconds since the last line.
    pub(super) fn quiet_seconds(&self, cx: &Context) -> u64 {
        cx.host.monotonic().saturating_sub(self.last_line).as_secs()
    }

    /// New lines, passed on to the central log unless they were before. What cannot be read at this moment is said in the
    /// log and read at the next call: it is no reason to give up a child.
    pub(super) fn pump(&mut self, cx: &Context) -> Vec<String> {
        let mut lines = Vec::new();
        let read = self.read_output(cx, &mut lines).and_then(|()| self.read_log(cx, &mut lines));
        if !lines.is_empty() {
            self.last_line = cx.host.monotonic();
        }
        let noted = if cx.host.monotonic().saturating_sub(self.noted_at) < NOTE_EVERY {
            Ok(())
        } else {
            self.noted_at = cx.host.monotonic();
            self.note(cx)
        };
        let complaint = read.and(noted).err().map(|fault| fault.to_string());
        if let Some(text) = complaint.as_ref().filter(|_| complaint != self.complaint) {
            cx.out.line(OWN, text);
        }
        self.complaint = complaint;
        lines
    }

    fn read_output(&mut self, cx: &Context, lines: &mut Vec<String>) -> Result<(), Fault> {
        let read = cx.host.held_output(&self.dir, self.offset);
        let (bytes, next) = read.map_err(|e| not_seen("the child's output cannot be read", &e))?;
        self.offset = next;
        self.output.push(&bytes, lines);
        for line in lines {
            self.output_seen += 1;
            if self.output_seen > self.marks.output_lines {
                self.marks.output_lines = self.output_seen;
                cx.out.line(OUTPUT, line);
            }
        }
        Ok(())
    }

    fn read_log(&mut self, cx: &Context, lines: &mut Vec<String>) -> Result<(), Fault> {
        let Some((name, follower)) = &mut self.log else { return Ok(()) };
        let followed = follower.poll(&*cx.host).map_err(|e| not_seen(&format!("{name} cannot be read"), &e))?;
        if let Some(gap) = followed.gap {
            if self.log_seen < self.marks.log_lines {
                // What was passed on before a restart cannot be read again: it is no gap, and nothing to count by.
                self.log_seen = self.marks.log_lines;
                if let Some(place) = self.marks.log_at {
                    follower.move_to(place);
                    return self.read_log(cx, lines);
                }
            }
            cx.out.line(OWN, &format!("GAP: {gap}"));
        }
        for line in followed.lines {
            self.log_seen += 1;
            if self.log_seen > self.marks.log_lines {
                self.marks.log_lines = self.log_seen;
                cx.out.line(name, &line);
            }
            lines.push(line);
        }
        if self.log_seen >= self.marks.log_lines {
            self.marks.log_at = follower.place();
        }
        Ok(())
    }

    /// Everything that is left, with a last line that has no end.
    pub(super) fn drain(&mut self, cx: &Context) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let before = self.offset;
            let lines = self.pump(cx);
            if lines.is_empty() && self.offset == before {
                break;
            }
            all.extend(lines);
        }
        let whole = all.len();
        self.output.flush(&mut all);
        for line in &all[whole..] {
            cx.out.line(OUTPUT, line);
        }
        if let Err(fault) = self.note(cx) {
            cx.out.line(OWN, &fault.to_string());
        }
        all
    }
}

/// Every line that an attempt left: its whole output, then the product's log from the launch on. What is missing of the log,
/// in words.
///
/// # Errors
/// Those of the file system.
pub(super) fn each_stored_line(
    host: &dyn Host,
    attempt_dir: &Path,
    log: Option<&Path>,
    mut take: impl FnMut(&str),
) -> io::Result<Option<String>> {
    let (mut cutter, mut lines, mut offset) = (Lines::default(), Vec::new(), 0);
    loop {
        let (bytes, next) = host.held_output(attempt_dir, offset)?;
        if bytes.is_empty() {
            break;
        }
        offset = next;
        cutter.push(&bytes, &mut lines);
        lines.drain(..).for_each(|line| take(&line));
    }
    cutter.flush(&mut lines);
    lines.drain(..).for_each(|line| take(&line));
    let (Some(log), Some(marks)) = (log, read_marks(host, attempt_dir)?) else { return Ok(None) };
    let mut gap = None;
    let mut follower = Follower::from(log.to_owned(), marks.log_begin);
    loop {
        let followed = follower.poll(host)?;
        followed.lines.iter().for_each(|line| take(line));
        gap = gap.or(followed.gap);
        if !followed.more {
            return Ok(gap);
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
