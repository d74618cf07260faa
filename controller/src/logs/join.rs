//! Joins the lines of a stack trace to one record while sources are mixed.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use super::line::{LogLine, Place};

/// Most lines of one record; a longer trace goes on in a record of its own.
const MAX_LINES: usize = 1000;
/// Most bytes of one record.
const MAX_BYTES: usize = 256 << 10;
/// A record that this many lines of the store have passed is over.
pub(super) const WINDOW: u64 = 20_000;
/// Most records that wait for their end at the same time.
const MAX_OPEN: usize = 2000;

/// A record that may still grow.
struct Open {
    source: u32,
    line: LogLine,
    bytes: usize,
    /// Position of its last line.
    last: u64,
    touched: Instant,
    over: bool,
}

/// Records on their way, in the order of their first lines.
#[derive(Default)]
pub(super) struct Joiner {
    waiting: VecDeque<Open>,
    /// Position of the first line of the record that a source is in.
    current: BTreeMap<u32, u64>,
}

/// A whole record with the position of its last line.
pub(super) struct Whole {
    pub(super) line: LogLine,
    pub(super) last: u64,
}

impl Joiner {
    /// Takes the next line of a source; positions rise.
    pub(super) fn push(&mut self, source: u32, place: Place, line: LogLine, now: Instant) {
        let position = line.position;
        if let Some(open) = self.open_of(source) {
            let joins = match place {
                Place::Head => false,
                Place::Frame => open.line.gap.is_none(),
                Place::Thrown => open.line.level.is_some() && open.line.more.is_empty(),
            };
            let has_room = open.line.more.len() + 1 < MAX_LINES && open.bytes + line.text.len() <= MAX_BYTES;
            if joins && has_room && line.gap.is_none() && position - open.line.position < WINDOW {
                open.bytes += line.text.len();
                open.line.more.push(line.text);
                open.last = position;
                open.touched = now;
                return;
            }
            open.over = true;
        }
        self.current.insert(source, position);
        let over = line.gap.is_some();
        self.waiting.push_back(Open { source, bytes: line.text.len(), last: position, touched: now, over, line });
    }

    fn open_of(&mut self, source: u32) -> Option<&mut Open> {
        let position = self.current.get(&source)?;
        let at = self.waiting.binary_search_by_key(position, |open| open.line.position).ok()?;
        self.waiting.get_mut(at).filter(|open| !open.over)
    }

    /// The next record that is over, the store being at `position`.
    pub(super) fn pop(&mut self, position: u64) -> Option<Whole> {
        let front = self.waiting.front()?;
        let passed = position.saturating_sub(front.line.position) >= WINDOW || self.waiting.len() > MAX_OPEN;
        if front.over || passed { self.pop_any() } else { None }
    }

    /// The next record, over or not: at the end of a search.
    pub(super) fn pop_any(&mut self) -> Option<Whole> {
        let open = self.waiting.pop_front()?;
        if self.current.get(&open.source) == Some(&open.line.position) {
            self.current.remove(&open.source);
        }
        Some(Whole { line: open.line, last: open.last })
    }

    /// Calls every record over that had no new line since `time`.
    pub(super) fn settle(&mut self, time: Instant) {
        for open in &mut self.waiting {
            open.over |= open.touched <= time;
        }
    }

    /// Whether records wait for their end.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}
