//! Unpacks an archive into a folder that does not exist yet: beside it, synced, noted, then renamed without replacing.
//!
//! The note (`.NAME.cavalcade.json`, beside the folder) says which archive the folder was made from, which folder was
//! meant (inode number and time of birth, which a rename keeps) and what was in it. It is written before the rename. So a folder that
//! is there with its note was made whole by this program; every other folder of that name is somebody else's.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cavalcade_common::id::Digest;
use serde::{Deserialize, Serialize};

use crate::host::archive::{self, ArchiveError};
use crate::host::owner::Owner;
use crate::host::place::Alive;
use crate::host::tree::{self, Manifest, Node, Progress};
use crate::host::{disks, files, keep};

/// Largest note that is read, in bytes.
const NOTE_LIMIT: u64 = 256 << 20;

/// What is unpacked where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Digest of the archive.
    pub archive: Digest,
    /// Folder to be made.
    pub to: PathBuf,
    /// Leading path parts to drop.
    pub strip: u32,
    /// User that the folder belongs to, where this process is root.
    pub owner: Option<String>,
    /// The folder lets nobody in whom this one keeps out.
    pub no_more_open_than: Option<PathBuf>,
    /// Limit on the unpacked size in bytes.
    pub limit: u64,
    /// The attempt that does it.
    pub attempt: String,
}

/// What a made folder came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Digest of the archive.
    pub archive: Digest,
    /// Leading path parts that were dropped.
    pub strip: u32,
    /// The folder's path.
    pub path: String,
    /// The attempt that made it.
    pub attempt: String,
    /// Inode number of the folder.
    pub inode: u64,
    /// When the folder came to be, in nanoseconds of the file system's clock: inode numbers are used again. `None` where
    /// the file system does not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<u64>,
    /// Whether something ran in the folder since: a product, or a script of it, removes files of its own home.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub used: bool,
    /// What was in it when it was made.
    pub manifest: Manifest,
}

impl Note {
    /// What is gone of the folder although nothing of ours took it away (10, rule 29): `taken` are the paths that steps
    /// removed. In a folder that was used, what is gone counts where the folder cannot be a home any more: something is
    /// gone right below it, or more than half of its files.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn gone(&self, to: &Path, taken: &[PathBuf]) -> io::Result<Vec<String>> {
        let mut gone: Vec<String> = Vec::new();
        let (mut files, mut lost) = (0_u64, 0_u64);
        for (path, node) in self.manifest.iter() {
            let at = tree::below(to, path);
            if taken.iter().any(|taken| at.starts_with(taken)) {
                continue;
            }
            let is_file = u64::from(matches!(node, Node::File { .. }));
            files += is_file;
            if tree::at(&at)?.is_none() {
                lost += is_file;
                gone.push(path.to_owned());
            }
        }
        let no_home = gone.iter().any(|path| !path.contains('/')) || lost * 2 > files;
        if self.used && !no_home {
            gone.clear();
        }
        Ok(gone)
    }
}

/// What is at the folder's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// The folder that the note speaks of.
    Made(Box<Note>),
    /// Something else.
    Other,
}

/// Why a folder was not made. Nothing is at its path, or what was there before.
#[derive(Debug, thiserror::Error)]
pub enum NewHomeError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The file system.
    #[error("{path} cannot be {doing}")]
    Io {
        /// Which path.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// How it failed.
        #[source]
        source: io::Error,
    },
    /// Too little room, measured before the first byte.
    #[error("{mount} has {free} bytes free, {needed} are needed")]
    Space {
        /// Mount point.
        mount: String,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// Something is at the path.
    #[error("{0} exists")]
    Exists(PathBuf),
}

fn io_error<'a>(path: &'a Path, doing: &'static str) -> impl FnOnce(io::Error) -> NewHomeError + 'a {
    move |source| NewHomeError::Io { path: path.to_path_buf(), doing, source }
}

/// Where the note of a folder stands.
///
/// # Errors
/// A path without a last part.
pub fn note_path(to: &Path) -> io::Result<PathBuf> {
    let (folder, name) = files::split(to)?;
    Ok(folder.join(format!(".{}.cavalcade.json", name.to_string_lossy())))
}

/// The note beside a folder, if there is one that can be read as such.
///
/// # Errors
/// Those of the file system.
pub fn note(to: &Path) -> io::Result<Option<Note>> {
    let path = note_path(to)?;
    match tree::at(&path)? {
        Some(meta) if meta.is_file() && meta.len() <= NOTE_LIMIT => {}
        _ => return Ok(None),
    }
    let bytes = std::fs::read(&path)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Notes that something is about to run in a folder. What was unpacked there may lose files by it from now on.
///
/// # Errors
/// Those of the file system.
pub fn used(folder: &Path) -> io::Result<()> {
    for home in folder.ancestors().filter(|at| at.file_name().is_some()) {
        let Some(note) = note(home)?.filter(|note| !note.used) else { continue };
        let text = serde_json::to_vec(&Note { used: true, ..note })?;
        files::replace(&note_path(home)?, &text)?;
    }
    Ok(())
}

fn born(meta: &std::fs::Metadata) -> Option<u64> {
    let since = meta.created().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// What is at the path. A folder that is not the noted one (restored from a backup, say) counts as the noted
/// one if everything noted is in it with the same content.
///
/// # Errors
/// Those of the file system.
pub fn there(to: &Path) -> io::Result<There> {
    let Some(meta) = tree::at(to)? else { return Ok(There::Nothing) };
    let Some(note) = note(to)? else { return Ok(There::Other) };
    if !meta.is_dir() || Path::new(&note.path) != to {
        return Ok(There::Other);
    }
    let same = (meta.ino(), born(&meta)) == (note.inode, note.born);
    if same || note.manifest.differences(to)?.is_empty() {
        return Ok(There::Made(Box::new(note)));
    }
    Ok(There::Other)
}

/// Makes the folder. Leftovers of attempts that died are removed first. `progress` hears bytes done and the true total.
///
/// # Errors
/// See [`NewHomeError`].
pub fn make(
    archive: &Path,
    wanted: &Wanted,
    undo_dir: &Path,
    progress: &mut dyn FnMut(u64, u64) -> io::Result<()>,
) -> Result<(), NewHomeError> {
    let to = wanted.to.as_path();
    let (folder, name) = files::split(to).map_err(io_error(to, "used"))?;
    keep::folders(undo_dir, folder).map_err(io_error(folder, "made"))?;
    // Not the home's lock, which lies beside it as well: a lock that is removed keeps nobody out.
    let leading = format!(".{}.cavalcade-new-", name.to_string_lossy());
    remove_leftovers(folder, &leading).map_err(io_error(folder, "cleaned of leftovers"))?;
    let mut file = tree::open(archive).map_err(io_error(archive, "read"))?;
    let scan = archive::scan(&mut file, wanted.strip, wanted.limit)?;
    let disk = disks::of(folder).map_err(io_error(folder, "measured"))?;
    if disk.free_bytes < scan.bytes {
        return Err(NewHomeError::Space { mount: disk.mount, free: disk.free_bytes, needed: scan.bytes });
    }
    let beside = folder.join(format!("{leading}{}", &Digest::of(wanted.attempt.as_bytes()).as_str()[..12]));
    let total = scan.bytes;
    let unpacked = unpacked(&mut file, &scan, &beside, wanted, &mut |done| progress(done, total));
    let result = unpacked.and_then(|manifest| settle(&beside, wanted, manifest, undo_dir, &mut || progress(total, total)));
    if result.is_err()
        && let Err(error) = tree::remove(&beside)
    {
        tracing::warn!(path = %beside.display(), %error, "an unpacked folder stays behind; the next try removes it");
    }
    result
}

fn remove_leftovers(folder: &Path, leading: &str) -> io::Result<()> {
    for name in files::list(folder)?.iter().filter(|n| n.starts_with(leading)) {
        tree::remove(&folder.join(name))?;
    }
    Ok(())
}

fn unpacked(
    file: &mut File,
    scan: &archive::Scan,
    beside: &Path,
    wanted: &Wanted,
    progress: &mut Progress<'_>,
) -> Result<Manifest, NewHomeError> {
    let making = || io_error(beside, "made");
    std::fs::DirBuilder::new().mode(0o700).create(beside).map_err(making())?;
    let parent = files::split(beside).map_err(making())?.0;
    let mode = 0o700 | (0o755 & open_to(wanted.no_more_open_than.as_deref())?);
    let owner = match wanted.owner.as_deref() {
        Some(user) => Owner::of_user(user).map_err(making())?,
        None => Owner::for_new_in(parent).map_err(making())?,
    };
    let manifest = archive::unpack(file, scan, beside, owner, progress)?;
    if let Some(owner) = owner {
        owner.give_path(beside).map_err(making())?;
    }
    std::fs::set_permissions(beside, std::fs::Permissions::from_mode(mode)).map_err(making())?;
    progress(scan.bytes).map_err(io_error(beside, "finished"))?;
    tree::sync(beside).map_err(io_error(beside, "synced"))?;
    Ok(manifest)
}

/// The mode of a folder, and everything where none is named or there.
fn open_to(folder: Option<&Path>) -> Result<u32, NewHomeError> {
    let Some(folder) = folder else { return Ok(0o777) };
    match std::fs::metadata(folder) {
        Ok(meta) => Ok(meta.permissions().mode()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0o777),
        Err(error) => Err(io_error(folder, "read")(error)),
    }
}

fn settle(
    beside: &Path,
    wanted: &Wanted,
    manifest: Manifest,
    undo_dir: &Path,
    alive: &mut Alive<'_>,
) -> Result<(), NewHomeError> {
    let to = wanted.to.as_path();
    let meta = std::fs::symlink_metadata(beside).map_err(io_error(beside, "read"))?;
    let note = Note {
        archive: wanted.archive.clone(),
        strip: wanted.strip,
        path: to.display().to_string(),
        attempt: wanted.attempt.clone(),
        inode: meta.ino(),
        born: born(&meta),
        used: false,
        manifest,
    };
    // Looked at before the note is written: the note of a folder that is there must not be lost.
    if tree::at(to).map_err(io_error(to, "read"))?.is_some() {
        return Err(NewHomeError::Exists(to.to_path_buf()));
    }
    let at = note_path(to).map_err(io_error(to, "noted"))?;
    let text = serde_json::to_vec(&note).map_err(io::Error::from).map_err(io_error(&at, "written"))?;
    files::replace(&at, &text).map_err(io_error(&at, "written"))?;
    keep::made(undo_dir, to, None).map_err(io_error(to, "noted for undo"))?;
    // The sync may have taken minutes.
    alive().map_err(io_error(to, "made"))?;
    tree::rename_new(beside, to).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => NewHomeError::Exists(to.to_path_buf()),
        _ => NewHomeError::Io { path: to.to_path_buf(), doing: "made", source },
    })
}
