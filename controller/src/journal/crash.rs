//! kill -9 at random points: what was acked is there afterwards, and the chain holds.
//!
//! The child is this very test binary. kill -9 leaves the page cache alone, so this shows atomic appends and honest
//! acks; that acks wait for the disk is the work of `synchronous=FULL`, which the settings test checks.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::suite::entry;
use super::{Journal, SqliteJournal};

const ENV: &str = "CAVALCADE_CRASH_JOURNAL";
const CHILD: &str = "journal::crash::child";
const KILLS: u32 = 25;
/// Entries of one append; a recovered journal holds whole appends only.
const BATCH: u64 = 3;

#[tokio::test]
#[ignore = "the process that `acked_entries_survive_kill_9` starts and kills"]
async fn child() {
    let path = std::env::var_os(ENV).expect("started by acked_entries_survive_kill_9");
    let journal = SqliteJournal::open(Path::new(&path), Arc::new(|_| {})).await.unwrap();
    let epoch = journal.take_epoch().await.unwrap();
    loop {
        let last = journal.append(epoch, (0..u32::try_from(BATCH).unwrap()).map(entry).collect()).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "acked {last}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn acked_entries_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut before = 0;
    for kill in 0..KILLS {
        let acks_before_kill = rand::random_range(1..12);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ENV, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The first ack can follow the harness's "test NAME ... " on the same line.
        let mut acks = lines.map_while(Result::ok).filter_map(|l| l.rsplit_once("acked ")?.1.parse::<u64>().ok());
        let mut acked = acks.by_ref().take(acks_before_kill).last().expect("the child acks");
        std::thread::sleep(std::time::Duration::from_micros(rand::random_range(0..3000)));
        child.kill().unwrap();
        child.wait().unwrap();
        acked = acks.last().unwrap_or(acked);

        let journal = SqliteJournal::open(&path, Arc::new(|_| {})).await.unwrap();
        let head = journal.verify_chain().await.unwrap().position;
        assert!(head >= acked, "kill {kill}: entry {acked} was acked, {head} are left");
        assert!(head <= acked + BATCH, "kill {kill}: {head} entries, {acked} acked: more than one append was in flight");
        assert_eq!(head % BATCH, 0, "kill {kill}: part of an append was kept");
        assert!(head > before, "kill {kill}: the child did nothing");
        assert_eq!(journal.take_epoch().await.unwrap().0, u64::from(kill) * 2 + 2, "a term was given twice");
        before = head;
    }
}
