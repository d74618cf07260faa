//! Kept copies for the way back: what a step changed, removed or made, in a folder that belongs to one (run, step).
//!
//! For each path there is a record `KEY.json` (see [`Kept`]) and, where something was there before, its content as
//! `KEY.kept`. KEY is the beginning of the path's digest. The first copy wins (10, rule 29): a repeat of the step never
//! replaces it. Something else that stands at a removed path later is kept beside it, as `KEY.2`, `KEY.3`, ...

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use cavalcade_common::id::Digest;
use serde::{Deserialize, Serialize};

use crate::host::tree::{self, CopyOwner, Manifest};
use crate::host::{Host, files};

/// What was done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Its content was changed by an edit.
    Edited,
    /// Another file took its place.
    Replaced,
    /// It was removed.
    Removed,
    /// Nothing was there before.
    Made,
}

/// The record of one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Absolute path.
    pub path: String,
    /// What was done.
    pub what: What,
    /// Name of the kept content in the same folder; `None` where nothing was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Edits: digest before; `None` where no file was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_sha256: Option<Digest>,
    /// Edits: digest after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_sha256: Option<Digest>,
}

/// Beginning of the names of a path's record and content.
#[must_use]
pub fn key(path: &Path) -> String {
    Digest::of(path.as_os_str().as_bytes()).as_str()[..24].to_owned()
}

/// The record of a path, if the step has one.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::InvalidData`] for a record that cannot be read.
pub fn record(host: &dyn Host, undo_dir: &Path, path: &Path) -> io::Result<Option<Kept>> {
    let at = undo_dir.join(format!("{}.json", key(path)));
    let Some(bytes) = host.read(&at)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Keeps the content of a file that is about to be edited, with the digests before and after. The first copy wins; the
/// digest after is brought up to date.
///
/// # Errors
/// Those of the file system.
pub fn edit(host: &dyn Host, undo_dir: &Path, path: &Path, old: Option<&[u8]>, after: &Digest) -> io::Result<()> {
    host.create_dirs(undo_dir)?;
    let name = format!("{}.kept", key(path));
    let mut kept = match record(host, undo_dir, path)? {
        Some(kept) => kept,
        None => {
            if let Some(old) = old {
                host.replace(&undo_dir.join(&name), old)?;
            }
            Kept {
                path: path.display().to_string(),
                what: if old.is_some() { What::Edited } else { What::Made },
                content: old.map(|_| name),
                before_sha256: None,
                after_sha256: None,
            }
        }
    };
    kept.before_sha256 = old.map(Digest::of);
    kept.after_sha256 = Some(after.clone());
    let text = serde_json::to_vec_pretty(&kept)?;
    host.replace(&undo_dir.join(format!("{}.json", key(path))), &text)
}

/// Notes that a path is about to be made. A record that is there already stays: it knows more.
///
/// # Errors
/// Those of the file system.
pub fn made(undo_dir: &Path, path: &Path) -> io::Result<()> {
    write_first(undo_dir, &key(path), path, What::Made, None)
}

/// Keeps a copy of a file that is about to be replaced.
///
/// # Errors
/// Those of the file system.
pub fn replaced(undo_dir: &Path, path: &Path) -> io::Result<()> {
    files::create_dirs(undo_dir)?;
    let key = key(path);
    if tree::at(&undo_dir.join(format!("{key}.json")))?.is_some() {
        return Ok(());
    }
    let name = format!("{key}.kept");
    copy_in(path, undo_dir, &name)?;
    write_first(undo_dir, &key, path, What::Replaced, Some(name))
}

/// Moves a tree into the undo folder: renamed where that is on the same file system, else copied, synced and removed.
///
/// # Errors
/// Those of the file system.
pub fn removed(undo_dir: &Path, path: &Path) -> io::Result<()> {
    files::create_dirs(undo_dir)?;
    let first = key(path);
    for number in 1_u32.. {
        let key = if number == 1 { first.clone() } else { format!("{first}.{number}") };
        let name = format!("{key}.kept");
        let kept = undo_dir.join(&name);
        if tree::at(&kept)?.is_some() {
            // An interrupted removal, or the same content once more: nothing new to keep.
            if subset(path, &kept)? {
                return drop_tree(path);
            }
            continue;
        }
        write_first(undo_dir, &key, path, What::Removed, Some(name.clone()))?;
        return match tree::rename_new(path, &kept) {
            Err(e) if matches!(e.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported) => {
                copy_in(path, undo_dir, &name)?;
                drop_tree(path)
            }
            other => other,
        };
    }
    Ok(())
}

/// Whether everything at `path` is in `kept` too, with the same content.
fn subset(path: &Path, kept: &Path) -> io::Result<bool> {
    Ok(Manifest::of(path, &[])?.differences(kept)?.is_empty())
}

fn drop_tree(path: &Path) -> io::Result<()> {
    tree::remove(path)?;
    files::sync_dir(files::split(path)?.0)
}

fn copy_in(path: &Path, undo_dir: &Path, name: &str) -> io::Result<()> {
    let kept = undo_dir.join(name);
    if tree::at(&kept)?.is_some() {
        return Ok(());
    }
    let part: PathBuf = undo_dir.join(format!("{name}.part"));
    tree::remove(&part)?;
    tree::copy(path, &part, &[], CopyOwner::Source, &mut |_| Ok(()))?;
    tree::sync(&part)?;
    tree::rename_new(&part, &kept)
}

fn write_first(undo_dir: &Path, key: &str, path: &Path, what: What, content: Option<String>) -> io::Result<()> {
    files::create_dirs(undo_dir)?;
    let at = undo_dir.join(format!("{key}.json"));
    if tree::at(&at)?.is_some() {
        return Ok(());
    }
    let path = path.display().to_string();
    let kept = Kept { path, what, content, before_sha256: None, after_sha256: None };
    files::replace(&at, &serde_json::to_vec_pretty(&kept)?)
}
