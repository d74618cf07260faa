//! The lock of a home: a file beside it, so that the agent and a `step run` by hand never work on the same home at once
//! (10, rule 18).

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where the lock is: hidden, in the folder of the home, since the home itself may not exist yet.
///
/// # Errors
/// A home without a last part.
pub(crate) fn path_of(home: &Path) -> io::Result<PathBuf> {
    let (folder, name) = super::files::split(home)?;
    let mut lock = OsString::from(".");
    lock.push(name);
    lock.push(".cavalcade-lock");
    Ok(folder.join(lock))
}

/// Takes the lock for as long as the file lives; `None` while another one has it.
///
/// # Errors
/// Those of the file system; a symlink in the lock's place.
pub(crate) fn take(home: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
    let file = options.open(path_of(home)?)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_by_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("wso2is-5.11.0");
        let first = take(&home).unwrap();
        assert!(first.is_some());
        assert!(take(&dir.path().join("./wso2is-5.11.0/")).unwrap().is_none());
        drop(first);
        // A child that another test forked meanwhile holds it too, until its exec.
        let free = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            take(&home).unwrap().is_some()
        });
        assert!(free);
    }
}
