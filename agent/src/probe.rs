//! A look at a node's servers, for permits (10, rules 15 and 16).

use std::io;
use std::path::Path;

use cavalcade_common::message::Seen;
use cavalcade_common::plan::Probe;
use cavalcade_common::report::{Evidence, Observation, Sight};

use crate::host::{Host, Process, ProcessId};
use crate::ready::{self, Patterns, StartedLine};
use crate::started::StartedIn;

/// Looks at a node: is its new server ready, and is its old one down. Changes nothing but its own notes in the agent's state
/// folder. What cannot be seen counts as not ready and not down.
pub async fn probe(host: &dyn Host, state_dir: &Path, probe: Option<&Probe>, old_home: Option<&str>) -> Seen {
    let (evidence, observed) = (Vec::new(), Vec::new());
    let mut seen = Seen { ready: false, process: String::new(), age_millis: 0, old_down: true, evidence, observed };
    if let Some(probe) = probe {
        seen.ready = is_ready(host, state_dir, probe, &mut seen).await;
        let sight = if seen.ready { Some(Sight::Up) } else { of_processes(host, &probe.home, Sight::NotReady) };
        seen.observed.extend(sight.map(|sight| Observation { home: probe.home.clone(), sight, at: host.now() }));
    }
    if let Some(home) = old_home {
        let down = no_process(host, Path::new(home));
        seen.old_down = down.holds;
        seen.evidence.push(down);
        let sight = if seen.old_down { Some(Sight::Down) } else { of_processes(host, home, Sight::Running) };
        seen.observed.extend(sight.map(|sight| Observation { home: home.to_owned(), sight, at: host.now() }));
    }
    seen
}

/// What the processes of a home say; where they cannot be seen, nothing was seen.
fn of_processes(host: &dyn Host, home: &str, living: Sight) -> Option<Sight> {
    let found = host.processes_of(Path::new(home)).ok()?;
    Some(if found.is_empty() { Sight::Down } else { living })
}

/// The form in which a process is named to the controller.
#[must_use]
pub fn name(process: &ProcessId) -> String {
    format!("{}@{}", process.pid, process.start_ticks)
}

/// Evidence that no process has a home.
pub fn no_process(host: &dyn Host, home: &Path) -> Evidence {
    let what = format!("processes with -Dcarbon.home={}", home.display());
    match host.processes_of(home) {
        Ok(found) if found.is_empty() => Evidence::holds(what, "none"),
        Ok(found) => Evidence::fails(what, found.iter().map(|p| name(&p.id)).collect::<Vec<_>>().join(", ")),
        Err(e) => Evidence::fails(what, format!("/proc cannot be read: {e}")),
    }
}

async fn is_ready(host: &dyn Host, state_dir: &Path, probe: &Probe, seen: &mut Seen) -> bool {
    let home = Path::new(&probe.home);
    let process = match only_process(host, home) {
        Ok(process) => process,
        Err(evidence) => {
            seen.evidence.push(evidence);
            return false;
        }
    };
    seen.process = name(&process.id);
    seen.evidence.push(Evidence::holds("process", format!("{} of {}", seen.process, process.user)));
    let begun = seen.evidence.len();
    seen.evidence.extend(of_process(probe, &process));
    seen.evidence.extend(of_log(host, state_dir, probe, &process));
    if seen.evidence[begun..].iter().all(|e| e.holds) {
        // Rule 15 asks for an answer with a body.
        seen.evidence.extend(ready::answers(host, &probe.ready, true).await);
    }
    seen.evidence.push(same_process(host, home, &process));
    seen.evidence.iter().all(|e| e.holds)
}

/// The one process of a home.
fn only_process(host: &dyn Host, home: &Path) -> Result<Process, Evidence> {
    let what = format!("process with -Dcarbon.home={}", home.display());
    let mut found = host.processes_of(home).map_err(|e| Evidence::fails(&what, format!("/proc cannot be read: {e}")))?;
    match (found.pop(), found.is_empty()) {
        (Some(process), true) => Ok(process),
        (Some(_), false) => Err(Evidence::fails(what, format!("{} of them", found.len() + 1))),
        (None, _) => Err(Evidence::fails(what, "none")),
    }
}

fn of_process(probe: &Probe, process: &Process) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    if let Some(user) = &probe.run_as
        && *user != process.user
    {
        evidence.push(Evidence::fails("user of the process", format!("{} instead of {user}", process.user)));
    }
    for forbidden in &probe.forbid_args {
        if process.args.iter().any(|a| is_argument(a, forbidden)) {
            evidence.push(Evidence::fails("command line of the process", format!("it holds {forbidden}")));
        }
    }
    evidence
}

/// `-Dmigrate` is meant by `-Dmigrate=true` too, and not by `-DmigrateFromVersion`.
fn is_argument(said: &str, forbidden: &str) -> bool {
    said.strip_prefix(forbidden).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

fn of_log(host: &dyn Host, state_dir: &Path, probe: &Probe, process: &Process) -> Option<Evidence> {
    let log = probe.ready.log.as_ref()?;
    let what = format!("line of this process in {log}");
    let started = match Patterns::of(&probe.ready) {
        Ok(patterns) => patterns.started?,
        Err(fault) => return Some(Evidence::fails(what, fault.message)),
    };
    let log = Path::new(&probe.home).join(log);
    let started = StartedIn { host, state_dir, log: &log, pattern: &started };
    Some(of_started(what, started.line_of(process)))
}

/// Evidence from a look for the "started" line.
pub(crate) fn of_started(what: String, line: io::Result<StartedLine>) -> Evidence {
    match line {
        Ok(StartedLine::Found(line)) => Evidence::holds(what, line),
        Ok(StartedLine::Missing) => Evidence::fails(what, "none that says started"),
        Ok(StartedLine::Unstamped(line)) => {
            Evidence::fails(what, format!("{line} (without a time stamp, in a file that is older than the process)"))
        }
        Ok(StartedLine::NotItsOwn { line, why }) => Evidence::fails(what, format!("{line} ({why})")),
        Err(e) => Evidence::fails(what, format!("the log cannot be read: {e}")),
    }
}

/// That the home's only process is still this one.
pub(crate) fn same_process(host: &dyn Host, home: &Path, before: &Process) -> Evidence {
    let what = "the same process before and after";
    match only_process(host, home) {
        Ok(after) if after.id == before.id => Evidence::holds(what, name(&after.id)),
        Ok(after) => Evidence::fails(what, format!("{} became {}", name(&before.id), name(&after.id))),
        Err(evidence) => Evidence::fails(what, evidence.found),
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
