//! What was removed for its age: kept by node and run for good, so that a search says what it cannot give any more.
//!
//! The note is durable before a segment goes. A segment that the note names and that is still there was left by a process
//! that ended in between; the next start removes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cavalcade_common::id::{HostId, NodeId, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::catalog::{Summary, Tails, segment_path};
use super::error::LogError;
use super::line::{Address, Gap, LogLine, LostBy};
use super::query::Query;
use super::record::{MAGIC, Record, Records, Source, Stamp};

const FILE: &str = "pruned.json";

/// Whose lines were removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Whose {
    /// Of this run; without one: of none.
    Run(Option<RunId>),
    /// Nobody knows: the note or the segment could not be read.
    Unknown,
}

/// Lines of one node that were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Removed {
    node: NodeId,
    host: Option<HostId>,
    whose: Whose,
    /// Number of the first one on its node.
    first: u64,
    last: u64,
    lines: u64,
    /// Place of the first one in the whole store.
    position: u64,
    /// `None`: nobody knows.
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// All that was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pruned {
    /// Number of the last segment that was removed.
    pub(super) through: u64,
    removed: Vec<Removed>,
}

fn path(root: &Path) -> PathBuf {
    root.join(FILE)
}

impl Pruned {
    /// The note of an earlier process. One that cannot be read is as good as none: `complete` finds what it lacks.
    pub(super) fn read(root: &Path) -> Result<Self, LogError> {
        let path = path(root);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "the note of removed lines of the central log cannot be read");
                Self::default()
            })),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(LogError::io("read", &path)(e)),
        }
    }

    /// Writes the note: whole or not at all.
    pub(super) fn write(&self, root: &Path) -> Result<(), LogError> {
        let path = path(root);
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(root)?;
            serde_json::to_writer(&mut file, self)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|e| e.error)?;
            std::fs::File::open(root)?.sync_all()
        };
        write().map_err(LogError::io("written", &path))
    }

    /// Lines of each node are numbered from 1 without gaps: what is missing before the first one that is there, and is not
    /// in the note, was removed and nobody noted it.
    pub(super) fn complete(&mut self, closed: &[Arc<Summary>], tails: &Tails) {
        for (node, last) in &tails.lines {
            let first = closed.iter().filter_map(|s| s.nodes.get(node)).map(|span| span.first).min().unwrap_or(last + 1);
            let noted: u64 = self.removed.iter().filter(|r| r.node == *node).map(|r| r.lines).sum();
            if noted + 1 < first {
                let lines = first - 1 - noted;
                let (whose, since, until) = (Whose::Unknown, None, None);
                self.add(Removed {
                    node: node.clone(),
                    host: None,
                    whose,
                    first: 1,
                    last: lines,
                    lines,
                    position: 1,
                    since,
                    until,
                });
            }
        }
    }

    /// Takes a segment in that is about to be removed.
    pub(super) fn take(&mut self, root: &Path, summary: &Summary) {
        self.through = self.through.max(summary.number);
        // What cannot be read is counted by the spans of its nodes.
        let bytes = std::fs::read(segment_path(root, summary.number)).unwrap_or_default();
        let mut of_sources: Vec<(Source, Option<Removed>)> = Vec::new();
        let mut records = Records::new(&bytes, MAGIC.len());
        let mut position = summary.first;
        while let Some(record) = records.next() {
            match record {
                Record::Source { source, .. } => of_sources.push((source, None)),
                Record::Line { stamp, .. } | Record::Gap { stamp, .. } => {
                    let Some((source, removed)) = of_sources.get_mut(stamp.source as usize) else { break };
                    let more = Removed::one(source, stamp, position);
                    match removed {
                        Some(removed) => removed.join(more),
                        None => *removed = Some(more),
                    }
                    position += 1;
                }
            }
        }
        let mut counted: BTreeMap<NodeId, u64> = BTreeMap::new();
        for removed in of_sources.into_iter().filter_map(|(_, removed)| removed) {
            *counted.entry(removed.node.clone()).or_default() += removed.lines;
            self.add(removed);
        }
        for (node, span) in &summary.nodes {
            let lines = (span.last - span.first + 1).saturating_sub(counted.get(node).copied().unwrap_or(0));
            if lines > 0 {
                let (whose, since, until) = (Whose::Unknown, summary.since, summary.until);
                let (first, last, position) = (span.first, span.last, summary.first);
                self.add(Removed { node: node.clone(), host: None, whose, first, last, lines, position, since, until });
            }
        }
    }

    fn add(&mut self, more: Removed) {
        let same = |r: &&mut Removed| r.node == more.node && r.whose == more.whose;
        match self.removed.iter_mut().find(same) {
            Some(known) => known.join(more),
            None => self.removed.push(more),
        }
    }

    /// Position of the gap that stands for this line.
    pub(super) fn locate(&self, address: &Address) -> Option<u64> {
        let holds = |r: &&Removed| r.node == address.node && (r.first..=r.last).contains(&address.line);
        self.removed.iter().filter(holds).map(|r| r.position).min()
    }

    /// The gaps that a query has to tell, in order: steps, streams, levels and texts of what is missing are not known, so
    /// it might have matched.
    pub(super) fn gaps(&self, query: &Query, behind: u64) -> Vec<LogLine> {
        let wanted = |r: &&Removed| {
            let of_run = match (&query.run, &r.whose) {
                (None, _) | (Some(_), Whose::Unknown) => true,
                (Some(run), Whose::Run(of)) => of.as_ref() == Some(run),
            };
            let late = query.since.is_some_and(|since| r.until.is_some_and(|until| until < since));
            let early = query.until.is_some_and(|until| r.since.is_some_and(|since| since >= until));
            !query.without_removed && of_run && !late && !early && r.position > behind && query.wants_node(r.node.as_str())
        };
        let mut found: Vec<LogLine> = self.removed.iter().filter(wanted).filter_map(Removed::line).collect();
        found.sort_by(|a, b| (a.position, &a.address).cmp(&(b.position, &b.address)));
        found
    }
}

impl Removed {
    fn one(source: &Source, stamp: Stamp, position: u64) -> Self {
        Self {
            node: source.node.clone(),
            host: Some(source.host.clone()),
            whose: Whose::Run(source.run.clone()),
            first: stamp.line,
            last: stamp.line,
            lines: 1,
            position,
            since: Some(stamp.at),
            until: Some(stamp.at),
        }
    }

    fn join(&mut self, more: Self) {
        self.host = self.host.take().or(more.host);
        self.first = self.first.min(more.first);
        self.last = self.last.max(more.last);
        self.lines += more.lines;
        self.position = self.position.min(more.position);
        // A time that nobody knows makes the whole unknown.
        self.since = self.since.zip(more.since).map(|(a, b)| a.min(b));
        self.until = self.until.zip(more.until).map(|(a, b)| a.max(b));
    }

    fn line(&self) -> Option<LogLine> {
        let run = match &self.whose {
            Whose::Run(run) => run.clone(),
            Whose::Unknown => None,
        };
        Some(LogLine {
            address: Address { node: self.node.clone(), line: self.first },
            position: self.position,
            host: self.host.clone().or_else(|| HostId::new(self.node.as_str()).ok())?,
            run,
            step: String::new(),
            stream: String::new(),
            seq: 0,
            at: self.until.unwrap_or(Timestamp::UNIX_EPOCH),
            level: None,
            text: String::new(),
            more: Vec::new(),
            gap: Some(Gap { lines: self.lines, by: LostBy::Age }),
        })
    }
}

#[cfg(test)]
#[path = "pruned_tests.rs"]
mod tests;
