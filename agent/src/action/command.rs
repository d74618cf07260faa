//! `command`: a short command, held like everything else, so that its end is known whatever becomes of the agent.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::action::CommandLine;
use cavalcade_common::codes::{files, server as codes};
use cavalcade_common::duration;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, Preview, Progress, Verdict};

use super::aside::aside;
use super::launch::{self, failed, not_seen};
use super::watch::{Watch, each_stored_line};
use super::{Act, Applied, Context, Failure};
use crate::host::glob::Glob;
use crate::host::{HeldState, Host};
use crate::ready::{pattern, shortened};

const POLL: Duration = Duration::from_millis(200);
/// How long a shim may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);
/// How long the end of a killed command is waited for.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Beginning of the names of folders of further starts, in the attempt's.
const AGAIN: &str = "again-";

/// The context of one start of the command. A repeatable one that was interrupted runs again in a folder of its own: a
/// folder holds one child, once.
fn nth(cx: &Context, n: u32) -> Context {
    let mut cx = cx.clone();
    if n > 1 {
        cx.attempt_dir = cx.attempt_dir.join(format!("{AGAIN}{n}"));
    }
    cx
}

/// All folders in which an attempt may hold a child: its own, and those of the starts after the first.
///
/// # Errors
/// Those of listing it.
pub(crate) fn folders(host: &dyn Host, attempt_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let again = host.list(attempt_dir)?.into_iter().filter(|name| name.starts_with(AGAIN)).map(|name| attempt_dir.join(name));
    Ok(std::iter::once(attempt_dir.to_owned()).chain(again).collect())
}

fn state(cx: &Context, claim: bool) -> Result<Option<HeldState>, Failure> {
    let state = cx.host.held(&cx.attempt_dir, claim);
    state.map_err(|e| not_seen("the attempt's folder cannot be read", &e).into())
}

/// The start that counts: one whose end is known or awaited, else a new one.
fn current(spec: &CommandLine, cx: &Context) -> Result<(Context, bool), Failure> {
    let mut n = 1;
    loop {
        let cx = nth(cx, n);
        match state(&cx, cx.resumed && !spec.repeatable)? {
            Some(HeldState::Alive { .. } | HeldState::Ended { .. }) => return Ok((cx, false)),
            None => return Ok((cx, true)),
            Some(HeldState::NeverBegan | HeldState::Vanished) if spec.repeatable => n += 1,
            Some(HeldState::NeverBegan) => {
                return Err(Failure::NotBegun { why: "the agent ended before the command was launched".to_owned() });
            }
            Some(HeldState::Vanished) => return Err(vanished()),
        }
    }
}

fn vanished() -> Failure {
    let known = "the command was started, and it is gone without an exit record";
    Failure::Indeterminate {
        fault: Fault::new(codes::VANISHED, known),
        known: vec![known.to_owned()],
        unknown: vec!["how far it came".to_owned()],
    }
}

async fn run(spec: &CommandLine, cx: &Context) -> Result<i32, Failure> {
    let mut watch = match Watch::resume(cx, None)? {
        Some(watch) => watch,
        None => Watch::begin(cx, None)?,
    };
    let began = cx.host.monotonic();
    let mut killed_at = None;
    loop {
        let elapsed = cx.host.monotonic().saturating_sub(began);
        // A command whose time is up must not begin any more: a shim that was that late loses its claim.
        let state = state(cx, killed_at.is_some() || elapsed > BEGIN_LIMIT)?;
        watch.pump(cx);
        match state {
            Some(HeldState::Ended { exit, .. }) => {
                watch.drain(cx);
                return if killed_at.is_some() { Err(late(spec)) } else { Ok(exit) };
            }
            Some(HeldState::NeverBegan) => return Err(Failure::NotBegun { why: "the shim did not begin".to_owned() }),
            Some(HeldState::Vanished) if killed_at.is_some() => return Err(late(spec)),
            Some(HeldState::Vanished) => return Err(vanished()),
            Some(HeldState::Alive { .. }) | None => {}
        }
        if killed_at.is_none() && elapsed >= spec.within {
            killed_at = Some(elapsed);
        }
        if let Some(at) = killed_at {
            // In every round: before SPAWNED is on disk nobody can be killed.
            let killed = cx.host.kill_held(&cx.attempt_dir);
            killed.map_err(|e| failed(not_seen("the command could not be killed", &e), Vec::new()))?;
            if elapsed.saturating_sub(at) >= KILL_LIMIT {
                return Err(late(spec));
            }
        }
        let label = format!("runs for {}", duration::format(Duration::from_secs(elapsed.as_secs())));
        cx.out.progress(Progress { done: 0, total: 0, label, quiet_seconds: watch.quiet_seconds(cx) });
        tokio::time::sleep(POLL).await;
    }
}

fn late(spec: &CommandLine) -> Failure {
    let text = format!("the command did not end within {} and was killed", duration::format(spec.within));
    failed(Fault::new(codes::COMMAND_LATE, text), Vec::new())
}

/// Judges the end: exit code, output, paths.
async fn judged(spec: &CommandLine, cx: &Context, exit: i32) -> Result<Vec<Evidence>, Failure> {
    let code = if spec.exit.contains(&exit) {
        Evidence::holds("exit code", exit.to_string())
    } else {
        Evidence::fails("exit code", exit.to_string())
    };
    let mut evidence = vec![code];
    for text in &spec.forbid {
        let forbidden = pattern(text)?;
        let mut found = None;
        let read = each_stored_line(&*cx.host, &cx.attempt_dir, None, |line| {
            if found.is_none() && forbidden.is_match(line) {
                found = Some(cx.secrets.redact(&shortened(line)));
            }
        });
        read.map_err(|e| failed(not_seen("the command's stored output", &e), Vec::new()))?;
        let what = format!("no line that matches {text:?}");
        evidence.push(match found {
            Some(line) => Evidence::fails(what, line),
            None => Evidence::holds(what, "none"),
        });
    }
    evidence.extend(paths(spec, cx).await?);
    match evidence.iter().find(|e| !e.holds) {
        None => Ok(evidence),
        Some(first) => Err(failed(Fault::new(codes::COMMAND_FAILED, format!("{}: {}", first.what, first.found)), evidence)),
    }
}

async fn paths(spec: &CommandLine, cx: &Context) -> Result<Vec<Evidence>, Failure> {
    if spec.present.is_empty() && spec.absent.is_empty() {
        return Ok(Vec::new());
    }
    let (present, absent) = (spec.present.clone(), spec.absent.clone());
    aside(cx, move |_| {
        let wanted = present.iter().map(|p| (p, true)).chain(absent.iter().map(|p| (p, false)));
        wanted.map(|(path, there)| of_path(path, there)).collect()
    })
    .await
}

fn of_path(path: &str, wanted: bool) -> Result<Evidence, Failure> {
    let glob = Glob::absolute(path).map_err(|e| Fault::new(files::BAD_PATH, e.to_string()))?;
    let matches: Vec<PathBuf> = glob.find().map_err(|e| not_seen(path, &e))?;
    let found = matches.first().map_or_else(|| "nothing".to_owned(), |p| p.display().to_string());
    let what = if wanted { format!("{path} is there") } else { format!("{path} is not there") };
    Ok(Evidence { what, found, holds: matches.is_empty() != wanted })
}

#[async_trait]
impl Act for CommandLine {
    async fn inspect(&self, _cx: &Context) -> Result<Preview, Failure> {
        for text in &self.forbid {
            pattern(text)?;
        }
        let says = format!("runs {} in {}", self.command.join(" "), self.cwd);
        Ok(Preview { verdict: Verdict::Opaque, says, diffs: Vec::new() })
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        for text in &self.forbid {
            pattern(text)?;
        }
        let (cx, new) = current(self, cx)?;
        let mut evidence = Vec::new();
        if new {
            let spec = launch::spec(&cx, &self.command, &self.cwd, &self.runtime)?;
            evidence = launch::launch(&cx, &spec).await?;
        }
        let exit = run(self, &cx).await?;
        evidence.extend(judged(self, &cx, exit).await?);
        Ok(Applied { changed: true, diffs: Vec::new(), evidence })
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let evidence = paths(self, cx).await?;
        match evidence.iter().find(|e| !e.holds) {
            None => Ok(evidence),
            Some(first) => Err(failed(Fault::new(codes::COMMAND_FAILED, format!("{}: {}", first.what, first.found)), evidence)),
        }
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
