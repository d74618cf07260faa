//! `server: stop`. Asks, and waits; kills nothing, ever.

use std::path::Path;
use std::time::Duration;

use cavalcade_common::action::{Runtime, Server};
use cavalcade_common::codes::server as codes;
use cavalcade_common::duration;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, Sight};

use super::look::tell;
use super::start::{PID_FILE, pid_in};
use super::{log_of, names, processes, saw};
use crate::action::launch::{self, failed, not_seen};
use crate::action::watch::{OWN, Watch};
use crate::action::{Applied, Context, Failure};
use crate::host::{HeldState, Process};
use crate::probe::no_process;

const POLL: Duration = Duration::from_millis(500);

pub(super) async fn stop(spec: &Server, cx: &Context) -> Result<Applied, Failure> {
    let running = processes(spec, cx)?;
    if running.is_empty() {
        saw(spec, cx, Sight::Down);
        let evidence = vec![no_process(&*cx.host, Path::new(&spec.home))];
        // An earlier process of the agent may have asked it to stop.
        return Ok(Applied { changed: cx.resumed, diffs: Vec::new(), evidence });
    }
    saw(spec, cx, Sight::Running);
    let mut evidence = vec![Evidence::holds("process before", names(&running))];
    // From here on its log is the step's: what a server says while it stops belongs to the night's record.
    let log = log_of(spec);
    let watch = match Watch::resume(cx, log.as_deref())? {
        Some(watch) => watch,
        None => Watch::begin(cx, log.as_deref())?,
    };
    let known = cx.host.held(&cx.attempt_dir, false).map_err(|e| not_seen("the attempt's folder cannot be read", &e))?;
    let by_hand = match (&known, &spec.service) {
        // The script or systemctl ran in an earlier process of the agent; only if it is done and the process is still
        // there it is asked again, directly.
        (Some(HeldState::Alive { .. }), _) => Vec::new(),
        (Some(HeldState::NeverBegan | HeldState::Ended { .. } | HeldState::Vanished), _) => running,
        (None, Some(unit)) => {
            let command = ["systemctl", "stop", "--", unit].map(str::to_owned);
            let child = launch::spec(cx, &command, "/", &Runtime::default())?;
            evidence.extend(launch::launch(cx, &child).await?);
            Vec::new()
        }
        (None, None) => by_script(spec, cx, running, &mut evidence).await?,
    };
    if !by_hand.is_empty() {
        evidence.extend(launch::permit(cx).await?);
    }
    for process in &by_hand {
        cx.out.line(OWN, &format!("TERM to {}", names(std::slice::from_ref(process))));
        let sent = cx.host.terminate(&process.id);
        sent.map_err(|e| failed(Fault::new(codes::NOT_STOPPED, format!("TERM could not be sent: {e}")), Vec::new()))?;
    }
    until_gone(spec, cx, watch, evidence).await
}

/// Runs the stop script where it would reach the right process; gives back the processes that it does not reach. It
/// signals whatever number stands in the PID file (09).
async fn by_script(
    spec: &Server,
    cx: &Context,
    running: Vec<Process>,
    evidence: &mut Vec<Evidence>,
) -> Result<Vec<Process>, Failure> {
    let path = Path::new(&spec.home).join(PID_FILE);
    let pid = cx.host.read(&path).map_err(|e| not_seen(&path.display().to_string(), &e))?.and_then(|b| pid_in(&b));
    let (reached, rest): (Vec<_>, Vec<_>) = running.into_iter().partition(|p| Some(p.id.pid) == pid);
    if reached.is_empty() {
        let found = format!("{pid:?} is no process of this home: the script is not run, TERM goes to the process itself");
        cx.out.line(OWN, &format!("{}: {found}", path.display()));
        return Ok(rest);
    }
    // The script does nothing without JAVA_HOME; all that it does is to send TERM.
    if launch::java_home(&spec.runtime).is_err() {
        return Ok(reached.into_iter().chain(rest).collect());
    }
    let script = Path::new(&spec.home).join(&spec.script).to_string_lossy().into_owned();
    let child = launch::spec(cx, &[script, "stop".to_owned()], &spec.home, &spec.runtime)?;
    evidence.extend(launch::launch(cx, &child).await?);
    Ok(rest)
}

async fn until_gone(spec: &Server, cx: &Context, mut watch: Watch, mut evidence: Vec<Evidence>) -> Result<Applied, Failure> {
    let began = cx.host.monotonic();
    loop {
        watch.pump(cx);
        let seen = no_process(&*cx.host, Path::new(&spec.home));
        let elapsed = cx.host.monotonic().saturating_sub(began);
        if seen.holds {
            saw(spec, cx, Sight::Down);
            // Its last words.
            watch.pump(cx);
            evidence.push(seen);
            return Ok(Applied { changed: true, diffs: Vec::new(), evidence });
        }
        if let Some(fault) = service_failed(spec, cx) {
            evidence.push(seen);
            return Err(failed(fault, evidence));
        }
        if elapsed >= spec.within {
            let fault = Fault::new(
                codes::NOT_STOPPED,
                format!("{} did not stop within {}: {}", spec.home, duration::format(spec.within), seen.found),
            );
            evidence.push(seen);
            return Err(failed(fault, evidence));
        }
        let waited = duration::format(Duration::from_secs(elapsed.as_secs()));
        tell(cx, &format!("waits {waited} for the end of {}", seen.found), 0);
        tokio::time::sleep(POLL).await;
    }
}

fn service_failed(spec: &Server, cx: &Context) -> Option<Fault> {
    let unit = spec.service.as_ref()?;
    match cx.host.held(&cx.attempt_dir, false) {
        Ok(Some(HeldState::Ended { exit, .. })) if exit != 0 => {
            Some(Fault::new(codes::SERVICE_FAILED, format!("systemctl stop {unit} ended with exit code {exit}")))
        }
        Ok(_) | Err(_) => None,
    }
}
