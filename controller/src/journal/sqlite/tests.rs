//! What only the SQLite backend can show: versions, settings, a full file, a changed file.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::super::suite::entry;
use super::*;

fn hook() -> (SuspectHook, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&calls);
    let hook = move |_: &JournalError| {
        seen.fetch_add(1, Ordering::SeqCst);
    };
    (Arc::new(hook), calls)
}

async fn open(path: &Path) -> SqliteJournal {
    SqliteJournal::open(path, hook().0).await.unwrap()
}

async fn run_sql(path: &Path, statement: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[test]
fn libraries_with_the_wal_reset_bug_are_refused() {
    for good in ["3.51.3", "3.52.0", "4.0.0", "3.100.0"] {
        assert!(accept_library(good).is_ok(), "{good}");
    }
    for bad in ["3.51.2", "3.46.1", "3.9.99", "", "3.51", "3.51.3.1", "new"] {
        assert!(matches!(accept_library(bad), Err(JournalError::OldSqlite { found }) if found == bad));
    }
}

#[tokio::test]
async fn the_file_is_private_and_its_settings_hold_on_every_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = open(&path).await;
    journal.take_epoch().await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    // A failed write closes the connection; the next one must be set up like the first.
    assert!(journal.append(Epoch(0), vec![entry(1)]).await.is_err());
    assert!(journal.writer.lock().await.connection.is_none());
    journal.append(Epoch(1), vec![entry(1)]).await.unwrap();
    check_settings(journal.writer.lock().await.connection.as_mut().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_full_file_takes_nothing_and_goes_on_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder.path().join("journal.db")).await;
    let epoch = journal.take_epoch().await.unwrap();
    let mut acked = journal.append(epoch, vec![entry(1)]).await.unwrap();
    {
        let mut writer = journal.writer.lock().await;
        let connection = writer.connection.as_mut().unwrap();
        sqlx::query("PRAGMA max_page_count = 40").fetch_one(connection).await.unwrap();
    }
    journal.reserve.release();
    assert!(journal.in_reserve());
    let refused = loop {
        match journal.append(epoch, (0..20).map(entry).collect()).await {
            Ok(last) => acked = last,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, JournalError::Full(_)), "{refused:?}");
    assert_eq!(journal.head().await.unwrap(), acked);
    // The connection of the failed write was closed, and the limit with it.
    assert_eq!(journal.append(epoch, vec![entry(2)]).await.unwrap(), acked + 1);
    assert_eq!(journal.verify_chain().await.unwrap().position, acked + 1);
    // Once there is room, the reserve is taken back.
    for _ in 0..64 {
        journal.append(epoch, Vec::new()).await.unwrap();
    }
    assert!(!journal.in_reserve());
    // Also where nothing runs and nothing is written.
    journal.reserve.release();
    assert!(journal.in_reserve());
    assert!((0..16).any(|_| journal.refill()), "a few looks are enough");
    assert!(!journal.in_reserve());
}

#[tokio::test]
async fn a_marked_journal_is_verified_and_goes_on_in_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let name = Digest::of(b"x");
    for round in 1..=3_u32 {
        let journal = open(&path).await;
        assert_eq!(journal.file, files::numbered(&path, round));
        assert_eq!(journal.take_epoch().await.unwrap(), Epoch(u64::from(round)));
        let last = journal.append(Epoch(round.into()), (0..5).map(entry).collect()).await.unwrap();
        assert_eq!(last, u64::from(round) * 5);
        journal.put_blob("plan", &name, "text").await.unwrap();
        // The process dies with a WAL that nobody copied back, as after a failed sync.
        let failed = Err::<(), _>(JournalError::Suspect(Box::new(std::io::Error::other("fsync"))));
        assert!(journal.judge(failed).is_err());
        drop(journal);
    }
    let left = open(&path).await;
    assert_eq!(left.verify_chain().await.unwrap().position, 15);
    assert_eq!(left.get_blob("plan", &name).await.unwrap().as_deref(), Some("text"));
    assert_eq!(std::fs::metadata(&left.file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(path.exists(), "the suspect files are kept");
    let tmp =
        std::fs::read_dir(folder.path()).unwrap().filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().contains("tmp"));
    assert_eq!(tmp.count(), 0);
}

#[tokio::test]
async fn a_marked_journal_that_does_not_verify_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = open(&path).await;
    let epoch = journal.take_epoch().await.unwrap();
    journal.append(epoch, (0..5).map(entry).collect()).await.unwrap();
    journal.close().await.unwrap();
    run_sql(&path, "UPDATE entry SET kind = 77 WHERE position = 3").await;
    files::mark_suspect(&path).unwrap();
    for _ in 0..2 {
        let refused = SqliteJournal::open(&path, hook().0).await.err();
        assert!(matches!(refused, Some(JournalError::Broken { position: 3, .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn every_changed_field_breaks_the_chain_at_its_entry() {
    let changes = [
        ("UPDATE entry SET at = '2020-01-01T00:00:00Z' WHERE position = 3", 3),
        ("UPDATE entry SET epoch = 9 WHERE position = 3", 3),
        ("UPDATE entry SET run = 'run-2' WHERE position = 3", 3),
        ("UPDATE entry SET run = '' WHERE position = 3", 3),
        ("UPDATE entry SET run = NULL WHERE position = 2", 2),
        ("UPDATE entry SET kind = 77 WHERE position = 3", 3),
        ("UPDATE entry SET body = '{}' WHERE position = 3", 3),
        ("UPDATE entry SET hash = (SELECT hash FROM entry WHERE position = 2) WHERE position = 3", 3),
        ("DELETE FROM entry WHERE position = 3", 3),
        ("UPDATE entry SET position = 99 WHERE position = 3", 3),
        ("DELETE FROM entry WHERE position = 1", 1),
    ];
    for (change, at) in changes {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = open(&path).await;
        let epoch = journal.take_epoch().await.unwrap();
        journal.append(epoch, (1..=5).map(entry).collect()).await.unwrap();
        let checkpoint = journal.verify_chain().await.unwrap();
        run_sql(&path, change).await;
        let found = journal.verify_chain().await;
        assert!(matches!(found, Err(JournalError::Broken { position, .. }) if position == at), "{change}: {found:?}");
        run_sql(&path, "DELETE FROM entry WHERE position > 1").await;
        assert!(journal.verify_against(&checkpoint).await.is_err(), "a cut tail shows against the checkpoint");
    }
}

#[tokio::test]
async fn a_changed_blob_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = open(&path).await;
    let name = Digest::of(b"x");
    journal.put_blob("plan", &name, "text").await.unwrap();
    run_sql(&path, "UPDATE blob SET body = 'texts'").await;
    assert!(matches!(journal.get_blob("plan", &name).await, Err(JournalError::BlobDamaged { .. })));
}

#[tokio::test]
async fn a_newer_form_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    open(&path).await.close().await.unwrap();
    run_sql(&path, "UPDATE schema_version SET version = 99").await;
    let refused = SqliteJournal::open(&path, hook().0).await.err();
    assert!(matches!(refused, Some(JournalError::Newer { found: 99, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    std::fs::write(&path, "this is no database, but it is long enough to have a header ".repeat(20)).unwrap();
    let refused = SqliteJournal::open(&path, hook().0).await.err();
    assert!(matches!(refused, Some(JournalError::Damaged(_))), "{refused:?}");
    let missing = SqliteJournal::open(&folder.path().join("no/such/journal.db"), hook().0).await.err();
    assert!(matches!(missing, Some(JournalError::Open { .. })), "{missing:?}");
}

#[tokio::test]
async fn a_failed_sync_calls_the_hook_once_and_closes_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (hook, calls) = hook();
    let journal = SqliteJournal::open(&folder.path().join("journal.db"), hook).await.unwrap();
    let epoch = journal.take_epoch().await.unwrap();
    let failed = || Err::<(), _>(JournalError::Suspect(Box::new(std::io::Error::other("fsync"))));
    assert!(journal.judge(failed()).is_err());
    assert!(journal.judge(failed()).is_err());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(matches!(journal.append(epoch, vec![entry(1)]).await, Err(JournalError::AlreadySuspect)));
    assert!(matches!(journal.head().await, Err(JournalError::AlreadySuspect)));
    assert!(matches!(journal.take_epoch().await, Err(JournalError::AlreadySuspect)));
}

#[tokio::test]
async fn an_abandoned_append_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&folder.path().join("journal.db")).await;
    let epoch = journal.take_epoch().await.unwrap();
    for polls in 0..40_u32 {
        let mut append = journal.append(epoch, (0..5).map(entry).collect());
        for _ in 0..polls {
            if futures_util::poll!(&mut append).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(append);
        let last = journal.append(epoch, vec![entry(9)]).await.unwrap();
        assert_eq!((last - u64::from(polls) - 1) % 5, 0, "part of an append was kept");
    }
    journal.verify_chain().await.unwrap();
}

#[tokio::test]
async fn the_wal_is_copied_back_before_it_grows_without_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = open(&path).await;
    let text = "x".repeat(512 << 10);
    for number in 0..64_u32 {
        journal.put_blob("big", &Digest::of(&number.to_be_bytes()), &text).await.unwrap();
    }
    let wal = std::fs::metadata(folder.path().join("journal.db-wal")).unwrap().len();
    assert!(wal < 3 * CHECKPOINT_BYTES, "the WAL has {wal} bytes after 32 MiB of content");
}
