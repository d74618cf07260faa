//! Reads segments in order and gives the records that a query wants.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::catalog::{Catalog, Summary, segment_path};
use super::error::LogError;
use super::join::{Joiner, WINDOW};
use super::line::{Address, LogLine};
use super::query::{MAX_LIMIT, Page, Query};
use super::record::{MAGIC, Record, Records, Source, Stamp};

/// Most bytes of one page.
const MAX_PAGE: usize = 8 << 20;

/// A place in the store from which reading goes on, and the records that are on their way.
pub(super) struct Scan {
    root: Arc<PathBuf>,
    query: Query,
    /// Records that begin here or earlier are read over.
    skip_to: u64,
    /// Records that end here or earlier are not given out.
    give_after: u64,
    /// The same for their beginning.
    begin_after: u64,
    segment: u64,
    offset: u64,
    position: u64,
    /// Sources of the current segment by number: what the query wants has a number over all segments.
    local: Vec<Option<u32>>,
    sources: Vec<Source>,
    joiner: Joiner,
    pub(super) damaged: Vec<LogError>,
}

/// Called with each record; it can end the scan.
type Sink<'a> = &'a mut dyn FnMut(LogLine) -> ControlFlow<()>;

impl Scan {
    /// A scan from the beginning of the store.
    pub(super) fn new(root: Arc<PathBuf>, query: Query) -> Self {
        Self {
            root,
            query,
            skip_to: 0,
            give_after: 0,
            begin_after: 0,
            segment: 0,
            offset: 0,
            position: 0,
            local: Vec::new(),
            sources: Vec::new(),
            joiner: Joiner::default(),
            damaged: Vec::new(),
        }
    }

    /// Gives only records that begin behind `position`. Reads some lines before it, so that a trace across it is not
    /// torn apart.
    pub(super) fn begin_after(mut self, position: u64) -> Self {
        self.begin_after = position;
        self.skip_to = self.skip_to.max(position.saturating_sub(WINDOW));
        self
    }

    /// Gives only records of which some line is behind `position`.
    pub(super) fn end_after(mut self, position: u64) -> Self {
        self.give_after = position;
        self.skip_to = self.skip_to.max(position.saturating_sub(WINDOW));
        self
    }

    /// Reads only lines behind `position`, as if the store began there.
    pub(super) fn start_behind(mut self, position: u64) -> Self {
        self.skip_to = position;
        self
    }

    /// Whether this segment holds lines that were not read and may be wanted.
    pub(super) fn wants(&self, summary: &Summary) -> bool {
        let read = if summary.number == self.segment { self.position } else { 0 };
        summary.number >= self.segment && summary.last() > self.skip_to.max(read) && self.query.wants_segment(summary)
    }

    /// Reads one segment from where the last call ended. The flow tells whether the sink wants more.
    pub(super) fn read(&mut self, summary: &Summary, sink: Sink<'_>) -> Result<ControlFlow<()>, LogError> {
        if !self.wants(summary) {
            return Ok(ControlFlow::Continue(()));
        }
        if summary.number > self.segment {
            self.segment = summary.number;
            self.offset = MAGIC.len() as u64;
            self.position = summary.first - 1;
            self.local.clear();
        }
        let Some(bytes) = load(&self.root, summary, self.offset)? else { return Ok(ControlFlow::Continue(())) };
        let begin = self.offset;
        let mut records = Records::new(&bytes, 0);
        while let Some(record) = records.next() {
            self.offset = begin + records.offset() as u64;
            self.take(record);
            if self.give(sink).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if self.offset < summary.bytes {
            let (offset, lost) = (self.offset, summary.last() - self.position);
            self.damaged.push(LogError::Damaged { segment: summary.number, offset, records: lost });
            // The next call must not find the same damage again; lines behind it in this segment cannot be read either.
            self.position = summary.last();
            self.offset = summary.bytes;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn take(&mut self, record: Record<'_>) {
        match record {
            Record::Source { number, source } => self.meet(number, source),
            Record::Line { stamp, place, level, text } => {
                if let Some((source, mut line)) = self.line(stamp) {
                    line.level = level;
                    text.clone_into(&mut line.text);
                    self.joiner.push(source, place, line, Instant::now());
                }
            }
            Record::Gap { stamp, gap } => {
                if let Some((source, mut line)) = self.line(stamp) {
                    line.gap = Some(gap);
                    self.joiner.push(source, super::line::Place::Head, line, Instant::now());
                }
            }
        }
    }

    fn meet(&mut self, number: u32, source: Source) {
        let known = if self.query.wants_source(&source) {
            let at = self.sources.iter().position(|s| *s == source).unwrap_or_else(|| {
                self.sources.push(source);
                self.sources.len() - 1
            });
            u32::try_from(at).ok()
        } else {
            None
        };
        let at = number as usize;
        // The writer numbers sources from 0 without gaps; anything else would be damage that no checksum found.
        if at == self.local.len() {
            self.local.push(known);
        }
    }

    /// Counts a record, and gives it its frame if it is wanted.
    fn line(&mut self, stamp: Stamp) -> Option<(u32, LogLine)> {
        self.position += 1;
        if self.position <= self.skip_to {
            return None;
        }
        let number = (*self.local.get(stamp.source as usize)?)?;
        let source = self.sources.get(number as usize)?;
        let line = LogLine {
            address: Address { node: source.node.clone(), line: stamp.line },
            position: self.position,
            host: source.host.clone(),
            run: source.run.clone(),
            step: source.step.clone(),
            stream: source.stream.clone(),
            seq: stamp.seq,
            at: stamp.at,
            level: None,
            text: String::new(),
            more: Vec::new(),
            gap: None,
        };
        Some((number, line))
    }

    /// Gives out the records that are over.
    pub(super) fn give(&mut self, sink: Sink<'_>) -> ControlFlow<()> {
        while let Some(whole) = self.joiner.pop(self.position) {
            self.judge(whole, sink)?;
        }
        ControlFlow::Continue(())
    }

    /// Gives out all records, over or not.
    pub(super) fn end(&mut self, sink: Sink<'_>) -> ControlFlow<()> {
        while let Some(whole) = self.joiner.pop_any() {
            self.judge(whole, sink)?;
        }
        ControlFlow::Continue(())
    }

    /// Calls records over that were quiet since `time`; whether others still wait.
    pub(super) fn settle(&mut self, time: Instant, sink: Sink<'_>) -> bool {
        self.joiner.settle(time);
        self.give(sink).is_continue() && self.joiner.is_waiting()
    }

    fn judge(&self, whole: super::join::Whole, sink: Sink<'_>) -> ControlFlow<()> {
        let wanted = whole.line.position > self.begin_after && whole.last > self.give_after;
        if wanted && self.query.wants_record(&whole.line) { sink(whole.line) } else { ControlFlow::Continue(()) }
    }
}

/// The good bytes of a segment from an offset on; `None` where it was removed meanwhile.
fn load(root: &Path, summary: &Summary, from: u64) -> Result<Option<Vec<u8>>, LogError> {
    let path = segment_path(root, summary.number);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(LogError::io("opened", &path)(e)),
    };
    let wanted = summary.bytes.saturating_sub(from);
    let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
    let read = file.seek(SeekFrom::Start(from)).and_then(|_| file.take(wanted).read_to_end(&mut bytes));
    read.map_err(LogError::io("read", &path))?;
    Ok(Some(bytes))
}

/// Position of the line with this address.
pub(super) fn locate(root: &Arc<PathBuf>, catalog: &Catalog, address: &Address) -> Result<u64, LogError> {
    let none = || LogError::NoLine(address.clone());
    if let Some(position) = catalog.pruned.locate(address) {
        return Ok(position);
    }
    let holds = |s: &&Arc<Summary>| s.nodes.get(&address.node).is_some_and(|n| (n.first..=n.last).contains(&address.line));
    let summary = catalog.segments.iter().find(holds).ok_or_else(none)?;
    let bytes = load(root, summary, MAGIC.len() as u64)?.ok_or_else(none)?;
    let mut records = Records::new(&bytes, 0);
    let mut nodes = Vec::new();
    let mut position = summary.first - 1;
    while let Some(record) = records.next() {
        match record {
            Record::Source { source, .. } => nodes.push(source.node),
            Record::Line { stamp, .. } | Record::Gap { stamp, .. } => {
                position += 1;
                if stamp.line == address.line && nodes.get(stamp.source as usize) == Some(&address.node) {
                    return Ok(position);
                }
            }
        }
    }
    Err(none())
}

/// Answers a query.
pub(super) fn search(root: &Arc<PathBuf>, catalog: &Catalog, query: &Query, cancelled: &AtomicBool) -> Result<Page, LogError> {
    let mut after = query.after.unwrap_or(0);
    let mut from = 0;
    if let Some(address) = &query.from {
        from = locate(root, catalog, address)? - 1;
        after = after.max(from.saturating_sub(WINDOW));
    }
    let start = || Scan::new(Arc::clone(root), query.clone()).begin_after(after).end_after(from);
    // What was removed stood before everything that is there.
    let gaps = catalog.pruned.gaps(query, query.after.unwrap_or(0).max(from));
    if query.newest { newest(start, catalog, query, &gaps, cancelled) } else { oldest(start(), catalog, query, gaps, cancelled) }
}

fn oldest(
    mut scan: Scan,
    catalog: &Catalog,
    query: &Query,
    gaps: Vec<LogLine>,
    cancelled: &AtomicBool,
) -> Result<Page, LogError> {
    let limit = query.limit.clamp(1, MAX_LIMIT);
    let mut page = Page { head: catalog.head, ..Page::default() };
    let mut bytes = 0;
    let mut sink = |line: LogLine| {
        bytes += line.weight();
        page.lines.push(line);
        if page.lines.len() >= limit || bytes >= MAX_PAGE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut flow = ControlFlow::Continue(());
    // All of them at once: some may share a place, and a page goes on behind a place.
    for gap in gaps {
        flow = sink(gap);
    }
    for summary in &catalog.segments {
        if flow.is_break() || cancelled.load(Ordering::Relaxed) {
            break;
        }
        flow = scan.read(summary, &mut sink)?;
    }
    if flow.is_continue() {
        flow = scan.end(&mut sink);
    }
    page.damaged = scan.damaged;
    page.next = flow.is_break().then(|| page.lines.last().map(|l| l.position)).flatten();
    Ok(page)
}

/// Reads more and more of the last segments until they hold enough.
fn newest(
    start: impl Fn() -> Scan,
    catalog: &Catalog,
    query: &Query,
    gaps: &[LogLine],
    cancelled: &AtomicBool,
) -> Result<Page, LogError> {
    let limit = query.limit.clamp(1, MAX_LIMIT);
    let wanted: Vec<_> = catalog.segments.iter().filter(|s| query.wants_segment(s)).collect();
    let mut count = 1;
    loop {
        let mut lines = std::collections::VecDeque::new();
        let mut bytes = 0;
        let mut cut = false;
        let mut sink = |line: LogLine| {
            bytes += line.weight();
            lines.push_back(line);
            while lines.len() > limit || (bytes > MAX_PAGE && lines.len() > 1) {
                cut |= lines.len() <= limit;
                bytes -= lines.pop_front().map_or(0, |l: LogLine| l.weight());
            }
            ControlFlow::Continue(())
        };
        let all = count >= wanted.len();
        for gap in gaps.iter().filter(|_| all) {
            let _continues = sink(gap.clone());
        }
        let mut scan = start();
        for summary in &wanted[wanted.len().saturating_sub(count)..] {
            if cancelled.load(Ordering::Relaxed) {
                break;
            }
            let _continues = scan.read(summary, &mut sink)?;
        }
        let _continues = scan.end(&mut sink);
        if lines.len() >= limit || cut || all || cancelled.load(Ordering::Relaxed) {
            // Of records that were given up for their bytes, later ones may have been small enough to make room again.
            let cut = cut && lines.len() < limit;
            return Ok(Page { lines: lines.into(), next: None, head: catalog.head, damaged: scan.damaged, cut });
        }
        count *= 2;
    }
}
