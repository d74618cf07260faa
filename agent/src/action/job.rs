//! `job`: a long run that nothing of ours interrupts, judged by its evidence (promise 7; 10, rules 8, 11, 12).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::action::{Evidence as Wanted, Job};
use cavalcade_common::codes::server as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, Preview, Progress, Verdict};
use regex::Regex;

use super::judge::Judge;
use super::launch::{self, failed, not_seen};
use super::watch::{OWN, Watch, each_stored_line};
use super::{Act, Applied, Context, Failure};
use crate::host::{HeldState, Host};
use crate::probe;
use crate::ready::{pattern, shortened};

/// Time between two looks.
const POLL: Duration = Duration::from_millis(500);
/// How long after the end evidence lines of the other stream may still come.
const SETTLE: Duration = Duration::from_secs(2);
/// How often, at 1 s, a live attempt's folder is tried.
const ADOPT_TRIES: u32 = 60;
/// How long a shim may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);

fn log_of(job: &Job) -> Option<PathBuf> {
    job.log.as_ref().map(|log| Path::new(&job.home).join(log))
}

/// Judges what an attempt's job left, by its own evidence or by other patterns (`rejudge`).
///
/// # Errors
/// [`codes::BAD_PATTERN`], [`codes::NOT_SEEN`].
pub fn judge_stored(host: &dyn Host, attempt_dir: &Path, job: &Job, wanted: &Wanted) -> Result<Vec<Evidence>, Fault> {
    Judged::of(host, attempt_dir, job, wanted).map(|judged| judged.evidence)
}

/// What the lines say that a job left.
struct Judged {
    /// A piece for each pattern, and one that fails where lines are missing.
    evidence: Vec<Evidence>,
    /// What is missing of the product's log. The shim's file has no gaps.
    gap: Option<String>,
    /// Whether a forbidden line was there, so that missing ones do not matter.
    refuted: bool,
}

impl Judged {
    fn of(host: &dyn Host, attempt_dir: &Path, job: &Job, wanted: &Wanted) -> Result<Self, Fault> {
        let mut judge = Judge::new(wanted)?;
        let read = each_stored_line(host, attempt_dir, log_of(job).as_deref(), |line| judge.take(line));
        let gap = read.map_err(|e| not_seen("the job's stored output", &e))?;
        let refuted = judge.refuted();
        let mut evidence = judge.finish();
        if let Some(gap) = &gap {
            evidence.push(Evidence::fails("the product's log from the launch on, whole", gap));
        }
        Ok(Self { evidence, gap, refuted })
    }

    /// Success needs every line: a forbidden one may have stood in the gap, a missing one too.
    fn conclusion(self) -> Result<Vec<Evidence>, Failure> {
        match self.gap {
            Some(gap) if !self.refuted => Err(Failure::Indeterminate {
                fault: Fault::new(codes::LOG_GAP, gap.clone()),
                known: self.evidence.iter().map(|e| format!("{}: {}", e.what, e.found)).collect(),
                unknown: vec![format!("what stood in the lines that are gone: {gap}")],
            }),
            Some(_) | None => all_hold(self.evidence),
        }
    }
}

/// The job's patterns, compiled before anything is started.
struct Patterns {
    ends: Vec<Regex>,
    progress: Option<(Regex, u32)>,
}

impl Patterns {
    fn of(job: &Job) -> Result<Self, Fault> {
        Judge::new(&job.evidence)?;
        let progress = job.progress.as_ref().map(|p| Ok::<_, Fault>((pattern(&p.pattern)?, p.total))).transpose()?;
        Ok(Self { ends: job.ends.iter().map(|p| pattern(p)).collect::<Result<_, _>>()?, progress })
    }
}

/// What showed that the work ended.
enum End {
    /// A line.
    Line(String),
    /// Shim and child ended, with an exit record.
    Gone { exit: i32, relaunch_refused: bool },
    /// Shim and child are gone without one.
    Vanished,
}

/// Prepares and launches.
async fn begin(job: &Job, cx: &Context) -> Result<(Watch, Vec<Evidence>), Failure> {
    launch::java_home(&job.runtime)?;
    let running = probe::no_process(&*cx.host, Path::new(&job.home));
    if !running.holds {
        let fault = Fault::new(codes::HOME_IN_USE, format!("{}: {}", running.what, running.found));
        return Err(Failure::Failed { fault, changed: false, evidence: vec![running] });
    }
    let Some((program, arguments)) = job.command.split_first() else {
        return Err(Fault::new(codes::NOT_HELD, "the job has no command").into());
    };
    let program = Path::new(&job.home).join(program).to_string_lossy().into_owned();
    let command: Vec<String> = std::iter::once(program).chain(arguments.iter().cloned()).collect();
    let mut spec = launch::spec(cx, &command, &job.home, &job.runtime)?;
    (spec.one_launch, spec.outlives_agent) = (true, true);
    let watch = Watch::begin(cx, log_of(job).as_deref())?;
    let permitted = launch::launch(cx, &spec).await?;
    Ok((watch, permitted))
}

/// What lives or lived of an earlier process's launch. A look that fails for the moment is repeated: a live job must not
/// be given up for it.
async fn adopt(job: &Job, cx: &Context) -> Result<Watch, Failure> {
    let mut tries = 0;
    let state = loop {
        match cx.host.held(&cx.attempt_dir, true) {
            Ok(state) => break state,
            Err(e) if e.kind() == io::ErrorKind::InvalidData || tries == ADOPT_TRIES => {
                return Err(lost(&format!("the attempt's folder cannot be read: {e}")));
            }
            Err(e) => {
                cx.out.line(OWN, &format!("the attempt's folder cannot be read: {e}"));
                tries += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    if state == Some(HeldState::NeverBegan) {
        return Err(Failure::NotBegun { why: "the agent ended before the job was launched".to_owned() });
    }
    let watch = Watch::resume(cx, log_of(job).as_deref()).map_err(|fault| lost(&fault.message))?;
    watch.ok_or_else(|| lost("the note of the launch is missing"))
}

/// Nobody can tell without a person.
fn lost(known: &str) -> Failure {
    Failure::Indeterminate {
        fault: Fault::new(codes::VANISHED, format!("the job cannot be judged: {known}")),
        known: vec![known.to_owned()],
        unknown: vec!["how far the job came, and what it left in its databases".to_owned()],
    }
}

/// A job under way.
struct Run<'a> {
    job: &'a Job,
    cx: &'a Context,
    patterns: Patterns,
    watch: Watch,
    done: u64,
    label: String,
    alarmed: bool,
    launched_at: Duration,
}

impl Run<'_> {
    /// Follows until the work ended. No limit ever ends it; none of what is seen here is a reason to signal the child.
    async fn until_the_end(&mut self) -> Result<End, Failure> {
        loop {
            // The state is read before the lines: what was written before the end is then there to be read.
            let state = self.cx.host.held(&self.cx.attempt_dir, false);
            let lines = self.watch.pump(self.cx);
            if let Some(line) = self.read(&lines) {
                self.tell();
                return Ok(End::Line(line));
            }
            let gone = match state {
                Ok(Some(HeldState::Alive { .. })) => None,
                Ok(None) => self.still_not_begun()?,
                Ok(Some(HeldState::NeverBegan)) => return Err(self.never_began()),
                Ok(Some(HeldState::Ended { exit, relaunch_refused })) => Some(End::Gone { exit, relaunch_refused }),
                Ok(Some(HeldState::Vanished)) => Some(End::Vanished),
                Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(lost(&format!("damaged records: {e}"))),
                // Nothing is concluded from a look that failed.
                Err(e) => {
                    self.cx.out.line(OWN, &format!("the attempt's folder cannot be read: {e}"));
                    None
                }
            };
            if let Some(end) = gone {
                let rest = self.watch.drain(self.cx);
                self.tell();
                return Ok(self.read(&rest).map_or(end, End::Line));
            }
            self.tell();
            tokio::time::sleep(POLL).await;
        }
    }

    /// A shim that does not come is kept from coming.
    fn still_not_begun(&self) -> Result<Option<End>, Failure> {
        if self.cx.host.monotonic().saturating_sub(self.launched_at) < BEGIN_LIMIT {
            return Ok(None);
        }
        let state = self.cx.host.held(&self.cx.attempt_dir, true);
        match state.map_err(|e| lost(&format!("the attempt's folder cannot be read: {e}")))? {
            Some(HeldState::NeverBegan) => Err(self.never_began()),
            Some(_) | None => Ok(None),
        }
    }

    fn never_began(&self) -> Failure {
        let said = self.cx.host.held_output(&self.cx.attempt_dir, 0).map(|(bytes, _)| bytes).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Failure::NotBegun { why: if said.is_empty() { "the shim did not begin".to_owned() } else { shortened(&said) } }
    }

    /// Progress, and the line that says that the attempt ended.
    fn read(&mut self, lines: &[String]) -> Option<String> {
        let mut end = None;
        for line in lines {
            if let Some((pattern, _)) = &self.patterns.progress
                && let Some(found) = pattern.captures(line)
            {
                let done = found.name("done").and_then(|m| m.as_str().parse().ok());
                self.done = done.unwrap_or(self.done + 1);
                self.label = found.name("label").map_or_else(|| shortened(line), |m| shortened(m.as_str()));
            }
            if end.is_none() && self.patterns.ends.iter().any(|p| p.is_match(line)) {
                end = Some(shortened(line));
            }
        }
        end
    }

    fn tell(&mut self) {
        let total = self.patterns.progress.as_ref().map_or(0, |(_, total)| u64::from(*total));
        let label = if self.label.is_empty() { "runs".to_owned() } else { self.cx.secrets.redact(&self.label) };
        let quiet_seconds = self.watch.quiet_seconds(self.cx);
        self.cx.out.progress(Progress { done: self.done, total, label, quiet_seconds });
        // The wall clock is good enough: an alarm is a word to a person and nothing else.
        let age = self.cx.host.now().duration_since(self.watch.began());
        if !self.alarmed && Duration::try_from(age).is_ok_and(|age| age > self.job.alarm_after) {
            self.alarmed = true;
            let limit = cavalcade_common::duration::format(self.job.alarm_after);
            self.cx.out.line(OWN, &format!("ALARM: the job runs longer than {limit}; it is left alone"));
        }
    }
}

/// The last look: more lines may still come from the other stream, and the launch gate may have spoken.
async fn conclude(run: &mut Run<'_>, end: End) -> Result<Vec<Evidence>, Failure> {
    let cx = run.cx;
    let what = "end of the work";
    let shown = match &end {
        End::Line(line) => {
            tokio::time::sleep(SETTLE).await;
            run.watch.drain(cx);
            Evidence::holds(what, cx.secrets.redact(line))
        }
        // The products' start scripts exit with 0 whatever their JVM exits with, so 0 proves nothing where a line should
        // have come first.
        End::Gone { exit: 0, relaunch_refused: false } if run.patterns.ends.is_empty() => {
            Evidence::holds(what, "the process ended with exit code 0")
        }
        End::Gone { exit, relaunch_refused: false } => {
            Evidence::fails(what, format!("the process ended with exit code {exit} before it said that its work had ended"))
        }
        End::Gone { exit, relaunch_refused: true } => Evidence::fails(
            what,
            format!("the start script asked for a second launch (exit 121), which was refused; exit code {exit}"),
        ),
        End::Vanished => Evidence::fails(what, "the process is gone and left no exit record"),
    };
    cx.out.work_ended(&shown.found);
    if matches!(end, End::Vanished) {
        return Err(lost("the job was started, and shim and child are gone without an exit record"));
    }
    Ok(vec![shown])
}

fn judged(job: &Job, cx: &Context) -> Result<Judged, Fault> {
    let mut judged = Judged::of(&*cx.host, &cx.attempt_dir, job, &job.evidence)?;
    judged.evidence.iter_mut().for_each(|e| e.found = cx.secrets.redact(&e.found));
    Ok(judged)
}

/// All of it must hold.
fn all_hold(evidence: Vec<Evidence>) -> Result<Vec<Evidence>, Failure> {
    match evidence.iter().find(|e| !e.holds) {
        None => Ok(evidence),
        Some(first) => {
            let fault = Fault::new(codes::JOB_FAILED, format!("{}: {}", first.what, first.found));
            Err(failed(fault, evidence))
        }
    }
}

#[async_trait]
impl Act for Job {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        Patterns::of(self)?;
        launch::java_home(&self.runtime)?;
        let running = probe::no_process(&*cx.host, Path::new(&self.home));
        let wanted = &self.evidence;
        let patterns = wanted.require.len() + wanted.forbid.len() + usize::from(wanted.sequence.is_some());
        let mut says = format!("runs {} in {}; judged by {patterns} patterns", self.command.join(" "), self.home);
        if !running.holds {
            says.push_str(&format!("; before that the server there must be stopped ({})", running.found));
        }
        Ok(Preview { verdict: Verdict::Opaque, says, diffs: Vec::new() })
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let patterns = Patterns::of(self)?;
        let (watch, mut evidence) = if cx.resumed { (adopt(self, cx).await?, Vec::new()) } else { begin(self, cx).await? };
        let launched_at = cx.host.monotonic();
        let mut run = Run { job: self, cx, patterns, watch, done: 0, label: String::new(), alarmed: false, launched_at };
        let end = run.until_the_end().await?;
        evidence.extend(conclude(&mut run, end).await?);
        if let Err(Failure::Failed { fault, changed, evidence: mut seen }) = all_hold(evidence.clone()) {
            match judged(self, cx) {
                Ok(judged) => seen.extend(judged.evidence),
                // It ran all the same: nothing may look as if it had not.
                Err(unjudged) => return Err(failed(unjudged, seen)),
            }
            return Err(Failure::Failed { fault, changed, evidence: seen });
        }
        Ok(Applied { changed: true, diffs: Vec::new(), evidence })
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        judged(self, cx).map_err(|fault| failed(fault, Vec::new()))?.conclusion()
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
