//! Promise 5: what an agent was acked is in the journal.

use std::collections::BTreeMap;

use cavalcade_agent::ledger::record::{Record as Written, decode};
use cavalcade_common::id::Incarnation;
use cavalcade_common::report::Report;
use cavalcade_controller::event::Event;

use super::Record;

/// Acked is a subset of recovered.
pub(super) fn acked_is_in_the_journal(record: &Record) -> Vec<String> {
    let mut journaled: BTreeMap<(&str, &Incarnation, u64), Vec<&Report>> = BTreeMap::new();
    for (_, event) in &record.events {
        if let Event::Reported { host, incarnation, seq, report, .. } = event {
            journaled.entry((host.as_str(), incarnation, *seq)).or_default().push(report);
        }
    }
    let mut found = Vec::new();
    for (host, bytes) in &record.ledgers {
        let decoded = match decode(bytes) {
            Ok(decoded) => decoded,
            Err(damage) => {
                found.push(format!("promise 5: {host}: {damage}"));
                continue;
            }
        };
        let (mut incarnation, mut acked, mut reports) = (None, 0, Vec::new());
        for (written, _) in &decoded.records {
            match written {
                Written::Born { incarnation: own } => incarnation = Some(own),
                Written::Report { seq, report } => reports.push((*seq, report)),
                Written::Acked { seq } => acked = acked.max(*seq),
                Written::Fence { .. } | Written::Offer(_) | Written::IntentBegins { .. } => {}
            }
        }
        let Some(incarnation) = incarnation else { continue };
        for (seq, report) in reports.into_iter().filter(|(seq, _)| *seq <= acked) {
            let told = without_looks(report);
            let known = journaled.get(&(host.as_str(), incarnation, seq)).is_some_and(|all| all.contains(&&told));
            if !known {
                found.push(format!("promise 5: report {seq} of {host} was acked and is not in the journal"));
            }
        }
    }
    found
}

/// A report without what was seen of servers: that is journaled as events of its own, which another checker reads.
fn without_looks(report: &Report) -> Report {
    let mut report = report.clone();
    if let Report::Ended { outcome, .. } = &mut report {
        outcome.observed.clear();
    }
    report
}
