//! The offline checkers: they read the witness, what the network carried, the journal's events and the agents' ledgers,
//! and know nothing of how the code under test works.

mod effects;
mod jobs;
mod ledgers;
mod order;
mod runs;
mod services;

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::id::{AttemptId, HostId, RunId, StepKey};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::Report;
use cavalcade_controller::event::Event;
use jiff::Timestamp;

use super::host::since_start;
use super::machine::Witnessed;
use super::network::Carried;

/// Everything that a checker reads.
pub struct Record {
    /// What the machines did, sorted by time.
    pub witness: Vec<(Duration, Witnessed)>,
    /// The journal.
    pub events: Vec<(Timestamp, Event)>,
    /// What the network carried.
    pub carried: Vec<(Duration, Carried)>,
    /// The agents' ledgers, by host.
    pub ledgers: Vec<(String, Vec<u8>)>,
    /// What the runs wait for that are not over.
    pub open: Vec<String>,
}

/// All violations, as sentences.
#[must_use]
pub fn violations(record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(effects::once_per_attempt(record));
    found.extend(effects::once_per_key(record));
    found.extend(effects::restored_between(record));
    found.extend(effects::restores(record));
    found.extend(jobs::succeeded_means_done(record));
    found.extend(jobs::never_interrupted(record));
    found.extend(order::identity_server_first(record));
    found.extend(order::begun_by_an_offer(record));
    found.extend(runs::closed_runs_start_nothing(record));
    found.extend(runs::closed_when_drained(record));
    found.extend(runs::cancelled_offers_nothing(record));
    found.extend(runs::rests_when_told(record));
    found.extend(services::as_witnessed(record));
    found.extend(ledgers::acked_is_in_the_journal(record));
    found.extend(record.open.iter().map(|open| format!("liveness: {open}")));
    found
}

impl Record {
    /// The events with the virtual time of each.
    fn journal(&self) -> impl Iterator<Item = (Duration, &Event)> {
        self.events.iter().map(|(at, event)| (since_start(*at), event))
    }

    /// All reports, with their hosts.
    fn reports(&self) -> impl Iterator<Item = (Duration, &HostId, &Report)> {
        self.journal().filter_map(|(at, event)| match event {
            Event::Reported { host, report, .. } => Some((at, host, report)),
            _ => None,
        })
    }

    /// The steps of all plans.
    fn steps(&self) -> BTreeMap<(RunId, StepKey), PlanStep> {
        let mut steps = BTreeMap::new();
        for (_, event) in &self.events {
            match event {
                Event::RunOpened { run, plan, .. } => {
                    steps.extend(plan.steps().map(|(_, step)| ((run.clone(), step.key.clone()), step.clone())));
                }
                Event::StepAdded { run, step, .. } => {
                    steps.insert((run.clone(), step.key.clone()), (**step).clone());
                }
                _ => {}
            }
        }
        steps
    }

    /// All attempts that were offered, by the folder that each has.
    fn attempts(&self) -> BTreeMap<String, AttemptId> {
        let offered = self.events.iter().filter_map(|(_, event)| match event {
            Event::Offered { attempt, .. } => Some((attempt.folder(), attempt.clone())),
            _ => None,
        });
        offered.collect()
    }
}

/// The name of an attempt's folder. A seeded bug puts something behind it.
fn folder(dir: &std::path::Path) -> String {
    let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let bug = name.rsplit_once('.').filter(|(_, behind)| behind.len() == 32);
    bug.map_or(name.clone(), |(before, _)| before.to_owned())
}
