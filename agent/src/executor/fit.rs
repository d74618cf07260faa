//! An outcome as one record of the ledger takes it. What is too much is counted, and stands in the log; it is never the end
//! of the agent.

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{EFFECT_HELD_BY, Ending, Evidence, FileDiff, INCARNATION_OF, Outcome};
use cavalcade_common::report::{RESTORE_TOOK, RESTORED_ONCE};
use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::record::{EncodeError, MAX_OUTCOME};

/// Longest single text, in bytes. In JSON one byte becomes at most six.
const LONGEST: usize = 4 << 10;
/// All diffs of an outcome together are cut after this many bytes: the whole diff is in the log.
const DIFF_ROOM: usize = 96 << 10;
/// Bytes of JSON for the list of diffs, for that of evidence, and for each of the two lists of an Indeterminate end.
const DIFFS: usize = 176 << 10;
const EVIDENCE: usize = 112 << 10;
const SAID: usize = 24 << 10;
/// Bytes of JSON for the fault, whose five texts are cut too, and for everything else.
const REST: usize = 6 * 5 * LONGEST / 2;

const _: () = assert!(DIFFS + EVIDENCE + 2 * SAID + REST <= MAX_OUTCOME, "an outcome that was cut fits into its record");

/// The outcome, cut where it is larger than its record.
pub(super) fn fitting(mut outcome: Outcome) -> Outcome {
    for e in &mut outcome.evidence {
        cut(&mut e.what, LONGEST);
        cut(&mut e.found, LONGEST);
    }
    let more = keep(&mut outcome.evidence, EVIDENCE, matters);
    if let Some(more) = more {
        outcome.evidence.push(Evidence::holds(more, "whole in the log"));
    }
    cut_diffs(&mut outcome.diffs);
    let more = keep(&mut outcome.diffs, DIFFS, |_| false);
    if let Some(more) = more {
        outcome.diffs.push(FileDiff { path: more, diff: String::new(), note: "whole in the log".to_owned() });
    }
    for said in [&mut outcome.known, &mut outcome.unknown] {
        said.iter_mut().for_each(|text| cut(text, LONGEST));
        let more = keep(said, SAID, |_| false);
        said.extend(more);
    }
    if let Some(fault) = &mut outcome.fault {
        cut(&mut fault.message, LONGEST / 2);
        for text in [&mut fault.node, &mut fault.step, &mut fault.help].into_iter().flatten() {
            cut(text, LONGEST / 2);
        }
    }
    outcome
}

/// Why an attempt is given back, cut.
pub(super) fn fitting_text(mut text: String) -> String {
    cut(&mut text, LONGEST);
    text
}

/// The end of an attempt whose own report cannot be written: nothing that it did may count as done.
pub(super) fn unwritten(error: &EncodeError, at: Timestamp) -> Outcome {
    failed(error, at, true)
}

/// The end of an attempt whose offer cannot be written: nothing of it begins.
pub(super) fn refused(error: &EncodeError, at: Timestamp) -> Outcome {
    failed(error, at, false)
}

fn failed(error: &EncodeError, at: Timestamp, changed: bool) -> Outcome {
    let fault = Some(Fault::new(codes::agent::RECORD_SIZE, error.to_string()));
    Outcome { fault, ..Outcome::bare(Ending::Failed, changed, at, at) }
}

/// What the controller or a person decides by.
fn matters(evidence: &Evidence) -> bool {
    let read = [INCARNATION_OF, EFFECT_HELD_BY, RESTORED_ONCE, RESTORE_TOOK];
    !evidence.holds || read.iter().any(|word| evidence.what.starts_with(word))
}

/// Leaves as many as there is room for, in their order, those that matter first; says how many are left out.
fn keep<T: Serialize>(items: &mut Vec<T>, room: usize, matters: impl Fn(&T) -> bool) -> Option<String> {
    // For the word about the rest.
    let mut left = room - 256;
    let sizes: Vec<usize> = items.iter().map(|i| serde_json::to_vec(i).map_or(room, |json| json.len() + 1)).collect();
    let mut kept = vec![false; items.len()];
    for first in [true, false] {
        for (at, _) in items.iter().enumerate().filter(|(_, item)| matters(item) == first) {
            if sizes[at] > left {
                // Later ones that are smaller would stand there as if nothing were missing before them.
                break;
            }
            left -= sizes[at];
            kept[at] = true;
        }
    }
    let all = items.len();
    let mut kept = kept.into_iter();
    items.retain(|_| kept.next().unwrap_or(false));
    (items.len() < all).then(|| format!("\u{2026} and {} more", all - items.len()))
}

fn cut_diffs(diffs: &mut [FileDiff]) {
    let mut room = DIFF_ROOM;
    for d in diffs {
        cut(&mut d.path, LONGEST);
        cut(&mut d.note, LONGEST);
        if d.diff.len() > room {
            d.diff.truncate(d.diff.floor_char_boundary(room));
            d.note.push_str(" (cut here; whole in the log)");
        }
        room -= d.diff.len();
    }
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push_str(" [cut here]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::record::{Record, encode};
    use crate::ledger::tests::outcome;
    use cavalcade_common::report::Report;

    fn size(outcome: Outcome) -> usize {
        let attempt = "r1/1.1@is-1#1".parse().expect("an attempt");
        encode(&Record::Report { seq: 1, report: Report::Ended { attempt, outcome: Box::new(outcome) } }).expect("fits").len()
    }

    #[test]
    fn whatever_a_step_says_fits_into_its_record() {
        // The worst text: each byte of it is six of JSON.
        let long = "\u{1}".repeat(50_000);
        let mut all = outcome(Ending::Indeterminate);
        all.evidence = vec![Evidence::holds(long.clone(), long.clone()); 500];
        all.evidence.extend((0..20_000).map(|n| Evidence::holds(format!("path {n}"), "there")));
        all.evidence.push(Evidence::holds(format!("{INCARNATION_OF}am_db"), "4711"));
        all.evidence.push(Evidence::fails("the last", "gone"));
        let diff = |n| FileDiff { path: format!("/opt/{n}"), diff: String::new(), note: "removed, kept for undo".to_owned() };
        all.diffs = (0..20_000).map(diff).collect();
        all.known = vec![long.clone(); 100];
        all.unknown = vec![long.clone(); 100];
        all.fault = Some(Fault::new(codes::agent::NOT_SHOWN, long.clone()).on(&long).in_step(&long).help(long));
        let all = fitting(all);
        assert!(all.evidence.iter().any(|e| e.found == "4711"), "the controller reads it");
        assert!(all.evidence.iter().any(|e| !e.holds), "a person decides by it");
        assert!(all.evidence.last().is_some_and(|e| e.what.ends_with(" more")), "{:?}", all.evidence.last());
        let kept = all.diffs.len() - 1;
        assert_eq!(all.diffs[kept].path, format!("\u{2026} and {} more", 20_000 - kept));
        assert!(kept > 1000, "{kept}");
        let size = size(all);
        assert!(size <= MAX_OUTCOME, "{size}");
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let mut all = outcome(Ending::Succeeded);
        all.evidence = (0..50).map(|n| Evidence::holds(format!("path {n}"), "there")).collect();
        all.diffs = vec![FileDiff { path: "/a".to_owned(), diff: "-a\n+b\n".repeat(1000), note: String::new() }];
        assert_eq!(fitting(all.clone()), all);
    }
}
