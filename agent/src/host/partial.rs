//! A file that arrives in pieces and over several tries: what is there is hashed again when it goes on.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cavalcade_common::id::Digest;
use rustix::fs::OFlags;
use sha2::Digest as _;

use crate::host::{files, tree};

/// A file that is not whole yet.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: File,
    hasher: sha2::Sha256,
    len: u64,
}

impl Partial {
    /// Opens what an earlier try left, or begins a new one (mode 0600).
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(path: &Path) -> io::Result<Self> {
        files::create_dirs(files::split(path)?.0)?;
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let mut file = File::options().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        let mut len = 0_u64;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    len += read as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Self { path: path.to_path_buf(), file, hasher, len })
    }

    /// Bytes that are there.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Throws away what is there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hasher = sha2::Sha256::new();
        self.len = 0;
        Ok(())
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// Those of the file system. What was written of them is not known then: open the file again.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Digest of what is there.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        Digest::from_hasher(self.hasher.clone())
    }

    /// Syncs the whole file and gives it its final name.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn finish(self, to: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        tree::rename_over(&self.path, to)
    }
}

/// Digest and size of a finished file; `None` where there is none.
///
/// # Errors
/// Those of the file system.
pub fn finished(path: &Path) -> io::Result<Option<(Digest, u64)>> {
    match tree::at(path)? {
        Some(meta) if meta.is_file() => tree::digest(&tree::open(path)?).map(Some),
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no regular file", path.display()))),
        None => Ok(None),
    }
}
