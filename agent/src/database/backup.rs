//! A backup that counts: dumped while no one else was connected, restored once into the empty scratch database with the
//! vendor's client, and found equal in tables, counts and checksums (promise 11).
//!
//! The manifest is written last, by fsync and rename: a folder with a manifest whose dump has its digest is a done
//! backup, everything else is begun again.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cavalcade_common::action::{Backup, DbTarget, Engine};
use cavalcade_common::id::Digest;
use serde::{Deserialize, Serialize};

use super::contents::Contents;
use super::error::{DbError, Refusal};
use super::link::{Link, Purpose};
use super::sessions;
use super::{incarnation, restore, vendor};

/// Name of the manifest in the backup's folder.
pub const MANIFEST: &str = "manifest.json";

/// What a backup holds, and the proof that it can be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// Form of this file.
    pub format: u32,
    /// The database's name on the server.
    pub database: String,
    /// Engine.
    pub engine: Engine,
    /// The server's version text.
    pub version: String,
    /// What the dump client says of itself.
    pub client: String,
    /// File name of the dump, in the same folder.
    pub dump: String,
    /// SHA-256 of the dump.
    pub dump_sha256: Digest,
    /// Its size in bytes.
    pub dump_size: u64,
    /// Incarnation of the database that was dumped.
    pub incarnation: String,
    /// When the dump began, UTC on the database server's clock.
    pub begun: String,
    /// When the proof ended, likewise.
    pub proved: String,
    /// How long the restore into the scratch database took, in seconds on the server's clock.
    pub restore_seconds: u64,
    /// What the dump holds; equal in the database and in the restored scratch database.
    pub contents: Contents,
}

/// Makes a backup and proves it. One that is done already is found by its manifest and not made again.
///
/// # Errors
/// [`DbError::Refused`] with foreign sessions or a scratch database in use; [`DbError::Differs`] when the proof fails;
/// [`DbError::Client`], [`DbError::File`]. The database itself gets the table of its incarnation and nothing else.
pub async fn backup(backup: &Backup) -> Result<BackupManifest, DbError> {
    let target = &backup.database;
    let folder = Path::new(&backup.to);
    if let Some(done) = existing(folder, target).await? {
        return Ok(done);
    }
    let scratch = scratch(target)?;
    let incarnation = incarnation::incarnation(target).await?;
    let mut link = Link::open(target, Purpose::Own).await?;
    nobody_else(&mut link, target).await?;
    let begun = now(&mut link).await?;
    let before = Contents::read(&mut link, target).await?;
    make_folder(folder)?;
    let dump = folder.join(dump_name(target));
    let client = dump_database(target, &dump).await?;
    let (dump_sha256, dump_size) = digest(&dump).await?;
    let mut proof = Link::open(&scratch, Purpose::Own).await?;
    let started = now(&mut proof).await?;
    restore::clear_debris(&mut proof, &scratch).await?;
    restore::fill(&mut proof, &scratch, &dump).await?;
    let restored = Contents::read(&mut proof, &scratch).await?;
    let proved = now(&mut proof).await?;
    restore::empty(&mut proof, &scratch).await?;
    proof.close().await;
    // The database itself must not have moved meanwhile either.
    nobody_else(&mut link, target).await?;
    let after = Contents::read(&mut link, target).await?;
    let mut differences = before.differences(&restored);
    differences.extend(before.differences(&after).into_iter().map(|d| format!("during the backup: {d}")));
    if !differences.is_empty() {
        return Err(DbError::Differs(differences));
    }
    let version = link.value("SELECT VERSION()", "asking for the version").await?.unwrap_or_default();
    link.close().await;
    let manifest = BackupManifest {
        format: 1,
        database: target.database.clone(),
        engine: target.engine,
        version,
        client,
        dump: dump_name(target).to_owned(),
        dump_sha256,
        dump_size,
        incarnation,
        restore_seconds: seconds(&proved).saturating_sub(seconds(&started)),
        begun: stamp(&begun),
        proved: stamp(&proved),
        contents: before,
    };
    write_manifest(folder, &manifest)?;
    Ok(manifest)
}

/// Reads a backup's manifest and checks its dump.
///
/// # Errors
/// [`DbError::File`] and [`DbError::Damaged`].
pub async fn read_manifest(folder: &Path) -> Result<BackupManifest, DbError> {
    let path = folder.join(MANIFEST);
    let bytes = std::fs::read(&path).map_err(|source| DbError::File { path: path.clone(), source })?;
    let damaged = |path: &Path, reason| DbError::Damaged { path: path.to_owned(), reason };
    let manifest: BackupManifest = serde_json::from_slice(&bytes).map_err(|_| damaged(&path, "this is no manifest"))?;
    if manifest.dump.contains('/') || manifest.format != 1 {
        return Err(damaged(&path, "the manifest is of another form"));
    }
    let dump = folder.join(&manifest.dump);
    let (sha256, size) = digest(&dump).await?;
    if sha256 != manifest.dump_sha256 || size != manifest.dump_size {
        return Err(damaged(&dump, "the dump's SHA-256 is not the manifest's"));
    }
    Ok(manifest)
}

/// A backup of this very database that is done already.
async fn existing(folder: &Path, target: &DbTarget) -> Result<Option<BackupManifest>, DbError> {
    match read_manifest(folder).await {
        Ok(m) if m.database == target.database && m.engine == target.engine => {
            let mut link = Link::open(target, Purpose::Own).await?;
            let found = incarnation::read(&mut link, target).await?;
            link.close().await;
            Ok((found.as_deref() == Some(m.incarnation.as_str())).then_some(m))
        }
        Ok(_) | Err(DbError::Damaged { .. }) => Ok(None),
        Err(DbError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The scratch database as a target of its own.
fn scratch(target: &DbTarget) -> Result<DbTarget, DbError> {
    let database = target.scratch.clone().ok_or(Refusal::NoScratch)?;
    if database.eq_ignore_ascii_case(&target.database) {
        return Err(Refusal::ScratchIsTarget.into());
    }
    Ok(DbTarget { name: format!("{} (scratch)", target.name), database, scratch: None, ..target.clone() })
}

/// Refuses when others are connected.
async fn nobody_else(link: &mut Link, target: &DbTarget) -> Result<(), DbError> {
    let own = link.id().await?;
    let others = sessions::settled(link, target, &[own], |_| true).await?;
    if others.is_empty() { Ok(()) } else { Err(Refusal::Sessions(others).into()) }
}

fn dump_name(target: &DbTarget) -> &'static str {
    match target.engine {
        Engine::Mysql => "dump.sql",
        Engine::Postgresql => "dump.pgc",
    }
}

fn make_folder(folder: &Path) -> Result<(), DbError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| DbError::File { path: folder.to_owned(), source })
}

/// Dumps with the vendor's client and gives what it says of its version. The dump holds what the servers hold, password
/// hashes too: only we can read it.
async fn dump_database(target: &DbTarget, dump: &Path) -> Result<String, DbError> {
    let (program, version) = vendor::dump_client(target).await?;
    let failed = |source| DbError::File { path: dump.to_owned(), source };
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(dump).map_err(failed)?;
    let login = vendor::Login::new(target)?;
    let mut command = login.command(target, &program);
    match target.engine {
        Engine::Mysql => {
            command.args(["--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob"]);
            command.args(["--no-tablespaces", "--default-character-set=utf8mb4", "--skip-dump-date"]);
            if !version.contains("MariaDB") {
                command.arg("--set-gtid-purged=OFF");
            }
            command.arg(&target.database);
        }
        Engine::Postgresql => {
            command.args(["--format=custom", "--dbname", &target.database]);
        }
    }
    command.stdout(file.try_clone().map_err(failed)?);
    vendor::output(&program, command, None).await?;
    file.sync_all().map_err(failed)?;
    Ok(version)
}

async fn digest(path: &Path) -> Result<(Digest, u64), DbError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let failed = |source| DbError::File { path: path.clone(), source };
        let mut file = File::open(&path).map_err(failed)?;
        let mut hasher = <sha2::Sha256 as sha2::Digest>::new();
        let mut buffer = vec![0; 64 << 10];
        let mut size = 0_u64;
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                n => {
                    sha2::Digest::update(&mut hasher, buffer.get(..n).unwrap_or_default());
                    size += n as u64;
                }
            }
        }
        Ok((Digest::from_hasher(hasher), size))
    });
    let ended = read.await;
    ended.map_err(|e| DbError::File { path: PathBuf::new(), source: std::io::Error::other(e) })?
}

fn write_manifest(folder: &Path, manifest: &BackupManifest) -> Result<(), DbError> {
    let path = folder.join(MANIFEST);
    let failed = |source| DbError::File { path: path.clone(), source };
    let json = serde_json::to_vec_pretty(manifest).map_err(|e| failed(e.into()))?;
    let mut temporary = tempfile::Builder::new().prefix(".manifest").tempfile_in(folder).map_err(failed)?;
    temporary.write_all(&json).and_then(|()| temporary.as_file().sync_all()).map_err(failed)?;
    temporary.persist(&path).map_err(|e| failed(e.error))?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(failed)
}

/// The server's time: text and seconds since 1970.
async fn now(link: &mut Link) -> Result<(String, u64), DbError> {
    let sql = match link {
        Link::Mysql(_) => "SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ'), FLOOR(UNIX_TIMESTAMP())",
        Link::Postgresql(_) => {
            "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
             floor(extract(epoch FROM clock_timestamp()))::bigint"
        }
    };
    let mut cells = link.row(sql, "asking for the server's time").await?.into_iter().map(Option::unwrap_or_default);
    let text = cells.next().unwrap_or_default();
    Ok((text, cells.next().and_then(|s| s.parse().ok()).unwrap_or_default()))
}

fn stamp(time: &(String, u64)) -> String {
    time.0.clone()
}

fn seconds(time: &(String, u64)) -> u64 {
    time.1
}
