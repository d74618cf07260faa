//! The one thread that writes: takes waiting batches together, writes them with one sync, then acks them all.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use cavalcade_common::id::{HostId, Incarnation, NodeId};
use cavalcade_common::message::LogRecord;
use nix::fcntl::Flock;
use tokio::sync::{mpsc, oneshot, watch};

use super::LogLimits;
use super::catalog::{Catalog, Found, Summary, Tails, remove_segment, segment_path, write_index};
use super::error::LogError;
use super::line::{Gap, Level, LostBy, place_of};
use super::pruned::Pruned;
use super::record::{MAGIC, Record, Source, Stamp};

/// Bytes after which a segment is closed.
const SEGMENT: u64 = 8 << 20;
/// Bytes that are written with one sync at most, beside one batch.
const GROUP: usize = 2 << 20;
/// Longest text of one line; more is cut, visibly. The link's messages are shorter.
const MAX_TEXT: usize = 512 << 10;
/// Longest step, stream and incarnation.
pub(super) const MAX_LABEL: usize = 256;

/// What the thread is asked.
pub(super) enum Job {
    Append(Append),
    Prune { before: jiff::Timestamp, reply: oneshot::Sender<Result<u64, LogError>> },
}

/// A batch of one agent.
pub(super) struct Append {
    pub(super) host: HostId,
    /// At most [`MAX_LABEL`] bytes.
    pub(super) incarnation: Incarnation,
    pub(super) batch: Vec<LogRecord>,
    pub(super) reply: oneshot::Sender<Result<u64, LogError>>,
}

/// What readers see.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) catalog: RwLock<Arc<Catalog>>,
    /// Position of the last durable record; followers wait on it.
    pub(super) head: watch::Receiver<u64>,
}

impl Shared {
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) struct Writer {
    root: PathBuf,
    limits: LogLimits,
    shared: Arc<Shared>,
    /// Declared before `head`: the lock is free when those who wait on `head` learn of the end.
    _lock: Flock<File>,
    head: watch::Sender<u64>,
    closed: Vec<Arc<Summary>>,
    next: u64,
    active: Option<Active>,
    tails: Tails,
    /// Sequences beyond those in `tails` that were given up since the budget is used.
    given_up: BTreeMap<(HostId, Incarnation), u64>,
    dropping: bool,
    failed: bool,
    pruned: Arc<Pruned>,
}

struct Active {
    file: File,
    path: PathBuf,
    summary: Summary,
    sources: BTreeMap<Source, u32>,
}

/// What a group would change; thrown away when its write fails.
struct Draft {
    bytes: Vec<u8>,
    summary: Summary,
    sources: BTreeMap<Source, u32>,
    tails: Tails,
    given_up: BTreeMap<(HostId, Incarnation), u64>,
}

impl Writer {
    pub(super) fn new(
        root: PathBuf,
        limits: LogLimits,
        found: Found,
        shared: Arc<Shared>,
        head: watch::Sender<u64>,
        lock: Flock<File>,
    ) -> Self {
        let Found { closed, tails, next, pruned } = found;
        let writer = Self {
            root,
            limits,
            shared,
            _lock: lock,
            head,
            closed,
            next,
            active: None,
            tails,
            given_up: BTreeMap::new(),
            dropping: false,
            failed: false,
            pruned: Arc::new(pruned),
        };
        writer.publish();
        writer
    }

    /// Works until all senders are gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = VecDeque::new();
        while let Some(first) = waiting.pop_front().or_else(|| jobs.blocking_recv()) {
            match first {
                Job::Prune { before, reply } => {
                    // Nobody waits for the answer any more: nothing to do about it.
                    let _gone = reply.send(self.prune(before));
                }
                Job::Append(first) => {
                    let mut bytes = weight(&first.batch);
                    let mut group = vec![first];
                    while bytes < GROUP {
                        match jobs.try_recv() {
                            Ok(Job::Append(next)) => {
                                bytes += weight(&next.batch);
                                group.push(next);
                            }
                            Ok(other) => {
                                waiting.push_back(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.append(group);
                }
            }
        }
    }

    fn append(&mut self, group: Vec<Append>) {
        let bytes: usize = group.iter().map(|append| weight(&append.batch)).sum();
        let done = self.prepare().and_then(|()| {
            self.dropping = self.no_room(bytes as u64)?;
            let mut draft = self.draft()?;
            let mut settled = Vec::with_capacity(group.len());
            for Append { host, incarnation, batch, .. } in &group {
                settled.push(if self.dropping {
                    draft.give_up(host, incarnation, batch)
                } else {
                    draft.take(host, incarnation, batch)
                });
            }
            self.commit(draft)?;
            Ok(settled)
        });
        match done {
            Ok(settled) => {
                for (append, seq) in group.into_iter().zip(settled) {
                    let _gone = append.reply.send(Ok(seq));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "lines could not be stored; the agents send them again");
                let shared = Arc::new(error);
                for append in group {
                    let _gone = append.reply.send(Err(LogError::Group(Arc::clone(&shared))));
                }
            }
        }
    }

    /// Makes sure of an open segment with room.
    fn prepare(&mut self) -> Result<(), LogError> {
        if self.failed {
            return Err(LogError::Stopped);
        }
        if self.active.as_ref().is_some_and(|a| a.summary.bytes >= SEGMENT) {
            self.close();
        }
        if self.active.is_some() {
            return Ok(());
        }
        let path = segment_path(&self.root, self.next);
        let open = || {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(MAGIC)?;
            file.sync_all()?;
            File::open(&self.root)?.sync_all()?;
            Ok(file)
        };
        let file = match open() {
            Ok(file) => file,
            Err(e) => {
                // A half made file would be in the way of the next try. Where it cannot be removed, that try says so.
                let _left = std::fs::remove_file(&path);
                return Err(LogError::io("made", &path)(e));
            }
        };
        let summary = Summary::new(self.next, &self.tails);
        self.next += 1;
        self.active = Some(Active { file, path, summary, sources: BTreeMap::new() });
        Ok(())
    }

    /// Closes the open segment. Without its index the next start reads the segment itself.
    fn close(&mut self) {
        let Some(active) = self.active.take() else { return };
        if let Err(error) = write_index(&self.root, &active.summary, &self.tails) {
            tracing::warn!(%error, "a log segment stays without its index");
        }
        self.closed.push(Arc::new(active.summary));
    }

    fn used(&self) -> u64 {
        self.closed.iter().map(|s| s.bytes).sum::<u64>() + self.active.as_ref().map_or(0, |a| a.summary.bytes)
    }

    /// Whether storing `bytes` more would break a limit (10, rule 31: logs stop first).
    fn no_room(&self, bytes: u64) -> Result<bool, LogError> {
        let stat = nix::sys::statvfs::statvfs(&self.root).map_err(|e| LogError::io("measured", &self.root)(e.into()))?;
        let free = stat.blocks_available().saturating_mul(stat.fragment_size());
        Ok(self.used().saturating_add(bytes) > self.limits.budget || free.saturating_sub(bytes) < self.limits.keep_free)
    }

    fn draft(&self) -> Result<Draft, LogError> {
        let active = self.active.as_ref().ok_or(LogError::Stopped)?;
        Ok(Draft {
            bytes: Vec::new(),
            summary: active.summary.clone(),
            sources: active.sources.clone(),
            tails: self.tails.clone(),
            given_up: self.given_up.clone(),
        })
    }

    fn commit(&mut self, mut draft: Draft) -> Result<(), LogError> {
        let Some(active) = &mut self.active else { return Err(LogError::Stopped) };
        if !draft.bytes.is_empty() {
            let written = active.file.write_all(&draft.bytes).and_then(|()| active.file.sync_data());
            if let Err(source) = written {
                let error = LogError::io("written", &active.path)(source);
                self.abandon();
                return Err(error);
            }
            draft.summary.bytes += draft.bytes.len() as u64;
        }
        active.summary = draft.summary;
        active.sources = draft.sources;
        self.tails = draft.tails;
        self.given_up = draft.given_up;
        self.publish();
        Ok(())
    }

    /// After a failed write the segment is suspect behind its last synced record (10, rule 32): it is cut there and
    /// closed, and the next batch opens a new one. Where that fails too, nothing is stored until the next start.
    fn abandon(&mut self) {
        let Some(active) = &self.active else { return };
        let cut = active.file.set_len(active.summary.bytes).and_then(|()| active.file.sync_all());
        match cut.map_err(LogError::io("cut", &active.path)) {
            Ok(()) => self.close(),
            Err(error) => {
                tracing::error!(%error, "the central log stops until the next start");
                self.failed = true;
            }
        }
        self.publish();
    }

    fn publish(&self) {
        let mut segments = self.closed.clone();
        segments.extend(self.active.as_ref().map(|a| Arc::new(a.summary.clone())));
        let mut settled = self.tails.seqs.clone();
        settled.extend(self.given_up.iter().map(|(key, seq)| (key.clone(), *seq)));
        let (head, used, stopped) = (self.tails.position, self.used(), self.dropping || self.failed);
        let pruned = Arc::clone(&self.pruned);
        let catalog = Arc::new(Catalog { segments, settled, head, used, stopped, pruned });
        *self.shared.catalog.write().unwrap_or_else(PoisonError::into_inner) = catalog;
        self.head.send_replace(head);
    }

    /// Removes closed segments whose lines are all older. The newest closed one stays: its index says where everything
    /// stands. What goes is noted first, on the disk.
    fn prune(&mut self, before: jiff::Timestamp) -> Result<u64, LogError> {
        let may_go = self.closed.len().saturating_sub(1);
        let old = self.closed.iter().take(may_go).take_while(|s| s.until.is_none_or(|until| until < before)).count();
        if old == 0 {
            return Ok(0);
        }
        let mut pruned = (*self.pruned).clone();
        self.closed[..old].iter().for_each(|segment| pruned.take(&self.root, segment));
        pruned.write(&self.root)?;
        self.pruned = Arc::new(pruned);
        let removed: Vec<Arc<Summary>> = self.closed.drain(..old).collect();
        self.publish();
        for segment in &removed {
            remove_segment(&self.root, segment.number)?;
        }
        Ok(removed.iter().map(|s| s.bytes).sum())
    }
}

fn weight(batch: &[LogRecord]) -> usize {
    batch.iter().map(|r| r.text.len() + 96).sum()
}

/// The start of a text, cut between two characters.
pub(super) fn head(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

impl Draft {
    /// Number of a source in this segment.
    fn source(&mut self, source: &Source) -> u32 {
        if let Some(number) = self.sources.get(source) {
            return *number;
        }
        let number = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        Record::Source { number, source: source.clone() }.encode(&mut self.bytes);
        self.sources.insert(source.clone(), number);
        number
    }

    fn write(&mut self, source: &Source, record: &Record<'_>) {
        record.encode(&mut self.bytes);
        self.summary.note(&mut self.tails, source, record);
    }

    fn stamp(&mut self, source: &Source, seq: u64, at: jiff::Timestamp) -> Stamp {
        let line = self.next_line(&source.node);
        Stamp { source: self.source(source), line, seq, at }
    }

    fn next_line(&self, node: &NodeId) -> u64 {
        self.tails.lines.get(node).map_or(1, |last| last + 1)
    }

    /// Stores a batch and gives the sequence up to which everything is settled.
    fn take(&mut self, host: &HostId, incarnation: &Incarnation, batch: &[LogRecord]) -> u64 {
        let key = (host.clone(), incarnation.clone());
        let settled = self.given_up.get(&key).copied().unwrap_or(0);
        for record in batch {
            let stored = self.tails.seqs.get(&key).copied().unwrap_or(0);
            // What was given up is never stored later: its lines would stand behind their gap.
            if record.seq <= stored.max(settled) {
                continue;
            }
            let source = source_of(host, incarnation, record);
            let missing = record.seq - stored - 1;
            let lines = missing.max(record.gap);
            if lines > 0 {
                let stopped = self.tails.stopped.iter().any(|(h, i, _)| (h, i) == (host, incarnation));
                let by = match () {
                    () if missing > 0 && (stopped || settled > stored) => LostBy::Budget,
                    () if record.gap >= missing => LostBy::Agent,
                    () => LostBy::Unexplained,
                };
                let stamp = self.stamp(&source, record.seq - 1, record.at);
                self.write(&source, &Record::Gap { stamp, gap: Gap { lines, by } });
            }
            let stamp = self.stamp(&source, record.seq, record.at);
            let cut = cut_text(&record.text);
            let text = cut.as_deref().unwrap_or(&record.text);
            let (place, level) = (place_of(text), Level::of_line(text));
            self.write(&source, &Record::Line { stamp, place, level, text });
            self.given_up.remove(&key);
        }
        let stored = self.tails.seqs.get(&key).copied().unwrap_or(0);
        stored.max(settled)
    }

    /// Gives a batch up: notes once for each node that the budget is used, and settles the rest without storing it.
    fn give_up(&mut self, host: &HostId, incarnation: &Incarnation, batch: &[LogRecord]) -> u64 {
        let key = (host.clone(), incarnation.clone());
        let stored = self.tails.seqs.get(&key).copied().unwrap_or(0);
        let mut settled = self.given_up.get(&key).copied().unwrap_or(stored);
        for record in batch.iter().filter(|r| r.seq > stored) {
            if self.tails.stopped.insert((host.clone(), incarnation.clone(), record.node.clone())) {
                let source = source_of(host, incarnation, record);
                let stamp = self.stamp(&source, stored, record.at);
                self.write(&source, &Record::Gap { stamp, gap: Gap { lines: 0, by: LostBy::Budget } });
            }
            settled = settled.max(record.seq);
        }
        if settled > stored {
            self.given_up.insert(key, settled);
        }
        settled
    }
}

fn source_of(host: &HostId, incarnation: &Incarnation, record: &LogRecord) -> Source {
    Source {
        host: host.clone(),
        incarnation: incarnation.clone(),
        node: record.node.clone(),
        run: record.run.clone(),
        step: head(&record.step, MAX_LABEL).to_owned(),
        stream: head(&record.stream, MAX_LABEL).to_owned(),
    }
}

/// A text that is too long, cut, with a note of what is missing.
fn cut_text(text: &str) -> Option<String> {
    (text.len() > MAX_TEXT).then(|| {
        let kept = head(text, MAX_TEXT);
        format!("{kept} … ({} bytes more were cut)", text.len() - kept.len())
    })
}
