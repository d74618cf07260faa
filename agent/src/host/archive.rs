//! Archives: looked through from end to end first, refused as a whole where one entry is not allowed, unpacked then.
//!
//! zip and tar.gz, told apart by content. The libraries themselves skip some bad entries in silence; here every one is
//! named. What an archive may hold stands in [`rules`].

mod entry;
pub mod rules;
mod tarball;
mod zipped;

pub use entry::read_entry;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use rules::{Entry, Kind, Rule};

use crate::host::owner::Owner;
use crate::host::tree::{Manifest, Node, Progress};

/// Most entries that an archive may have.
pub const ENTRY_LIMIT: u64 = 500_000;
/// An archive that unpacks to more than this many times its own size is a bomb, from [`BOMB_FROM`] bytes on.
pub const BOMB_RATIO: u64 = 250;
/// Unpacked size in bytes below which the ratio does not matter.
pub const BOMB_FROM: u64 = 100 << 20;
/// Longest target of a symlink, in bytes.
const TARGET_LIMIT: u64 = 4096;

/// Why an archive is refused. In every case nothing of it is in its final place.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Reading the archive or writing its content failed.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// How it failed.
        #[source]
        source: io::Error,
    },
    /// Neither zip nor gzip by its first bytes.
    #[error("it is neither a zip nor a tar.gz")]
    Unknown,
    /// It ends too early.
    #[error("it is cut short")]
    Truncated,
    /// Its content contradicts itself (checksum, headers).
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// An entry is encrypted.
    #[error("its entry {entry:?} is encrypted")]
    Encrypted {
        /// Which.
        entry: String,
    },
    /// An entry is compressed in a way that is not supported.
    #[error("its entry {entry:?} uses a compression that is not supported")]
    Compression {
        /// Which.
        entry: String,
    },
    /// An entry breaks a rule.
    #[error("its entry {entry:?} {rule}")]
    Refused {
        /// Which.
        entry: String,
        /// The rule.
        rule: Rule,
    },
    /// More entries than [`ENTRY_LIMIT`].
    #[error("it has more than {ENTRY_LIMIT} entries")]
    TooManyEntries,
    /// Larger than the step allows.
    #[error("it unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// See [`BOMB_RATIO`].
    #[error("{packed} bytes of it unpack to {unpacked}: it is a bomb")]
    Bomb {
        /// Size of the archive.
        packed: u64,
        /// Size of its content, as far as it was read.
        unpacked: u64,
    },
    /// Entries of a zip share bytes, which is how small bombs are built.
    #[error("two of its entries lie over each other")]
    Overlap,
}

impl ArchiveError {
    fn io(what: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what: what.to_owned(), source }
    }
}

/// What a look through an archive gave: it is allowed as a whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Scan {
    /// Sum of the sizes of its files, in bytes.
    pub bytes: u64,
    /// Its entries, with the leading parts dropped.
    pub entries: Vec<Entry>,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Zip,
    TarGz,
}

/// Looks through a whole archive. `strip`: how many leading parts of each path to drop. `limit`: unpacked bytes allowed.
///
/// # Errors
/// See [`ArchiveError`].
pub fn scan(archive: &mut File, strip: u32, limit: u64) -> Result<Scan, ArchiveError> {
    let packed = archive.metadata().map_err(ArchiveError::io("its size cannot be read"))?.len();
    let format = format_of(archive)?;
    let raw = match format {
        Format::Zip => zipped::list(archive)?,
        Format::TarGz => tarball::list(archive, packed, limit)?,
    };
    let bytes = raw.iter().map(|e| e.size).fold(0, u64::saturating_add);
    within(packed, bytes, limit)?;
    let entries = rules::check(raw, strip)?;
    Ok(Scan { bytes, entries, format })
}

/// Unpacks a scanned archive into an empty folder of the caller. Files belong to `owner`, if one is given. It is the
/// caller's to sync the tree, and to remove it after an error.
///
/// # Errors
/// See [`ArchiveError`].
pub fn unpack(
    archive: &mut File,
    scan: &Scan,
    into: &Path,
    owner: Option<Owner>,
    progress: &mut Progress<'_>,
) -> Result<Manifest, ArchiveError> {
    archive.rewind().map_err(ArchiveError::io("it cannot be read"))?;
    let mut place = Place { into, owner, done: 0, progress, manifest: Manifest::default() };
    match scan.format {
        Format::Zip => zipped::files(archive, scan, &mut place)?,
        Format::TarGz => tarball::files(archive, scan, &mut place)?,
    }
    // Last of all, so that no file of the archive can pass through one.
    for entry in &scan.entries {
        match &entry.kind {
            Kind::Symlink { target } => place.symlink(entry, target)?,
            Kind::HardLink { target } => place.hard_link(entry, target)?,
            Kind::File | Kind::Folder => {}
        }
    }
    Ok(place.manifest)
}

fn format_of(archive: &mut File) -> Result<Format, ArchiveError> {
    archive.rewind().map_err(ArchiveError::io("it cannot be read"))?;
    let mut first = Vec::new();
    archive.by_ref().take(4).read_to_end(&mut first).map_err(ArchiveError::io("it cannot be read"))?;
    archive.rewind().map_err(ArchiveError::io("it cannot be read"))?;
    match first.as_slice() {
        b"PK\x03\x04" | b"PK\x05\x06" => Ok(Format::Zip),
        [0x1f, 0x8b, ..] => Ok(Format::TarGz),
        [] => Err(ArchiveError::Truncated),
        _ => Err(ArchiveError::Unknown),
    }
}

fn within(packed: u64, unpacked: u64, limit: u64) -> Result<(), ArchiveError> {
    if unpacked > limit {
        return Err(ArchiveError::TooLarge { limit });
    }
    if unpacked > BOMB_FROM && unpacked / packed.max(1) > BOMB_RATIO {
        return Err(ArchiveError::Bomb { packed, unpacked });
    }
    Ok(())
}

/// Where entries are written.
struct Place<'a, 'p> {
    into: &'a Path,
    owner: Option<Owner>,
    done: u64,
    progress: &'a mut Progress<'p>,
    manifest: Manifest,
}

/// The next report of progress comes after this many bytes.
const PROGRESS_STEP: u64 = 4 << 20;

impl Place<'_, '_> {
    fn folder(&mut self, path: &str, mode: u32) -> Result<(), ArchiveError> {
        use std::os::unix::fs::PermissionsExt;
        self.parents(path)?;
        let at = self.into.join(path);
        self.make_folder(&at)?;
        let mode = mode & 0o755 | 0o700;
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(mode)).map_err(writing(path))?;
        self.manifest.insert(path, Node::Folder { mode });
        Ok(())
    }

    /// Makes the folders above an entry that the archive does not list by themselves.
    fn parents(&mut self, path: &str) -> Result<(), ArchiveError> {
        for (at, _) in path.match_indices('/') {
            let above = &path[..at];
            if self.manifest.get(above).is_none() {
                self.make_folder(&self.into.join(above))?;
                self.manifest.insert(above, Node::Folder { mode: 0o755 });
            }
        }
        Ok(())
    }

    fn make_folder(&self, at: &Path) -> Result<(), ArchiveError> {
        use std::os::unix::fs::DirBuilderExt;
        let name = at.to_string_lossy();
        match std::fs::DirBuilder::new().mode(0o755).create(at) {
            Ok(()) => self.give(at),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(writing(&name)(e)),
        }
    }

    fn give(&self, at: &Path) -> Result<(), ArchiveError> {
        match self.owner {
            Some(owner) => owner.give_path(at).map_err(writing(&at.to_string_lossy())),
            None => Ok(()),
        }
    }

    fn file(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), ArchiveError> {
        use sha2::Digest as _;
        use std::io::Write as _;
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        self.parents(&entry.path)?;
        let at = self.into.join(&entry.path);
        let mode = entry.mode & 0o755 | 0o600;
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&at).map_err(writing(&entry.path))?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        let mut size = 0_u64;
        loop {
            let len = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => len,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(reading(&entry.path, e)),
            };
            size += len as u64;
            if size > entry.size {
                return Err(ArchiveError::Damaged(format!("{:?} is larger than it says", entry.path)));
            }
            hasher.update(&buffer[..len]);
            file.write_all(&buffer[..len]).map_err(writing(&entry.path))?;
            self.advance(len as u64)?;
        }
        if size != entry.size {
            return Err(ArchiveError::Damaged(format!("{:?} is smaller than it says", entry.path)));
        }
        if let Some(owner) = self.owner {
            owner.give(&file).map_err(writing(&entry.path))?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(writing(&entry.path))?;
        let sha256 = cavalcade_common::id::Digest::from_hasher(hasher);
        self.manifest.insert(&entry.path, Node::File { size, mode, sha256 });
        Ok(())
    }

    fn advance(&mut self, by: u64) -> Result<(), ArchiveError> {
        let before = self.done / PROGRESS_STEP;
        self.done += by;
        if self.done / PROGRESS_STEP == before {
            return Ok(());
        }
        (self.progress)(self.done).map_err(ArchiveError::io("its unpacking was given up"))
    }

    fn symlink(&mut self, entry: &Entry, target: &str) -> Result<(), ArchiveError> {
        self.parents(&entry.path)?;
        let at = self.into.join(&entry.path);
        std::os::unix::fs::symlink(target, &at).map_err(writing(&entry.path))?;
        self.give(&at)?;
        self.manifest.insert(&entry.path, Node::Symlink { target: target.to_owned() });
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, target: &str) -> Result<(), ArchiveError> {
        self.parents(&entry.path)?;
        std::fs::hard_link(self.into.join(target), self.into.join(&entry.path)).map_err(writing(&entry.path))?;
        // The rules let only files of this archive be targets, and those are all written by now.
        if let Some(node) = self.manifest.get(target).cloned() {
            self.manifest.insert(&entry.path, node);
        }
        Ok(())
    }
}

fn writing(entry: &str) -> impl FnOnce(io::Error) -> ArchiveError {
    move |source| ArchiveError::Io { what: format!("{entry:?} cannot be written"), source }
}

/// Names the kinds of damage by which a reader of an archive fails.
fn reading(entry: &str, error: io::Error) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::Truncated,
        // "Other": both libraries report contradictions in the content so.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
            ArchiveError::Damaged(format!("{entry:?}: {error}"))
        }
        _ => ArchiveError::Io { what: format!("{entry:?} cannot be read"), source: error },
    }
}

#[cfg(test)]
mod tests;
