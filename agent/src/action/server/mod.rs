//! `server`: start, stop, wait for, prove down.

mod look;
mod occupied;
mod start;
mod stop;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use cavalcade_common::action::{Server, ServerOp};
use cavalcade_common::codes::server as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, Observation, Preview, Sight, Verdict};

pub(crate) use occupied::own_ports;

use super::launch::{self, not_seen};
use super::{Act, Applied, Context, Failure};
use crate::host::Process;
use crate::probe::{name, no_process};
use crate::ready::Patterns;

fn log_of(spec: &Server) -> Option<PathBuf> {
    spec.ready.log.as_ref().map(|log| Path::new(&spec.home).join(log))
}

fn processes(spec: &Server, cx: &Context) -> Result<Vec<Process>, Fault> {
    cx.host.processes_of(Path::new(&spec.home)).map_err(|e| not_seen("/proc cannot be read", &e))
}

fn names(found: &[Process]) -> String {
    found.iter().map(|p| format!("{} of {}", name(&p.id), p.user)).collect::<Vec<_>>().join(", ")
}

/// Notes what was seen of the server just now.
fn saw(spec: &Server, cx: &Context, sight: Sight) {
    cx.out.saw(Observation { home: spec.home.clone(), sight, at: cx.host.now() });
}

/// Why a running process is not the server that this step means; `None`: it is.
fn stranger(spec: &Server, process: &Process) -> Option<Fault> {
    if let Some(user) = &spec.runtime.run_as
        && *user != process.user
    {
        let text = format!("{} of the home {} runs as {} instead of {user}", name(&process.id), spec.home, process.user);
        return Some(Fault::new(codes::WRONG_USER, text));
    }
    // A unit has arguments of its own.
    if spec.service.is_none() && !has_arguments(&process.args, &spec.args) {
        let text = format!("{} does not run with the arguments {:?}", name(&process.id), spec.args);
        return Some(Fault::new(codes::OTHER_ARGUMENTS, text));
    }
    None
}

/// The start scripts put their arguments last, behind the main class. So a command line must end with the wanted ones,
/// and what stands before them must be no further argument of the script.
fn has_arguments(line: &[String], wanted: &[String]) -> bool {
    let Some(before) = line.strip_suffix(wanted) else { return false };
    before.last().is_none_or(|last| !last.starts_with("-D") || last.starts_with("-Dcarbon.home="))
}

/// `down`: looked for twice.
async fn down(spec: &Server, cx: &Context) -> Result<Vec<Evidence>, Failure> {
    let mut evidence = Vec::new();
    for look in 1..=2 {
        let mut seen = no_process(&*cx.host, Path::new(&spec.home));
        seen.what = format!("look {look} for {}", seen.what);
        if !seen.holds {
            let fault = Fault::new(codes::NOT_DOWN, format!("{} runs: {}", spec.home, seen.found));
            evidence.push(seen);
            return Err(Failure::Failed { fault, changed: false, evidence });
        }
        saw(spec, cx, Sight::Down);
        evidence.push(seen);
        if look == 1 {
            let apart = cavalcade_common::duration::format(spec.apart);
            let label = format!("looks again after {apart} that nothing has started {}", spec.home);
            look::tell(cx, &label, 0);
            tokio::time::sleep(spec.apart).await;
        }
    }
    Ok(evidence)
}

fn inspect(spec: &Server, cx: &Context) -> Result<Preview, Failure> {
    Patterns::of(&spec.ready)?;
    if spec.op == ServerOp::Start && spec.service.is_none() {
        launch::java_home(&spec.runtime)?;
    }
    let running = processes(spec, cx)?;
    let by = spec.service.as_ref().map_or_else(|| spec.script.clone(), |unit| format!("unit {unit}"));
    let (verdict, says) = match (spec.op, running.is_empty()) {
        (ServerOp::Start, true) => (Verdict::Change, format!("starts {} by {by} and waits until it is ready", spec.home)),
        (ServerOp::Start, false) => match running.iter().find_map(|p| stranger(spec, p)) {
            None => (Verdict::Same, format!("runs already: {}", names(&running))),
            Some(fault) => (Verdict::Maybe, format!("something runs there now: {}", fault.message)),
        },
        (ServerOp::Stop, true) => (Verdict::Same, format!("nothing runs in {}", spec.home)),
        (ServerOp::Stop, false) => (Verdict::Change, format!("stops {} by {by}", names(&running))),
        (ServerOp::Wait, _) => (Verdict::Same, format!("waits until {} is ready", spec.home)),
        (ServerOp::Down, true) => (Verdict::Same, format!("nothing runs in {} now", spec.home)),
        (ServerOp::Down, false) => (Verdict::Maybe, format!("must be stopped before: {}", names(&running))),
    };
    Ok(Preview { verdict, says, diffs: Vec::new() })
}

#[async_trait]
impl Act for Server {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        inspect(self, cx)
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        match self.op {
            ServerOp::Start => start::start(self, cx).await,
            ServerOp::Stop => stop::stop(self, cx).await,
            ServerOp::Wait => {
                let evidence = start::wait(self, cx).await?;
                Ok(Applied { changed: false, diffs: Vec::new(), evidence })
            }
            ServerOp::Down => {
                let evidence = down(self, cx).await?;
                Ok(Applied { changed: false, diffs: Vec::new(), evidence })
            }
        }
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        match self.op {
            ServerOp::Start | ServerOp::Wait => start::verify(self, cx).await,
            ServerOp::Stop | ServerOp::Down => {
                let seen = no_process(&*cx.host, Path::new(&self.home));
                if seen.holds {
                    return Ok(vec![seen]);
                }
                let code = if self.op == ServerOp::Stop { codes::NOT_STOPPED } else { codes::NOT_DOWN };
                let fault = Fault::new(code, format!("{} runs: {}", self.home, seen.found));
                Err(Failure::Failed { fault, changed: self.op == ServerOp::Stop, evidence: vec![seen] })
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
