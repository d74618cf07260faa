//! The agent's durable record of attempts and outcomes: written and synced before an effect begins, and read again after
//! a crash to know what may be under way.
//!
//! Not to be confused with the script ledger, a table in a target database. The agent is the file's only writer.

pub mod effects;
pub mod record;
pub mod state;

use std::io;
use std::path::Path;

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{AttemptId, Epoch, Generation, Incarnation};
use cavalcade_common::message::Offer;
use cavalcade_common::report::{Outcome, Report};

use crate::host::{Host, RecordFile};
use record::{Damage, EncodeError, Past, Record};
use state::LedgerState;

/// Room that must be free before an effect begins, so that its outcome can be written (10, rule 31). Bytes.
const OUTCOME_ROOM: u64 = 512 << 10;
const _: () = assert!((record::MAX_OUTCOME as u64) < OUTCOME_ROOM, "with it come the two INTENT records and two headers");

/// Longest text of a report that is no outcome, in bytes.
const TEXT: usize = 4 << 10;

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no ledger: an agent with a certificate but without one refuses to start (10, rule 2).
    #[error("there is no ledger in this state folder")]
    Missing,
    /// There is one already.
    #[error("there is a ledger in this state folder already")]
    Exists,
    /// It is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// It does not begin with its identity.
    #[error("the ledger does not begin with its identity")]
    Unborn,
    /// Reading or writing failed. After a failed write the file is suspect and this process must end.
    #[error("the ledger cannot be read or written")]
    Io(#[source] io::Error),
    /// There is no room for an outcome. Nothing was written: the file is sound, and the agent goes on.
    #[error("the ledger has no room for the outcome of another effect")]
    NoRoom(#[source] io::Error),
    /// A record cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl LedgerError {
    /// The fault that a person reads.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Missing | Self::Unborn => codes::agent::LEDGER_MISSING,
            Self::Exists => codes::agent::LEDGER_EXISTS,
            Self::Damaged(_) => codes::agent::LEDGER_DAMAGED,
            Self::NoRoom(_) => codes::agent::LEDGER_ROOM,
            Self::Io(_) | Self::Encode(_) => codes::agent::LEDGER_WRITE,
        };
        let why = match self {
            Self::Io(e) | Self::NoRoom(e) => format!("{self}: {e}"),
            _ => self.to_string(),
        };
        Fault::new(code, why)
    }
}

/// What the records say, what later ones are marked by, and the length of the sound part.
fn fold(bytes: &[u8]) -> Result<(LedgerState, Past, u64), LedgerError> {
    let decoded = record::decode(bytes)?;
    let mut state = LedgerState::default();
    let mut records = decoded.records.into_iter();
    match records.next() {
        Some((born @ Record::Born { .. }, mark)) => state.apply(born, mark),
        _ => return Err(LedgerError::Unborn),
    }
    for (record, mark) in records {
        state.apply(record, mark);
    }
    Ok((state, decoded.past, decoded.sound))
}

fn head(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT)].to_owned()
}

/// The ledger: file and what it says.
pub struct Ledger {
    file: Box<dyn RecordFile>,
    state: LedgerState,
    past: Past,
}

impl Ledger {
    /// Makes the ledger of a newly enrolled agent.
    ///
    /// # Errors
    /// [`LedgerError::Exists`] if the file holds anything, else those of the file.
    pub fn create(host: &dyn Host, path: &Path) -> Result<Self, LedgerError> {
        let mut file = host.record_file(path).map_err(LedgerError::Io)?;
        if !file.read_all().map_err(LedgerError::Io)?.is_empty() {
            return Err(LedgerError::Exists);
        }
        Self::begin(file, Incarnation(host.random_id()))
    }

    fn begin(file: Box<dyn RecordFile>, incarnation: Incarnation) -> Result<Self, LedgerError> {
        let mut ledger = Self { file, state: LedgerState::default(), past: Past::default() };
        ledger.write(Record::Born { incarnation })?;
        Ok(ledger)
    }

    /// Opens the ledger, cutting a torn tail.
    ///
    /// # Errors
    /// See [`LedgerError`].
    pub fn open(host: &dyn Host, path: &Path) -> Result<Self, LedgerError> {
        let mut file = host.record_file(path).map_err(LedgerError::Io)?;
        let bytes = file.read_all().map_err(LedgerError::Io)?;
        if bytes.is_empty() {
            return Err(LedgerError::Missing);
        }
        let (state, past, sound) = fold(&bytes)?;
        if sound < bytes.len() as u64 {
            file.truncate(sound).map_err(LedgerError::Io)?;
        }
        // For the refusal of a step where the disk fills up before the first INTENT. Refused room is no error here: an
        // INTENT asks for its own.
        let _ = file.reserve(OUTCOME_ROOM);
        Ok(Self { file, state, past })
    }

    /// What the bytes of a ledger say that another process may be writing: nothing is locked, cut or written.
    ///
    /// # Errors
    /// [`LedgerError::Missing`] where there are none, else as [`Ledger::open`].
    pub fn peek(bytes: &[u8]) -> Result<LedgerState, LedgerError> {
        if bytes.is_empty() {
            return Err(LedgerError::Missing);
        }
        fold(bytes).map(|(state, _, _)| state)
    }

    /// What the records say.
    #[must_use]
    pub fn state(&self) -> &LedgerState {
        &self.state
    }

    fn write(&mut self, record: Record) -> Result<(), LedgerError> {
        let encoded = record::encode(&record)?;
        self.file.append(&encoded).map_err(LedgerError::Io)?;
        let mark = self.past.take(&encoded);
        self.state.apply(record, mark);
        Ok(())
    }

    fn report(&mut self, report: Report) -> Result<(), LedgerError> {
        let seq = self.state.last_seq + 1;
        self.write(Record::Report { seq, report })
    }

    /// Notes a higher term or plan number.
    ///
    /// # Errors
    /// Those of writing.
    pub fn fence(&mut self, epoch: Epoch, generation: Generation) -> Result<(), LedgerError> {
        if epoch > self.state.epoch || generation > self.state.generation {
            let epoch = epoch.max(self.state.epoch);
            let generation = generation.max(self.state.generation);
            self.write(Record::Fence { epoch, generation })?;
        }
        Ok(())
    }

    /// ACCEPTED.
    ///
    /// # Errors
    /// Those of writing.
    pub fn accept(&mut self, offer: Offer) -> Result<(), LedgerError> {
        let attempt = offer.attempt.clone();
        self.renew(offer)?;
        self.report(Report::Accepted { attempt })
    }

    /// The end of an attempt whose offer no record can take: ACCEPTED, so that the order of reports holds, and OUTCOME.
    ///
    /// # Errors
    /// Those of writing.
    pub fn refuse(&mut self, attempt: &AttemptId, outcome: Outcome) -> Result<(), LedgerError> {
        self.report(Report::Accepted { attempt: attempt.clone() })?;
        self.end(attempt, outcome)
    }

    /// A newer offer of an attempt that is known: its approval, decision or fence may differ.
    ///
    /// # Errors
    /// Those of writing.
    pub fn renew(&mut self, offer: Offer) -> Result<(), LedgerError> {
        // The record has no form for the values that the controller brought; they do not stay in memory with it either.
        self.write(Record::Offer(Box::new(Offer { given: GivenSecrets::default(), ..offer })))
    }

    /// INTENT: two records, each synced; the effect begins after the second (10, rule 7). Refused where there is no room
    /// for the outcome.
    ///
    /// # Errors
    /// [`LedgerError::NoRoom`] before anything was written; those of writing.
    pub fn intend(&mut self, attempt: &AttemptId) -> Result<(), LedgerError> {
        let under_way = self.state.attempts.values().filter(|a| a.phase == state::Phase::Intended).count() as u64;
        self.file.reserve(OUTCOME_ROOM * (under_way + 1)).map_err(LedgerError::NoRoom)?;
        self.write(Record::IntentBegins { attempt: attempt.clone() })?;
        self.report(Report::Began { attempt: attempt.clone() })
    }

    /// The second INTENT record of an attempt whose process died between the two: either counts, and only this one is told.
    ///
    /// # Errors
    /// Those of writing.
    pub fn tell_begun(&mut self, attempt: &AttemptId) -> Result<(), LedgerError> {
        let untold = |a: &state::AttemptState| a.phase == state::Phase::Intended && !a.begun_told;
        if !self.state.attempts.get(attempt).is_some_and(untold) {
            return Ok(());
        }
        self.report(Report::Began { attempt: attempt.clone() })
    }

    /// WORK_ENDED.
    ///
    /// # Errors
    /// Those of writing.
    pub fn work_ended(&mut self, attempt: &AttemptId, shown_by: &str) -> Result<(), LedgerError> {
        if self.state.attempts.get(attempt).is_some_and(|a| a.work_ended) {
            return Ok(());
        }
        self.report(Report::WorkEnded { attempt: attempt.clone(), shown_by: head(shown_by) })
    }

    /// OUTCOME.
    ///
    /// # Errors
    /// Those of writing.
    pub fn end(&mut self, attempt: &AttemptId, outcome: Outcome) -> Result<(), LedgerError> {
        self.report(Report::Ended { attempt: attempt.clone(), outcome: Box::new(outcome) })
    }

    /// ABANDONED: proved not begun. Also of an attempt that the ledger does not know: then it never begins.
    ///
    /// # Errors
    /// Those of writing.
    pub fn abandon(&mut self, attempt: &AttemptId, why: &str) -> Result<(), LedgerError> {
        self.report(Report::Abandoned { attempt: attempt.clone(), why: head(why) })
    }

    /// ACKED.
    ///
    /// # Errors
    /// Those of writing.
    pub fn ack(&mut self, seq: u64) -> Result<(), LedgerError> {
        if seq > self.state.acked && seq <= self.state.last_seq {
            self.write(Record::Acked { seq })?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
