//! Content-addressed store of the files that agents fetch: packs, JARs, migration clients.
//!
//! A file lies at `sha256/ab/<the other 62 digits>.<size>`: the name holds all that is needed to notice a cut file, and
//! one rename makes a file appear whole. Content comes in through `tmp/`, is hashed on its way, synced, and renamed.
//!
//! Absences: the store knows no plan and no agent; it never gives out a file without having looked at its size.

mod error;
mod put;

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cavalcade_common::id::Digest;
use cavalcade_common::message::Chunk;
use sha2::Digest as _;

pub use error::{ArtifactError, Damage, Limit};

/// Bytes that are hashed or copied at a time.
const BLOCK: usize = 1 << 20;

/// How much room the store may take, in bytes (10, rule 31: every storage has its own budget).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For all artifacts together.
    pub budget: u64,
    /// What must stay free on the file system, so that the journal never meets a full disk through an artifact.
    pub keep_free: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { budget: 32 << 30, keep_free: 1 << 30 }
    }
}

/// One stored artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredArtifact {
    /// Which.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    root: Arc<PathBuf>,
    limits: Limits,
    /// Bytes of stored files and of those that are on their way in.
    used: Arc<AtomicU64>,
}

/// An artifact that is being read; stays readable when the store drops the file.
#[derive(Debug, Clone)]
pub struct OpenArtifact {
    file: Arc<std::fs::File>,
    path: Arc<PathBuf>,
    /// Its size in bytes.
    pub size: u64,
}

impl OpenArtifact {
    /// Up to `max` bytes from `offset` on; empty exactly at the end and beyond it. Any offset may be asked for, in any
    /// order: so an agent goes on where its last session ended.
    ///
    /// # Errors
    /// [`ArtifactError::Io`], also when the file is cut while it is read.
    pub async fn chunk(&self, offset: u64, max: usize) -> Result<Chunk, ArtifactError> {
        let left = self.size.saturating_sub(offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(max);
        let this = self.clone();
        blocking(move || {
            let mut bytes = vec![0; wanted];
            this.file.read_exact_at(&mut bytes, offset).map_err(ArtifactError::io("read", &this.path))?;
            Ok(Chunk { offset, bytes })
        })
        .await
    }
}

impl OpenArtifact {
    /// A reader with a position of its own, for a stream.
    ///
    /// # Errors
    /// [`ArtifactError::Io`].
    pub fn reader(&self) -> Result<tokio::fs::File, ArtifactError> {
        let file = std::fs::File::open(self.path.as_path()).map_err(ArtifactError::io("opened", &self.path))?;
        Ok(tokio::fs::File::from_std(file))
    }
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArtifactError> + Send + 'static,
) -> Result<T, ArtifactError> {
    tokio::task::spawn_blocking(work).await.map_err(ArtifactError::Worker)?
}

fn make_folder(path: &Path) -> Result<(), ArtifactError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(ArtifactError::io("made", path))
}

fn sync_folder(path: &Path) -> Result<(), ArtifactError> {
    let synced = std::fs::File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(ArtifactError::io("synced", path))
}

impl ArtifactStore {
    /// Opens the store below `root` (`<state>/artifacts`), makes it if there is none, and throws away what an earlier
    /// process left half written.
    ///
    /// # Errors
    /// [`ArtifactError::Io`].
    pub async fn open(root: &Path, limits: Limits) -> Result<Self, ArtifactError> {
        let store = Self { root: Arc::new(root.to_owned()), limits, used: Arc::default() };
        let this = store.clone();
        blocking(move || {
            for folder in [this.tmp(), this.damaged(), this.sha256()] {
                make_folder(&folder)?;
            }
            sync_folder(&this.root)?;
            let tmp = this.tmp();
            for left in std::fs::read_dir(&tmp).map_err(ArtifactError::io("read", &tmp))? {
                let path = left.map_err(ArtifactError::io("read", &tmp))?.path();
                std::fs::remove_file(&path).map_err(ArtifactError::io("removed", &path))?;
            }
            let used = this.scan()?.iter().map(|a| a.size).sum();
            this.used.store(used, Ordering::SeqCst);
            Ok(())
        })
        .await?;
        Ok(store)
    }

    /// All artifacts, ordered by digest.
    ///
    /// # Errors
    /// [`ArtifactError::Io`].
    pub async fn list(&self) -> Result<Vec<StoredArtifact>, ArtifactError> {
        let this = self.clone();
        blocking(move || this.scan()).await
    }

    /// Whether the artifact is here with its full size.
    ///
    /// # Errors
    /// [`ArtifactError::Io`]; a damaged file is not an error here, it is just not there.
    pub async fn has(&self, digest: &Digest) -> Result<bool, ArtifactError> {
        match self.open_artifact(digest).await {
            Ok(_) => Ok(true),
            Err(ArtifactError::Missing(_) | ArtifactError::Damaged { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Opens an artifact for reading.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`]; [`ArtifactError::Damaged`] when its size is not the one that was put;
    /// [`ArtifactError::Io`].
    pub async fn open_artifact(&self, digest: &Digest) -> Result<OpenArtifact, ArtifactError> {
        let (this, digest) = (self.clone(), digest.clone());
        blocking(move || this.open_now(&digest)).await
    }

    /// Reads one artifact to its end and compares its digest. A damaged one is set aside (`damaged/`) and counts as
    /// missing from then on; to put it again heals it.
    ///
    /// # Errors
    /// [`ArtifactError::Damaged`]; [`ArtifactError::Missing`]; [`ArtifactError::Io`].
    pub async fn verify(&self, digest: &Digest) -> Result<StoredArtifact, ArtifactError> {
        let (this, digest) = (self.clone(), digest.clone());
        blocking(move || this.verify_now(&digest)).await
    }

    /// Removes an artifact; who reads it at this moment reads it to its end.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`]; [`ArtifactError::Io`].
    pub async fn remove(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let (this, digest) = (self.clone(), digest.clone());
        blocking(move || {
            let (path, size) = this.find(&digest)?.ok_or(ArtifactError::Missing(digest))?;
            std::fs::remove_file(&path).map_err(ArtifactError::io("removed", &path))?;
            this.release(size);
            path.parent().map_or(Ok(()), sync_folder)
        })
        .await
    }

    fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    fn sha256(&self) -> PathBuf {
        self.root.join("sha256")
    }

    fn folder(&self, digest: &Digest) -> PathBuf {
        self.sha256().join(&digest.as_str()[..2])
    }

    fn release(&self, bytes: u64) {
        let lower = |used: u64| Some(used.saturating_sub(bytes));
        let _previous = self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lower);
    }

    /// The stored file of this digest with the size that its name notes.
    fn find(&self, digest: &Digest) -> Result<Option<(PathBuf, u64)>, ArtifactError> {
        let folder = self.folder(digest);
        let found = files(&folder)?.into_iter().find(|(rest, _, _)| *rest == digest.as_str()[2..]);
        Ok(found.map(|(_, size, path)| (path, size)))
    }

    fn scan(&self) -> Result<Vec<StoredArtifact>, ArtifactError> {
        let top = self.sha256();
        let mut all = Vec::new();
        for folder in std::fs::read_dir(&top).map_err(ArtifactError::io("read", &top))? {
            let folder = folder.map_err(ArtifactError::io("read", &top))?;
            let head = folder.file_name().to_string_lossy().into_owned();
            for (rest, size, _) in files(&folder.path())? {
                if let Ok(sha256) = Digest::new(&format!("{head}{rest}")) {
                    all.push(StoredArtifact { sha256, size });
                }
            }
        }
        all.sort();
        Ok(all)
    }

    fn open_now(&self, digest: &Digest) -> Result<OpenArtifact, ArtifactError> {
        let Some((path, size)) = self.find(digest)? else { return Err(ArtifactError::Missing(digest.clone())) };
        let damaged = |damage| ArtifactError::Damaged { digest: digest.clone(), damage };
        let flags = nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits();
        let file = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(ArtifactError::Missing(digest.clone())),
            Err(e) if e.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => return Err(damaged(Damage::NoFile)),
            Err(e) => return Err(ArtifactError::io("opened", &path)(e)),
        };
        let metadata = file.metadata().map_err(ArtifactError::io("read", &path))?;
        if !metadata.is_file() {
            return Err(damaged(Damage::NoFile));
        }
        if metadata.len() != size {
            return Err(damaged(Damage::Size { put: size, found: metadata.len() }));
        }
        Ok(OpenArtifact { file: Arc::new(file), path: Arc::new(path), size })
    }

    fn verify_now(&self, digest: &Digest) -> Result<StoredArtifact, ArtifactError> {
        let checked = self.open_now(digest).and_then(|open| {
            let found = hash_file(&open)?;
            if found == *digest {
                return Ok(StoredArtifact { sha256: digest.clone(), size: open.size });
            }
            Err(ArtifactError::Damaged { digest: digest.clone(), damage: Damage::Content { found } })
        });
        if matches!(checked, Err(ArtifactError::Damaged { .. })) {
            self.set_aside(digest)?;
        }
        checked
    }

    /// Moves a damaged file out of the way; it is kept for whoever looks for the cause.
    fn set_aside(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let Some((path, size)) = self.find(digest)? else { return Ok(()) };
        let aside = self.damaged().join(digest.as_str());
        std::fs::rename(&path, &aside).map_err(ArtifactError::io("set aside", &path))?;
        self.release(size);
        sync_folder(&self.damaged())?;
        path.parent().map_or(Ok(()), sync_folder)
    }
}

/// Files named `<digits>.<size>` in one folder; anything else is not ours and is passed over.
fn files(folder: &Path) -> Result<Vec<(String, u64, PathBuf)>, ArtifactError> {
    let listing = match std::fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(ArtifactError::io("read", folder)(e)),
    };
    let mut all = Vec::new();
    for file in listing {
        let file = file.map_err(ArtifactError::io("read", folder))?;
        let name = file.file_name();
        if let Some((rest, size)) = name.to_str().and_then(|n| n.split_once('.'))
            && let Ok(size) = size.parse()
        {
            all.push((rest.to_owned(), size, file.path()));
        }
    }
    Ok(all)
}

fn hash_file(open: &OpenArtifact) -> Result<Digest, ArtifactError> {
    let mut hasher = sha2::Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut offset = 0;
    loop {
        match open.file.read_at(&mut block, offset) {
            Ok(0) => return Ok(Digest::from_hasher(hasher)),
            Ok(n) => {
                hasher.update(&block[..n]);
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(ArtifactError::io("read", &open.path)(e)),
        }
    }
}

#[cfg(test)]
mod tests;
