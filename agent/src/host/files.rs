//! Single files and folders: read, replace, make, list. Old or new, never a mix (promise 9).
//!
//! Policies, each of them tested here:
//! - The new content is written under a name of its own in the same folder, and takes the old one's place by rename.
//! - Owner, mode and extended attributes (ACLs and SELinux labels are such) are those of the old file.
//! - A symlink is followed and its target replaced, if the link belongs to root, to this process's user or to the owner
//!   of the target: else the link's owner could point an agent that is root at files of others.
//! - A hard link is not kept: the file's other names keep the old content.
//! - Leftovers of a process that died in the middle are removed by the next replacement of the same file.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cavalcade_common::id::Digest;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, XattrFlags};

use crate::host::owner::{self, Owner};

/// Largest file that [`read`] takes into memory, in bytes.
pub const READ_LIMIT: u64 = 64 << 20;

/// How many symlinks in a row are followed, as the kernel does.
const LINK_LIMIT: u32 = 40;

/// Whole content of a file; `None` where there is none.
///
/// # Errors
/// Those of the file system; a folder, device or pipe, and a file above [`READ_LIMIT`] bytes.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // Without O_NONBLOCK the opening of a pipe would wait for a writer for ever.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no regular file", path.display())));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(READ_LIMIT)).unwrap_or_default());
    file.take(READ_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > READ_LIMIT {
        let text = format!("{} is larger than {READ_LIMIT} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(Some(bytes))
}

/// Replaces a file's content; see the module for what is kept. A new file gets the folder's owner and mode 0644, less
/// the reading that the folder itself denies.
///
/// # Errors
/// Those of the file system. Only when the folder's sync fails the new content may be in place already.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, false)
}

/// As [`replace`], but a new file is its owner's alone: mode 0600. One that is there is closed to others than its group,
/// where it belongs to who its folder belongs to: packs ship files that everybody may read, and whoever works in the folder
/// goes on to read it.
///
/// # Errors
/// As [`replace`].
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, true)
}

/// A new file that is not `private` may be read by whom the folder lets in.
fn put(path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    let target = follow(path)?;
    let (dir, name) = split(&target)?;
    let folder = open_dir(dir)?;
    let leading = temp_prefix(name);
    remove_leftovers(&folder, dir, &leading)?;
    let old = open_old(&folder, name, &target)?;
    let temp = Temp::make(&folder, &leading)?;
    (&temp.file).write_all(bytes)?;
    let meta = folder.metadata()?;
    match &old {
        Some(old) => {
            let closed = private && old.metadata()?.uid() == meta.uid();
            inherit(old, &temp.file, if closed { 0o7770 } else { 0o7777 })?;
        }
        None => {
            if owner::is_root() {
                Owner::of(&meta).give(&temp.file)?;
            }
            let others = if private { 0 } else { 0o044 };
            let mode = 0o600 | (others & meta.permissions().mode());
            temp.file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        }
    }
    temp.file.sync_all()?;
    temp.take_place_of(name)?;
    folder.sync_all()
}

/// Makes a folder with its parents. Each new one belongs to the owner of its parent and is no more open than that.
///
/// # Errors
/// Those of the file system; something in the way that is no folder.
pub fn create_dirs(path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut at = path;
    while !at.as_os_str().is_empty() {
        match std::fs::metadata(at) {
            Ok(meta) if meta.is_dir() => break,
            Ok(_) => {
                let text = format!("{} is there and no folder", at.display());
                return Err(io::Error::new(io::ErrorKind::NotADirectory, text));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push(at),
            Err(e) => return Err(e),
        }
        let Some(parent) = at.parent() else { break };
        at = parent;
    }
    for dir in missing.into_iter().rev() {
        create_dir(dir)?;
    }
    Ok(())
}

fn create_dir(dir: &Path) -> io::Result<()> {
    let (parent, name) = split(dir)?;
    let above = open_dir(parent)?;
    let meta = above.metadata()?;
    let mode = 0o700 | (0o055 & meta.permissions().mode());
    match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(mode)) {
        Ok(()) => {}
        // Somebody else made it in between: as good.
        Err(rustix::io::Errno::EXIST) if dir.is_dir() => return Ok(()),
        Err(e) => return Err(e.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = File::from(rustix::fs::openat(&above, name, flags, Mode::empty())?);
    if owner::is_root() {
        Owner::of(&meta).give(&made)?;
    }
    made.set_permissions(std::fs::Permissions::from_mode(mode))?;
    made.sync_all()?;
    above.sync_all()
}

/// Names of a folder's entries, sorted; empty where there is no folder.
///
/// # Errors
/// Those of the file system; a name that is no UTF-8.
pub fn list(path: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().into_string().map_err(|bad| {
            let text = format!("{} holds a name that is no UTF-8: {}", path.display(), bad.to_string_lossy().escape_debug());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        names.push(name);
    }
    names.sort_unstable();
    Ok(names)
}

/// Syncs a folder, so that the names in it are durable.
///
/// # Errors
/// Those of the file system.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    open_dir(dir)?.sync_all()
}

/// The folder and the last part of a path.
///
/// # Errors
/// A path without a last part, such as `/` or `a/..`.
pub fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let text = || io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display()));
    let name = path.file_name().ok_or_else(text)?;
    let dir = path.parent().ok_or_else(text)?;
    Ok((if dir.as_os_str().is_empty() { Path::new(".") } else { dir }, name))
}

fn open_dir(dir: &Path) -> io::Result<File> {
    let flags = (OFlags::DIRECTORY | OFlags::CLOEXEC).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(dir)
}

/// The file that a path ends at: symlinks in its last part are followed, a missing end is the end.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_path_buf();
    let mut owners = Vec::new();
    for _ in 0..LINK_LIMIT {
        let meta = match std::fs::symlink_metadata(&at) {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                // A link to nothing yet: the new file belongs to the folder's owner.
                let folder = Owner::of_folder(split(&at)?.0)?;
                return trusted(&owners, folder.uid, path).map(|()| at);
            }
            Err(e) => return Err(e),
        };
        if !meta.is_symlink() {
            return trusted(&owners, meta.uid(), path).map(|()| at);
        }
        owners.push(meta.uid());
        let to = std::fs::read_link(&at)?;
        at = split(&at)?.0.join(to);
    }
    Err(io::Error::from(rustix::io::Errno::LOOP))
}

fn trusted(links: &[u32], target: u32, path: &Path) -> io::Result<()> {
    let own = nix::unistd::geteuid().as_raw();
    if links.iter().all(|uid| *uid == 0 || *uid == own || *uid == target) {
        return Ok(());
    }
    let text = format!("{} is a symlink of a user who does not own what it leads to", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

fn open_old(folder: &File, name: &OsStr, target: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let old = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    if !old.metadata()?.is_file() {
        let text = format!("{} is no regular file", target.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(Some(old))
}

/// Owner, mode and extended attributes of `old` for `new`.
fn inherit(old: &File, new: &File, mask: u32) -> io::Result<()> {
    let meta = old.metadata()?;
    Owner::of(&meta).give(new)?;
    new.set_permissions(std::fs::Permissions::from_mode(meta.permissions().mode() & mask))?;
    copy_xattrs(old, new)
}

/// Copies the extended attributes. Those that vouch for the content (IMA, EVM) stay behind: they would be wrong.
///
/// # Errors
/// Those of the file system; an attribute that this user may not set and that is not set already.
pub fn copy_xattrs(old: impl AsFd, new: impl AsFd) -> io::Result<()> {
    let names = match read_grown(|buffer| rustix::fs::flistxattr(&old, buffer)) {
        Ok(names) => names,
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    for name in names.split(|b| *b == 0).filter(|n| !n.is_empty()) {
        if name == b"security.ima" || name == b"security.evm" {
            continue;
        }
        let value = match read_grown(|buffer| rustix::fs::fgetxattr(&old, name, buffer)) {
            Ok(value) => value,
            Err(rustix::io::Errno::NODATA) => continue,
            Err(e) => return Err(e.into()),
        };
        let present = read_grown(|buffer| rustix::fs::fgetxattr(&new, name, buffer));
        if present.as_deref() != Ok(value.as_slice()) {
            rustix::fs::fsetxattr(&new, name, &value, XattrFlags::empty())?;
        }
    }
    Ok(())
}

fn read_grown(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 1024];
    loop {
        match read(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            // The kernel's own limit on names and values is 64 KiB.
            Err(rustix::io::Errno::RANGE) if buffer.len() < 128 << 10 => {
                let len = buffer.len() * 4;
                buffer.resize(len, 0);
            }
            Err(e) => return Err(e),
        }
    }
}

/// Start of the names of a file's temp files. Holds no part of the name itself, so that neither its length nor its
/// extension (a server deploys what ends in `.war`) carries over.
fn temp_prefix(name: &OsStr) -> String {
    format!(".cavalcade-{}-", &Digest::of(name.as_bytes()).as_str()[..16])
}

/// A temp file in the folder of the file whose place it takes. Its writer holds a lock on it; without that it is a
/// leftover. Dropped before it took the place, it is removed.
struct Temp<'a> {
    folder: &'a File,
    name: OsString,
    file: File,
    placed: bool,
}

impl<'a> Temp<'a> {
    fn make(folder: &'a File, leading: &str) -> io::Result<Self> {
        let name = OsString::from(format!("{leading}{}", uuid::Uuid::new_v4().simple()));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(folder, &name, flags, Mode::RUSR | Mode::WUSR)?);
        let temp = Self { folder, name, file, placed: false };
        rustix::fs::flock(&temp.file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(temp)
    }

    fn take_place_of(mut self, name: &OsStr) -> io::Result<()> {
        rustix::fs::renameat(self.folder, &self.name, self.folder, name)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if !self.placed
            && let Err(error) = rustix::fs::unlinkat(self.folder, &self.name, AtFlags::empty())
        {
            tracing::warn!(%error, name = ?self.name, "a temp file stays behind; the next replacement removes it");
        }
    }
}

fn remove_leftovers(folder: &File, dir: &Path, leading: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !name.as_bytes().starts_with(leading.as_bytes()) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(left) = rustix::fs::openat(folder, &name, flags, Mode::empty()) else { continue };
        if rustix::fs::flock(&left, FlockOperation::NonBlockingLockExclusive).is_ok() {
            rustix::fs::unlinkat(folder, &name, AtFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
