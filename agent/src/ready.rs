//! What shows that a server is ready: its own "started" line, and answers over the network.
//!
//! A line in a log proves nothing by being there: an earlier process of the same home may have written it. A line counts
//! for a process when its time stamp is not before the process began, or when its file was made after that.

use std::io;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use cavalcade_common::action::{HttpCheck, Ready};
use cavalcade_common::codes::server as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::Evidence;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use regex::Regex;

use crate::follow::{Lines, rolled_files};
use crate::host::{FilePart, Host, Process};

/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Bytes read in one go.
const PART: usize = 1 << 20;
/// How far a log's last stamp may be from the file's time before its zone counts as another one.
const ZONE_SLACK: SignedDuration = SignedDuration::from_mins(10);
/// How far ahead of the clock a line may be.
const AHEAD: SignedDuration = SignedDuration::from_secs(2);

/// Compiles a pattern of a recipe.
///
/// # Errors
/// [`codes::BAD_PATTERN`].
pub fn pattern(text: &str) -> Result<Regex, Fault> {
    Regex::new(text).map_err(|e| Fault::new(codes::BAD_PATTERN, format!("{text:?} is no regular expression: {e}")))
}

/// The patterns of a readiness, compiled.
#[derive(Debug, Clone)]
pub struct Patterns {
    /// The line that says "started".
    pub started: Option<Regex>,
    /// Lines that say that the start failed.
    pub failed: Vec<Regex>,
}

impl Patterns {
    /// Compiles them.
    ///
    /// # Errors
    /// [`codes::BAD_PATTERN`].
    pub fn of(ready: &Ready) -> Result<Self, Fault> {
        Ok(Self {
            started: ready.started.as_deref().map(pattern).transpose()?,
            failed: ready.failed.iter().map(|p| pattern(p)).collect::<Result<_, _>>()?,
        })
    }
}

/// At most this many characters of a line in evidence.
#[must_use]
pub fn shortened(line: &str) -> String {
    const MOST: usize = 300;
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}

/// Whether the "started" line of a process is in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartedLine {
    /// This one.
    Found(String),
    /// No line matches.
    Missing,
    /// The last line that matches has no time stamp, and its file is older than the process.
    Unstamped(String),
    /// The last line that matches is another process's.
    NotItsOwn {
        /// The line.
        line: String,
        /// Why it does not count.
        why: String,
    },
}

/// Looks for the last "started" line in a log and its rolled files, and whether this process wrote it. Files that were
/// last written before the process began are not read.
///
/// # Errors
/// Those of the file system.
pub fn started_line(host: &dyn Host, log: &Path, started: &Regex, process: &Process) -> io::Result<StartedLine> {
    let rolled = rolled_files(host, log)?.into_iter();
    let rolled = rolled.filter(|(_, part)| part.modified.is_none_or(|m| m >= process.started)).map(|(path, _)| path);
    let files: Vec<_> = rolled.chain([log.to_owned()]).collect();
    for file in files.iter().rev() {
        let Some(scan) = Scan::of(host, file, started)? else { continue };
        if let Some((line, stamp)) = &scan.matched {
            return Ok(judge(&scan, line, *stamp, process, host.now()));
        }
    }
    Ok(StartedLine::Missing)
}

/// One pass over a log file.
struct Scan {
    part: FilePart,
    matched: Option<(String, Option<Stamp>)>,
    last_stamp: Option<Stamp>,
}

impl Scan {
    fn of(host: &dyn Host, file: &Path, started: &Regex) -> io::Result<Option<Self>> {
        let Some(mut part) = host.read_part(file, 0, PART)? else { return Ok(None) };
        let mut scan = Self { part: part.clone(), matched: None, last_stamp: None };
        let (mut cutter, mut lines, mut offset) = (Lines::default(), Vec::new(), 0);
        while !part.bytes.is_empty() {
            offset += part.bytes.len() as u64;
            cutter.push(&part.bytes, &mut lines);
            for line in lines.drain(..) {
                scan.take(line, started);
            }
            match host.read_part(file, offset, PART)? {
                Some(next) if next.inode == part.inode => part = next,
                Some(_) | None => break,
            }
        }
        scan.part.modified = part.modified;
        Ok(Some(scan))
    }

    fn take(&mut self, line: String, started: &Regex) {
        let stamp = Stamp::of(&line);
        self.last_stamp = stamp.or(self.last_stamp);
        if started.is_match(&line) {
            self.matched = Some((line, stamp));
        }
    }
}

fn judge(scan: &Scan, line: &str, stamp: Option<Stamp>, process: &Process, now: Timestamp) -> StartedLine {
    let not = |why: String| StartedLine::NotItsOwn { line: shortened(line), why };
    let Some(stamp) = stamp else {
        return match scan.part.created {
            Some(created) if created >= process.started => StartedLine::Found(shortened(line)),
            Some(_) | None => StartedLine::Unstamped(shortened(line)),
        };
    };
    let Some(at) = stamp.instant(&zone(scan)) else { return not("its time stamp cannot be read".to_owned()) };
    if at.duration_since(process.started) < -stamp.coarseness() {
        return not(format!("it is of {at}, the process began at {}", process.started));
    }
    if at.duration_since(now) > AHEAD {
        return not(format!("it is of {at}, ahead of the clock ({now})"));
    }
    StartedLine::Found(shortened(line))
}

/// A time stamp without a zone, as the products' logs have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    at: DateTime,
    /// Whether it says less than seconds.
    fine: bool,
}

impl Stamp {
    /// The first stamp near a line's beginning.
    fn of(line: &str) -> Option<Self> {
        static STAMP: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?").ok());
        let start = line.char_indices().nth(120).map_or(line, |(at, _)| &line[..at]);
        let found = STAMP.as_ref()?.captures(start)?;
        let number = |n: usize| found.get(n).and_then(|m| m.as_str().parse::<i16>().ok());
        let small = |n: usize| number(n).and_then(|v| i8::try_from(v).ok());
        let fraction = found.get(7).map(|m| format!("{:0<9}", m.as_str()));
        let nanos = fraction.as_ref().and_then(|f| f.parse::<i32>().ok()).unwrap_or(0);
        let at = DateTime::new(number(1)?, small(2)?, small(3)?, small(4)?, small(5)?, small(6)?, nanos).ok()?;
        Some(Self { at, fine: fraction.is_some() })
    }

    fn instant(self, zone: &TimeZone) -> Option<Timestamp> {
        zone.to_timestamp(self.at).ok()
    }

    /// How far before the true time it may lie: what its last digit leaves open, and the process's start is known to
    /// 10 ms only. No server says "started" and is replaced by another one within that time.
    fn coarseness(self) -> SignedDuration {
        if self.fine { SignedDuration::from_millis(15) } else { SignedDuration::from_secs(1) }
    }
}

/// The zone of a log: the host's, unless the log's last stamp and the file's own time say otherwise. A JVM may run in
/// another zone than the host.
fn zone(scan: &Scan) -> TimeZone {
    let system = TimeZone::system();
    let (Some(modified), Some(last)) = (scan.part.modified, scan.last_stamp) else { return system };
    if last.instant(&system).is_some_and(|at| at.duration_since(modified).abs() <= ZONE_SLACK) {
        return system;
    }
    let Some(as_utc) = last.instant(&TimeZone::UTC) else { return system };
    let ahead = as_utc.duration_since(modified).as_secs();
    let quarter = 15 * 60;
    let quarters = (ahead + ahead.signum() * quarter / 2) / quarter;
    // Zones differ by quarters of an hour. Anything else is a file that was written without stamps for a while.
    let is_zone = (ahead - quarters * quarter).abs() <= 60 && (-48..=56).contains(&quarters);
    match i32::try_from(quarters * quarter).map(Offset::from_seconds) {
        Ok(Ok(offset)) if is_zone => TimeZone::fixed(offset),
        Ok(_) | Err(_) => system,
    }
}

/// Asks one URL and compares the answer. With `need_body` an empty body does not count: an IS whose health check is
/// switched off answers 200 and nothing.
pub async fn url_answers(host: &dyn Host, check: &HttpCheck, need_body: bool) -> Evidence {
    let what = format!("GET {}", check.url);
    let answer = match host.http_get(check, ANSWER_LIMIT).await {
        Ok(answer) => answer,
        Err(e) => return Evidence::fails(what, e.to_string()),
    };
    let body = String::from_utf8_lossy(&answer.body);
    let found = format!("status {}, {} bytes", answer.status, answer.body.len());
    if !check.status.contains(&answer.status) {
        return Evidence::fails(what, found);
    }
    if need_body && body.trim().is_empty() {
        return Evidence::fails(what, format!("{found}: an empty body"));
    }
    match check.body.as_deref().map(pattern) {
        Some(Err(fault)) => Evidence::fails(what, fault.message),
        Some(Ok(wanted)) if !wanted.is_match(&body) => {
            Evidence::fails(what, format!("{found}: the body does not match {:?}", wanted.as_str()))
        }
        Some(Ok(_)) | None => Evidence::holds(what, found),
    }
}

/// Tries one address.
pub async fn address_accepts(host: &dyn Host, address: &str) -> Evidence {
    let what = format!("connection to {address}");
    match host.tcp_connect(address, ANSWER_LIMIT).await {
        Ok(()) => Evidence::holds(what, "accepted"),
        Err(e) => Evidence::fails(what, e.to_string()),
    }
}

/// All answers that a readiness asks for, up to the first that is not as wanted.
pub async fn answers(host: &dyn Host, ready: &Ready, need_body: bool) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    for address in &ready.tcp {
        evidence.push(address_accepts(host, address).await);
        if evidence.last().is_some_and(|e| !e.holds) {
            return evidence;
        }
    }
    for check in &ready.http {
        evidence.push(url_answers(host, check, need_body).await);
        if evidence.last().is_some_and(|e| !e.holds) {
            return evidence;
        }
    }
    evidence
}

#[cfg(test)]
#[path = "ready_tests.rs"]
mod tests;
