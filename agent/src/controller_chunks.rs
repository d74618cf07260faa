//! Artifacts out of the controller's store: a fetch outlives the connection, and the controller too.

use std::time::Duration;

use async_trait::async_trait;
use backoff::{BackoffBuilder, ExponentialBuilder};
use cavalcade_common::action::ArtifactRef;
use cavalcade_common::id::Digest;

use crate::artifact_cache::{ChunkSource, Chunks};
use crate::link::data::{DataError, DataLink, Fetch};
use crate::link::dial::DialError;

/// Between two tries, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long a controller that went away is waited for before the step fails.
const PATIENCE: Duration = Duration::from_secs(600);

/// The controller's store.
pub struct ControllerChunks(pub DataLink);

/// One artifact on its way.
struct Chunked {
    link: DataLink,
    sha256: Digest,
    /// Bytes that came, and those that were there before.
    next: u64,
    fetch: Option<Fetch>,
}

#[async_trait]
impl ChunkSource for ControllerChunks {
    async fn open(&self, artifact: &ArtifactRef, offset: u64) -> Result<Box<dyn Chunks>, String> {
        Ok(Box::new(Chunked { link: self.0.clone(), sha256: artifact.sha256.clone(), next: offset, fetch: None }))
    }
}

impl Chunked {
    async fn try_next(&mut self) -> Result<Option<Vec<u8>>, DataError> {
        let fetch = match &mut self.fetch {
            Some(fetch) => fetch,
            None => self.fetch.insert(self.link.fetch(&self.sha256, self.next).await?),
        };
        let chunk = fetch.next().await?;
        Ok(chunk.map(|chunk| {
            self.next += chunk.bytes.len() as u64;
            chunk.bytes
        }))
    }
}

/// Whether the same may go well in a moment: the connection broke, or nobody listens yet.
fn passes(error: &DataError) -> bool {
    match error {
        DataError::Dial(DialError::Revoked { .. }) => false,
        DataError::Dial(_) | DataError::Ended => true,
        DataError::Chunk { .. } | DataError::Refused(_) => false,
    }
}

#[async_trait]
impl Chunks for Chunked {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let pauses = ExponentialBuilder::new().with_min_delay(PAUSES.0).with_max_delay(PAUSES.1).without_max_times();
        let mut pauses = pauses.with_total_delay(Some(PATIENCE)).build();
        loop {
            let error = match self.try_next().await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            self.fetch = None;
            let pause = pauses.next().filter(|_| passes(&error));
            let Some(pause) = pause else { return Err(error.fault().to_string()) };
            tracing::debug!(%error, sha256 = %self.sha256, at = self.next, "the fetch goes on in a moment");
            tokio::time::sleep(pause).await;
        }
    }
}
