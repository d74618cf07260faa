//! The agent's artifacts, by digest: fetched in pieces, gone on after a break, used only when the digest fits.
//!
//! In the cache folder `DIGEST` is a whole and verified file and `DIGEST.part` one on its way. A file is hashed each time
//! it is handed out, so that a changed one is never used: it is fetched again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cavalcade_common::action::ArtifactRef;
use cavalcade_common::codes::artifact as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;
use cavalcade_common::report::Progress;
use tokio::sync::Mutex as AsyncMutex;

use crate::action::{ArtifactSource, Failure, OutputSink};
use crate::host::partial::{self, Partial};
use crate::host::{Host, disks};

/// Where the bytes come from: the controller's store, or a file for `step run`.
#[async_trait]
pub trait ChunkSource: Send + Sync {
    /// Opens an artifact for reading from a byte offset on.
    ///
    /// # Errors
    /// What broke, in a sentence.
    async fn open(&self, artifact: &ArtifactRef, offset: u64) -> Result<Box<dyn Chunks>, String>;
}

/// The bytes of one artifact, in order.
#[async_trait]
pub trait Chunks: Send {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// What broke, in a sentence.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String>;
}

/// The cache in front of a source.
pub struct ArtifactCache<S> {
    host: Arc<dyn Host>,
    source: S,
    /// Nodes of one host may want the same artifact at once: one fetches, the others wait.
    fetching: Mutex<BTreeMap<Digest, Arc<AsyncMutex<()>>>>,
}

impl<S: ChunkSource> ArtifactCache<S> {
    /// A cache that fetches from `source`.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, source: S) -> Self {
        Self { host, source, fetching: Mutex::default() }
    }

    async fn on_disk<T, F>(&self, path: &Path, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Path) -> io::Result<T> + Send + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        let (inside, at) = (slot.clone(), path.to_path_buf());
        let work = move || *inside.lock().unwrap_or_else(PoisonError::into_inner) = Some(work(&at));
        self.host.blocking(Box::new(work)).await;
        let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let result = result.unwrap_or_else(|| Err(io::Error::other("the work ended without a result")));
        result.map_err(|e| Fault::new(codes::CACHE_ACCESS, format!("{}: {e}", path.display())))
    }

    /// Fetches what is missing of a partial file. `Ok(false)`: it ended, and is not the artifact.
    async fn complete(&self, artifact: &ArtifactRef, whole: &Path, out: &dyn OutputSink) -> Result<bool, Fault> {
        let part = whole.with_extension("part");
        let mut partial = self.on_disk(&part, Partial::open).await?;
        if partial.len() > artifact.size {
            partial = self.on_disk(&part, move |_| partial.clear().map(|()| partial)).await?;
        }
        self.room(&part, artifact.size - partial.len()).await?;
        if partial.len() < artifact.size {
            let mut chunks = self.source.open(artifact, partial.len()).await.map_err(|e| broken(artifact, &e))?;
            while let Some(bytes) = chunks.next().await.map_err(|e| broken(artifact, &e))? {
                if partial.len() + bytes.len() as u64 > artifact.size {
                    break;
                }
                partial = self.on_disk(&part, move |_| partial.append(&bytes).map(|()| partial)).await?;
                progress(artifact, partial.len(), out);
            }
        }
        // Cut short and longer than planned end here too: both have another digest.
        if partial.len() != artifact.size || partial.sha256() != artifact.sha256 {
            self.on_disk(&part, move |_| partial.clear()).await?;
            return Ok(false);
        }
        let to = whole.to_path_buf();
        self.on_disk(&part, move |_| partial.finish(&to)).await?;
        Ok(true)
    }

    async fn room(&self, path: &Path, needed: u64) -> Result<(), Fault> {
        let disk = self.on_disk(path, disks::of).await?;
        if disk.free_bytes >= needed {
            return Ok(());
        }
        let text = format!("{} has {} bytes free, {needed} are needed for an artifact", disk.mount, disk.free_bytes);
        Err(Fault::new(cavalcade_common::codes::files::NO_SPACE, text))
    }
}

fn progress(artifact: &ArtifactRef, done: u64, out: &dyn OutputSink) {
    let label = format!("fetches {}", artifact.name);
    out.progress(Progress { done, total: artifact.size, label, quiet_seconds: 0 });
}

fn broken(artifact: &ArtifactRef, what: &str) -> Fault {
    Fault::new(codes::FETCH_BROKEN, format!("{} ({}): {what}", artifact.name, artifact.sha256.short()))
}

#[async_trait]
impl<S: ChunkSource> ArtifactSource for ArtifactCache<S> {
    async fn fetch(&self, artifact: &ArtifactRef, cache: &Path, out: &dyn OutputSink) -> Result<PathBuf, Failure> {
        let turn = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever is the last to wait leaves the map clean.
            fetching.retain(|_, turn| Arc::strong_count(turn) > 1);
            fetching.entry(artifact.sha256.clone()).or_default().clone()
        };
        let _turn = turn.lock().await;
        let whole = cache.join(artifact.sha256.as_str());
        let wanted = Some((artifact.sha256.clone(), artifact.size));
        if self.on_disk(&whole, partial::finished).await? == wanted {
            return Ok(whole);
        }
        // A second try from the first byte: the part may have come from before a power loss.
        for _ in 0..2 {
            if self.complete(artifact, &whole, out).await? {
                return Ok(whole);
            }
        }
        let text = format!("{} is not what the plan pins as {}", artifact.name, artifact.sha256);
        Err(Fault::new(codes::FETCHED_DIGEST, text).into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::action::testkit::{Heard, fault};

    /// Serves from memory and breaks where it is told to.
    #[derive(Default)]
    struct Wire {
        content: Vec<u8>,
        /// Bytes served over all calls before it breaks.
        breaks_after: AtomicU64,
        served: AtomicU64,
        opened_at: Mutex<Vec<u64>>,
    }

    struct Reading {
        wire: Arc<Wire>,
        at: usize,
    }

    #[async_trait]
    impl ChunkSource for Arc<Wire> {
        async fn open(&self, _: &ArtifactRef, offset: u64) -> Result<Box<dyn Chunks>, String> {
            self.opened_at.lock().expect("no panic").push(offset);
            Ok(Box::new(Reading { wire: self.clone(), at: usize::try_from(offset).expect("small") }))
        }
    }

    #[async_trait]
    impl Chunks for Reading {
        async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
            if self.wire.served.load(Ordering::SeqCst) >= self.wire.breaks_after.load(Ordering::SeqCst) {
                return Err("the link broke".to_owned());
            }
            let end = self.wire.content.len().min(self.at + 1000);
            let bytes = self.wire.content[self.at.min(end)..end].to_vec();
            self.at = end;
            self.wire.served.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok((!bytes.is_empty()).then_some(bytes))
        }
    }

    fn wire(content: &[u8], breaks_after: u64) -> Arc<Wire> {
        Arc::new(Wire { content: content.to_vec(), breaks_after: breaks_after.into(), ..Wire::default() })
    }

    fn artifact(content: &[u8]) -> ArtifactRef {
        let (sha256, size) = (Digest::of(content), content.len() as u64);
        ArtifactRef { name: "pack".into(), sha256, size, file: "pack.zip".into() }
    }

    fn content() -> Vec<u8> {
        (0..10_500_u32).map(|n| (n.wrapping_mul(7919) >> 3) as u8).collect()
    }

    fn cache(wire: &Arc<Wire>) -> ArtifactCache<Arc<Wire>> {
        ArtifactCache::new(crate::action::testkit::FileHost::new(), wire.clone())
    }

    #[tokio::test]
    async fn a_broken_fetch_goes_on_where_it_was() {
        let (dir, content) = (tempfile::tempdir().expect("temp dir"), content());
        let (wire, out) = (wire(&content, 4000), Heard::default());
        let first = cache(&wire).fetch(&artifact(&content), dir.path(), &out).await;
        assert_eq!(fault(first).0.code, codes::FETCH_BROKEN);
        wire.breaks_after.store(u64::MAX, Ordering::SeqCst);
        // A new process knows only what is on the disk.
        let path = cache(&wire).fetch(&artifact(&content), dir.path(), &out).await.expect("fetches");
        assert_eq!(std::fs::read(&path).expect("reads"), content);
        assert_eq!(*wire.opened_at.lock().expect("no panic"), [0, 4000]);
        assert_eq!(out.0.lock().expect("no panic").last(), Some(&(10_500, 10_500)));
        cache(&wire).fetch(&artifact(&content), dir.path(), &out).await.expect("has it");
        assert_eq!(wire.opened_at.lock().expect("no panic").len(), 2, "what is there is not fetched again");
        assert_eq!(crate::host::files::list(dir.path()).expect("lists").len(), 1);
    }

    #[tokio::test]
    async fn a_spoiled_part_is_fetched_from_the_beginning() {
        let (dir, content) = (tempfile::tempdir().expect("temp dir"), content());
        for left in [vec![0; 4000], vec![0; 20_000], content[..10_499].iter().chain(&[0, 0]).copied().collect()] {
            let part = dir.path().join(format!("{}.part", Digest::of(&content)));
            std::fs::write(&part, &left).expect("writes");
            let wire = wire(&content, u64::MAX);
            let path = cache(&wire).fetch(&artifact(&content), dir.path(), &Heard::default()).await.expect("fetches");
            assert_eq!(std::fs::read(&path).expect("reads"), content);
            std::fs::remove_file(path).expect("removes");
        }
    }

    #[tokio::test]
    async fn a_changed_file_is_not_handed_out() {
        let (dir, content) = (tempfile::tempdir().expect("temp dir"), content());
        let wire = wire(&content, u64::MAX);
        let path = cache(&wire).fetch(&artifact(&content), dir.path(), &Heard::default()).await.expect("fetches");
        std::fs::write(&path, b"changed").expect("writes");
        cache(&wire).fetch(&artifact(&content), dir.path(), &Heard::default()).await.expect("fetches again");
        assert_eq!(std::fs::read(&path).expect("reads"), content);
    }

    #[tokio::test]
    async fn what_is_not_the_artifact_is_thrown_away() {
        let (dir, content) = (tempfile::tempdir().expect("temp dir"), content());
        let mut long = content.clone();
        long.push(0);
        for served in [vec![7; content.len()], content[..9000].to_vec(), Vec::new()] {
            let wire = wire(&served, u64::MAX);
            let result = cache(&wire).fetch(&artifact(&content), dir.path(), &Heard::default()).await;
            assert_eq!(fault(result).0.code, codes::FETCHED_DIGEST);
            assert_eq!(wire.opened_at.lock().expect("no panic").as_slice(), [0, 0], "tried twice, from the beginning");
            assert!(!dir.path().join(Digest::of(&content).as_str()).exists());
        }
        let wire = wire(&long, u64::MAX);
        assert_eq!(
            fault(cache(&wire).fetch(&artifact(&content), dir.path(), &Heard::default()).await).0.code,
            codes::FETCHED_DIGEST
        );
    }

    #[tokio::test]
    async fn two_at_once_fetch_once() {
        let (dir, content) = (tempfile::tempdir().expect("temp dir"), content());
        let wire = wire(&content, u64::MAX);
        let (cache, artifact, out) = (cache(&wire), artifact(&content), Heard::default());
        let (a, b) = tokio::join!(cache.fetch(&artifact, dir.path(), &out), cache.fetch(&artifact, dir.path(), &out));
        assert_eq!(a.expect("fetches"), b.expect("waits"));
        assert_eq!(*wire.opened_at.lock().expect("no panic"), [0]);
    }
}
