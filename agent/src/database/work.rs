//! The work on databases as the actions order it, behind a trait like everything else of the machine: the simulation has
//! databases of its own, and runs the same actions on them.

use std::path::Path;

use async_trait::async_trait;
use cavalcade_common::action::{Backup, DbTarget, NoSessions, Restore};

use super::backup::{BackupManifest, backup, read_manifest};
use super::incarnation::Ends;
use super::restore::{RestoreOutcome, restore};
use super::resume::ScriptState;
use super::run::{Progress, ScriptOutcome, ScriptRun, inspect_script, run_script};
use super::sessions::Session;
use super::{DbError, strangers};

/// What the actions ask of databases. Errors and promises are those of the functions of the same names.
#[async_trait]
pub trait Databases: Send + Sync {
    /// Makes a backup and proves it.
    async fn backup(&self, backup: &Backup) -> Result<BackupManifest, DbError>;
    /// The manifest of a backup's folder.
    async fn manifest(&self, folder: &Path) -> Result<BackupManifest, DbError>;
    /// Restores a backup over a database whose life may be ended.
    async fn restore(&self, restore: &Restore, ends: Ends<'_>, records: &Path) -> Result<RestoreOutcome, DbError>;
    /// Sessions in a database that are not wanted there.
    async fn strangers(&self, target: &DbTarget, wanted: &NoSessions) -> Result<Vec<Session>, DbError>;
    /// Runs a script, or goes on with it.
    async fn run_script(&self, run: &ScriptRun<'_>, told: &(dyn Fn(Progress) + Send + Sync)) -> Result<ScriptOutcome, DbError>;
    /// How far a script came.
    async fn inspect_script(&self, run: &ScriptRun<'_>) -> Result<ScriptState, DbError>;
}

/// The servers that the targets name.
pub struct RealDatabases;

#[async_trait]
impl Databases for RealDatabases {
    async fn backup(&self, of: &Backup) -> Result<BackupManifest, DbError> {
        backup(of).await
    }
    async fn manifest(&self, folder: &Path) -> Result<BackupManifest, DbError> {
        read_manifest(folder).await
    }
    async fn restore(&self, of: &Restore, ends: Ends<'_>, records: &Path) -> Result<RestoreOutcome, DbError> {
        restore(of, Some(ends), records).await
    }
    async fn strangers(&self, target: &DbTarget, wanted: &NoSessions) -> Result<Vec<Session>, DbError> {
        strangers(target, wanted).await
    }
    async fn run_script(&self, run: &ScriptRun<'_>, told: &(dyn Fn(Progress) + Send + Sync)) -> Result<ScriptOutcome, DbError> {
        run_script(run, told).await
    }
    async fn inspect_script(&self, run: &ScriptRun<'_>) -> Result<ScriptState, DbError> {
        inspect_script(run).await
    }
}
