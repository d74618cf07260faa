//! Reports, outcomes, evidence, faults, previews.

use cavalcade_proto::v1;

use super::WireError;
use super::field::{attempt_to_wire, instant, instant_to_wire, mark, required, required_attempt};
use crate::error::{Code, Fault, Place};
use crate::id::Mark;
use crate::report::{Checked, Ending, Evidence, FileDiff, Observation, Outcome, Preview, Report, Sight, Verdict};

pub(super) fn report_to_wire(seq: u64, mark: Option<Mark>, report: Report) -> v1::SequencedReport {
    use v1::sequenced_report::Report as Kind;
    let (attempt, kind) = match report {
        Report::Accepted { attempt } => (attempt, Kind::Accepted(v1::Accepted {})),
        Report::Began { attempt } => (attempt, Kind::Began(v1::Began {})),
        Report::WorkEnded { attempt, shown_by } => (attempt, Kind::WorkEnded(v1::WorkEnded { shown_by })),
        Report::Ended { attempt, outcome } => (attempt, Kind::Ended(Box::new(outcome_to_wire(*outcome)))),
        Report::Abandoned { attempt, why } => (attempt, Kind::Abandoned(v1::Abandoned { why })),
    };
    let mark = mark.map(|m| m.0).unwrap_or_default();
    v1::SequencedReport { seq, attempt: Some(attempt_to_wire(attempt)), report: Some(kind), mark }
}

pub(super) fn report(report: v1::SequencedReport) -> Result<(u64, Option<Mark>, Report), WireError> {
    use v1::sequenced_report::Report as Kind;
    let v1::SequencedReport { seq, attempt, report, mark: told } = report;
    let attempt = required_attempt(attempt, "report.attempt")?;
    let report = match required(report, "report.report")? {
        Kind::Accepted(v1::Accepted {}) => Report::Accepted { attempt },
        Kind::Began(v1::Began {}) => Report::Began { attempt },
        Kind::WorkEnded(v1::WorkEnded { shown_by }) => Report::WorkEnded { attempt, shown_by },
        Kind::Ended(ended) => Report::Ended { attempt, outcome: Box::new(outcome(*ended)?) },
        Kind::Abandoned(v1::Abandoned { why }) => Report::Abandoned { attempt, why },
    };
    Ok((seq, mark(told, "report.mark")?, report))
}

fn outcome_to_wire(outcome: Outcome) -> v1::Outcome {
    let Outcome { ending, changed, began, ended, evidence, diffs, fault, known, unknown, observed } = outcome;
    let ending = match ending {
        Ending::Succeeded => v1::Ending::Succeeded,
        Ending::Failed => v1::Ending::Failed,
        Ending::Indeterminate => v1::Ending::Indeterminate,
    };
    v1::Outcome {
        ending: ending.into(),
        changed,
        began: Some(instant_to_wire(began)),
        ended: Some(instant_to_wire(ended)),
        evidence: evidence_to_wire(evidence),
        diffs: diffs_to_wire(diffs),
        fault: fault.map(fault_to_wire),
        known,
        unknown,
        observed: observed_to_wire(observed),
    }
}

fn outcome(outcome: v1::Outcome) -> Result<Outcome, WireError> {
    let v1::Outcome { ending, changed, began, ended, evidence, diffs, fault, known, unknown, observed } = outcome;
    let unknown_ending = || WireError::UnknownValue { field: "outcome.ending", value: ending };
    let ending = match v1::Ending::try_from(ending).map_err(|_| unknown_ending())? {
        v1::Ending::Unspecified => return Err(unknown_ending()),
        v1::Ending::Succeeded => Ending::Succeeded,
        v1::Ending::Failed => Ending::Failed,
        v1::Ending::Indeterminate => Ending::Indeterminate,
    };
    Ok(Outcome {
        ending,
        changed,
        began: instant(began, "outcome.began")?,
        ended: instant(ended, "outcome.ended")?,
        evidence: evidence_from_wire(evidence),
        diffs: diffs_from_wire(diffs),
        fault: fault.map(fault_from_wire).transpose()?,
        known,
        unknown,
        observed: observed_from_wire(observed)?,
    })
}

pub(super) fn evidence_to_wire(evidence: Vec<Evidence>) -> Vec<v1::Evidence> {
    evidence.into_iter().map(|Evidence { what, found, holds }| v1::Evidence { what, found, holds }).collect()
}

pub(super) fn evidence_from_wire(evidence: Vec<v1::Evidence>) -> Vec<Evidence> {
    evidence.into_iter().map(|v1::Evidence { what, found, holds }| Evidence { what, found, holds }).collect()
}

pub(super) fn observed_to_wire(observed: Vec<Observation>) -> Vec<v1::Observation> {
    let one = |Observation { home, sight, at }| {
        let sight = match sight {
            Sight::Up => v1::Sight::Up,
            Sight::Running => v1::Sight::Running,
            Sight::NotReady => v1::Sight::NotReady,
            Sight::Down => v1::Sight::Down,
        };
        v1::Observation { home, sight: sight.into(), at: Some(instant_to_wire(at)) }
    };
    observed.into_iter().map(one).collect()
}

pub(super) fn observed_from_wire(observed: Vec<v1::Observation>) -> Result<Vec<Observation>, WireError> {
    let one = |v1::Observation { home, sight, at }| {
        let unknown = || WireError::UnknownValue { field: "observation.sight", value: sight };
        let sight = match v1::Sight::try_from(sight).map_err(|_| unknown())? {
            v1::Sight::Unspecified => return Err(unknown()),
            v1::Sight::Up => Sight::Up,
            v1::Sight::Running => Sight::Running,
            v1::Sight::NotReady => Sight::NotReady,
            v1::Sight::Down => Sight::Down,
        };
        Ok(Observation { home, sight, at: instant(at, "observation.at")? })
    };
    observed.into_iter().map(one).collect()
}

fn diffs_to_wire(diffs: Vec<FileDiff>) -> Vec<v1::FileDiff> {
    diffs.into_iter().map(|FileDiff { path, diff, note }| v1::FileDiff { path, diff, note }).collect()
}

fn diffs_from_wire(diffs: Vec<v1::FileDiff>) -> Vec<FileDiff> {
    diffs.into_iter().map(|v1::FileDiff { path, diff, note }| FileDiff { path, diff, note }).collect()
}

fn fault_to_wire(fault: Fault) -> v1::Fault {
    let Fault { code, message, place, node, step, help } = fault;
    let place = place.map(|Place { file, line, column, length }| v1::Place { file, line, column, length });
    v1::Fault { code: code.0.into(), message, place, node, step, help }
}

fn fault_from_wire(fault: v1::Fault) -> Result<Fault, WireError> {
    let v1::Fault { code, message, place, node, step, help } = fault;
    let code = u16::try_from(code).map_err(|_| WireError::Range { field: "fault.code", value: code.into() })?;
    let place = place.map(|v1::Place { file, line, column, length }| Place { file, line, column, length });
    Ok(Fault { code: Code(code), message, place, node, step, help })
}

pub(super) fn preview_to_wire(preview: Preview) -> v1::Preview {
    let Preview { verdict, says, diffs } = preview;
    let verdict = match verdict {
        Verdict::Change => v1::Verdict::Change,
        Verdict::Same => v1::Verdict::Same,
        Verdict::Maybe => v1::Verdict::Maybe,
        Verdict::Opaque => v1::Verdict::Opaque,
    };
    v1::Preview { verdict: verdict.into(), says, diffs: diffs_to_wire(diffs) }
}

pub(super) fn preview(preview: v1::Preview) -> Result<Preview, WireError> {
    let v1::Preview { verdict, says, diffs } = preview;
    let unknown_verdict = || WireError::UnknownValue { field: "preview.verdict", value: verdict };
    let verdict = match v1::Verdict::try_from(verdict).map_err(|_| unknown_verdict())? {
        v1::Verdict::Unspecified => return Err(unknown_verdict()),
        v1::Verdict::Change => Verdict::Change,
        v1::Verdict::Same => Verdict::Same,
        v1::Verdict::Maybe => Verdict::Maybe,
        v1::Verdict::Opaque => Verdict::Opaque,
    };
    Ok(Preview { verdict, says, diffs: diffs_from_wire(diffs) })
}

pub(super) fn checked_to_wire(checked: Checked) -> v1::Checked {
    let Checked { holds, evidence, fault } = checked;
    v1::Checked { holds, evidence: evidence_to_wire(evidence), fault: fault.map(fault_to_wire) }
}

pub(super) fn checked(checked: v1::Checked) -> Result<Checked, WireError> {
    let v1::Checked { holds, evidence, fault } = checked;
    Ok(Checked { holds, evidence: evidence_from_wire(evidence), fault: fault.map(fault_from_wire).transpose()? })
}

/// A report that the link can carry, for one beyond its limit: texts of diffs go first, then long evidence. Without this
/// one huge diff would end every session of its host, since reports are sent again until they are acked.
pub(super) fn shorten(report: Report, limit: u64) -> Option<Report> {
    let Report::Ended { attempt, mut outcome } = report else { return None };
    const KEPT: usize = 4 << 10;
    for diff in &mut outcome.diffs {
        let note = format!("diff of {} bytes left out: the link carries at most {limit}", diff.diff.len());
        diff.diff.clear();
        diff.note = if diff.note.is_empty() { note } else { format!("{}; {note}", cut(&diff.note, KEPT)) };
    }
    for piece in &mut outcome.evidence {
        piece.found = cut(&piece.found, KEPT);
    }
    Some(Report::Ended { attempt, outcome })
}

/// The text, or its beginning with a note of how much is missing.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most);
    format!("{} [cut: {} more bytes]", &text[..end], text.len() - end)
}
