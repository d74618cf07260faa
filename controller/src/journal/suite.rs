//! One test suite for every backend: what [`Journal`] promises, tried through the trait alone.

use std::sync::Arc;

use cavalcade_common::id::{Digest, Epoch, RunId};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Break, ChainHead, Journal, JournalError, MemoryJournal, NewEntry, SqliteJournal, SuspectHook};

/// A backend under test: every call of `open` gives a further handle on the same storage.
struct Bench {
    open: Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Journal>>>,
    _folder: Option<tempfile::TempDir>,
}

fn quiet() -> SuspectHook {
    Arc::new(|_| {})
}

fn memory() -> Bench {
    let first = Arc::new(MemoryJournal::new(quiet()));
    let open = move || {
        let next: Arc<dyn Journal> = Arc::new(first.restart(quiet()));
        Box::pin(async move { next }) as BoxFuture<'static, _>
    };
    Bench { open: Box::new(open), _folder: None }
}

fn sqlite() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let open = move || {
        let path = path.clone();
        Box::pin(async move { Arc::new(SqliteJournal::open(&path, quiet()).await.unwrap()) as Arc<dyn Journal> })
            as BoxFuture<'static, _>
    };
    Bench { open: Box::new(open), _folder: Some(folder) }
}

pub(super) fn entry(number: u32) -> NewEntry {
    let at = jiff::Timestamp::new(1_700_000_000 + i64::from(number), 123_456_789).unwrap();
    let run = number.is_multiple_of(2).then(|| RunId::new("run-1").unwrap());
    NewEntry { at, run, kind: number, body: json!({ "z": number, "a": ["\u{1b}[31m", 1.5, null], "text": "é\u{0}\n" }) }
}

async fn reads_what_was_appended(bench: Bench) {
    let journal = (bench.open)().await;
    assert_eq!(journal.head().await.unwrap(), 0);
    assert!(journal.read(0, 10).await.unwrap().is_empty());
    let epoch = journal.take_epoch().await.unwrap();
    assert_eq!(journal.append(epoch, vec![entry(1), entry(2)]).await.unwrap(), 2);
    assert_eq!(journal.append(epoch, vec![entry(3)]).await.unwrap(), 3);
    assert_eq!(journal.append(epoch, Vec::new()).await.unwrap(), 3);
    let reopened = (bench.open)().await;
    let all = reopened.read(0, 10).await.unwrap();
    assert_eq!(all.iter().map(|e| e.position).collect::<Vec<_>>(), [1, 2, 3]);
    for (read, number) in all.iter().zip(1..) {
        let wanted = entry(number);
        assert_eq!((read.at, read.epoch, read.kind), (wanted.at, epoch, number));
        assert_eq!((&read.run, &read.body), (&wanted.run, &wanted.body));
    }
    assert_eq!(reopened.read(2, 1).await.unwrap(), all[1..2]);
    assert!(reopened.read(4, 10).await.unwrap().is_empty());
    assert!(reopened.read(u64::MAX, 10).await.unwrap().is_empty());
    assert_eq!(reopened.head().await.unwrap(), 3);
}

async fn an_older_term_is_fenced(bench: Bench) {
    let old = (bench.open)().await;
    let first = old.take_epoch().await.unwrap();
    old.append(first, vec![entry(1)]).await.unwrap();
    let new = (bench.open)().await;
    let second = new.take_epoch().await.unwrap();
    assert!(second > first);
    let refused = old.append(first, vec![entry(2)]).await;
    assert!(matches!(refused, Err(JournalError::Fenced { ours, stored }) if ours == first && stored == second));
    assert!(matches!(old.append(first, Vec::new()).await, Err(JournalError::Fenced { .. })));
    assert_eq!(new.head().await.unwrap(), 1);
    assert_eq!(new.append(second, vec![entry(3)]).await.unwrap(), 2);
}

async fn a_term_that_nobody_took_is_refused(bench: Bench) {
    let journal = (bench.open)().await;
    assert!(matches!(journal.append(Epoch(0), vec![entry(1)]).await, Err(JournalError::NotTaken { .. })));
    let epoch = journal.take_epoch().await.unwrap();
    let later = Epoch(epoch.0 + 1);
    assert!(matches!(journal.append(later, vec![entry(1)]).await, Err(JournalError::NotTaken { .. })));
    assert_eq!(journal.head().await.unwrap(), 0);
}

async fn terms_rise_over_restarts_and_floors(bench: Bench) {
    let journal = (bench.open)().await;
    assert_eq!(journal.take_epoch().await.unwrap(), Epoch(1));
    assert_eq!((bench.open)().await.take_epoch().await.unwrap(), Epoch(2));
    assert_eq!(journal.take_epoch_above(Epoch(40)).await.unwrap(), Epoch(41));
    assert_eq!((bench.open)().await.take_epoch_above(Epoch(7)).await.unwrap(), Epoch(42));
    assert!(matches!(journal.take_epoch_above(Epoch(u64::MAX)).await, Err(JournalError::Number(_))));
    assert!(matches!(journal.take_epoch_above(Epoch(i64::MAX as u64)).await, Err(JournalError::Number(_))));
    assert_eq!(journal.take_epoch().await.unwrap(), Epoch(43));
}

async fn racing_controllers_get_different_terms_and_one_writes(bench: Bench) {
    let handles = [(bench.open)().await, (bench.open)().await, (bench.open)().await];
    let mut tasks = tokio::task::JoinSet::new();
    for journal in handles {
        tasks.spawn(async move {
            let epoch = journal.take_epoch().await.unwrap();
            let mut written = 0_u64;
            for number in 0..20 {
                match journal.append(epoch, vec![entry(number), entry(number)]).await {
                    Ok(_) => written += 2,
                    Err(JournalError::Fenced { .. }) => break,
                    Err(other) => panic!("{other:?}"),
                }
            }
            (epoch, written)
        });
    }
    let mut ended = tasks.join_all().await;
    ended.sort();
    let epochs: Vec<u64> = ended.iter().map(|(e, _)| e.0).collect();
    assert_eq!(epochs, [1, 2, 3]);
    assert_eq!(ended[2].1, 40, "the last term is never fenced");
    let journal = (bench.open)().await;
    let total: u64 = ended.iter().map(|(_, n)| n).sum();
    assert_eq!(journal.verify_chain().await.unwrap().position, total);
    let read = journal.read(1, 1000).await.unwrap();
    assert!(read.is_sorted_by_key(|e| e.epoch), "an older term wrote after a newer one");
}

async fn the_chain_covers_more_than_one_page(bench: Bench) {
    let journal = (bench.open)().await;
    assert_eq!(journal.verify_chain().await.unwrap().position, 0);
    let epoch = journal.take_epoch().await.unwrap();
    journal.append(epoch, (0..700).map(entry).collect()).await.unwrap();
    let checkpoint = journal.verify_chain().await.unwrap();
    journal.append(epoch, (0..700).map(entry).collect()).await.unwrap();
    let head = journal.verify_against(&checkpoint).await.unwrap();
    assert_eq!(head.position, 1400);
    assert_ne!(head.hash, checkpoint.hash);
    let ahead = ChainHead { position: 1401, hash: head.hash.clone() };
    let other = ChainHead { position: 700, hash: head.hash };
    for wrong in [ahead, other] {
        let refused = journal.verify_against(&wrong).await;
        assert!(matches!(refused, Err(JournalError::Broken { found: Break::Checkpoint, .. })), "{refused:?}");
    }
}

async fn blobs_are_immutable(bench: Bench) {
    let journal = (bench.open)().await;
    let name = Digest::of(b"plan");
    assert_eq!(journal.get_blob("plan", &name).await.unwrap(), None);
    journal.put_blob("plan", &name, "text é").await.unwrap();
    journal.put_blob("plan", &name, "text é").await.unwrap();
    let refused = journal.put_blob("plan", &name, "other").await;
    assert!(matches!(refused, Err(JournalError::BlobDiffers { .. })));
    journal.put_blob("preview", &name, "other").await.unwrap();
    let reopened = (bench.open)().await;
    assert_eq!(reopened.get_blob("plan", &name).await.unwrap().as_deref(), Some("text é"));
    assert_eq!(reopened.get_blob("preview", &name).await.unwrap().as_deref(), Some("other"));
}

async fn a_blob_that_is_no_plan_is_refused(bench: Bench) {
    let journal = (bench.open)().await;
    let name = Digest::of(b"x");
    assert!(journal.get_plan(&name).await.unwrap().is_none());
    journal.put_blob(super::PLAN_BLOB, &name, "{}").await.unwrap();
    assert!(matches!(journal.get_plan(&name).await, Err(JournalError::Plan(_))));
}

macro_rules! suite {
    ($($backend:ident: $($test:ident)*;)*) => {$(
        mod $backend {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::$backend()).await;
            })*
        }
    )*};
    ($($test:ident)*) => {
        suite! { memory: $($test)*; sqlite: $($test)*; }
    };
}

suite! {
    reads_what_was_appended
    an_older_term_is_fenced
    a_term_that_nobody_took_is_refused
    terms_rise_over_restarts_and_floors
    racing_controllers_get_different_terms_and_one_writes
    the_chain_covers_more_than_one_page
    blobs_are_immutable
    a_blob_that_is_no_plan_is_refused
}
