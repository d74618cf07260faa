//! What persons said of a run holds: one that is closed starts nothing, one that rests offers nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cavalcade_common::id::{AttemptId, HostId, RunId};
use cavalcade_common::report::Report;
use cavalcade_controller::event::{Event, RunResult};

use super::super::machine::Witnessed;
use super::super::network::Carried;
use super::{Record, folder};

/// A cancelled or superseded run starts nothing once it is closed.
pub(super) fn closed_runs_start_nothing(record: &Record) -> Vec<String> {
    let closed: BTreeMap<&RunId, Duration> = record
        .journal()
        .filter_map(|(at, event)| match event {
            Event::RunClosed { run, .. } => Some((run, at)),
            _ => None,
        })
        .collect();
    let attempts = record.attempts();
    let begun = record.witness.iter().filter_map(|(at, w)| match w {
        Witnessed::Started { dir, asked, .. } => Some((*asked, attempts.get(&folder(dir))?.clone())),
        Witnessed::ScriptBegun { attempt, .. } => Some((*at, attempt.parse::<AttemptId>().ok()?)),
        _ => None,
    });
    begun
        .filter(|(at, attempt)| closed.get(&attempt.run).is_some_and(|end| at > end))
        .map(|(at, attempt)| format!("closed: {attempt} was started at {at:?}, its run was over"))
        .collect()
}

/// Rule 5: a run is closed when nothing of it is under way.
pub(super) fn closed_when_drained(record: &Record) -> Vec<String> {
    let mut under_way: BTreeMap<AttemptId, &HostId> = BTreeMap::new();
    let mut met: BTreeSet<&HostId> = BTreeSet::new();
    let mut found = Vec::new();
    for (_, event) in record.journal() {
        match event {
            Event::Offered { attempt, host } => {
                under_way.insert(attempt.clone(), host);
            }
            Event::Reported { report: Report::Ended { attempt, .. } | Report::Abandoned { attempt, .. }, .. } => {
                under_way.remove(attempt);
            }
            // What was under way there is Indeterminate from here on.
            Event::HostMet { host, .. } if !met.insert(host) => under_way.retain(|_, of| *of != host),
            Event::HostLost { host, .. } => under_way.retain(|_, of| *of != host),
            Event::RunClosed { run, result } => {
                let left = under_way.keys().filter(|attempt| attempt.run == *run);
                found.extend(left.map(|attempt| format!("rule 5: {run} was closed ({result:?}) with {attempt} under way")));
            }
            _ => {}
        }
    }
    found
}

/// A cancelled run takes back what has not begun: it offers nothing any more but what began.
pub(super) fn cancelled_offers_nothing(record: &Record) -> Vec<String> {
    let cancelled: BTreeMap<&RunId, Duration> = record
        .journal()
        .filter_map(|(at, event)| match event {
            Event::Cancelled { run, .. } => Some((run, at)),
            _ => None,
        })
        .collect();
    let began: BTreeMap<&AttemptId, Duration> = record
        .reports()
        .filter_map(|(at, _, report)| match report {
            Report::Began { attempt } => Some((attempt, at)),
            _ => None,
        })
        .collect();
    let sent = record.carried.iter().filter_map(|(at, carried)| match carried {
        Carried::OfferSent { attempt } => Some((*at, attempt)),
        Carried::OfferCame { .. } | Carried::WelcomeCame { .. } => None,
    });
    // What left in the batch before may be on its way to the network.
    let behind = |at: Duration, end: &Duration| at > *end + Duration::from_millis(50);
    sent.filter(|(at, attempt)| cancelled.get(&attempt.run).is_some_and(|end| behind(*at, end)))
        .filter(|(at, attempt)| began.get(attempt).is_none_or(|b| b > at))
        .map(|(at, attempt)| format!("cancel: {attempt} was offered at {at:?}, its run was cancelled before it began"))
        .collect()
}

/// A run that is paused offers nothing but what persons ordered, one that is cancelled nothing at all.
pub(super) fn rests_when_told(record: &Record) -> Vec<String> {
    let mut resting: BTreeMap<&RunId, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (at, event) in record.journal() {
        match event {
            Event::Paused { run, .. } => {
                resting.insert(run, "paused");
            }
            Event::Resumed { run, .. } => {
                resting.remove(run);
            }
            Event::Cancelled { run, .. } => {
                resting.insert(run, "cancelled");
            }
            Event::RunClosed { run, result: RunResult::Superseded | RunResult::Done | RunResult::Cancelled } => {
                resting.insert(run, "closed");
            }
            Event::Permitted { attempt, .. } => {
                if let Some(word) = resting.get(&attempt.run).filter(|word| **word != "paused") {
                    found.push(format!("cancel: {attempt} was permitted to launch at {at:?}, its run was {word}"));
                }
            }
            Event::Offered { attempt, .. } => {
                let ordered = attempt.step.stage == 0;
                if let Some(word) = resting.get(&attempt.run).filter(|word| !(ordered && **word == "paused")) {
                    found.push(format!("rests: {attempt} was newly offered at {at:?}, its run was {word}"));
                }
            }
            _ => {}
        }
    }
    found
}
