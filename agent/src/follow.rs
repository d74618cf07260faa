//! Follows a log file of a product by inode and offset (10, rule 33).
//!
//! The products' logs roll: the file is renamed and a new one takes its name. The follower then finds the old file by its
//! inode, reads what is left of it, and goes on with the new one. What it cannot find any more is reported as a gap.
//! Inode numbers are used again, so a fingerprint of the file's first bytes belongs to the place.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::{FilePart, Host};

/// Bytes of a file's beginning that its fingerprint covers at most.
const HEAD: usize = 256;
/// Bytes read in one go.
const PART: usize = 256 << 10;
/// Longest line in bytes; a longer one is cut into several.
const LINE: usize = 64 << 10;

/// Cuts bytes into lines. Bytes that are no UTF-8 become replacement characters.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes bytes and adds the lines that they complete.
    pub fn push(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.pending.extend_from_slice(piece);
            if self.pending.ends_with(b"\n") || self.pending.len() >= LINE {
                self.flush(lines);
            }
        }
    }

    /// Adds what is there of a line that will not be completed.
    pub fn flush(&mut self, lines: &mut Vec<String>) {
        if !self.pending.is_empty() {
            let text = String::from_utf8_lossy(&self.pending);
            lines.push(text.trim_end_matches(['\n', '\r']).to_owned());
            self.pending.clear();
        }
    }
}

/// A place in a file that may roll away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Number of the file.
    pub inode: u64,
    /// Bytes before the place.
    pub offset: u64,
    /// CRC-32 of the file's first bytes.
    pub head: u32,
    /// How many bytes that covers.
    pub head_len: u64,
}

/// What came since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// Whole lines.
    pub lines: Vec<String>,
    /// What is missing before them, in words.
    pub gap: Option<String>,
    /// Whether there is more to read at once.
    pub more: bool,
}

/// Follows one log file.
#[derive(Debug, Clone)]
pub struct Follower {
    file: PathBuf,
    place: Option<Place>,
    lines: Lines,
}

impl Follower {
    /// Goes on from a place; `None`: there was no file, and every one that appears is read from its beginning.
    #[must_use]
    pub fn from(file: PathBuf, place: Option<Place>) -> Self {
        Self { file, place, lines: Lines::default() }
    }

    /// Goes to another place of the file.
    pub fn move_to(&mut self, place: Place) {
        self.place = Some(place);
        self.lines = Lines::default();
    }

    /// Where the last whole line that was given ends; `None` before the first look at a file.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let pending = self.lines.pending.len() as u64;
        self.place.map(|place| Place { offset: place.offset.saturating_sub(pending), ..place })
    }

    /// The end of the log as it is now, of its newest rolled file where none has its name: everything written later comes
    /// after it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn end_of(host: &dyn Host, file: &Path) -> io::Result<Option<Place>> {
        let last = match host.read_part(file, 0, HEAD)? {
            Some(part) => Some(part),
            None => rolled_files(host, file)?.pop().map(|(_, part)| part),
        };
        Ok(last.map(|part| at(&part, part.len)))
    }

    /// Reads on.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn poll(&mut self, host: &dyn Host) -> io::Result<Followed> {
        let mut followed = Followed::default();
        // While a log rolls there is a moment without a file of its name.
        let Some(now) = host.read_part(&self.file, 0, HEAD)? else { return Ok(followed) };
        let mut place = match self.place {
            Some(place) if is_same(&place, &now) => Place { offset: place.offset, ..at(&now, 0) },
            before => {
                self.leave(host, before, &mut followed)?;
                self.lines.flush(&mut followed.lines);
                at(&now, 0)
            }
        };
        let Some(part) = host.read_part(&self.file, place.offset, PART)? else { return Ok(followed) };
        if part.inode == now.inode && part.len >= place.offset {
            place.offset += part.bytes.len() as u64;
            followed.more = place.offset < part.len;
            self.lines.push(&part.bytes, &mut followed.lines);
        }
        self.place = Some(place);
        Ok(followed)
    }

    /// Reads what is left of a file that lost its name, and of those that had the name between it and the file of now.
    fn leave(&mut self, host: &dyn Host, place: Option<Place>, followed: &mut Followed) -> io::Result<()> {
        let rolled = rolled_files(host, &self.file)?;
        let first = match place {
            None => Some((0, 0)),
            Some(place) => rolled.iter().position(|(_, part)| is_same(&place, part)).map(|old| (old, place.offset)),
        };
        let Some((old, from)) = first else {
            followed.gap = Some(format!("{} rolled away or was cut before it was read to its end", self.file.display()));
            return Ok(());
        };
        for (n, (path, _)) in rolled.iter().enumerate().skip(old) {
            let mut offset = if n == old { from } else { 0 };
            while let Some(part) = host.read_part(path, offset, PART)? {
                if part.bytes.is_empty() {
                    break;
                }
                offset += part.bytes.len() as u64;
                self.lines.push(&part.bytes, &mut followed.lines);
            }
            self.lines.flush(&mut followed.lines);
        }
        Ok(())
    }
}

fn at(part: &FilePart, offset: u64) -> Place {
    let head = &part.bytes[..part.bytes.len().min(HEAD)];
    Place { inode: part.inode, offset, head: crc32fast::hash(head), head_len: head.len() as u64 }
}

/// `head` is the file's beginning. A file that became shorter is another one: these logs only grow.
fn is_same(place: &Place, head: &FilePart) -> bool {
    let covered = usize::try_from(place.head_len).ok().and_then(|n| head.bytes.get(..n));
    place.inode == head.inode && place.offset <= head.len && covered.is_some_and(|b| crc32fast::hash(b) == place.head)
}

/// Whether a name is what the log's name becomes when it rolls: `wso2carbon-11-23-2026.log`, `wso2carbon.log.1`, and not
/// `wso2carbon-trace-messages.log`. Packed ones cannot be read.
fn is_rolled_name(log: &str, name: &str) -> bool {
    let stem = log.strip_suffix(".log").unwrap_or(log);
    let Some(rest) = name.strip_prefix(stem) else { return false };
    name != log && rest.replace(".log", "").chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '_' | '.'))
}

/// The rolled files of a log with their beginnings, oldest first.
///
/// # Errors
/// Those of the file system.
pub(crate) fn rolled_files(host: &dyn Host, log: &Path) -> io::Result<Vec<(PathBuf, FilePart)>> {
    let (Some(dir), Some(name)) = (log.parent(), log.file_name().and_then(|n| n.to_str())) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for other in host.list(dir)? {
        if is_rolled_name(name, &other)
            && let Some(part) = host.read_part(&dir.join(&other), 0, HEAD)?
        {
            files.push((dir.join(other), part));
        }
    }
    files.sort_by(|(a, x), (b, y)| (x.modified, a).cmp(&(y.modified, b)));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;
    use crate::host::real::RealHost;

    fn append(path: &Path, text: &str) {
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn lines(follower: &mut Follower) -> Vec<String> {
        let followed = follower.poll(&RealHost::default()).unwrap();
        assert_eq!(followed.gap, None);
        followed.lines
    }

    #[test]
    fn lines_come_whole_however_the_bytes_come() {
        let text = "a\r\n\nbé\nrest".as_bytes();
        for cut in 0..text.len() {
            let (mut cutter, mut lines) = (Lines::default(), Vec::new());
            cutter.push(&text[..cut], &mut lines);
            cutter.push(&text[cut..], &mut lines);
            assert_eq!(lines, ["a", "", "bé"], "cut at {cut}");
            cutter.flush(&mut lines);
            assert_eq!(lines[3], "rest");
        }
        let (mut cutter, mut lines) = (Lines::default(), Vec::new());
        cutter.push(&vec![b'x'; 3 * LINE], &mut lines);
        assert!(lines.iter().all(|l| l.len() <= 3 * LINE) && cutter.pending.len() < LINE);
    }

    #[test]
    fn a_roll_loses_nothing_and_a_restart_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("wso2carbon.log");
        append(&log, "before\n");
        let begin = Follower::end_of(&RealHost::default(), &log).unwrap();
        append(&log, "one\nhal");
        let mut follower = Follower::from(log.clone(), begin);
        assert_eq!(lines(&mut follower), ["one"]);
        append(&log, "f\nlast of the old");
        fs::rename(&log, dir.path().join("wso2carbon-11-22-2026.log")).unwrap();
        assert_eq!(lines(&mut follower), Vec::<String>::new());
        append(&log, "first of the new\n");
        append(&dir.path().join("wso2carbon-trace-messages.log"), "of something else\n");
        assert_eq!(lines(&mut follower), ["half", "last of the old", "first of the new"]);
        // The same from the noted beginning, as after a restart.
        let mut again = Follower::from(log.clone(), begin);
        assert_eq!(lines(&mut again), ["one", "half", "last of the old", "first of the new"]);
    }

    #[test]
    fn what_rolled_away_or_was_cut_is_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("wso2carbon.log");
        append(&log, "one\ntwo\n");
        let mut follower = Follower::from(log.clone(), None);
        assert_eq!(lines(&mut follower), ["one", "two"]);
        fs::write(&log, "x\n").unwrap(); // cut, then shorter
        let followed = follower.poll(&RealHost::default()).unwrap();
        assert!(followed.gap.is_some());
        assert_eq!(followed.lines, ["x"]);
        fs::write(&log, "other beginning, longer than the file was before\n").unwrap();
        assert!(follower.poll(&RealHost::default()).unwrap().gap.is_some());
        fs::remove_file(&log).unwrap();
        append(&log, "new\n");
        let followed = follower.poll(&RealHost::default()).unwrap();
        assert!(followed.gap.is_some());
        assert_eq!(followed.lines, ["new"]);
    }

    #[test]
    fn a_log_that_appears_later_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("wso2carbon.log");
        assert_eq!(Follower::end_of(&RealHost::default(), &log).unwrap(), None);
        let mut follower = Follower::from(log.clone(), None);
        assert_eq!(lines(&mut follower), Vec::<String>::new());
        append(&log, "one\n");
        assert_eq!(lines(&mut follower), ["one"]);
    }

    #[test]
    fn a_log_that_appears_and_rolls_before_the_first_look_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("wso2carbon.log");
        let begin = Follower::end_of(&RealHost::default(), &log).unwrap();
        append(&log, "one\n");
        fs::rename(&log, dir.path().join("wso2carbon-11-22-2026.log")).unwrap();
        append(&log, "two\n");
        assert_eq!(lines(&mut Follower::from(log.clone(), begin)), ["one", "two"]);
        // What had rolled before the beginning is not of it.
        fs::rename(&log, dir.path().join("wso2carbon-11-23-2026.log")).unwrap();
        let begin = Follower::end_of(&RealHost::default(), &log).unwrap();
        append(&log, "three\n");
        assert_eq!(lines(&mut Follower::from(log, begin)), ["three"]);
    }
}
