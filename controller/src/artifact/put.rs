//! The way into the store: stream, hash, sync, rename.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use cavalcade_common::id::Digest;
use sha2::Digest as _;
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::{ArtifactError, Limit};
use super::{ArtifactStore, BLOCK, blocking, make_folder, sync_folder};

/// A file on its way in. Dropped before its end it leaves nothing behind, neither on disk nor in the budget.
struct Incoming {
    store: ArtifactStore,
    file: Option<NamedTempFile>,
    hasher: sha2::Sha256,
    size: u64,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.store.release(self.size);
    }
}

impl ArtifactStore {
    /// Stores the content of `reader` and returns its digest and its size in bytes; durable on return. Content that is
    /// here already is written again, which heals a damaged file. Concurrent puts of the same content are fine.
    ///
    /// # Errors
    /// [`ArtifactError::Digest`] when the content is not `expected`; [`ArtifactError::NoRoom`];
    /// [`ArtifactError::Source`]; [`ArtifactError::Io`]. In every case nothing of the content stays.
    pub async fn put(
        &self,
        mut reader: impl AsyncRead + Unpin + Send,
        expected: Option<Digest>,
    ) -> Result<(Digest, u64), ArtifactError> {
        let store = self.clone();
        let mut incoming = blocking(move || Incoming::begin(store)).await?;
        loop {
            let mut block = Vec::with_capacity(BLOCK);
            let mut limited = (&mut reader).take(BLOCK as u64);
            while limited.read_buf(&mut block).await.map_err(ArtifactError::Source)? > 0 {}
            if block.is_empty() {
                break;
            }
            incoming = blocking(move || incoming.write(&block)).await?;
        }
        blocking(move || incoming.finish(expected.as_ref())).await
    }
}

impl Incoming {
    fn begin(store: ArtifactStore) -> Result<Self, ArtifactError> {
        let tmp = store.tmp();
        let file = tempfile::Builder::new().prefix("in-").tempfile_in(&tmp).map_err(ArtifactError::io("made", &tmp))?;
        Ok(Self { store, file: Some(file), hasher: sha2::Sha256::new(), size: 0 })
    }

    fn write(mut self, block: &[u8]) -> Result<Self, ArtifactError> {
        self.claim(block.len() as u64)?;
        self.hasher.update(block);
        if let Some(file) = &mut self.file {
            file.as_file_mut().write_all(block).map_err(ArtifactError::io("written", file.path()))?;
        }
        Ok(self)
    }

    /// Takes room for some bytes more.
    fn claim(&mut self, bytes: u64) -> Result<(), ArtifactError> {
        let limits = self.store.limits;
        let free = free_bytes(&self.store.root)?;
        if free.saturating_sub(bytes) < limits.keep_free {
            return Err(ArtifactError::NoRoom { limit: Limit::KeepFree { keep: limits.keep_free, free } });
        }
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limits.budget);
        let claimed = self.store.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        claimed.map_err(|_| ArtifactError::NoRoom { limit: Limit::Budget { budget: limits.budget } })?;
        self.size += bytes;
        Ok(())
    }

    fn finish(mut self, expected: Option<&Digest>) -> Result<(Digest, u64), ArtifactError> {
        let found = Digest::from_hasher(std::mem::take(&mut self.hasher));
        if let Some(expected) = expected.filter(|e| **e != found) {
            return Err(ArtifactError::Digest { expected: expected.clone(), found });
        }
        let size = self.size;
        if let Some(file) = self.file.take() {
            file.as_file().sync_all().map_err(ArtifactError::io("synced", file.path()))?;
            self.keep(file, &found)?;
        }
        Ok((found, size))
    }

    fn keep(&mut self, file: NamedTempFile, digest: &Digest) -> Result<(), ArtifactError> {
        let folder = self.store.folder(digest);
        make_folder(&folder)?;
        let path = folder.join(format!("{}.{}", &digest.as_str()[2..], self.size));
        let is_new = match file.persist_noclobber(&path) {
            Ok(_) => true,
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => {
                e.file.persist(&path).map_err(|e| ArtifactError::io("renamed", &path)(e.error))?;
                false
            }
            Err(e) => return Err(ArtifactError::io("renamed", &path)(e.error)),
        };
        let synced = sync_folder(&folder).and_then(|()| sync_folder(&self.store.sha256()));
        if is_new {
            if synced.is_err() {
                std::fs::remove_file(&path).map_err(ArtifactError::io("removed", &path))?;
            } else {
                // The stored file keeps what was claimed for it.
                self.size = 0;
            }
        }
        synced
    }
}

/// Bytes that an ordinary user may still write to this file system.
fn free_bytes(path: &Path) -> Result<u64, ArtifactError> {
    let stat = nix::sys::statvfs::statvfs(path).map_err(|e| ArtifactError::io("measured", path)(e.into()))?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}
