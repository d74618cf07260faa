//! Lines on their way to the central log, on disk: they survive the agent's death, and what finds no room becomes a gap
//! that is counted, never a silent loss (promise 8).
//!
//! Files of JSON lines, each written with one call and not synced: a killed agent loses nothing, a power loss loses at most
//! the last seconds. Their numbers are then given once more; the controller, which has the lines that were shipped, drops the
//! new ones, and its ack shows that it did: they become a gap.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cavalcade_common::message::LogRecord;
use tokio::sync::Notify;

/// Size at which a new file is begun, in bytes.
const SEGMENT: u64 = 4 << 20;
/// Most files; lines beyond it are counted as a gap.
const MOST_SEGMENTS: usize = 64;
/// Longest line, in bytes; the rest of a longer one is cut with a mark.
const MOST_LINE: usize = 32 << 10;
/// Longest record in a file, in bytes: six for each byte of a line (a NUL is `\u0000` in JSON), and the rest of it.
const MOST_RECORD: u64 = 6 * MOST_LINE as u64 + 4096;
/// This file is there while lines were dropped that no written record counts.
const DROPPED: &str = "dropped";
/// What it is made of: a rename needs no room on a full disk.
const NOTHING_DROPPED: &str = "nothing-dropped";

/// The spool.
pub struct Spool {
    dir: PathBuf,
    inner: Mutex<Inner>,
    /// A line was added.
    pub news: Notify,
}

struct Inner {
    segments: VecDeque<u64>,
    writer: File,
    written: u64,
    next_seq: u64,
    /// First number that this life gave.
    first_seq: u64,
    acked: u64,
    gap: u64,
    /// Whether [`DROPPED`] is there.
    marked: bool,
    reader: Option<(u64, BufReader<File>)>,
    read: u64,
    /// Highest number that was handed out in this life.
    handed: u64,
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.jsonl"))
}

impl Spool {
    /// Opens the spool of a folder, making it if need be.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut segments: VecDeque<u64> = VecDeque::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            if let Some(number) = name.to_str().and_then(|n| n.strip_suffix(".jsonl")).and_then(|n| n.parse().ok()) {
                segments.push_back(number);
            }
        }
        segments.make_contiguous().sort_unstable();
        let acked = fs::read_to_string(dir.join("acked")).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0);
        let mut last_seq = acked;
        for number in segments.iter().rev() {
            if let Some(seq) = last_seq_of(&path(dir, *number))? {
                last_seq = last_seq.max(seq);
                break;
            }
        }
        // A new file for each life: a last line that was cut by a crash stays alone at the end of its own file.
        let number = segments.back().map_or(1, |n| n + 1);
        segments.push_back(number);
        let writer = OpenOptions::new().create(true).append(true).open(path(dir, number))?;
        let (next_seq, first_seq) = (last_seq + 1, last_seq + 1);
        let (read, handed) = (acked, acked);
        // How many an earlier life dropped, it took with it: at least one.
        let marked = dir.join(DROPPED).try_exists()?;
        if !marked {
            File::create(dir.join(NOTHING_DROPPED))?;
        }
        let gap = u64::from(marked);
        let inner = Inner { segments, writer, written: 0, next_seq, first_seq, acked, gap, marked, reader: None, read, handed };
        Ok(Self { dir: dir.to_owned(), inner: Mutex::new(inner), news: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line; its sequence number and gap are filled in here. Where there is no room it is counted.
    pub fn push(&self, mut record: LogRecord) {
        let mut inner = self.lock();
        if record.text.len() > MOST_LINE {
            let mut end = MOST_LINE;
            while !record.text.is_char_boundary(end) {
                end -= 1;
            }
            record.text.truncate(end);
            record.text.push_str(" [cut here]");
        }
        record.seq = inner.next_seq;
        record.gap = inner.gap;
        match inner.write(&self.dir, &record) {
            Ok(()) => {
                inner.next_seq += 1;
                inner.gap = 0;
            }
            Err(_) => inner.gap += 1,
        }
        inner.mark(&self.dir);
        drop(inner);
        self.news.notify_one();
    }

    /// The next lines that were not handed out in this life, at most this many and about 128 KiB of text.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn next(&self, most: usize) -> io::Result<Vec<LogRecord>> {
        let mut inner = self.lock();
        let mut batch = Vec::new();
        let mut size = 0;
        while batch.len() < most && size < (128 << 10) {
            let Some(record) = inner.read_one(&self.dir)? else { break };
            if record.seq > inner.read {
                inner.read = record.seq;
                inner.handed = inner.handed.max(record.seq);
                size += record.text.len() + 64;
                batch.push(record);
            }
        }
        Ok(batch)
    }

    /// Notes that everything up to here is kept by the controller; files that hold nothing else go.
    ///
    /// # Errors
    /// Those of the file system. They cost room, or lines that are shipped twice, and nothing else: it is noted in memory.
    pub fn acked(&self, seq: u64) -> io::Result<()> {
        let mut inner = self.lock();
        if seq <= inner.acked {
            return Ok(());
        }
        inner.given_twice(seq);
        inner.mark(&self.dir);
        inner.acked = seq;
        let (at, new) = (self.dir.join("acked"), self.dir.join("acked.new"));
        fs::write(&new, seq.to_string()).and_then(|()| fs::rename(&new, &at))?;
        let reading = inner.reader.as_ref().map_or(u64::MAX, |(n, _)| *n);
        while let [first, _, ..] = inner.segments.make_contiguous() {
            let first = *first;
            let done = last_seq_of(&path(&self.dir, first))?.is_none_or(|last| last <= seq);
            if !done || reading <= first {
                break;
            }
            fs::remove_file(path(&self.dir, first))?;
            inner.segments.pop_front();
        }
        Ok(())
    }

    /// After a lost connection: hands out again everything that was not acked.
    pub fn rewind(&self) {
        let mut inner = self.lock();
        inner.read = inner.acked;
        inner.reader = None;
    }
}

impl Inner {
    fn write(&mut self, dir: &Path, record: &LogRecord) -> io::Result<()> {
        if self.written > SEGMENT {
            if self.segments.len() >= MOST_SEGMENTS {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            let number = self.segments.back().map_or(1, |n| n + 1);
            self.writer = OpenOptions::new().create(true).append(true).open(path(dir, number))?;
            self.segments.push_back(number);
            self.written = 0;
        }
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if let Err(error) = self.writer.write_all(&line) {
            self.cut_back();
            return Err(error);
        }
        self.written += line.len() as u64;
        Ok(())
    }

    /// Keeps the mark as the gap is: an agent that is killed before the record that counts it leaves the mark behind.
    fn mark(&mut self, dir: &Path) {
        let wanted = self.gap > 0;
        if self.marked == wanted {
            return;
        }
        let (from, to) = if wanted { (NOTHING_DROPPED, DROPPED) } else { (DROPPED, NOTHING_DROPPED) };
        match fs::rename(dir.join(from), dir.join(to)) {
            Ok(()) => self.marked = wanted,
            // Tried again with the next line.
            Err(error) => tracing::warn!(%error, "the mark of dropped log lines cannot be set"),
        }
    }

    /// A full disk ends a write in the middle of a line. The next line must not go on there.
    fn cut_back(&mut self) {
        if let Err(error) = self.writer.set_len(self.written) {
            tracing::warn!(%error, "a piece of a line stays at the end of a file of the log spool; another file is begun");
            self.written = SEGMENT + 1;
        }
    }

    /// An ack of more than was handed out: the controller has other lines under these numbers, from before a power loss that
    /// took them from this disk. It drops those of this life, so that they are lost.
    fn given_twice(&mut self, acked: u64) {
        if acked <= self.handed {
            return;
        }
        let lost = (acked + 1).min(self.next_seq).saturating_sub(self.first_seq);
        if lost > 0 {
            tracing::warn!(lost, acked, "numbers of log lines were given twice after a power loss");
        }
        self.gap += lost;
        (self.read, self.handed) = (acked, acked);
        self.next_seq = self.next_seq.max(acked + 1);
        self.first_seq = self.first_seq.max(acked + 1);
    }

    fn read_one(&mut self, dir: &Path) -> io::Result<Option<LogRecord>> {
        loop {
            if self.reader.is_none() {
                let Some(first) = self.segments.front().copied() else { return Ok(None) };
                self.reader = Some((first, BufReader::new(File::open(path(dir, first))?)));
            }
            let Some((number, reader)) = &mut self.reader else { return Ok(None) };
            let mut line = Vec::new();
            let read = reader.read_until(b'\n', &mut line)?;
            if line.last() == Some(&b'\n') {
                match serde_json::from_slice(&line) {
                    Ok(record) => return Ok(Some(record)),
                    Err(error) => tracing::warn!(%error, "a line of the log spool cannot be read and is left out"),
                }
                continue;
            }
            let number = *number;
            let next = self.segments.iter().copied().find(|n| *n > number);
            match next {
                // A cut line at the end of an earlier life's file was never counted as written.
                Some(next) => self.reader = Some((next, BufReader::new(File::open(path(dir, next))?))),
                None => {
                    reader.seek_relative(-i64::try_from(read).unwrap_or(0))?;
                    return Ok(None);
                }
            }
        }
    }
}

/// Sequence of the last whole line of a file.
fn last_seq_of(path: &Path) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let tail = len.min(MOST_RECORD);
    file.seek(SeekFrom::Start(len - tail))?;
    let mut bytes = Vec::new();
    file.take(tail).read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(&[][..], |end| &bytes[..end]);
    let last = whole.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    Ok(serde_json::from_slice::<LogRecord>(last).ok().map(|r| r.seq))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cavalcade_common::id::NodeId;

    fn line(text: &str) -> LogRecord {
        LogRecord {
            seq: 0,
            node: NodeId::new("is-1").expect("a name"),
            run: None,
            step: "1.1".to_owned(),
            stream: "output".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            text: text.to_owned(),
            gap: 0,
        }
    }

    #[test]
    fn lines_survive_the_agent_and_are_handed_out_until_acked() {
        let dir = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(dir.path()).expect("opens");
        (0..5).for_each(|n| spool.push(line(&format!("line {n}"))));
        assert_eq!(spool.next(3).expect("reads").len(), 3);
        spool.acked(2).expect("acks");
        drop(spool);
        let spool = Spool::open(dir.path()).expect("opens again");
        spool.push(line("line 5"));
        let seqs: Vec<u64> = spool.next(100).expect("reads").iter().map(|r| r.seq).collect();
        assert_eq!(seqs, [3, 4, 5, 6], "what was not acked comes again, in order, then what is new");
        spool.rewind();
        assert_eq!(spool.next(100).expect("reads").len(), 4);
        assert!(spool.next(100).expect("reads").is_empty());
        spool.push(line("line 6"));
        assert_eq!(spool.next(100).expect("reads").len(), 1);
    }

    #[test]
    fn numbers_given_twice_after_a_power_loss_become_a_gap() {
        let dir = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(dir.path()).expect("opens");
        (0..3).for_each(|n| spool.push(line(&format!("line {n}"))));
        assert_eq!(spool.next(1).expect("reads").len(), 1);
        // The controller has ten lines from before the power loss, and drops these three.
        spool.acked(10).expect("acks");
        spool.push(line("next"));
        let got = spool.next(100).expect("reads");
        assert_eq!(got.iter().map(|r| (r.seq, r.gap, r.text.as_str())).collect::<Vec<_>>(), [(11, 3, "next")]);
        // It has some of the numbers only: what lies behind them is kept.
        let dir = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(dir.path()).expect("opens");
        (0..3).for_each(|n| spool.push(line(&format!("line {n}"))));
        assert_eq!(spool.next(1).expect("reads").len(), 1);
        spool.acked(2).expect("acks");
        spool.push(line("next"));
        let got = spool.next(100).expect("reads");
        assert_eq!(got.iter().map(|r| (r.seq, r.gap)).collect::<Vec<_>>(), [(3, 0), (4, 2)]);
    }

    #[test]
    fn a_line_that_a_full_disk_cut_does_not_take_the_next_with_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = dir.path().to_str().expect("UTF-8");
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs", at]).status();
        if !mounted.is_ok_and(|s| s.success()) {
            eprintln!("skipped, needs root and a tmpfs: a_line_that_a_full_disk_cut_does_not_take_the_next_with_it");
            return;
        }
        let spool = Spool::open(dir.path()).expect("opens");
        fs::write(dir.path().join("other"), [0; 24 << 10]).expect("room for something else");
        let long = "x".repeat(5000);
        (0..10).for_each(|_| spool.push(line(&long)));
        fs::remove_file(dir.path().join("other")).expect("makes room");
        (0..2).for_each(|_| spool.push(line("after")));
        let got = spool.next(100).expect("reads");
        drop(spool);
        let gone = std::process::Command::new("umount").args(["-l", at]).status().expect("runs");
        assert!(gone.success());
        let seqs: Vec<u64> = got.iter().map(|r| r.seq).collect();
        assert_eq!(seqs, (1..=got.len() as u64).collect::<Vec<_>>(), "no line is lost without its gap");
        let whole = got.len() as u64 - 2;
        assert!((1..10).contains(&whole), "{whole}");
        assert_eq!(got.iter().map(|r| r.gap).sum::<u64>(), 10 - whole);
    }

    /// Promise 8: nobody counts them any more, but that some are missing is known.
    #[test]
    fn a_dropped_line_leaves_a_gap_when_the_agent_is_killed_before_the_next_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(dir.path()).expect("opens");
        spool.push(line("whole"));
        let drops = |spool: &Spool| {
            let mut inner = spool.lock();
            (inner.writer, inner.written) = (File::open(path(dir.path(), 1)).expect("opens for reading alone"), 0);
            drop(inner);
            spool.push(line("cannot be written"));
        };
        (0..3).for_each(|_| drops(&spool));
        drop(spool);
        // Not even the next life has something to say.
        drop(Spool::open(dir.path()).expect("opens again"));
        let spool = Spool::open(dir.path()).expect("opens once more");
        (0..2).for_each(|_| spool.push(line("next")));
        let of = |spool: &Spool| spool.next(100).expect("reads").iter().map(|r| (r.seq, r.gap)).collect::<Vec<_>>();
        let (seqs, gaps): (Vec<u64>, Vec<u64>) = of(&spool).into_iter().unzip();
        assert_eq!((seqs, gaps), (vec![1, 2, 3], vec![0, 1, 0]));
        // What a record has counted is not counted again.
        drops(&spool);
        spool.push(line("counts it"));
        drop(spool);
        let spool = Spool::open(dir.path()).expect("opens");
        spool.push(line("the last"));
        assert_eq!(of(&spool)[3..], [(4, 1), (5, 0)]);
    }

    #[test]
    fn numbers_go_on_behind_a_line_of_any_bytes() {
        let dir = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(dir.path()).expect("opens");
        spool.push(line("short"));
        spool.push(line(&"\0".repeat(MOST_LINE + 1)));
        drop(spool);
        let spool = Spool::open(dir.path()).expect("opens again");
        spool.push(line("next"));
        let got = spool.next(100).expect("reads");
        assert_eq!(got.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2, 3]);
        // The file of the first life holds a line that is not acked.
        spool.acked(1).expect("acks");
        spool.rewind();
        assert_eq!(spool.next(100).expect("reads").first().map(|r| r.seq), Some(2));
    }

    #[test]
    fn a_line_cut_by_a_crash_is_no_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(dir.path()).expect("opens");
        spool.push(line("whole"));
        drop(spool);
        let file = path(dir.path(), 1);
        let mut bytes = fs::read(&file).expect("reads");
        bytes.extend_from_slice(b"{\"seq\":2,\"no");
        fs::write(&file, bytes).expect("writes");
        let spool = Spool::open(dir.path()).expect("opens again");
        spool.push(line("next"));
        let got = spool.next(100).expect("reads");
        assert_eq!(got.iter().map(|r| (r.seq, r.text.as_str())).collect::<Vec<_>>(), [(1, "whole"), (2, "next")]);
    }
}
