//! Ledgers in real files.

use std::path::PathBuf;

use cavalcade_common::id::RunId;
use cavalcade_common::report::Ending;
use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::host::real::RealHost;
use state::Phase;

/// A record file on a disk that is full but for what is written to it.
struct FullDisk(Box<dyn RecordFile>);

impl RecordFile for FullDisk {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        self.0.read_all()
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
    fn reserve(&mut self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

/// A new ledger that finds no room for any outcome.
pub(crate) fn on_a_full_disk(path: &Path) -> Ledger {
    let file = RealHost::default().record_file(path).unwrap();
    Ledger::begin(Box::new(FullDisk(file)), Incarnation("full".to_owned())).unwrap()
}

/// An outcome that says nothing but how it ended.
pub(crate) fn outcome(ending: Ending) -> Outcome {
    Outcome::bare(ending, true, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)
}

fn offer(number: u32, key: &str) -> Offer {
    let step = format!(
        r#"{{"key":"1.1@is-1","host":"h-1","name":"s","action":{{"remove":{{"paths":[]}}}},"timeout":"60s","effect":"{key}"}}"#
    );
    let step: cavalcade_common::plan::PlanStep = serde_json::from_str(&step).unwrap();
    Offer {
        attempt: AttemptId { run: RunId::new("r1").unwrap(), step: step.key.clone(), number },
        epoch: Epoch(1),
        generation: Generation(0),
        step,
        home: None,
        incarnations: std::collections::BTreeMap::new(),
        secrets: std::collections::BTreeMap::new(),
        also_hide: std::collections::BTreeMap::new(),
        given: GivenSecrets::default(),
        hide: Vec::new(),
        approved: None,
        decision: None,
    }
}

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    (dir, path)
}

#[test]
fn an_attempt_that_never_came_is_abandoned_for_good() {
    let (_dir, path) = place();
    let attempt = offer(1, "is").attempt;
    let mut ledger = Ledger::create(&RealHost::default(), &path).unwrap();
    ledger.abandon(&attempt, "withdrawn before it came here").unwrap();
    drop(ledger);
    let ledger = Ledger::open(&RealHost::default(), &path).unwrap();
    assert_eq!(ledger.state().attempts[&attempt].phase, Phase::Abandoned);
    assert!(ledger.state().open().any(|open| *open == attempt), "it is reported until it is acked");
}

#[test]
fn the_start_before_one_that_never_began_counts_again() {
    let (_dir, path) = place();
    let (first, second) = (offer(1, "is am_db@1"), offer(2, "is am_db@1"));
    let mut ledger = Ledger::create(&RealHost::default(), &path).unwrap();
    ledger.accept(first.clone()).unwrap();
    ledger.intend(&first.attempt).unwrap();
    ledger.end(&first.attempt, outcome(Ending::Failed)).unwrap();
    ledger.accept(second.clone()).unwrap();
    ledger.intend(&second.attempt).unwrap();
    let earlier = |ledger: &Ledger| {
        let effect = second.step.effect.as_ref().unwrap();
        ledger.state().effects.earlier(effect).map(|(_, start)| (start.attempt.number, start.ending))
    };
    assert_eq!(earlier(&ledger), Some((2, None)));
    ledger.abandon(&second.attempt, "no permit").unwrap();
    assert_eq!(earlier(&ledger), Some((1, Some(Ending::Failed))));
    drop(ledger);
    let ledger = Ledger::open(&RealHost::default(), &path).unwrap();
    assert_eq!(earlier(&ledger), Some((1, Some(Ending::Failed))), "the records say the same after a restart");
}

#[test]
fn without_room_nothing_is_intended_and_the_ledger_goes_on() {
    let (_dir, path) = place();
    let first = offer(1, "is");
    let mut ledger = on_a_full_disk(&path);
    ledger.accept(first.clone()).unwrap();
    let refused = ledger.intend(&first.attempt).unwrap_err();
    assert!(matches!(refused, LedgerError::NoRoom(_)), "{refused:?}");
    assert_eq!(refused.fault().code, codes::agent::LEDGER_ROOM);
    assert_eq!(ledger.state().attempts[&first.attempt].phase, Phase::Accepted);
    ledger.end(&first.attempt, outcome(Ending::Failed)).unwrap();
    drop(ledger);
    let ledger = Ledger::open(&RealHost::default(), &path).unwrap();
    assert_eq!(ledger.state().attempts[&first.attempt].phase, Phase::Ended(Ending::Failed));
    assert!(!ledger.state().effects.is_known(first.step.effect.as_ref().unwrap()));
}

/// A process that died between the two INTENT records told nobody that the attempt began.
#[test]
fn a_beginning_that_nobody_was_told_of_is_told_once() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ledger");
    let file = RealHost::default().record_file(&path).unwrap();
    let mut ledger = Ledger::begin(file, Incarnation("one".to_owned())).unwrap();
    let (half, whole) = (offer(1, "a"), offer(2, "b"));
    for offer in [&half, &whole] {
        ledger.accept(offer.clone()).unwrap();
    }
    ledger.write(Record::IntentBegins { attempt: half.attempt.clone() }).unwrap();
    ledger.intend(&whole.attempt).unwrap();
    let told = |ledger: &Ledger, of: &Offer| {
        let began = |r: &&Report| matches!(r, Report::Began { attempt } if *attempt == of.attempt);
        ledger.state().unacked.values().filter(began).count()
    };
    assert_eq!((told(&ledger, &half), told(&ledger, &whole)), (0, 1));
    for _ in 0..2 {
        ledger.tell_begun(&half.attempt).unwrap();
        ledger.tell_begun(&whole.attempt).unwrap();
        assert_eq!((told(&ledger, &half), told(&ledger, &whole)), (1, 1));
    }
}
