//! The form of records in a segment: length, checksum, content.
//!
//! A source (host, incarnation, node, run, step, stream) is written once per segment and then named by its number, so
//! that a line costs little more than its text, and a search looks at a number instead of six texts.

use cavalcade_common::id::{HostId, Incarnation, NodeId, RunId};

use super::line::{Gap, Level, LostBy, Place};

/// First bytes of every segment.
pub(super) const MAGIC: &[u8; 8] = b"CVLLOG1\n";
/// Longest content of a record, in bytes.
pub(super) const MAX_RECORD: usize = 1 << 20;
const HEAD: usize = 8;

const SOURCE: u8 = 1;
const LINE: u8 = 2;
const GAP: u8 = 3;

/// Where a line comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub(super) host: HostId,
    pub(super) incarnation: Incarnation,
    pub(super) node: NodeId,
    pub(super) run: Option<RunId>,
    pub(super) step: String,
    pub(super) stream: String,
}

/// What lines and gaps have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Number of the source in this segment.
    pub(super) source: u32,
    /// Number of the line on its node.
    pub(super) line: u64,
    /// Sequence on the agent.
    pub(super) seq: u64,
    pub(super) at: jiff::Timestamp,
}

/// One record of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Source { number: u32, source: Source },
    Line { stamp: Stamp, place: Place, level: Option<Level>, text: &'a str },
    Gap { stamp: Stamp, gap: Gap },
}

/// Takes a segment's bytes apart.
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Records<'a> {
    /// Reads records of `bytes` from `offset` on.
    pub(super) fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    /// Offset behind the last good record.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// The next record; `None` at the end and at the first byte that cannot be used.
    pub(super) fn next(&mut self) -> Option<Record<'a>> {
        let mut input = Input(self.bytes.get(self.offset..)?);
        let len = input.u32()? as usize;
        let sum = input.u32()?;
        if len > MAX_RECORD {
            return None;
        }
        let content = input.take(len)?;
        if crc32fast::hash(content) != sum {
            return None;
        }
        let record = decode(Input(content))?;
        self.offset += HEAD + len;
        Some(record)
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    fn text(&mut self) -> Option<&'a str> {
        let len = self.u32()? as usize;
        std::str::from_utf8(self.take(len)?).ok()
    }
    fn stamp(&mut self) -> Option<Stamp> {
        let (source, line, seq) = (self.u32()?, self.u64()?, self.u64()?);
        let seconds = i64::from_le_bytes(self.array()?);
        let nanos = i32::from_le_bytes(self.array()?);
        Some(Stamp { source, line, seq, at: jiff::Timestamp::new(seconds, nanos).ok()? })
    }
}

fn decode(mut input: Input<'_>) -> Option<Record<'_>> {
    match input.u8()? {
        SOURCE => {
            let number = input.u32()?;
            let host = HostId::new(input.text()?).ok()?;
            let incarnation = Incarnation(input.text()?.to_owned());
            let node = NodeId::new(input.text()?).ok()?;
            let run = Some(input.text()?).filter(|r| !r.is_empty()).map(RunId::new).transpose().ok()?;
            let (step, stream) = (input.text()?.to_owned(), input.text()?.to_owned());
            Some(Record::Source { number, source: Source { host, incarnation, node, run, step, stream } })
        }
        LINE => {
            let stamp = input.stamp()?;
            let place = place(input.u8()?)?;
            let level = match input.u8()? {
                0 => None,
                n => Some(*Level::ALL.get(usize::from(n) - 1)?),
            };
            Some(Record::Line { stamp, place, level, text: std::str::from_utf8(input.0).ok()? })
        }
        GAP => {
            let stamp = input.stamp()?;
            let by = lost_by(input.u8()?)?;
            Some(Record::Gap { stamp, gap: Gap { lines: input.u64()?, by } })
        }
        _ => None,
    }
}

fn place(number: u8) -> Option<Place> {
    [Place::Head, Place::Frame, Place::Thrown].into_iter().find(|p| *p as u8 == number)
}

fn lost_by(number: u8) -> Option<LostBy> {
    [LostBy::Agent, LostBy::Unexplained, LostBy::Budget, LostBy::Age].into_iter().find(|b| *b as u8 == number)
}

impl Record<'_> {
    /// Appends the record to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; HEAD]);
        match self {
            Record::Source { number, source } => {
                out.push(SOURCE);
                out.extend(number.to_le_bytes());
                let run = source.run.as_ref().map_or("", RunId::as_str);
                let Source { host, incarnation, node, run: _, step, stream } = source;
                for text in [host.as_str(), &incarnation.0, node.as_str(), run, step, stream] {
                    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
                    out.extend(text.as_bytes());
                }
            }
            Record::Line { stamp, place, level, text } => {
                out.push(LINE);
                encode_stamp(stamp, out);
                out.push(*place as u8);
                out.push(level.map_or(0, |l| l as u8 + 1));
                out.extend(text.as_bytes());
            }
            Record::Gap { stamp, gap } => {
                out.push(GAP);
                encode_stamp(stamp, out);
                out.push(gap.by as u8);
                out.extend(gap.lines.to_le_bytes());
            }
        }
        let len = u32::try_from(out.len() - start - HEAD).unwrap_or(u32::MAX);
        let sum = crc32fast::hash(&out[start + HEAD..]);
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
        out[start + 4..start + HEAD].copy_from_slice(&sum.to_le_bytes());
    }
}

fn encode_stamp(stamp: &Stamp, out: &mut Vec<u8>) {
    out.extend(stamp.source.to_le_bytes());
    out.extend(stamp.line.to_le_bytes());
    out.extend(stamp.seq.to_le_bytes());
    out.extend(stamp.at.as_second().to_le_bytes());
    out.extend(stamp.at.subsec_nanosecond().to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Record<'static>> {
        let source = Source {
            host: HostId::new("h1").unwrap(),
            incarnation: Incarnation("inc".into()),
            node: NodeId::new("is-1").unwrap(),
            run: None,
            step: "3.2".into(),
            stream: "output".into(),
        };
        let with_run = Source { run: Some(RunId::new("run-7").unwrap()), ..source.clone() };
        let at = jiff::Timestamp::new(-1, -5).unwrap();
        let stamp = Stamp { source: 7, line: 8841, seq: u64::MAX, at };
        vec![
            Record::Source { number: 0, source },
            Record::Source { number: 7, source: with_run },
            Record::Line { stamp, place: Place::Thrown, level: Some(Level::Fatal), text: "\u{1b}[31m é\0" },
            Record::Line { stamp, place: Place::Head, level: None, text: "" },
            Record::Gap { stamp, gap: Gap { lines: 12, by: LostBy::Budget } },
        ]
    }

    #[test]
    fn reads_what_it_writes_and_stops_at_every_cut_and_flip() {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for record in samples() {
            record.encode(&mut bytes);
            ends.push(bytes.len());
        }
        let read = |bytes: &[u8]| {
            let mut records = Records::new(bytes, 0);
            let mut count = 0;
            while let Some(record) = records.next() {
                assert_eq!(record, samples()[count]);
                count += 1;
            }
            assert_eq!(records.offset(), ends[count]);
            count
        };
        assert_eq!(read(&bytes), samples().len());
        for cut in 0..bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(read(&bytes[..cut]), whole, "cut at {cut}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let whole = ends.iter().filter(|end| **end <= at).count() - 1;
                assert_eq!(read(&flipped), whole, "bit {bit} of byte {at}");
            }
        }
    }
}
