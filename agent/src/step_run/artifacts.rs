//! Artifacts from a folder of this machine, used only when the digest fits.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use cavalcade_common::action::ArtifactRef;
use cavalcade_common::codes::artifact as codes;
use cavalcade_common::error::Fault;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::action::{ArtifactSource, Failure, OutputSink};
use crate::artifact_cache::{ChunkSource, Chunks};
use crate::host::partial;

/// Bytes read in one go.
const PART: usize = 256 << 10;

/// The folder of --artifacts.
#[derive(Debug, Clone)]
pub(super) struct Folder(pub(super) Option<PathBuf>);

impl Folder {
    /// The artifact's file: by its own name, else by its name in the fleet.
    fn find(&self, artifact: &ArtifactRef) -> Option<PathBuf> {
        let folder = self.0.as_ref()?;
        // A name is one part of a path, never a way out of the folder.
        let one_part = |name: &&str| Path::new(name).file_name().is_some_and(|last| last == *name);
        let names = [artifact.file.as_str(), artifact.name.as_str()];
        names.iter().filter(|n| one_part(n)).map(|n| folder.join(n)).find(|path| path.is_file())
    }

    fn missing(&self, artifact: &ArtifactRef) -> String {
        match &self.0 {
            Some(folder) => format!("{} holds no file {}", folder.display(), artifact.file),
            None => "it is not in the cache, and no --artifacts folder was given".to_owned(),
        }
    }
}

#[async_trait]
impl ChunkSource for Folder {
    async fn open(&self, artifact: &ArtifactRef, offset: u64) -> Result<Box<dyn Chunks>, String> {
        let path = self.find(artifact).ok_or_else(|| self.missing(artifact))?;
        let opened = async {
            let mut file = File::open(&path).await?;
            file.seek(SeekFrom::Start(offset)).await?;
            Ok::<_, std::io::Error>(file)
        };
        let file = opened.await.map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Box::new(Reading { file, path }))
    }
}

struct Reading {
    file: File,
    path: PathBuf,
}

#[async_trait]
impl Chunks for Reading {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut bytes = vec![0; PART];
        let read = self.file.read(&mut bytes).await.map_err(|e| format!("{}: {e}", self.path.display()))?;
        bytes.truncate(read);
        Ok((read > 0).then_some(bytes))
    }
}

/// For previews: the file where it lies, so that nothing is written.
pub(super) struct InPlace(pub(super) Folder);

#[async_trait]
impl ArtifactSource for InPlace {
    async fn fetch(&self, artifact: &ArtifactRef, cache: &Path, _: &dyn OutputSink) -> Result<PathBuf, Failure> {
        let cached = cache.join(artifact.sha256.as_str());
        let there = [Some(cached), self.0.find(artifact)].into_iter().flatten();
        for path in there {
            let hashed = path.clone();
            let found = tokio::task::spawn_blocking(move || partial::finished(&hashed)).await;
            if matches!(found, Ok(Ok(Some((sha256, size)))) if sha256 == artifact.sha256 && size == artifact.size) {
                return Ok(path);
            }
        }
        let text = match self.0.find(artifact) {
            Some(path) => format!("{} is not {} as pinned, {}", path.display(), artifact.name, artifact.sha256),
            None => format!("{}: {}", artifact.name, self.0.missing(artifact)),
        };
        Err(Fault::new(codes::FETCHED_DIGEST, text).into())
    }
}
