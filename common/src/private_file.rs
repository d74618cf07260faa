//! Files that only their owner may read: keys, certificates with their keys, hashes of tokens.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Largest file that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// Makes a folder of mode 0700 with its parents; one that is there keeps its mode.
///
/// # Errors
/// Those of the file system.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Replaces a file by these bytes, old or new and never a mix: a temporary file of mode 0600 from its creation on in the
/// same folder, fsync, rename, fsync of the folder. One writer at a time is the caller's duty.
///
/// # Errors
/// Those of the file system, and a path without folder or name.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has no folder or no name"));
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    let temporary = dir.join(temporary);
    // A file that a crash left behind may have any content or mode: it goes first, so that ours is made anew.
    match std::fs::remove_file(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}

/// Reads a private file; `None` where there is none.
///
/// # Errors
/// Those of the file system; `PermissionDenied` for a file that group or others may read or write, `InvalidData` for
/// one that is no file or beyond 16 MiB.
pub fn read_private(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    if !found.is_file() || found.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file, or too large"));
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let says = format!("its mode is {mode:04o}: only its owner may have access (0600)");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, says));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
