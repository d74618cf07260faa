//! The offline checkers: they read the witness, the journal's events and the end of the run, and know nothing of how the
//! code under test works.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cavalcade_common::report::Sight;
use cavalcade_controller::event::{Event, Home, Resolution};

use super::host::since_start;
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
    found.extend(services_as_witnessed(record));
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

/// What the journal has of a service is what the machine saw at that very moment.
fn services_as_witnessed(record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    for event in &record.events {
        let Event::ServiceSeen { node, home: Home::New, sight, at, .. } = event else { continue };
        let (home, moment) = (PathBuf::from(super::fleet::home(node.as_str())), since_start(*at));
        // What happens at the moment itself may come before the look or behind it.
        let around = [stood(record, &home, |t| t < moment), stood(record, &home, |t| t <= moment)];
        let fits = around.iter().any(|(running, ready)| match sight {
            Sight::Up => *ready,
            Sight::Running | Sight::NotReady => *running,
            Sight::Down => !*running,
        });
        if !fits {
            found.push(format!("services: {node} is journaled {sight:?} at {moment:?}, the machine had it {around:?}"));
        }
    }
    found
}

/// Whether the server of a home ran, and whether it was ready, behind what was witnessed so far.
fn stood(record: &Record, home: &Path, so_far: impl Fn(Duration) -> bool) -> (bool, bool) {
    let mut stood = (false, false);
    for (_, w) in record.witness.iter().filter(|(at, _)| so_far(*at)) {
        match w {
            Witnessed::ServerUp { home: of, .. } if of == home => stood = (true, false),
            Witnessed::ServerReady { home: of } if of == home => stood.1 = stood.0,
            Witnessed::ServerDown { home: of } if of == home => stood = (false, false),
            _ => {}
        }
    }
    stood
}

#[cfg(test)]
mod tests {
    use cavalcade_common::id::{NodeId, RunId};

    use super::*;

    /// The checker itself: a service that is journaled otherwise than it was is noticed.
    #[test]
    fn a_service_that_was_not_so_is_noticed() {
        let home = PathBuf::from(super::super::fleet::home("is-1"));
        let second = Duration::from_secs;
        let witness = vec![
            (second(10), Witnessed::ServerUp { home: home.clone(), api_manager: false }),
            (second(20), Witnessed::ServerReady { home: home.clone() }),
            (second(30), Witnessed::ServerDown { home }),
        ];
        let base = super::super::host::started_at();
        let noticed = |sight, at: i64| {
            let (run, node) = (RunId::new("r").expect("an id"), NodeId::new("is-1").expect("a name"));
            let at = base + jiff::SignedDuration::from_secs(at);
            let events = vec![Event::ServiceSeen { run, node, home: Home::New, sight, at }];
            !services_as_witnessed(&Record { witness: witness.clone(), events, closed: true, silent: Vec::new() }).is_empty()
        };
        let right =
            [(Sight::Down, 5), (Sight::NotReady, 15), (Sight::Up, 20), (Sight::Up, 25), (Sight::Up, 30), (Sight::Down, 31)];
        for (sight, at) in right {
            assert!(!noticed(sight, at), "{sight:?} at {at} s is right");
        }
        for (sight, at) in [(Sight::Up, 5), (Sight::Up, 15), (Sight::Down, 25), (Sight::Up, 31), (Sight::NotReady, 5)] {
            assert!(noticed(sight, at), "{sight:?} at {at} s is wrong");
        }
    }
}
