//! `artifact`: one file by digest, alone among its versions.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use cavalcade_common::action::PlaceArtifact;
use cavalcade_common::codes::files as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, FileDiff, Preview, Verdict};

use crate::action::aside::{GivenUp, aside};
use crate::action::{Act, Applied, Context, Failure, fs_fault};
use crate::host::tree::{self, Node};
use crate::host::{files, glob, keep, place};

/// What stands at the target and beside it.
struct Found {
    /// `None`: nothing.
    target: Option<Node>,
    /// Other versions, by name.
    others: Vec<String>,
}

impl Found {
    fn is(&self, spec: &PlaceArtifact) -> bool {
        matches!(&self.target, Some(Node::File { sha256, .. }) if *sha256 == spec.artifact.sha256)
    }
}

fn look(spec: &PlaceArtifact) -> Result<Found, Failure> {
    let to = Path::new(&spec.to);
    let plain = glob::Glob::absolute(&spec.to).map_err(|e| fs_fault::glob(&e))?;
    let (folder, name) = files::split(to).map_err(|e| fs_fault::access(to, "used", &e))?;
    if !plain.is_plain() {
        return Err(Fault::new(codes::BAD_PATH, format!("{} is a glob, one file is meant", spec.to)).into());
    }
    let target = match tree::at(to).map_err(|e| fs_fault::access(to, "read", &e))? {
        None => None,
        Some(meta) if meta.is_file() => Some(tree::node(to).map_err(|e| fs_fault::access(to, "read", &e))?),
        Some(_) => return Err(Fault::new(codes::IN_THE_WAY, format!("{} is there and no file", spec.to)).into()),
    };
    Ok(Found { target, others: others(folder, spec.only.as_deref(), &[name.to_string_lossy().into_owned()])? })
}

/// Names in a folder that match `only` and are not among those that shall stay.
pub(super) fn others(folder: &Path, only: Option<&str>, stay: &[String]) -> Result<Vec<String>, Failure> {
    let Some(only) = only else { return Ok(Vec::new()) };
    let names = glob::names_matching(folder, only).map_err(|e| fs_fault::glob(&e))?;
    let names = names.map_err(|e| fs_fault::access(folder, "read", &e))?;
    Ok(names.into_iter().filter(|n| !stay.contains(n)).collect())
}

fn diffs(spec: &PlaceArtifact, found: &Found) -> Vec<FileDiff> {
    let digest = spec.artifact.sha256.short();
    let what = match &found.target {
        _ if found.is(spec) => None,
        None => Some(format!("new, {}, sha256 {digest}", fs_fault::size(spec.artifact.size))),
        Some(_) => Some(format!("replaced by sha256 {digest}, the old one is kept for undo")),
    };
    let own = what.map(|note| FileDiff { path: spec.to.clone(), diff: String::new(), note });
    own.into_iter().chain(removals(Path::new(&spec.to).parent(), &found.others)).collect()
}

/// The removal of other versions, for a person.
pub(super) fn removals(folder: Option<&Path>, names: &[String]) -> Vec<FileDiff> {
    let folder = folder.unwrap_or(Path::new("/"));
    let note = "removed, kept for undo: another version";
    let path = |name: &String| folder.join(name).display().to_string();
    names.iter().map(|n| FileDiff { path: path(n), diff: String::new(), note: note.to_owned() }).collect()
}

fn put(
    spec: &PlaceArtifact,
    source: Option<&Path>,
    undo_dir: &Path,
    given_up: &GivenUp,
    changed: &mut bool,
) -> Result<(), Fault> {
    let to = Path::new(&spec.to);
    if let Some(source) = source {
        let placed = place::file(source, to, 0o644, Some(&spec.artifact.sha256), undo_dir, &mut || given_up.check());
        // Even after an error: only the folder's sync may have failed.
        *changed = look(spec).is_ok_and(|found| found.is(spec));
        placed.map_err(|e| fs_fault::place(to, &e))?;
    }
    // Now, not from the first look: the fetch may have taken an hour.
    let found = look(spec).map_err(as_fault)?;
    for name in &found.others {
        let other = to.with_file_name(name);
        given_up.check().map_err(|e| fs_fault::access(&other, "removed", &e))?;
        *changed = true;
        keep::removed(undo_dir, &other).map_err(|e| fs_fault::access(&other, "removed", &e))?;
    }
    Ok(())
}

fn as_fault(failure: Failure) -> Fault {
    match failure {
        Failure::Failed { fault, .. } | Failure::Indeterminate { fault, .. } => fault,
        Failure::NotBegun { why } => Fault::new(codes::FILE_ACCESS, why),
    }
}

#[async_trait]
impl Act for PlaceArtifact {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        let spec = self.clone();
        let diffs = aside(cx, move |_| look(&spec).map(|found| diffs(&spec, &found))).await?;
        let verdict = if diffs.is_empty() { Verdict::Same } else { Verdict::Change };
        Ok(Preview { verdict, says: format!("{} at {}", self.artifact.name, self.to), diffs })
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let spec = self.clone();
        let (same, diffs) = aside(cx, move |_| look(&spec).map(|f| (f.is(&spec), diffs(&spec, &f)))).await?;
        if diffs.is_empty() {
            return Ok(Applied::default());
        }
        let source: Option<PathBuf> = match same {
            true => None,
            false => Some(cx.artifacts.fetch(&self.artifact, &cx.cache_dir, cx.out.as_ref()).await?),
        };
        let (spec, undo_dir) = (self.clone(), cx.undo_dir.clone());
        aside(cx, move |given_up| {
            let mut changed = false;
            let done = given_up
                .check()
                .map_err(|e| fs_fault::access(Path::new(&spec.to), "written", &e))
                .and_then(|()| put(&spec, source.as_deref(), &undo_dir, given_up, &mut changed));
            done.map_err(|fault| Failure::Failed { fault, changed, evidence: Vec::new() })
        })
        .await?;
        Ok(Applied { changed: true, diffs, evidence: Vec::new() })
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let spec = self.clone();
        aside(cx, move |_| {
            let found = look(&spec)?;
            let what = format!("sha256 of {}", spec.to);
            let shown = match &found.target {
                Some(Node::File { sha256, .. }) => sha256.to_string(),
                Some(_) | None => "no file".to_owned(),
            };
            let mut evidence = vec![Evidence { what, found: shown, holds: found.is(&spec) }];
            if let Some(only) = &spec.only {
                let shown = if found.others.is_empty() { "none".to_owned() } else { found.others.join(", ") };
                let what = format!("other files like {only}");
                evidence.push(Evidence { what, found: shown, holds: found.others.is_empty() });
            }
            Ok(evidence)
        })
        .await
    }
}
