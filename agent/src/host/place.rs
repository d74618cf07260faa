//! Puts files and trees at their paths: each under a name of its own first, synced, then by one rename. What was there
//! before is kept for the way back.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cavalcade_common::id::Digest;

use crate::host::files;
use crate::host::keep;
use crate::host::left_out::LeftOut;
use crate::host::owner::{Owner, is_root};
use crate::host::tree::{self, CopyOwner, Node, Progress};

/// Why something was not put at its path. The path is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The file system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The copy has another digest than it must.
    #[error("the copy has the sha256 {0}")]
    Digest(Digest),
}

/// Name beside `to` under which its successor is prepared. Steps that share a folder take turns, so a leftover of this
/// name belongs to a dead process.
fn part(to: &Path) -> io::Result<PathBuf> {
    Ok(files::split(to)?.0.join(format!(".cavalcade-{}.part", keep::key(to))))
}

/// Asked right before each rename; its error ends the work there: somebody gave it up.
pub type Alive<'a> = dyn FnMut() -> io::Result<()> + 'a;

/// Copies a file to a path. A file that is there is kept for undo and replaced; owner and mode stay those of that one. A
/// new one gets `mode` and the folder's owner.
///
/// # Errors
/// See [`PlaceError`]; something at the path that is no file.
pub fn file(
    from: &Path,
    to: &Path,
    mode: u32,
    wanted: Option<&Digest>,
    undo_dir: &Path,
    alive: &mut Alive<'_>,
) -> Result<Digest, PlaceError> {
    let (folder, _) = files::split(to)?;
    keep::folders(undo_dir, folder)?;
    let (mode, owner, old) = match tree::at(to)? {
        None => (mode, CopyOwner::of_folder(folder)?, false),
        Some(meta) if meta.is_file() => {
            let owner = if is_root() { CopyOwner::Given(Owner::of(&meta)) } else { CopyOwner::Process };
            (meta.permissions().mode() & 0o777, owner, true)
        }
        Some(_) => {
            let text = format!("{} is there and no file", to.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text).into());
        }
    };
    let part = part(to)?;
    tree::remove(&part)?;
    let result = prepare(from, &part, mode, owner, wanted).and_then(|sha256| {
        if old {
            keep::replaced(undo_dir, to, Some(&sha256))?;
            alive()?;
            tree::rename_over(&part, to)?;
        } else {
            keep::made(undo_dir, to, Some(&sha256))?;
            alive()?;
            tree::rename_new(&part, to)?;
        }
        Ok(sha256)
    });
    cleaned(&part, result)
}

fn prepare(from: &Path, part: &Path, mode: u32, owner: CopyOwner, wanted: Option<&Digest>) -> Result<Digest, PlaceError> {
    let Node::File { sha256, .. } = tree::copy_file(from, part, mode, owner)? else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
    };
    if wanted.is_some_and(|w| *w != sha256) {
        return Err(PlaceError::Digest(sha256));
    }
    tree::sync(part)?;
    Ok(sha256)
}

/// Copies a tree to a path at which nothing is, by one rename.
///
/// # Errors
/// See [`PlaceError`]; [`io::ErrorKind::AlreadyExists`].
pub fn tree(from: &Path, to: &Path, left_out: &LeftOut, undo_dir: &Path, progress: &mut Progress<'_>) -> Result<(), PlaceError> {
    let (folder, _) = files::split(to)?;
    keep::folders(undo_dir, folder)?;
    let part = part(to)?;
    tree::remove(&part)?;
    let mut done = 0;
    let mut hear = |bytes| {
        done = bytes;
        progress(bytes)
    };
    let copied = tree::copy(from, &part, left_out, CopyOwner::of_folder(folder)?, &mut hear)
        .and_then(|manifest| tree::sync(&part).map(|()| manifest.get("").and_then(keep::mark)));
    let result = copied
        .and_then(|after| keep::made(undo_dir, to, after.as_ref()))
        // The sync may have taken minutes.
        .and_then(|()| progress(done))
        .and_then(|()| tree::rename_new(&part, to))
        .map_err(PlaceError::from);
    cleaned(&part, result)
}

/// Puts a symlink in the place of another one.
///
/// # Errors
/// See [`PlaceError`].
pub fn link(target: &str, to: &Path, undo_dir: &Path, alive: &mut Alive<'_>) -> Result<(), PlaceError> {
    let (folder, _) = files::split(to)?;
    let part = part(to)?;
    tree::remove(&part)?;
    let result = std::os::unix::fs::symlink(target, &part)
        .and_then(|()| Owner::for_new_in(folder))
        .and_then(|owner| owner.map_or(Ok(()), |o| o.give_path(&part)))
        .and_then(|()| keep::replaced(undo_dir, to, Some(&Digest::of(target.as_bytes()))))
        .and_then(|()| alive())
        .and_then(|()| tree::rename_over(&part, to))
        .map_err(PlaceError::from);
    cleaned(&part, result)
}

/// Puts a kept file, symlink or tree back: with `over` in the place of what is there, else where nothing is. What has to
/// be copied keeps owner, mode and extended attributes of the kept one. A kept one that stood in nothing's way is moved.
///
/// # Errors
/// See [`PlaceError`]; [`io::ErrorKind::AlreadyExists`] without `over`.
pub fn back(kept: &Path, to: &Path, over: bool, alive: &mut Alive<'_>) -> Result<(), PlaceError> {
    if !over {
        match tree::rename_new(kept, to) {
            Err(e) if matches!(e.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported) => {}
            other => return other.map_err(PlaceError::from),
        }
    }
    let part = part(to)?;
    tree::remove(&part)?;
    let result = tree::copy(kept, &part, &LeftOut::default(), CopyOwner::Source, &mut |_| Ok(()))
        .and_then(|_| tree::sync(&part))
        .and_then(|()| alive())
        .and_then(|()| if over { tree::rename_over(&part, to) } else { tree::rename_new(&part, to) })
        .map_err(PlaceError::from);
    cleaned(&part, result)
}

/// After an error nothing is left; an error of the cleaning itself matters less than the first one.
fn cleaned<T>(part: &Path, result: Result<T, PlaceError>) -> Result<T, PlaceError> {
    if result.is_err()
        && let Err(error) = tree::remove(part)
    {
        tracing::warn!(path = %part.display(), %error, "a temporary copy stays behind; the next try removes it");
    }
    result
}
