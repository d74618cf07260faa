//! Files of the old home by digest, and how much is in its trees.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cavalcade_common::facts::FoldersWanted;
use serde_json::{Value, json};

use crate::host::glob::Glob;
use crate::host::inventory::{self, Measured};

/// Most files that one name tells: more do not fit into an answer.
const FILE_LIMIT: usize = 20_000;
/// Most files of the folders of one name: a limit on time.
const FOLDER_FILE_LIMIT: usize = 200_000;
/// Most names of a tree that are told.
const NAME_LIMIT: usize = 100;

/// Begins a glob of what the others must not match.
const BUT: char = '!';

/// Everything below a home that one of the globs matches, by its path relative to the home, but what one behind a `!`
/// covers.
///
/// # Errors
/// What is wrong with a glob, or what cannot be read.
pub(super) fn matches(home: &Path, globs: &[String]) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut found = BTreeMap::new();
    let but: Result<Vec<Glob>, _> = globs.iter().filter_map(|text| text.strip_prefix(BUT)).map(Glob::relative).collect();
    let but = but.map_err(|e| e.to_string())?;
    for text in globs.iter().filter(|text| !text.starts_with(BUT)) {
        let glob = Glob::relative(text).map_err(|e| e.to_string())?;
        for path in glob.find_below(home, &but).map_err(|e| format!("{text}: {e}"))? {
            let relative = path.strip_prefix(home).ok().and_then(Path::to_str).map(str::to_owned);
            if let Some(relative) = relative.filter(|r| !r.is_empty()) {
                found.insert(relative, path);
            }
        }
    }
    Ok(found)
}

/// `[ { path, sha256, bytes } ]` of the regular files.
///
/// # Errors
/// The first thing that cannot be told: a list with gaps would be taken for the whole.
pub(super) fn files(home: &Path, globs: &[String]) -> Result<Value, String> {
    let mut files = Vec::new();
    for (relative, path) in matches(home, globs)? {
        let digest = inventory::digest(&path).map_err(|e| format!("{relative}: {e}"))?;
        let Some((sha256, bytes)) = digest else { continue };
        files.push(json!({ "path": relative, "sha256": sha256, "bytes": bytes }));
        if files.len() > FILE_LIMIT {
            return Err(format!("more than {FILE_LIMIT} files match {}", globs.join(", ")));
        }
    }
    Ok(Value::Array(files))
}

/// `[ { path, sha256, files } ]` of the folders, each with one digest of all files in it.
///
/// # Errors
/// The first thing that cannot be told.
pub(super) fn folders(home: &Path, wanted: &FoldersWanted) -> Result<Value, String> {
    let mut told = Vec::new();
    let mut files = 0;
    for (relative, path) in matches(home, &wanted.globs)? {
        if !path.is_dir() {
            continue;
        }
        let inside = inventory::digests(&path).map_err(|e| format!("{relative}: {e}"))?;
        files += inside.len();
        if files > FOLDER_FILE_LIMIT {
            return Err(format!("more than {FOLDER_FILE_LIMIT} files in {}", wanted.globs.join(", ")));
        }
        let sha256 = wanted.digest(inside.iter().map(|(path, digest)| (path.as_str(), digest)));
        told.push(json!({ "path": relative, "sha256": sha256, "files": inside.len() }));
    }
    Ok(Value::Array(told))
}

/// `{ files, bytes, matches, names }` of everything at and below what the globs match.
///
/// # Errors
/// What cannot be read.
pub(super) fn tree(home: &Path, globs: &[String]) -> Result<Value, String> {
    let mut sum = Measured::default();
    let found = matches(home, globs)?;
    for (relative, path) in &found {
        // What lies in a folder that matches too is counted there.
        if Path::new(relative).ancestors().skip(1).any(|above| above.to_str().is_some_and(|a| found.contains_key(a))) {
            continue;
        }
        inventory::measure(path, &mut sum).map_err(|e| format!("{relative}: {e}"))?;
    }
    let names: Vec<&String> = found.keys().take(NAME_LIMIT).collect();
    Ok(json!({ "files": sum.files, "bytes": sum.bytes, "matches": found.len(), "names": names }))
}
