//! `unpack`: an archive becomes a new folder, whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_common::action::Unpack;
use cavalcade_common::codes::files as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, FileDiff, Preview, Progress, Verdict};

use crate::action::aside::aside;
use crate::action::{Act, Applied, Context, Failure, fs_fault};
use crate::host::glob::Glob;
use crate::host::new_home::{self, NewHomeError, Note, There, Wanted};
use crate::host::{Host, keep};

/// Differences that are listed by name.
const LISTED: usize = 5;

fn fault(spec: &Unpack, error: &NewHomeError) -> Fault {
    match error {
        NewHomeError::Archive(error) => fs_fault::archive(&spec.artifact.file, error),
        NewHomeError::Io { path, doing, source } => fs_fault::access(path, doing, source),
        NewHomeError::Space { mount, free, needed } => {
            let (free, needed) = (fs_fault::size(*free), fs_fault::size(*needed));
            Fault::new(codes::NO_SPACE, format!("{mount} has {free} free, {needed} are needed for {}", spec.to))
        }
        NewHomeError::Exists(path) => exists(path),
    }
}

fn exists(path: &Path) -> Fault {
    Fault::new(codes::TARGET_EXISTS, format!("{} exists and was not made by this step", path.display()))
}

/// The note of the folder if this very step made it, `None` where nothing is there.
fn made(spec: &Unpack) -> Result<Option<Note>, Failure> {
    let to = Path::new(&spec.to);
    let path = Glob::absolute(&spec.to).map_err(|e| fs_fault::glob(&e))?;
    if !path.is_plain() {
        return Err(Fault::new(codes::BAD_PATH, format!("{} is a glob, one folder is meant", spec.to)).into());
    }
    match new_home::there(to).map_err(|e| fs_fault::access(to, "read", &e))? {
        There::Nothing => Ok(None),
        There::Made(note) if note.archive == spec.artifact.sha256 && note.strip == spec.strip => Ok(Some(*note)),
        There::Made(_) | There::Other => Err(exists(to).into()),
    }
}

/// What is gone of a folder that this step made, and that no step took away since.
fn gone(note: &Note, to: &Path, around: &Around) -> Result<Vec<String>, Failure> {
    let taken = keep::taken_away(around.host.as_ref(), &around.state_dir);
    let taken = taken.map_err(|e| fs_fault::access(&around.state_dir, "read", &e))?;
    Ok(note.gone(to, &taken).map_err(|e| fs_fault::access(to, "read", &e))?)
}

/// The note of the folder if this very step made it and it is whole but for what steps and products change in a home.
fn whole(spec: &Unpack, around: &Around) -> Result<Option<Note>, Failure> {
    let Some(note) = made(spec)? else { return Ok(None) };
    let gone = gone(&note, Path::new(&spec.to), around)?;
    if gone.is_empty() {
        return Ok(Some(note));
    }
    let text = format!("{} was made by {}. Gone from it: {}", spec.to, note.attempt, counted(&gone));
    Err(Fault::new(codes::NOT_WHOLE, text).into())
}

/// What the looks of this step need.
#[derive(Clone)]
struct Around {
    host: Arc<dyn Host>,
    state_dir: PathBuf,
    attempt: String,
}

impl Around {
    fn of(cx: &Context) -> Self {
        Self { host: Arc::clone(&cx.host), state_dir: cx.state_dir.clone(), attempt: cx.attempt.to_string() }
    }
}

fn counted(paths: &[String]) -> String {
    format!("{} ({})", fs_fault::count(paths.len() as u64, "path"), names(paths))
}

/// The first names of many.
fn names(paths: &[String]) -> String {
    let more = if paths.len() > LISTED { ", ..." } else { "" };
    format!("{}{more}", paths.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", "))
}

fn diff(spec: &Unpack) -> FileDiff {
    let archive = &spec.artifact;
    let note =
        format!("new folder from {}, {} packed, sha256 {}", archive.file, fs_fault::size(archive.size), archive.sha256.short());
    FileDiff { path: spec.to.clone(), diff: String::new(), note }
}

/// What holds of a folder that this step made. Made by this very attempt it must be as unpacked; made by an earlier one,
/// later steps may have changed it since, and what they changed is told. What nobody took away must be there (10, rule 29).
fn evidence(spec: &Unpack, note: &Note, around: &Around) -> Result<Vec<Evidence>, Failure> {
    let to = Path::new(&spec.to);
    let differ = note.manifest.differences(to).map_err(|e| fs_fault::access(to, "read", &e))?;
    let (files, bytes) = note.manifest.files();
    let all = format!("{}, {}, sha256 {}", fs_fault::count(files, "file"), fs_fault::size(bytes), note.archive.short());
    let from = Evidence::holds(format!("note beside {}", spec.to), format!("made by {} from {all}", note.attempt));
    let (found, holds) = match differ.len() {
        0 => ("all as unpacked".to_owned(), true),
        many => (format!("{many} changed or gone since: {}", names(&differ)), note.attempt != around.attempt),
    };
    let mut evidence = vec![from, Evidence { what: format!("content of {}, by digest", spec.to), found, holds }];
    let gone = gone(note, to, around)?;
    if !gone.is_empty() {
        let found = format!("gone, and no step took it away: {}", counted(&gone));
        evidence.push(Evidence::fails(format!("what was unpacked to {}", spec.to), found));
    }
    Ok(evidence)
}

#[async_trait]
impl Act for Unpack {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        let (spec, around) = (self.clone(), Around::of(cx));
        let made = aside(cx, move |_| whole(&spec, &around)).await?;
        Ok(match made {
            Some(note) => {
                let says = format!("{} was made from this archive by {}", self.to, note.attempt);
                Preview { verdict: Verdict::Same, says, diffs: Vec::new() }
            }
            None => {
                let says = format!("unpacks {} to {}", self.artifact.name, self.to);
                Preview { verdict: Verdict::Change, says, diffs: vec![diff(self)] }
            }
        })
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let (spec, around) = (self.clone(), Around::of(cx));
        if aside(cx, move |_| whole(&spec, &around)).await?.is_some() {
            return Ok(Applied::default());
        }
        let archive: PathBuf = cx.artifacts.fetch(&self.artifact, &cx.cache_dir, cx.out.as_ref()).await?;
        let wanted = Wanted {
            archive: self.artifact.sha256.clone(),
            to: PathBuf::from(&self.to),
            strip: self.strip,
            owner: self.owner.clone(),
            no_more_open_than: self.no_more_open_than.clone().map(PathBuf::from),
            limit: self.limit,
            attempt: cx.attempt.to_string(),
        };
        let (spec, undo_dir, out) = (self.clone(), cx.undo_dir.clone(), Arc::clone(&cx.out));
        aside(cx, move |given_up| {
            let label = format!("unpacks {}", spec.artifact.name);
            let mut progress = |done, total| {
                out.progress(Progress { done, total, label: label.clone(), quiet_seconds: 0 });
                given_up.check()
            };
            new_home::make(&archive, &wanted, &undo_dir, &mut progress).map_err(|error| {
                // Even after an error: only the sync behind the rename may have failed.
                let changed = made(&spec).is_ok_and(|note| note.is_some());
                Failure::Failed { fault: fault(&spec, &error), changed, evidence: Vec::new() }
            })
        })
        .await?;
        Ok(Applied { changed: true, diffs: vec![diff(self)], evidence: Vec::new() })
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let (spec, around) = (self.clone(), Around::of(cx));
        aside(cx, move |_| match made(&spec) {
            Ok(Some(note)) => evidence(&spec, &note, &around),
            Ok(None) => Ok(vec![Evidence::fails(format!("folder {}", spec.to), "nothing is there")]),
            Err(Failure::Failed { fault, .. }) if fault.code == codes::TARGET_EXISTS => {
                Ok(vec![Evidence::fails(format!("note beside {}", spec.to), "it does not name this archive")])
            }
            Err(other) => Err(other),
        })
        .await
    }
}
