//! Kept copies for the way back: what a step changed, removed or made, in a folder that belongs to one (run, step).
//!
//! For each path there is a record `KEY.json` (see [`Kept`]) and, where something was there before, its content as
//! `KEY.kept`. KEY is the beginning of the path's digest. The first copy wins (10, rule 29): a repeat of the step never
//! replaces it. Something else that stands at a removed path later is kept beside it, as `KEY.2`, `KEY.3`, ...
//!
//! A record whose path was put back is renamed to `KEY.undone`: it tells how it was, and nothing acts on it again.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use cavalcade_common::id::{Digest, RunId, StepKey};
use serde::{Deserialize, Serialize};

use crate::host::left_out::LeftOut;
use crate::host::tree::{self, CopyOwner, Manifest, Node};
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
    /// A folder that had to be there for something else; it goes again once it is empty.
    Folder,
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
    /// Files and symlinks that were edited, made or replaced: digest after, see [`mark`]. Trees have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_sha256: Option<Digest>,
    /// Who puts it back, noted before anything is changed for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<PutBack>,
}

/// What an undo noted before it acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    /// Its attempt.
    pub by: String,
    /// What is to stand at the path afterwards, see [`manifest_digest`]; `None` for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Digest>,
}

/// A record with the folder that it lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The step's undo folder.
    pub dir: PathBuf,
    /// What it says.
    pub kept: Kept,
    /// Whether its path was put back.
    pub undone: bool,
}

/// The undo folder of a step of a run: exclusive to it (10, rule 29).
#[must_use]
pub fn folder(state_dir: &Path, run: &RunId, step: &StepKey) -> PathBuf {
    state_dir.join("undo").join(run.as_str()).join(format!("{}.{}_{}", step.stage, step.step, step.node))
}

/// Digest that tells a file or symlink from another: of the content, of the target's name. `None` for a folder.
#[must_use]
pub fn mark(node: &Node) -> Option<Digest> {
    match node {
        Node::File { sha256, .. } => Some(sha256.clone()),
        Node::Symlink { target } => Some(Digest::of(target.as_bytes())),
        Node::Folder { .. } => None,
    }
}

/// Digest of everything in a tree: kinds, modes, contents and names.
///
/// # Errors
/// Those of the file system.
pub fn manifest_digest(root: &Path) -> io::Result<Digest> {
    Ok(Digest::of(&serde_json::to_vec(&Manifest::of(root, &LeftOut::default())?)?))
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

/// All records of a step, put back or not, by path. What was kept of a path after its first copy is not among them.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::InvalidData`] for a record that cannot be read.
pub fn records(host: &dyn Host, undo_dir: &Path) -> io::Result<Vec<Record>> {
    let mut found = Vec::new();
    for name in host.list(undo_dir)? {
        let (stem, undone) = match name.rsplit_once('.') {
            Some((stem, "json")) => (stem, false),
            Some((stem, "undone")) => (stem, true),
            Some(_) | None => continue,
        };
        let Some(bytes) = host.read(&undo_dir.join(&name))? else { continue };
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        if key(Path::new(&kept.path)) == stem {
            found.push(Record { dir: undo_dir.to_owned(), kept, undone });
        }
    }
    found.sort_unstable_by(|a, b| a.kept.path.cmp(&b.kept.path));
    Ok(found)
}

/// Everything that steps of any run removed here and that was not put back.
///
/// # Errors
/// As [`records`].
pub fn taken_away(host: &dyn Host, state_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let undo = state_dir.join("undo");
    let mut taken = Vec::new();
    for run in host.list(&undo)?.iter().filter(|name| !name.starts_with('.')) {
        for step in host.list(&undo.join(run))? {
            let removed = records(host, &undo.join(run).join(step))?;
            let removed = removed.into_iter().filter(|r| r.kept.what == What::Removed && !r.undone);
            taken.extend(removed.map(|r| PathBuf::from(r.kept.path)));
        }
    }
    Ok(taken)
}

/// Notes that a path is about to be put back.
///
/// # Errors
/// Those of the file system.
pub fn putting_back(host: &dyn Host, record: &Record, note: PutBack) -> io::Result<()> {
    let kept = Kept { undo: Some(note), ..record.kept.clone() };
    let name = format!("{}.json", key(Path::new(&kept.path)));
    host.replace(&record.dir.join(name), &serde_json::to_vec_pretty(&kept)?)
}

/// Notes that a path is as before the step.
///
/// # Errors
/// Those of the file system.
pub fn put_back(record: &Record) -> io::Result<()> {
    let at = record.dir.join(key(Path::new(&record.kept.path)));
    tree::rename_over(&at.with_extension("json"), &at.with_extension("undone"))
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
                undo: None,
            }
        }
    };
    kept.before_sha256 = old.map(Digest::of);
    kept.after_sha256 = Some(after.clone());
    let text = serde_json::to_vec_pretty(&kept)?;
    host.replace(&undo_dir.join(format!("{}.json", key(path))), &text)
}

/// Notes that a path is about to be made; `after` is its [`mark`]. A record that is there already stays: it knows more.
///
/// # Errors
/// Those of the file system.
pub fn made(undo_dir: &Path, path: &Path, after: Option<&Digest>) -> io::Result<()> {
    write_first(undo_dir, &key(path), path, What::Made, None, after)
}

/// Makes a folder with its parents, each of them noted first.
///
/// # Errors
/// Those of the file system.
pub fn folders(undo_dir: &Path, path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|at| !at.as_os_str().is_empty() && !at.is_dir()).collect();
    for folder in missing {
        write_first(undo_dir, &key(folder), folder, What::Folder, None, None)?;
    }
    files::create_dirs(path)
}

/// Keeps a copy of a file that is about to be replaced by one with the [`mark`] `after`.
///
/// # Errors
/// Those of the file system.
pub fn replaced(undo_dir: &Path, path: &Path, after: Option<&Digest>) -> io::Result<()> {
    files::create_dirs(undo_dir)?;
    let key = key(path);
    let name = format!("{key}.kept");
    if tree::at(&undo_dir.join(format!("{key}.json")))?.is_none() {
        // A copy without its record is of an interrupted attempt, or of one that was undone.
        tree::remove(&undo_dir.join(&name))?;
        copy_in(path, undo_dir, &name)?;
    }
    write_first(undo_dir, &key, path, What::Replaced, Some(name), after)
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
        write_first(undo_dir, &key, path, What::Removed, Some(name.clone()), None)?;
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
    Ok(Manifest::of(path, &LeftOut::default())?.differences(kept)?.is_empty())
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
    tree::copy(path, &part, &LeftOut::default(), CopyOwner::Source, &mut |_| Ok(()))?;
    tree::sync(&part)?;
    tree::rename_new(&part, &kept)
}

/// Writes a record unless there is one: of that one only the digest after is brought up to date.
fn write_first(
    undo_dir: &Path,
    key: &str,
    path: &Path,
    what: What,
    content: Option<String>,
    after: Option<&Digest>,
) -> io::Result<()> {
    files::create_dirs(undo_dir)?;
    let at = undo_dir.join(format!("{key}.json"));
    let kept = match files::read(&at)? {
        Some(bytes) => {
            let first: Kept = serde_json::from_slice(&bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            if after.is_none() || first.after_sha256.as_ref() == after {
                return Ok(());
            }
            Kept { after_sha256: after.cloned(), ..first }
        }
        None => {
            let path = path.display().to_string();
            Kept { path, what, content, before_sha256: None, after_sha256: after.cloned(), undo: None }
        }
    };
    files::replace(&at, &serde_json::to_vec_pretty(&kept)?)
}
