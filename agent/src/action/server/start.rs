//! `server: start` and `wait`.
//!
//! An interrupted start is looked at, not repeated: the attempt's lock says whether something of it lives, then the
//! server's own readiness decides (class Verify).

use std::path::{Path, PathBuf};
use std::time::Duration;

use cavalcade_common::action::{Runtime, Server};
use cavalcade_common::codes::server as codes;
use cavalcade_common::duration;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, FileDiff, Sight};

use super::look::{Look, Looker};
use super::occupied::occupied;
use super::{log_of, names, processes, saw, stranger};
use crate::action::aside::aside;
use crate::action::launch::{self, failed, not_seen};
use crate::action::watch::Watch;
use crate::action::{Applied, Context, Failure};
use crate::host::{HeldSpec, HeldState, keep};

/// Time between two looks.
const POLL: Duration = Duration::from_millis(500);
/// How long a shim may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);
/// How long the last look of `verify` may take.
const VERIFY_LIMIT: Duration = Duration::from_secs(60);

/// Name of the products' PID file in their home (Main.java of the kernel writes it).
pub(super) const PID_FILE: &str = "wso2carbon.pid";

/// The number in a PID file: up to the first byte that is no digit. The kernel fills the rest of 100 bytes with NUL (09).
pub(super) fn pid_in(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()
}

pub(super) async fn start(spec: &Server, cx: &Context) -> Result<Applied, Failure> {
    if cx.resumed {
        return resume(spec, cx).await;
    }
    if spec.service.is_none() {
        launch::java_home(&spec.runtime)?;
    }
    let mut looker = Looker::new(spec, cx, None)?;
    let running = processes(spec, cx)?;
    if !running.is_empty() {
        if let Some(fault) = running.iter().find_map(|p| stranger(spec, p)) {
            return Err(fault.into());
        }
        if running.len() > 1 {
            return Err(Fault::new(codes::SEVERAL_PROCESSES, names(&running)).into());
        }
        let evidence = until_ready(spec, cx, &mut looker, None).await.map_err(unchanged)?;
        return Ok(Applied { changed: false, diffs: Vec::new(), evidence });
    }
    if let Some(fault) = occupied(spec, cx).await? {
        return Err(fault.into());
    }
    let diffs = put_pid_file_aside(spec, cx).await?;
    let child = child(spec, cx)?;
    let watch = Watch::begin(cx, log_of(spec).as_deref())?;
    let mut evidence = launch::launch(cx, &child).await?;
    let mut looker = Looker::new(spec, cx, Some(watch))?;
    evidence.extend(until_ready(spec, cx, &mut looker, Some(&cx.attempt_dir)).await?);
    Ok(Applied { changed: true, diffs, evidence })
}

/// What an earlier process of the agent began.
async fn resume(spec: &Server, cx: &Context) -> Result<Applied, Failure> {
    let state = cx.host.held(&cx.attempt_dir, true);
    let state = state.map_err(|e| failed(not_seen("the attempt's folder cannot be read", &e), Vec::new()))?;
    let watch = match &state {
        Some(HeldState::NeverBegan) if processes(spec, cx)?.is_empty() => {
            return Err(Failure::NotBegun { why: "the agent ended before the server was launched".to_owned() });
        }
        // Somebody else started it.
        Some(HeldState::NeverBegan) | None => None,
        Some(HeldState::Alive { .. } | HeldState::Ended { .. } | HeldState::Vanished) => {
            Watch::resume(cx, log_of(spec).as_deref())?
        }
    };
    if state == Some(HeldState::Vanished) && processes(spec, cx)?.is_empty() {
        return Err(failed(vanished(), Vec::new()));
    }
    let mut looker = Looker::new(spec, cx, watch)?;
    let dir = (state != Some(HeldState::NeverBegan)).then_some(&cx.attempt_dir);
    let evidence = until_ready(spec, cx, &mut looker, dir).await?;
    Ok(Applied { changed: true, diffs: Vec::new(), evidence })
}

fn vanished() -> Fault {
    Fault::new(codes::VANISHED, "the start left no exit record, and no process of it lives")
}

/// Waits for readiness alone.
pub(super) async fn wait(spec: &Server, cx: &Context) -> Result<Vec<Evidence>, Failure> {
    let mut looker = Looker::new(spec, cx, None)?;
    until_ready(spec, cx, &mut looker, None).await.map_err(unchanged)
}

/// The same failure of a look that changed nothing.
fn unchanged(failure: Failure) -> Failure {
    match failure {
        Failure::Failed { fault, evidence, .. } => Failure::Failed { fault, changed: false, evidence },
        other @ (Failure::Indeterminate { .. } | Failure::NotBegun { .. }) => other,
    }
}

/// Looks once more, a moment at most.
pub(super) async fn verify(spec: &Server, cx: &Context) -> Result<Vec<Evidence>, Failure> {
    let mut spec = spec.clone();
    spec.within = VERIFY_LIMIT;
    let watch = Watch::resume(cx, log_of(&spec).as_deref())?;
    let mut looker = Looker::new(&spec, cx, watch)?;
    until_ready(&spec, cx, &mut looker, None).await
}

/// Looks until everything that ready means holds, or the time is up. `child`: folder of what this attempt launched.
async fn until_ready(
    spec: &Server,
    cx: &Context,
    looker: &mut Looker<'_>,
    child: Option<&PathBuf>,
) -> Result<Vec<Evidence>, Failure> {
    loop {
        // Before the look: a process that ends in between is then seen by the next one.
        let ended = child.and_then(|dir| of_child(spec, cx, dir, looker));
        let evidence = match looker.look().await {
            Look::Ready(evidence) => {
                saw(spec, cx, Sight::Up);
                return Ok(evidence);
            }
            Look::Failed(fault, evidence) => return Err(failed(fault, evidence)),
            Look::Waiting(evidence) => evidence,
        };
        if let Some(failure) = ended
            && processes(spec, cx).is_ok_and(|running| running.is_empty())
        {
            looker.drain();
            return Err(failure);
        }
        if looker.elapsed() >= spec.within {
            let waits = evidence.last().map_or_else(String::new, |e| format!(": {}: {}", e.what, e.found));
            let within = duration::format(spec.within);
            let fault = Fault::new(codes::NOT_READY, format!("{} is not ready within {within}{waits}", spec.home));
            return Err(failed(fault, evidence));
        }
        looker.tell(&evidence);
        tokio::time::sleep(POLL).await;
    }
}

/// What the child's folder says against a further wait, where no process of the home is there.
fn of_child(spec: &Server, cx: &Context, dir: &Path, looker: &Looker<'_>) -> Option<Failure> {
    let claim = looker.elapsed() > BEGIN_LIMIT;
    match cx.host.held(dir, claim) {
        Ok(Some(HeldState::NeverBegan)) => {
            Some(Failure::NotBegun { why: format!("the shim did not begin{}", last_words(cx, dir)) })
        }
        Ok(Some(HeldState::Ended { exit, .. })) => match &spec.service {
            // systemctl has returned; the server belongs to its unit.
            Some(_) if exit == 0 => None,
            Some(unit) => {
                let text = format!("systemctl start {unit} ended with exit code {exit}{}", last_words(cx, dir));
                Some(failed(Fault::new(codes::SERVICE_FAILED, text), Vec::new()))
            }
            None => {
                let text = format!("the start ended with exit code {exit}, and no process of it lives{}", last_words(cx, dir));
                Some(failed(Fault::new(codes::START_FAILED, text), Vec::new()))
            }
        },
        Ok(Some(HeldState::Vanished)) => Some(failed(vanished(), Vec::new())),
        Ok(Some(HeldState::Alive { .. }) | None) => None,
        Err(e) => {
            cx.out.line(crate::action::watch::OWN, &format!("the attempt's folder cannot be read: {e}"));
            None
        }
    }
}

/// What the script said last: the products' scripts explain themselves in two lines.
fn last_words(cx: &Context, dir: &Path) -> String {
    let Ok((bytes, _)) = cx.host.held_output(dir, 0) else { return String::new() };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    let said = lines.into_iter().rev().collect::<Vec<_>>().join(" / ");
    if said.is_empty() { said } else { format!(": {}", cx.secrets.redact(&crate::ready::shortened(&said))) }
}

/// The script, or systemctl, which runs as the agent itself and whose server belongs to its unit.
pub(super) fn child(spec: &Server, cx: &Context) -> Result<HeldSpec, Failure> {
    match &spec.service {
        Some(unit) => {
            let command = ["systemctl", "start", "--", unit].map(str::to_owned);
            launch::spec(cx, &command, "/", &Runtime::default())
        }
        None => {
            let script = Path::new(&spec.home).join(&spec.script).to_string_lossy().into_owned();
            let mut command = vec![script, "start".to_owned()];
            command.extend(spec.args.iter().cloned());
            let child = launch::spec(cx, &command, &spec.home, &spec.runtime)?;
            Ok(HeldSpec { outlives_agent: true, ..child })
        }
    }
}

/// A PID file of no process of this home: its number may be a stranger's by now, and then the script says "already
/// running", starts nothing and exits 0 (09). It goes to the kept copies. The caller saw that the home has no process.
async fn put_pid_file_aside(spec: &Server, cx: &Context) -> Result<Vec<FileDiff>, Failure> {
    let path = Path::new(&spec.home).join(PID_FILE);
    let content = cx.host.read(&path).map_err(|e| not_seen(&path.display().to_string(), &e))?;
    let Some(content) = content.filter(|_| spec.service.is_none()) else { return Ok(Vec::new()) };
    let number = pid_in(&content).map_or_else(|| "no number".to_owned(), |pid| pid.to_string());
    let note = format!("stale: {number} is no process of this home; moved to the kept copies");
    let diff = FileDiff { path: path.display().to_string(), diff: String::new(), note };
    let undo_dir = cx.undo_dir.clone();
    aside(cx, move |_| {
        keep::removed(&undo_dir, &path).map_err(|e| not_seen(&format!("{} cannot be moved", path.display()), &e).into())
    })
    .await?;
    Ok(vec![diff])
}
