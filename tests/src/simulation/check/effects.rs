//! Promise 1 and the restores: one start for each effect key and approved attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use cavalcade_controller::event::{Event, Resolution};

use super::super::machine::{Witnessed, databases_of, migrates};
use super::{Record, folder};

/// Clocks of journal and witness are one; a decision stands in the journal a moment before what it licenses.
const MOMENT: Duration = Duration::from_secs(60);

/// No attempt starts its migration twice.
pub(super) fn once_per_attempt(record: &Record) -> Vec<String> {
    let mut starts: BTreeMap<String, u32> = BTreeMap::new();
    for (_, w) in &record.witness {
        if let Witnessed::Started { dir, command, .. } = w
            && migrates(command)
        {
            *starts.entry(folder(dir)).or_default() += 1;
        }
    }
    starts.retain(|_, n| *n > 1);
    starts.into_iter().map(|(attempt, n)| format!("promise 1: {attempt} was started {n} times")).collect()
}

/// Starts by effect and incarnations: those of migrations, and the attempts that ran the script.
fn starts(record: &Record) -> BTreeMap<(String, String), Vec<(Duration, String)>> {
    let mut starts: BTreeMap<(String, String), Vec<(Duration, String)>> = BTreeMap::new();
    for (at, w) in &record.witness {
        match w {
            Witnessed::Started { host, dir, command, over, .. } if migrates(command) => {
                let effect = if host.starts_with("is") { "migrate-is" } else { "migrate-am" };
                starts.entry((format!("{effect} {host}"), format!("{over:?}"))).or_default().push((*at, folder(dir)));
            }
            Witnessed::ScriptBegun { incarnation, attempt, .. } => {
                let of_key = starts.entry(("upgrade cp-1".to_owned(), incarnation.clone())).or_default();
                // One attempt takes its script up again after an interruption.
                if of_key.iter().all(|(_, known)| known != attempt) {
                    of_key.push((*at, attempt.clone()));
                }
            }
            _ => {}
        }
    }
    starts
}

/// Decisions that license one more start, by effect.
fn licences(record: &Record) -> BTreeMap<String, Vec<Duration>> {
    let steps = record.steps();
    let mut licences: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for (at, event) in record.journal() {
        let (run, step) = match event {
            Event::Retried { run, step, .. } => (run, step),
            Event::Resolved { run, step, resolution, .. } if *resolution != Resolution::Replaced => (run, step),
            _ => continue,
        };
        if let Some(effect) = steps.get(&(run.clone(), step.clone())).and_then(|s| s.effect.as_ref()) {
            licences.entry(effect.0.clone()).or_default().push(at);
        }
    }
    licences
}

/// Promise 1: at most one start for each effect key and approved attempt.
pub(super) fn once_per_key(record: &Record) -> Vec<String> {
    let licences = licences(record);
    let mut found = Vec::new();
    for ((effect, over), starts) in starts(record) {
        let Some((first, _)) = starts.first() else { continue };
        let since = first.saturating_sub(MOMENT);
        let approved = licences.get(&effect).map_or(0, |all| all.iter().filter(|at| **at >= since).count());
        if starts.len() > 1 + approved {
            found.push(format!(
                "promise 1: {effect} was started {} times over {over}, {} were approved: {starts:?}",
                starts.len(),
                1 + approved
            ));
        }
    }
    found
}

/// Rule 6: between two starts of a migration each of its databases was restored.
pub(super) fn restored_between(record: &Record) -> Vec<String> {
    let mut restored: BTreeMap<PathBuf, BTreeSet<&str>> = BTreeMap::new();
    let mut found = Vec::new();
    for (at, w) in &record.witness {
        match w {
            Witnessed::Restored { database, .. } => restored.values_mut().for_each(|since| {
                since.insert(database);
            }),
            Witnessed::Started { command, dir, .. } if migrates(command) => {
                let home = PathBuf::from(command.first().map_or("", String::as_str));
                let before = restored.insert(home.clone(), BTreeSet::new());
                let missing = databases_of(&home).iter().filter(|d| before.as_ref().is_some_and(|since| !since.contains(**d)));
                found.extend(missing.map(|d| format!("rule 6: {} started at {at:?}, {d} was not restored before", folder(dir))));
            }
            _ => {}
        }
    }
    found
}

/// Rule 23: a restore gives an incarnation that was never there, and brings back nothing of a migration.
pub(super) fn restores(record: &Record) -> Vec<String> {
    let mut known: BTreeSet<&String> = BTreeSet::new();
    let mut found = Vec::new();
    for (at, w) in &record.witness {
        match w {
            Witnessed::Started { over, .. } => known.extend(over.values()),
            Witnessed::ScriptBegun { incarnation, .. } => {
                known.insert(incarnation);
            }
            Witnessed::Restored { database, incarnation, half_migrated } => {
                if !known.insert(incarnation) {
                    found.push(format!("rule 23: {database} was restored at {at:?} with an incarnation that it had before"));
                }
                if *half_migrated {
                    found.push(format!("rule 23: {database} was restored at {at:?} from a backup of half a migration"));
                }
            }
            _ => {}
        }
    }
    found
}
