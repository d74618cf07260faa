//! What the ledger's records say, as the fold of them.

use std::collections::BTreeMap;

use cavalcade_common::action::Action;
use cavalcade_common::id::{AttemptId, Epoch, Generation, Incarnation, Mark};
use cavalcade_common::message::Offer;
use cavalcade_common::report::{Ending, Report};

use super::effects::Effects;
use super::record::Record;

/// How far an attempt got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// In the ledger, nothing began.
    Accepted,
    /// One or both INTENT records are there: the effect may have begun.
    Intended,
    /// Proved not begun.
    Abandoned,
    /// Ended.
    Ended(Ending),
}

/// One attempt.
#[derive(Debug, Clone)]
pub struct AttemptState {
    /// How far it got.
    pub phase: Phase,
    /// The offer; dropped from memory once its end is acked.
    pub offer: Option<Box<Offer>>,
    /// Whether the work of its child is known to have ended.
    pub work_ended: bool,
    /// Whether the controller is told that it began: the second INTENT record is.
    pub begun_told: bool,
    /// Number of its INTENT, once there is one.
    began: Option<u64>,
}

impl AttemptState {
    fn new(phase: Phase) -> Self {
        Self { phase, offer: None, work_ended: false, begun_told: false, began: None }
    }
}

/// The whole.
#[derive(Debug, Default)]
pub struct LedgerState {
    /// Identity.
    pub incarnation: Option<Incarnation>,
    /// Highest term met.
    pub epoch: Epoch,
    /// Highest plan number met.
    pub generation: Generation,
    /// Highest sequence given to a report.
    pub last_seq: u64,
    /// Everything up to here is in the journal.
    pub acked: u64,
    /// What the ledger held up to the last acked report and up to each later one.
    pub marks: BTreeMap<u64, Mark>,
    /// All attempts ever, by id.
    pub attempts: BTreeMap<AttemptId, AttemptState>,
    /// Reports that are not acked, by sequence.
    pub unacked: BTreeMap<u64, Report>,
    /// Effects that must happen at most once, with their starts.
    pub effects: Effects,
}

impl LedgerState {
    /// Takes one record in.
    pub(super) fn apply(&mut self, record: Record, mark: Mark) {
        match record {
            Record::Born { incarnation } => self.incarnation = Some(incarnation),
            Record::Fence { epoch, generation } => {
                self.epoch = epoch;
                self.generation = generation;
            }
            Record::Offer(offer) => {
                let known = self.attempts.entry(offer.attempt.clone());
                known.or_insert_with(|| AttemptState::new(Phase::Accepted)).offer = Some(offer);
            }
            Record::IntentBegins { attempt } => self.intended(&attempt),
            Record::Report { seq, report } => {
                self.last_seq = self.last_seq.max(seq);
                self.marks.insert(seq, mark);
                self.reported(&report);
                self.unacked.insert(seq, report);
            }
            Record::Acked { seq } => self.acked_up_to(seq),
        }
    }

    /// Either of the two INTENT records counts, both together once.
    fn intended(&mut self, attempt: &AttemptId) {
        let Some(state) = self.attempts.get_mut(attempt) else { return };
        if state.phase != Phase::Intended {
            state.phase = Phase::Intended;
            let key = state.offer.as_ref().and_then(|o| o.step.effect.clone());
            state.began = Some(self.effects.intended(attempt, key));
        }
    }

    fn reported(&mut self, report: &Report) {
        match report {
            Report::Accepted { .. } => {}
            Report::Began { attempt } => {
                self.intended(attempt);
                if let Some(state) = self.attempts.get_mut(attempt) {
                    state.begun_told = true;
                }
            }
            Report::WorkEnded { attempt, .. } => {
                if let Some(state) = self.attempts.get_mut(attempt) {
                    state.work_ended = true;
                }
            }
            Report::Ended { attempt, outcome } => self.ended(attempt, outcome.ending),
            Report::Abandoned { attempt, .. } => self.abandoned(attempt),
        }
    }

    fn ended(&mut self, attempt: &AttemptId, ending: Ending) {
        // An attempt whose offer was refused unread is in the ledger from then on: its repeated offer is a known one.
        let state = self.attempts.entry(attempt.clone()).or_insert_with(|| AttemptState::new(Phase::Accepted));
        state.phase = Phase::Ended(ending);
        self.effects.ended(attempt, ending);
        if ending == Ending::Succeeded
            && let Some(began) = state.began
            && let Some(Action::Restore(restore)) = state.offer.as_ref().map(|o| &o.step.action)
        {
            self.effects.restored(&restore.database.name, began);
        }
    }

    /// An attempt that was withdrawn before it came here is in the ledger from then on: its late offer is a known one.
    fn abandoned(&mut self, attempt: &AttemptId) {
        self.attempts.entry(attempt.clone()).or_insert_with(|| AttemptState::new(Phase::Abandoned)).phase = Phase::Abandoned;
        self.effects.abandoned(attempt);
    }

    fn acked_up_to(&mut self, seq: u64) {
        self.acked = self.acked.max(seq);
        self.marks = self.marks.split_off(&self.acked);
        let kept = self.unacked.split_off(&(self.acked + 1));
        for report in std::mem::replace(&mut self.unacked, kept).into_values() {
            if let Some(state) = self.attempts.get_mut(report.attempt())
                && matches!(state.phase, Phase::Ended(_) | Phase::Abandoned)
                // A job's stored output can be judged again, by its own patterns or others.
                && !state.offer.as_ref().is_some_and(|o| matches!(o.step.action, Action::Job(_)))
            {
                state.offer = None;
            }
        }
    }

    /// Attempts without an acked end, in order.
    pub fn open(&self) -> impl Iterator<Item = &AttemptId> {
        let unacked: std::collections::BTreeSet<_> = self.unacked.values().map(Report::attempt).collect();
        self.attempts
            .iter()
            .filter(move |(id, a)| matches!(a.phase, Phase::Accepted | Phase::Intended) || unacked.contains(id))
            .map(|(id, _)| id)
    }
}
