//! A disk that fails: journal, artifact store and log store against real errors of `fsync` and `write`.
//!
//! Each case runs in a process of its own (this test binary) with a small preloaded library that makes calls fail for
//! files below one folder while a trigger file exists.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cavalcade_common::id::{Epoch, HostId, Incarnation, NodeId};
use cavalcade_common::message::LogRecord;
use tokio_stream::StreamExt;

use crate::artifact::{ArtifactError, ArtifactStore, Limits};
use crate::journal::{Journal, JournalError, NewEntry, SqliteJournal};
use crate::logs::{LogError, LogLimits, LogStore, Query};

const ROOT: &str = "CAVALCADE_FAULT_ROOT";
const CASE: &str = "CAVALCADE_FAULT_CASE";

/// `ROOT.sync` makes syncs of files fail with EIO, `ROOT.syncdir` those of folders, `ROOT.full` makes writes fail with ENOSPC while the journal's reserve is
/// held or gone with `ROOT.empty`.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static int there(const char *root, const char *suffix) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s", root, suffix);
    return access(path, F_OK) == 0;
}
static const char *below(int fd) {
    const char *root = getenv("CAVALCADE_FAULT_ROOT");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (!root || n <= 0) return NULL;
    path[n] = 0;
    return strncmp(path, root, strlen(root)) == 0 ? root : NULL;
}
static int sync_fails(int fd) {
    const char *root = below(fd);
    struct stat s;
    return root && fstat(fd, &s) == 0 && there(root, S_ISDIR(s.st_mode) ? ".syncdir" : ".sync");
}
static int write_fails(int fd) {
    const char *root = below(fd);
    return root && there(root, ".full") && (there(root, "/journal.db.reserve") || there(root, ".empty"));
}
int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    if (sync_fails(fd)) { errno = EIO; return -1; }
    return real(fd);
}
int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    if (sync_fails(fd)) { errno = EIO; return -1; }
    return real(fd);
}
ssize_t write(int fd, const void *b, size_t n) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (write_fails(fd)) { errno = ENOSPC; return -1; }
    return real(fd, b, n);
}
ssize_t pwrite(int fd, const void *b, size_t n, off_t at) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    if (write_fails(fd)) { errno = ENOSPC; return -1; }
    return real(fd, b, n, at);
}
ssize_t pwrite64(int fd, const void *b, size_t n, off_t at) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite64");
    if (write_fails(fd)) { errno = ENOSPC; return -1; }
    return real(fd, b, n, at);
}
int posix_fallocate(int fd, off_t at, off_t n) {
    int (*real)(int, off_t, off_t) = dlsym(RTLD_NEXT, "posix_fallocate");
    const char *root = below(fd);
    if (root && there(root, ".full")) return ENOSPC;
    return real(fd, at, n);
}
int posix_fallocate64(int fd, off_t at, off_t n) {
    int (*real)(int, off_t, off_t) = dlsym(RTLD_NEXT, "posix_fallocate64");
    const char *root = below(fd);
    if (root && there(root, ".full")) return ENOSPC;
    return real(fd, at, n);
}
"#;

fn trigger(root: &Path, name: &str) -> PathBuf {
    PathBuf::from(format!("{}.{name}", root.display()))
}

fn fail(root: &Path, name: &str) {
    std::fs::write(trigger(root, name), "").unwrap();
}

fn heal(root: &Path, name: &str) {
    std::fs::remove_file(trigger(root, name)).unwrap();
}

fn run(case: &str) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("faults.c");
    let library = folder.path().join("faults.so");
    std::fs::write(&source, LIBRARY).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    assert!(built.unwrap().success());
    let root = folder.path().join("state");
    std::fs::create_dir(&root).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["disk_faults::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", &library)
        .env(ROOT, &root)
        .env(CASE, case)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the case ran: {said}");
}

#[tokio::test]
#[ignore = "the process that the tests of this file start"]
async fn child() {
    let root = PathBuf::from(std::env::var_os(ROOT).expect("started by a test of this file"));
    match std::env::var(CASE).unwrap().as_str() {
        "journal_sync" => journal_sync(&root).await,
        "journal_full" => journal_full(&root).await,
        "artifact" => artifact(&root).await,
        "logs" => logs(&root).await,
        other => panic!("no case {other}"),
    }
}

#[test]
fn a_journal_whose_sync_fails_is_suspect_and_recovers_at_the_next_start() {
    run("journal_sync");
}

#[test]
fn a_journal_without_room_lives_on_its_reserve() {
    run("journal_full");
}

#[test]
fn an_artifact_that_cannot_be_written_or_synced_leaves_nothing() {
    run("artifact");
}

#[test]
fn log_lines_that_cannot_be_written_or_synced_are_not_acked() {
    run("logs");
}

fn entries() -> Vec<NewEntry> {
    let body = serde_json::json!({ "text": "x".repeat(500) });
    vec![NewEntry { at: jiff::Timestamp::UNIX_EPOCH, run: None, kind: 1, body }]
}

async fn journal_sync(root: &Path) {
    let path = root.join("journal.db");
    let calls = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&calls);
    let hook = move |_: &JournalError| {
        seen.fetch_add(1, Ordering::SeqCst);
    };
    let journal = SqliteJournal::open(&path, Arc::new(hook)).await.unwrap();
    let epoch = journal.take_epoch().await.unwrap();
    assert_eq!(journal.append(epoch, entries()).await.unwrap(), 1);
    fail(root, "sync");
    let error = journal.append(epoch, entries()).await.unwrap_err();
    assert!(matches!(error, JournalError::Suspect(_)), "{error:?}");
    assert_eq!(error.fault().code.0, 5004);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    heal(root, "sync");
    assert!(matches!(journal.append(epoch, entries()).await, Err(JournalError::AlreadySuspect)), "a later sync proves nothing");
    drop(journal);
    let next = SqliteJournal::open(&path, Arc::new(|_| {})).await.unwrap();
    assert!(root.join("journal.db.recovered-2").exists(), "the records were copied into a new file");
    let head = next.verify_chain().await.unwrap().position;
    assert!((1..=2).contains(&head), "the acked entry is there, the other one may be");
    assert_eq!(next.take_epoch().await.unwrap(), Epoch(2));
    assert_eq!(next.append(Epoch(2), entries()).await.unwrap(), head + 1);
}

async fn journal_full(root: &Path) {
    let journal = SqliteJournal::open(&root.join("journal.db"), Arc::new(|_| {})).await.unwrap();
    let epoch = journal.take_epoch().await.unwrap();
    journal.append(epoch, entries()).await.unwrap();
    assert!(!journal.in_reserve());
    fail(root, "full");
    assert_eq!(journal.append(epoch, entries()).await.unwrap(), 2, "written out of the reserve");
    assert!(journal.in_reserve());
    for _ in 0..100 {
        journal.append(epoch, entries()).await.unwrap();
    }
    assert!(journal.in_reserve(), "there is no room to take back");
    fail(root, "empty");
    let error = journal.append(epoch, entries()).await.unwrap_err();
    assert!(matches!(error, JournalError::Full(_)), "{error:?}");
    heal(root, "empty");
    heal(root, "full");
    for _ in 0..64 {
        journal.append(epoch, entries()).await.unwrap();
    }
    assert!(!journal.in_reserve());
    assert_eq!(journal.verify_chain().await.unwrap().position, 166);
}

async fn artifact(root: &Path) {
    let store = ArtifactStore::open(root, Limits { budget: 1 << 30, keep_free: 0 }).await.unwrap();
    let content = vec![7_u8; 3 << 20];
    fail(root, "empty");
    for fault in ["sync", "syncdir", "full"] {
        fail(root, fault);
        let error = store.put(content.as_slice(), None).await.unwrap_err();
        assert!(matches!(error, ArtifactError::Io { .. }), "{fault}: {error:?}");
        heal(root, fault);
        assert!(store.list().await.unwrap().is_empty(), "{fault}");
        assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0, "{fault}");
    }
    let (digest, _) = store.put(content.as_slice(), None).await.unwrap();
    assert_eq!(store.verify(&digest).await.unwrap().sha256, digest);
    assert_eq!(store.list().await.unwrap().len(), 1);
}

fn line(seq: u64) -> LogRecord {
    let at = jiff::Timestamp::UNIX_EPOCH;
    let (node, stream) = (NodeId::new("is-1").unwrap(), "output".to_owned());
    LogRecord { seq, node, run: None, step: String::new(), stream, at, text: format!("line {seq}"), gap: 0 }
}

async fn logs(root: &Path) {
    let store = LogStore::open(root, LogLimits { budget: 1 << 30, keep_free: 0 }).await.unwrap();
    let (host, incarnation) = (HostId::new("h1").unwrap(), Incarnation("i".to_owned()));
    let mut followed = store.follow(Query::default()).await.unwrap();
    fail(root, "empty");
    store.append(&host, &incarnation, vec![line(1)]).await.unwrap();
    for seq in 2..=3 {
        fail(root, "full");
        let error = store.append(&host, &incarnation, vec![line(seq)]).await.unwrap_err();
        assert!(matches!(error, LogError::Group(_)), "{error:?}");
        assert_eq!(store.settled(&host, &incarnation), seq - 1);
        heal(root, "full");
        assert_eq!(store.append(&host, &incarnation, vec![line(seq)]).await.unwrap(), seq);
    }
    // The cut of a segment needs a sync as well: where that fails too, the log stops until the next start.
    fail(root, "sync");
    assert!(store.append(&host, &incarnation, vec![line(4)]).await.is_err());
    heal(root, "sync");
    let stopped = store.append(&host, &incarnation, vec![line(4)]).await.unwrap_err();
    assert!(matches!(&stopped, LogError::Group(inner) if matches!(**inner, LogError::Stopped)), "{stopped:?}");
    assert_eq!(store.search(Query::default()).await.unwrap().lines.len(), 3, "what is stored can be read");
    store.close().await;
    let store = LogStore::open(root, LogLimits { budget: 1 << 30, keep_free: 0 }).await.unwrap();
    store.append(&host, &incarnation, vec![line(4), line(5)]).await.unwrap();
    let page = store.search(Query::default()).await.unwrap();
    assert_eq!(page.lines.iter().map(|l| (l.address.line, l.seq)).collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    assert!(page.damaged.is_empty());
    for seq in 1..=3 {
        assert_eq!(followed.next().await.unwrap().unwrap().seq, seq, "only durable lines are followed");
    }
    assert!(followed.next().await.is_none());
}
