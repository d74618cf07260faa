//! The file behind the ledger: one writer, records at its end, each durable before the call returns.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};
use rustix::io::Errno;

use crate::host::RecordFile;
use crate::host::files;

/// How often a lock that is held is tried, and how long between two tries.
const TRIES: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(25);

/// Sets room aside behind a file's end without lengthening it.
type Allocate = fn(&File, u64, u64) -> rustix::io::Result<()>;

fn allocate(file: &File, from: u64, bytes: u64) -> rustix::io::Result<()> {
    rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, from, bytes)
}

/// A record file that this process holds locked.
struct LockedFile {
    file: File,
    allocate: Allocate,
    /// On a file system that sets no room aside: a file beside this one whose content is the room (10, rule 7).
    room: Room,
    /// After a failed write or sync nobody knows what is on the disk: nothing more is written (10, rule 32).
    suspect: bool,
}

/// Opens a record file, or makes an empty one (mode 0600), and locks it for as long as it is open.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::WouldBlock`] where another process holds it; a symlink or anything else
/// that is no regular file.
pub fn open(path: &Path) -> io::Result<Box<dyn RecordFile>> {
    open_within(path, TRIES)
}

fn open_within(path: &Path, tries: u32) -> io::Result<Box<dyn RecordFile>> {
    let (dir, _) = files::split(path)?;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let options =
        |new: bool| OpenOptions::new().read(true).append(true).create_new(new).mode(0o600).custom_flags(flags).open(path);
    let file = match options(false) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => match options(true) {
            // Another process was faster: the lock decides between the two.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => options(false)?,
            other => other?,
        },
        other => other?,
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no regular file", path.display())));
    }
    lock(&file, path, tries)?;
    let named = std::fs::symlink_metadata(path)?;
    if (named.dev(), named.ino()) != (meta.dev(), meta.ino()) {
        let text = format!("{} was replaced while it was opened", path.display());
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
    }
    // Also for a file that is there already: whoever made it may have died before this.
    file.sync_all()?;
    files::sync_dir(dir)?;
    let room = Room { path: path.with_added_extension("room"), file: None, bytes: 0 };
    Ok(Box::new(LockedFile { file, allocate, room, suspect: false }))
}

/// Room that was written.
struct Room {
    path: PathBuf,
    /// Opened when it is first needed.
    file: Option<File>,
    bytes: u64,
}

impl Room {
    /// Makes it this large. What was written before stays; what fails leaves nothing that was promised.
    fn grow(&mut self, bytes: u64) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                // What is left of an earlier try may have holes: it is written anew.
                self.bytes = 0;
                let flags = OFlags::NOFOLLOW.bits().cast_signed();
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true).mode(0o600).custom_flags(flags);
                options.open(&self.path)?
            }
        };
        while self.bytes < bytes {
            let block = noise(self.bytes);
            let len = block.len().min(usize::try_from(bytes - self.bytes).unwrap_or(block.len()));
            file.write_all_at(&block[..len], self.bytes)?;
            self.bytes += len as u64;
        }
        file.sync_all()?;
        self.file = Some(file);
        Ok(())
    }

    /// Gives back what the next write needs.
    fn give_back(&mut self, bytes: u64) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        self.bytes = self.bytes.saturating_sub(bytes);
        file.set_len(self.bytes)
    }
}

/// Content that a file system can neither compress nor share with other content.
fn noise(seed: u64) -> [u8; 4096] {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut block = [0; 4096];
    for word in block.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    block
}

/// A child that a process forked just before its end holds the lock too, until its exec: that is no other writer.
fn lock(file: &File, path: &Path, tries: u32) -> io::Result<()> {
    for _ in 0..tries {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(BETWEEN),
            done => return done.map_err(io::Error::from),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, format!("{} is held by another process", path.display())))
}

impl LockedFile {
    fn guarded(&mut self, work: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        if self.suspect {
            return Err(io::Error::other("an earlier write to this record file failed; it is not written any more"));
        }
        let done = work(&mut self.file);
        self.suspect = done.is_err();
        done
    }
}

impl RecordFile for LockedFile {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.file.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Whole blocks, and one more for the end that this write begins.
        let needed = (bytes.len() as u64).next_multiple_of(4096) + 4096;
        if let Err(error) = self.room.give_back(needed) {
            tracing::warn!(%error, "the ledger's room cannot be given back; it is written without");
        }
        self.guarded(|file| {
            file.write_all(bytes)?;
            file.sync_data()
        })
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.guarded(|file| {
            if len > file.metadata()?.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a record file is cut, never lengthened"));
            }
            file.set_len(len)?;
            file.sync_all()
        })
    }

    // Refused room changes nothing in the file, so it does not make it suspect. Cutting the file gives reserved room
    // back: reserve again after that.
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let len = self.file.metadata()?.len();
        match (self.allocate)(&self.file, len, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.room.grow(bytes),
            done => Ok(done?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read_again() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("ledger");
        let mut file = open(&path).expect("opens");
        file.append(b"one").expect("appends");
        file.reserve(1 << 20).expect("reserves");
        file.append(b"two").expect("appends");
        assert_eq!(file.read_all().expect("reads"), b"onetwo");
        assert_eq!(std::fs::metadata(&path).expect("there").len(), 6, "reserved room must not lengthen the file");
        file.truncate(4).expect("cuts");
        file.append(b"!").expect("appends");
        drop(file);
        assert_eq!(open(&path).expect("opens").read_all().expect("reads"), b"onet!");
    }

    #[test]
    fn where_no_room_can_be_set_aside_it_is_written() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("ledger");
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path).expect("opens");
        let room = Room { path: dir.path().join("ledger.room"), file: None, bytes: 0 };
        let mut file = LockedFile { file, allocate: |_, _, _| Err(Errno::OPNOTSUPP), room, suspect: false };
        let aside = || std::fs::metadata(dir.path().join("ledger.room")).map(|m| (m.len(), m.blocks() * 512)).expect("there");
        file.reserve(64 << 10).expect("is written");
        assert_eq!(aside().0, 64 << 10);
        assert!(aside().1 >= 64 << 10, "without holes");
        file.append(&[7; 5000]).expect("appends");
        assert_eq!(aside().0, (64 << 10) - 12_288, "the write has the room that was kept for it");
        file.reserve(64 << 10).expect("is written again");
        assert_eq!(aside().0, 64 << 10);
        assert_eq!(file.read_all().expect("reads").len(), 5000);
        file.allocate = |_, _, _| Err(Errno::NOSPC);
        let full = file.reserve(1).expect_err("a full disk is one");
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_second_opening_is_refused_while_the_first_lives() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("ledger");
        let first = open(&path).expect("opens");
        let second = open_within(&path, 2).err().expect("refused");
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        open(&path).expect("free again");
    }

    #[test]
    fn a_symlink_and_a_folder_are_refused() {
        let dir = tempfile::tempdir().expect("temp dir");
        std::fs::write(dir.path().join("real"), b"x").expect("writes");
        std::os::unix::fs::symlink("real", dir.path().join("link")).expect("links");
        assert!(open(&dir.path().join("link")).is_err());
        assert!(open(dir.path()).is_err());
    }

    #[test]
    fn a_file_is_never_lengthened_by_a_cut_and_then_suspect() {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut file = open(&dir.path().join("ledger")).expect("opens");
        file.append(b"abc").expect("appends");
        assert!(file.truncate(4).is_err());
        assert!(file.append(b"d").is_err(), "suspect after an error");
        assert_eq!(file.read_all().expect("reads"), b"abc");
    }
}
