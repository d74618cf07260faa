//! The files of a SQLite journal: which one is in use, which one is suspect, and the room that is kept for it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Room that is kept for the outcomes of what runs when the file system is full, in bytes (10, rule 31).
const RESERVE: i64 = 16 << 20;
/// After so many writes a lost reserve is asked for again.
const REFILL: u32 = 64;
/// And after as many looks: a loop looks about once a second.
const REFILL_LOOKS: u32 = 16;

/// Behind the journal's name and before the number of a file that a recovery made.
const RECOVERED: &str = ".recovered-";

/// The path with something behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The file in use and its number: `journal.db` is 1; every recovery goes on in the next number
/// (`journal.db.recovered-2`).
pub(super) fn current(path: &Path) -> io::Result<(PathBuf, u32)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok((path.to_owned(), 1)) };
    let mut number = 1;
    for file in std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })? {
        let found = file?.file_name();
        let suffix = found.to_str().zip(name.to_str()).and_then(|(f, n)| f.strip_prefix(n)?.strip_prefix(RECOVERED));
        number = number.max(suffix.and_then(|s| s.parse().ok()).unwrap_or(1));
    }
    Ok((numbered(path, number), number))
}

/// The file with this number.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 1 { path.to_owned() } else { beside(path, &format!("{RECOVERED}{number}")) }
}

/// Syncs the folder that holds `path`.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn marker(file: &Path) -> PathBuf {
    beside(file, ".suspect")
}

/// Whether a sync of this file failed.
pub(super) fn is_suspect(file: &Path) -> io::Result<bool> {
    marker(file).try_exists()
}

/// Notes that a sync of this file failed. The disk that failed may refuse this as well.
pub(super) fn mark_suspect(file: &Path) -> io::Result<()> {
    File::create(marker(file))?.sync_all()?;
    sync_parent(file)
}

/// A file that only takes up room. It is removed when the journal finds no other room.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    held: AtomicBool,
    writes: AtomicU32,
    looks: AtomicU32,
}

impl Reserve {
    /// No room, for a journal that is only copied.
    pub(super) fn none() -> Self {
        Self { path: PathBuf::new(), held: AtomicBool::new(false), writes: AtomicU32::new(0), looks: AtomicU32::new(0) }
    }

    /// Takes the room. Without success the journal begins in its reserve.
    pub(super) fn take(path: PathBuf) -> Self {
        let reserve = Self { path, held: AtomicBool::new(false), writes: AtomicU32::new(0), looks: AtomicU32::new(0) };
        reserve.hold();
        reserve
    }

    fn hold(&self) {
        let allocate = || {
            let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&self.path)?;
            nix::fcntl::posix_fallocate(&file, 0, RESERVE)?;
            file.sync_all()
        };
        match allocate() {
            Ok(()) => self.held.store(true, Ordering::SeqCst),
            Err(error) => {
                tracing::warn!(%error, "no room can be kept for the journal; nothing new is dispatched");
                self.drop_file();
            }
        }
    }

    fn drop_file(&self) {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the journal's reserve cannot be given up");
            }
            _ => {}
        }
    }

    /// Gives the room up for the journal; whether there was any.
    pub(super) fn release(&self) -> bool {
        let held = self.held.swap(false, Ordering::SeqCst);
        if held {
            tracing::error!("the file system is full: the journal uses its reserve, nothing new is dispatched");
            self.drop_file();
        }
        held
    }

    /// Called after each write; now and then it tries to take the room back.
    pub(super) fn after_write(&self) {
        self.refill_each(&self.writes, REFILL);
    }

    /// Called at each look of who waits for room; now and then it tries to take the room back.
    pub(super) fn after_look(&self) {
        self.refill_each(&self.looks, REFILL_LOOKS);
    }

    fn refill_each(&self, count: &AtomicU32, times: u32) {
        if !self.is_held() && count.fetch_add(1, Ordering::SeqCst) % times == times - 1 {
            self.hold();
        }
    }

    /// Whether the room is there.
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }
}
