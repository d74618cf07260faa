//! The offline checkers: they read the witness, the journal's events and the end of the run, and know nothing of how the
//! code under test works.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cavalcade_controller::event::{Event, Resolution};

use super::machine::Witnessed;

/// Everything that a checker reads.
pub struct Record {
    /// What the machines did, sorted by time.
    pub witness: Vec<(Duration, Witnessed)>,
    /// The journal.
    pub events: Vec<Event>,
    /// Whether the run was closed.
    pub closed: bool,
    /// Steps that neither moved nor said why at the end.
    pub silent: Vec<String>,
}

/// All violations, as sentences.
#[must_use]
pub fn violations(record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(effects_once(record));
    found.extend(identity_server_first(record));
    found.extend(succeeded_means_done(record));
    if !record.closed {
        found.push("liveness: the run did not end".to_owned());
    }
    found.extend(record.silent.iter().map(|s| format!("liveness: {s} neither moved nor said why")));
    found
}

/// Promise 1: at most one start per effect key and approved attempt.
fn effects_once(record: &Record) -> Vec<String> {
    let mut starts: BTreeMap<String, u32> = BTreeMap::new();
    for (_, w) in &record.witness {
        if let Witnessed::Started { command, .. } = w
            && command.iter().any(|a| a.starts_with("-Dmigrate"))
        {
            *starts.entry(command.join(" ")).or_default() += 1;
        }
    }
    let approved = record.events.iter().filter(|e| allows_another(e)).count();
    let allowed = 1 + u32::try_from(approved).unwrap_or(0);
    starts
        .into_iter()
        .filter(|(_, n)| *n > allowed)
        .map(|(command, n)| format!("promise 1: `{command}` was started {n} times, {allowed} were approved"))
        .collect()
}

/// A decision of a person that licenses one more start of the migration.
fn allows_another(event: &Event) -> bool {
    match event {
        Event::Retried { step, .. } => step.stage == 1 && step.step == 1,
        Event::Resolved { step, resolution, .. } => step.stage == 1 && step.step == 1 && *resolution == Resolution::NotDone,
        _ => false,
    }
}

/// Promise 3: for each start of an API Manager, every Identity Server has a ready interval that reaches into the 60 s
/// before it.
fn identity_server_first(record: &Record) -> Vec<String> {
    let mut ready_until: BTreeMap<PathBuf, Option<Duration>> = BTreeMap::new();
    let mut up: BTreeSet<PathBuf> = BTreeSet::new();
    let mut found = Vec::new();
    for (at, w) in &record.witness {
        match w {
            Witnessed::ServerReady { home } if is_home(home) => {
                up.insert(home.clone());
            }
            Witnessed::ServerDown { home } if up.remove(home) => {
                ready_until.insert(home.clone(), Some(*at));
            }
            Witnessed::ServerUp { home, api_manager: true } => {
                let needed = super::fleet::IS.len();
                let recent =
                    ready_until.values().filter(|t| t.is_some_and(|t| at.saturating_sub(t) <= Duration::from_secs(60))).count();
                if up.len() + recent < needed {
                    found.push(format!(
                        "promise 3: {} started at {at:?} with {} of {needed} Identity Servers ready",
                        home.display(),
                        up.len()
                    ));
                }
            }
            _ => {}
        }
    }
    found
}

fn is_home(home: &Path) -> bool {
    home.to_string_lossy().contains("wso2is")
}

/// Promise 4: a migration that counts as succeeded by its evidence ran to the end of its work.
fn succeeded_means_done(record: &Record) -> Vec<String> {
    use cavalcade_common::report::{Ending, Report};
    let done = record.witness.iter().any(|(_, w)| matches!(w, Witnessed::WorkDone { .. }));
    let claimed = record.events.iter().any(|e| {
        matches!(e, Event::Reported { report: Report::Ended { attempt, outcome }, .. }
            if attempt.step.stage == 1 && attempt.step.step == 1 && outcome.ending == Ending::Succeeded)
    });
    if claimed && !done {
        vec!["promise 4: the migration counts as succeeded, the machine never finished it".to_owned()]
    } else {
        Vec::new()
    }
}
