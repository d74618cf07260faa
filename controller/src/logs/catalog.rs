//! Which segments there are and what each holds: enough to leave out most of them in a search, and to go on after a
//! restart without reading them all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cavalcade_common::id::{HostId, Incarnation, NodeId};
use serde::{Deserialize, Serialize};

use super::error::LogError;
use super::line::{Level, LostBy};
use super::pruned::Pruned;
use super::record::{MAGIC, Record, Records, Source};

/// First and last line of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What one segment holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// Number of the segment; its file is named by it.
    pub(super) number: u64,
    /// Bytes that hold good records; the file may be longer while it is written.
    pub(super) bytes: u64,
    /// Position of its first record in the whole store.
    pub(super) first: u64,
    /// Lines and gaps in it.
    pub(super) records: u64,
    /// Gaps in it.
    pub(super) gaps: u64,
    pub(super) nodes: BTreeMap<NodeId, Span>,
    pub(super) since: Option<jiff::Timestamp>,
    pub(super) until: Option<jiff::Timestamp>,
    pub(super) gravest: Option<Level>,
}

/// Where everything stands at the end of a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tails {
    /// Last sequence stored of each agent's ledger.
    #[serde(with = "pairs")]
    pub(super) seqs: BTreeMap<(HostId, Incarnation), u64>,
    /// Last line of each node.
    pub(super) lines: BTreeMap<NodeId, u64>,
    /// Records in the whole store, which is the position of the last one.
    pub(super) position: u64,
    /// For whom the use of the budget was noted and no line was stored since.
    pub(super) stopped: BTreeSet<(HostId, Incarnation, NodeId)>,
}

/// JSON has no keys that are pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K, V, S>(map: &BTreeMap<K, V>, out: S) -> Result<S::Ok, S::Error>
    where
        K: Serialize,
        V: Serialize,
        S: Serializer,
    {
        map.iter().collect::<Vec<_>>().serialize(out)
    }

    pub(super) fn deserialize<'de, K, V, D>(input: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(input)?.into_iter().collect())
    }
}

/// All segments, for readers. Replaced as a whole after every commit.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalog {
    pub(super) segments: Vec<Arc<Summary>>,
    /// Last sequence settled of each agent's ledger: stored, or given up when the budget was used.
    pub(super) settled: BTreeMap<(HostId, Incarnation), u64>,
    /// Position of the last record.
    pub(super) head: u64,
    /// Bytes of all segments.
    pub(super) used: u64,
    /// Whether lines are given up at present.
    pub(super) stopped: bool,
    /// What was removed for its age.
    pub(super) pruned: Arc<Pruned>,
}

/// What a closed segment's index file holds.
#[derive(Serialize, Deserialize)]
struct Index {
    summary: Summary,
    tails: Tails,
}

pub(super) fn segment_path(root: &Path, number: u64) -> PathBuf {
    root.join(format!("{number:010}.log"))
}

fn index_path(root: &Path, number: u64) -> PathBuf {
    root.join(format!("{number:010}.idx"))
}

impl Summary {
    pub(super) fn new(number: u64, tails: &Tails) -> Self {
        Self {
            number,
            bytes: MAGIC.len() as u64,
            first: tails.position + 1,
            records: 0,
            gaps: 0,
            nodes: BTreeMap::new(),
            since: None,
            until: None,
            gravest: None,
        }
    }

    /// Position of its last record.
    pub(super) fn last(&self) -> u64 {
        self.first + self.records - 1
    }

    /// Takes one record into account, here and in `tails`.
    pub(super) fn note(&mut self, tails: &mut Tails, source: &Source, record: &Record<'_>) {
        let stamp = match record {
            Record::Source { .. } => return,
            Record::Line { stamp, level, .. } => {
                self.gravest = self.gravest.max(*level);
                stamp
            }
            Record::Gap { stamp, .. } => {
                self.gaps += 1;
                stamp
            }
        };
        self.records += 1;
        tails.position += 1;
        let span = self.nodes.entry(source.node.clone()).or_insert(Span { first: stamp.line, last: stamp.line });
        span.last = stamp.line;
        self.since = Some(self.since.map_or(stamp.at, |at| at.min(stamp.at)));
        self.until = Some(self.until.map_or(stamp.at, |at| at.max(stamp.at)));
        tails.lines.insert(source.node.clone(), stamp.line);
        tails.seqs.insert((source.host.clone(), source.incarnation.clone()), stamp.seq);
        let stops = matches!(record, Record::Gap { gap, .. } if gap.by == LostBy::Budget && gap.lines == 0);
        if stops {
            tails.stopped.insert((source.host.clone(), source.incarnation.clone(), source.node.clone()));
        } else {
            tails.stopped.retain(|(host, incarnation, _)| (host, incarnation) != (&source.host, &source.incarnation));
        }
    }
}

/// Everything that a start finds.
pub(super) struct Found {
    pub(super) closed: Vec<Arc<Summary>>,
    pub(super) tails: Tails,
    /// Number that the next segment gets.
    pub(super) next: u64,
    pub(super) pruned: Pruned,
}

/// Reads all indexes; a segment without one is read itself, cut behind its last good record, and closed.
pub(super) fn recover(root: &Path) -> Result<Found, LogError> {
    let mut found = Found { closed: Vec::new(), tails: Tails::default(), next: 1, pruned: Pruned::read(root)? };
    for number in numbers(root)? {
        if number <= found.pruned.through {
            // An earlier process noted it as removed and ended before it was.
            remove_segment(root, number)?;
            continue;
        }
        let index = match read_index(root, number)? {
            Some(index) => index,
            None => {
                let index = rebuild(root, number, found.tails)?;
                write_index(root, &index.summary, &index.tails)?;
                index
            }
        };
        found.tails = index.tails;
        found.next = number + 1;
        found.closed.push(Arc::new(index.summary));
    }
    found.pruned.complete(&found.closed, &found.tails);
    Ok(found)
}

fn numbers(root: &Path) -> Result<Vec<u64>, LogError> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(root).map_err(LogError::io("read", root))? {
        let path = file.map_err(LogError::io("read", root))?.path();
        if path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(".tmp")) {
            // An index that an earlier process did not finish.
            std::fs::remove_file(&path).map_err(LogError::io("removed", &path))?;
            continue;
        }
        let is_segment = path.extension().is_some_and(|e| e == "log");
        if is_segment && let Some(number) = path.file_stem().and_then(|s| s.to_str()?.parse().ok()) {
            all.push(number);
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// The index, if there is one that fits its segment.
fn read_index(root: &Path, number: u64) -> Result<Option<Index>, LogError> {
    let path = index_path(root, number);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(LogError::io("read", &path)(e)),
    };
    let Ok(index) = serde_json::from_slice::<Index>(&bytes) else { return Ok(None) };
    let segment = segment_path(root, number);
    let size = std::fs::metadata(&segment).map_err(LogError::io("read", &segment))?.len();
    let fits = index.summary.number == number && index.summary.bytes <= size;
    Ok(fits.then_some(index))
}

fn rebuild(root: &Path, number: u64, mut tails: Tails) -> Result<Index, LogError> {
    let path = segment_path(root, number);
    let bytes = std::fs::read(&path).map_err(LogError::io("read", &path))?;
    let mut summary = Summary::new(number, &tails);
    let mut sources = BTreeMap::new();
    let mut records = Records::new(&bytes, MAGIC.len());
    if bytes.starts_with(MAGIC) {
        while let Some(record) = records.next() {
            match &record {
                Record::Source { number, source } => {
                    sources.insert(*number, source.clone());
                }
                Record::Line { stamp, .. } | Record::Gap { stamp, .. } => {
                    let Some(source) = sources.get(&stamp.source) else { break };
                    summary.note(&mut tails, source, &record);
                }
            }
            summary.bytes = records.offset() as u64;
        }
    }
    if summary.bytes < bytes.len() as u64 {
        // Only a write that was not acked leaves this, or damage; then the agents' next sequence shows a gap.
        tracing::warn!(segment = number, from = summary.bytes, to = bytes.len(), "the end of a log segment is cut");
    }
    let file = std::fs::OpenOptions::new().write(true).open(&path).map_err(LogError::io("opened", &path))?;
    let kept = summary.bytes.min(bytes.len() as u64);
    file.set_len(kept).and_then(|()| file.sync_all()).map_err(LogError::io("cut", &path))?;
    summary.bytes = kept;
    Ok(Index { summary, tails })
}

/// Writes the index of a closed segment: whole or not at all.
pub(super) fn write_index(root: &Path, summary: &Summary, tails: &Tails) -> Result<(), LogError> {
    let path = index_path(root, summary.number);
    let index = Index { summary: summary.clone(), tails: tails.clone() };
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(root)?;
        serde_json::to_writer(&mut file, &index)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|e| e.error)?;
        std::fs::File::open(root)?.sync_all()
    };
    write().map_err(LogError::io("written", &path))
}

/// Removes a closed segment that is noted as removed. What of it is gone already needs no removal.
pub(super) fn remove_segment(root: &Path, number: u64) -> Result<(), LogError> {
    for path in [index_path(root, number), segment_path(root, number)] {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(LogError::io("removed", &path)(e)),
            Ok(()) | Err(_) => {}
        }
    }
    std::fs::File::open(root).and_then(|f| f.sync_all()).map_err(LogError::io("synced", root))
}
