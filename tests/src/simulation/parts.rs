//! The parts of an agent and a controller that the simulation has no more than names of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_agent::action::{ArtifactSource, Failure, OutputSink};
use cavalcade_agent::executor::{LineOrigin, LineSink, SecretResolver};
use cavalcade_common::action::ArtifactRef;
use cavalcade_common::error::Fault;
use cavalcade_common::secret::{SecretBook, SecretRef};
use cavalcade_controller::run::WallClock;
use jiff::Timestamp;

use super::host::wall;
use super::machine::World;

/// The controller's wall clock.
pub(super) struct SimClock(pub(super) Arc<World>);

impl WallClock for SimClock {
    fn now(&self) -> Timestamp {
        wall(&self.0)
    }
}

/// No artifacts, no log, no secrets.
pub(super) struct Nothing;

#[async_trait]
impl ArtifactSource for Nothing {
    async fn fetch(&self, _: &ArtifactRef, _: &Path, _: &dyn OutputSink) -> Result<PathBuf, Failure> {
        Err(Failure::NotBegun { why: "the simulation has no artifacts".to_owned() })
    }
}

impl LineSink for Nothing {
    fn line(&self, _: &LineOrigin, _: &str, _: &str) {}
}

#[async_trait]
impl SecretResolver for Nothing {
    async fn resolve(&self, _: &BTreeMap<String, SecretRef>) -> Result<SecretBook, Fault> {
        Ok(SecretBook::default())
    }
}
