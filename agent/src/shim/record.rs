//! The shim's records: what it writes into the attempt's folder, and how the agent reads it back.
//!
//! A record is one line: the CRC-32 of the JSON text in eight hex digits, a blank, the JSON text, a newline. A last line
//! without its newline was cut short while it was written and counts as not written: the child is let go only after the
//! record was synced. A whole line with a wrong checksum is damage and is reported as such.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::files::sync_dir;
use crate::host::real::wall_clock;

/// Room for the exit record in bytes, written in advance: the record then needs no new space on a full disk.
const EXIT_ROOM: usize = 256;

/// What the spec is called in the folder. It goes away once it was read: its environment may hold secrets.
pub(crate) const SPEC: &str = "spec";
/// The lock: held by shim and child.
pub(crate) const LOCK: &str = "lock";
/// Standard output and error of the child.
pub(crate) const OUTPUT: &str = "output";
/// Launches that the gate let through or refused.
pub(crate) const LAUNCHES: &str = "launches";
/// The gate's script.
pub(crate) const GATE: &str = "gate";
const RECORDS: &str = "records";
const EXIT: &str = "exit";
const ABANDONED: &str = "abandoned";

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "record")]
pub(crate) enum Record {
    /// A child is there and waits; it execs after this record is on disk.
    Spawned {
        /// The child.
        pid: u32,
        /// Its start in clock ticks since boot.
        start_ticks: u64,
        /// When, by the wall clock.
        at: Timestamp,
        /// Which boot: after another one the number names nobody.
        boot_id: String,
    },
    /// The direct child ended.
    Exited {
        /// Exit code; 128 + signal for a signal.
        exit: i32,
        /// When, by the wall clock.
        at: Timestamp,
    },
    /// Nothing began, and nothing will.
    Abandoned {
        /// Who found that, or why the shim gave up.
        why: String,
        /// When, by the wall clock.
        at: Timestamp,
    },
}

/// Everything that an attempt's folder records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    /// Why nothing began, if that is proved.
    pub(crate) abandoned: Option<String>,
    /// The child: pid and start ticks.
    pub(crate) spawned: Option<(u32, u64)>,
    /// Exit code of the direct child.
    pub(crate) exit: Option<i32>,
    /// Whether the gate refused a second launch.
    pub(crate) relaunch_refused: bool,
}

impl Records {
    /// Reads what is there.
    ///
    /// # Errors
    /// Those of the file system; `InvalidData` for a record whose checksum is wrong.
    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        for name in [RECORDS, EXIT, ABANDONED] {
            for record in read_file(&dir.join(name))? {
                match record {
                    Record::Spawned { pid, start_ticks, .. } => found.spawned = Some((pid, start_ticks)),
                    Record::Exited { exit, .. } => found.exit = Some(exit),
                    Record::Abandoned { why, .. } => found.abandoned = Some(why),
                }
            }
        }
        let launches = read_or_empty(&dir.join(LAUNCHES))?;
        found.relaunch_refused = launches.split(|b| *b == b'\n').any(|line| line.starts_with(b"refused "));
        Ok(found)
    }
}

fn read_or_empty(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

fn read_file(path: &Path) -> io::Result<Vec<Record>> {
    let bytes = read_or_empty(path)?;
    let mut records = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{}: a record has a wrong checksum", path.display()));
        records.push(decode(&rest[..end]).ok_or_else(damaged)?);
        rest = &rest[end + 1..];
    }
    Ok(records)
}

fn encode(record: &Record) -> io::Result<String> {
    let json = serde_json::to_string(record)?;
    Ok(format!("{:08x} {json}", crc32fast::hash(json.as_bytes())))
}

fn decode(line: &[u8]) -> Option<Record> {
    let line = line.trim_ascii_end();
    let (crc, json) = (line.get(..8)?, line.get(8..)?.strip_prefix(b" ")?);
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    if crc != crc32fast::hash(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// Appends SPAWNED and syncs file and folder.
///
/// # Errors
/// Those of the file system. The child must not be let go then.
pub(crate) fn write_spawned(dir: &Path, record: &Record) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(dir.join(RECORDS))?;
    file.write_all(format!("{}\n", encode(record)?).as_bytes())?;
    file.sync_all()?;
    sync_dir(dir)
}

/// Writes ABANDONED whole or not at all. The caller holds the lock.
///
/// # Errors
/// Those of the file system.
pub(crate) fn write_abandoned(dir: &Path, why: &str) -> io::Result<()> {
    let record = Record::Abandoned { why: why.to_owned(), at: wall_clock() };
    let temp = dir.join("abandoned.tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
    file.write_all(format!("{}\n", encode(&record)?).as_bytes())?;
    file.sync_all()?;
    fs::rename(&temp, dir.join(ABANDONED))?;
    sync_dir(dir)
}

/// The place of the exit record, its room already allocated.
#[derive(Debug)]
pub(crate) struct ExitRoom {
    file: File,
    temp: PathBuf,
    dir: PathBuf,
}

impl ExitRoom {
    /// Allocates the room.
    ///
    /// # Errors
    /// Those of the file system: then nothing may begin.
    pub(crate) fn allocate(dir: &Path) -> io::Result<Self> {
        let temp = dir.join("exit.tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
        file.write_all(&[b' '; EXIT_ROOM])?;
        file.sync_all()?;
        Ok(Self { file, temp, dir: dir.to_owned() })
    }

    /// Writes the exit record: over the allocated room, synced, renamed, folder synced.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn write(&self, exit: i32) -> io::Result<()> {
        let mut line = encode(&Record::Exited { exit, at: wall_clock() })?;
        while line.len() < EXIT_ROOM - 1 {
            line.push(' ');
        }
        line.push('\n');
        self.file.write_all_at(line.as_bytes(), 0)?;
        self.file.sync_all()?;
        if self.temp.exists() {
            fs::rename(&self.temp, self.dir.join(EXIT))?;
        }
        sync_dir(&self.dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawned() -> Record {
        Record::Spawned { pid: 7, start_ticks: 99, at: Timestamp::UNIX_EPOCH, boot_id: "b".to_owned() }
    }

    #[test]
    fn records_come_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Records::read(dir.path()).unwrap(), Records::default());
        write_spawned(dir.path(), &spawned()).unwrap();
        ExitRoom::allocate(dir.path()).unwrap().write(143).unwrap();
        let found = Records::read(dir.path()).unwrap();
        assert_eq!((found.spawned, found.exit, found.abandoned), (Some((7, 99)), Some(143), None));
        assert_eq!(fs::metadata(dir.path().join(EXIT)).unwrap().len(), EXIT_ROOM as u64);
    }

    #[test]
    fn a_record_cut_anywhere_counts_as_not_written() {
        let dir = tempfile::tempdir().unwrap();
        write_spawned(dir.path(), &spawned()).unwrap();
        let whole = fs::read(dir.path().join(RECORDS)).unwrap();
        for cut in 0..whole.len() {
            fs::write(dir.path().join(RECORDS), &whole[..cut]).unwrap();
            assert_eq!(Records::read(dir.path()).unwrap().spawned, None, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_and_never_an_outcome() {
        let dir = tempfile::tempdir().unwrap();
        write_spawned(dir.path(), &spawned()).unwrap();
        let whole = fs::read(dir.path().join(RECORDS)).unwrap();
        for at in 0..whole.len() - 1 {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            fs::write(dir.path().join(RECORDS), &bad).unwrap();
            match Records::read(dir.path()) {
                Err(e) => assert_eq!(e.kind(), io::ErrorKind::InvalidData, "byte {at}"),
                // The flip made a newline: the rest is a line of its own, also damaged.
                Ok(found) => panic!("byte {at} was read as {found:?}"),
            }
        }
    }
}
