//! Promises 4 and 7: what counts as succeeded was done, and nothing of ours ends a migration.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::action::Action;
use cavalcade_common::report::{Ending, Report};
use cavalcade_controller::event::Event;

use super::super::machine::{Ender, Witnessed, migrates};
use super::{Record, folder};

/// Promise 4: a migration that counts as succeeded by its evidence did all its work.
pub(super) fn succeeded_means_done(record: &Record) -> Vec<String> {
    let steps = record.steps();
    let done: BTreeSet<String> = record
        .witness
        .iter()
        .filter_map(|(_, w)| match w {
            Witnessed::WorkEnded { dir, well: true } => Some(folder(dir)),
            _ => None,
        })
        .collect();
    let claimed = record.reports().filter_map(|(_, _, report)| match report {
        Report::Ended { attempt, outcome } if outcome.ending == Ending::Succeeded => Some(attempt),
        _ => None,
    });
    claimed
        .filter(|a| steps.get(&(a.run.clone(), a.step.clone())).is_some_and(|s| matches!(s.action, Action::Job(_))))
        .filter(|a| !done.contains(&a.folder()))
        .map(|a| format!("promise 4: {a} counts as succeeded, its machine never did all the work"))
        .collect()
}

/// Promise 7: a migration ran to the end of its work before anything of ours stopped its server, unless a person said so.
pub(super) fn never_interrupted(record: &Record) -> Vec<String> {
    let attempts = record.attempts();
    let stopped = |attempt: &str, by: std::time::Duration| {
        let Some(attempt) = attempts.get(attempt) else { return false };
        record.journal().any(|(at, event)| {
            at <= by && matches!(event, Event::JobStopped { run, step, .. } if *run == attempt.run && *step == attempt.step)
        })
    };
    let mut ended: BTreeMap<String, bool> = BTreeMap::new();
    let mut found = Vec::new();
    for (at, w) in &record.witness {
        match w {
            Witnessed::Started { dir, command, .. } if migrates(command) => {
                ended.insert(folder(dir), false);
            }
            Witnessed::WorkEnded { dir, .. } => {
                ended.insert(folder(dir), true);
            }
            Witnessed::ServerDown { dir, by: Ender::Agent, .. } => {
                let attempt = folder(dir);
                if ended.get(&attempt) == Some(&false) && !stopped(&attempt, *at) {
                    found.push(format!("promise 7: {attempt} was ended at {at:?} before the end of its work"));
                }
            }
            _ => {}
        }
    }
    found
}
