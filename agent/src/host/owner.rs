//! Owners of files. An agent that is root makes files for somebody else: what it makes belongs to who owns the place.

use std::fs::Metadata;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Gid, Uid};

/// User and group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Owner {
    /// Who owns what this metadata is of.
    #[must_use]
    pub fn of(meta: &Metadata) -> Self {
        Self { uid: meta.uid(), gid: meta.gid() }
    }

    /// Who owns the folder.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn of_folder(dir: &Path) -> io::Result<Self> {
        Ok(Self::of(&std::fs::metadata(dir)?))
    }

    /// Owner of what this process makes in a folder: the folder's owner where the process is root, else nobody to be
    /// set, since an ordinary user makes only files of its own.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn for_new_in(dir: &Path) -> io::Result<Option<Self>> {
        if is_root() { Ok(Some(Self::of_folder(dir)?)) } else { Ok(None) }
    }

    /// A user of this machine and its group, where this process is root; else nobody to be set.
    ///
    /// # Errors
    /// A user that the machine does not know.
    pub fn of_user(name: &str) -> io::Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let user = nix::unistd::User::from_name(name)?;
        let user = user.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name}")))?;
        Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }

    /// Gives an open file to this owner, if it is not theirs already. It clears setuid bits: set the mode afterwards.
    ///
    /// # Errors
    /// Those of the file system, above all "not permitted" for an agent that is not root.
    pub fn give(self, file: impl AsFd) -> io::Result<()> {
        let stat = rustix::fs::fstat(&file)?;
        if (stat.st_uid, stat.st_gid) != (self.uid, self.gid) {
            rustix::fs::fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        }
        Ok(())
    }

    /// Gives the thing at a path to this owner; of a symlink, the link itself.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn give_path(self, path: &Path) -> io::Result<()> {
        let meta = std::fs::symlink_metadata(path)?;
        if Self::of(&meta) != self {
            std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))?;
        }
        Ok(())
    }
}

/// Whether this process acts as root.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
