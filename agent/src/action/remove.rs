//! `remove`: files and trees, moved where undo finds them.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use cavalcade_common::action::RemoveFiles;
use cavalcade_common::report::{Evidence, FileDiff, Preview, Verdict};

use crate::action::aside::aside;
use crate::action::{Act, Applied, Context, Failure, fs_fault};
use crate::host::glob::Glob;
use crate::host::keep;
use crate::host::left_out::LeftOut;
use crate::host::tree::{Manifest, Node};

/// Everything that is there to be removed. What lies in a folder that goes is not listed by itself.
fn find(spec: &RemoveFiles) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for text in &spec.paths {
        let glob = Glob::absolute(text).map_err(|e| fs_fault::glob(&e))?;
        found.extend(glob.find().map_err(|e| fs_fault::access(Path::new(text), "searched", &e))?);
    }
    found.sort_unstable();
    found.dedup_by(|later, earlier| later.starts_with(&*earlier));
    Ok(found)
}

fn note(path: &Path) -> Result<FileDiff, Failure> {
    let manifest = Manifest::of(path, &LeftOut::default()).map_err(|e| fs_fault::access(path, "read", &e))?;
    let (files, bytes) = manifest.files();
    let note = match manifest.get("") {
        Some(Node::Folder { .. }) => {
            format!("removed, kept for undo: {}, {}", fs_fault::count(files, "file"), fs_fault::size(bytes))
        }
        Some(Node::File { .. }) => format!("removed, kept for undo: {}", fs_fault::size(bytes)),
        Some(Node::Symlink { target }) => format!("removed, kept for undo: a symlink to {target}"),
        None => "removed, kept for undo".to_owned(),
    };
    Ok(FileDiff { path: path.display().to_string(), diff: String::new(), note })
}

fn notes(spec: &RemoveFiles) -> Result<Vec<FileDiff>, Failure> {
    find(spec)?.iter().map(|path| note(path)).collect()
}

#[async_trait]
impl Act for RemoveFiles {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        let spec = self.clone();
        let diffs = aside(cx, move |_| notes(&spec)).await?;
        let (verdict, says) = match diffs.len() as u64 {
            0 => (Verdict::Same, "nothing of it is there".to_owned()),
            many => (Verdict::Change, format!("removes {}", fs_fault::count(many, "path"))),
        };
        Ok(Preview { verdict, says, diffs })
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let (spec, undo_dir) = (self.clone(), cx.undo_dir.clone());
        aside(cx, move |given_up| {
            let diffs = notes(&spec)?;
            let mut changed = false;
            for path in find(&spec)? {
                let done = given_up.check().and_then(|()| {
                    changed = true;
                    keep::removed(&undo_dir, &path)
                });
                if let Err(error) = done {
                    let fault = fs_fault::access(&path, "removed", &error);
                    return Err(Failure::Failed { fault, changed, evidence: Vec::new() });
                }
            }
            Ok(Applied { changed, diffs, evidence: Vec::new() })
        })
        .await
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let spec = self.clone();
        aside(cx, move |_| {
            let mut evidence = Vec::new();
            for text in &spec.paths {
                let one = RemoveFiles { paths: vec![text.clone()] };
                let left = find(&one)?;
                let shown = match left.first() {
                    None => "nothing".to_owned(),
                    Some(first) => format!("{} at {}", fs_fault::count(left.len() as u64, "path"), first.display()),
                };
                evidence.push(Evidence { what: format!("what is at {text}"), found: shown, holds: left.is_empty() });
            }
            Ok(evidence)
        })
        .await
    }
}
