//! What a copy has to do, thing by thing: compared by digest, so that a repeat finds nothing left to do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cavalcade_common::action::CopyFiles;
use cavalcade_common::codes::files as codes;
use cavalcade_common::error::Fault;

use crate::action::{Failure, fs_fault};
use crate::host::files;
use crate::host::glob::Glob;
use crate::host::left_out::LeftOut;
use crate::host::tree::{self, Manifest, Node};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    /// Nothing is at `to`: the whole tree, by one rename.
    Tree { from: PathBuf, to: PathBuf, files: u64, bytes: u64, left_out: LeftOut },
    /// A file that is missing or differs.
    File { from: PathBuf, to: PathBuf, mode: u32, bytes: u64, replaces: bool },
    /// A symlink that is missing or differs.
    Link { target: String, from: PathBuf, to: PathBuf, replaces: bool },
}

impl Op {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Tree { bytes, .. } | Self::File { bytes, .. } => *bytes,
            Self::Link { .. } => 0,
        }
    }
}

/// The whole copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyPlan {
    /// What is copied, from where to where.
    pub(super) pairs: Vec<(PathBuf, PathBuf)>,
    /// What is to be done for it.
    pub(super) ops: Vec<Op>,
    /// Other versions in `into`, to be removed.
    pub(super) others: Vec<String>,
}

/// Sources that `from` matches; no judgement of their number.
pub(super) fn sources(spec: &CopyFiles) -> Result<Vec<PathBuf>, Failure> {
    let glob = Glob::absolute(&spec.from).map_err(|e| fs_fault::glob(&e))?;
    if !spec.paths.is_empty() {
        return spec.paths.iter().map(|path| below(&spec.from, path)).collect();
    }
    Ok(glob.find().map_err(|e| fs_fault::access(Path::new(&spec.from), "searched", &e))?)
}

/// A path below a folder. Names come from facts: a `..` among them is refused.
fn joined(folder: &str, path: &str) -> Result<PathBuf, Fault> {
    let relative = Path::new(path);
    if !relative.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
        return Err(Fault::new(codes::BAD_PATH, format!("{path:?} does not lie below {folder}")));
    }
    Ok(Path::new(folder).join(relative))
}

/// The same of one that must be there.
fn below(folder: &str, path: &str) -> Result<PathBuf, Failure> {
    let full = joined(folder, path)?;
    match tree::at(&full).map_err(|e| fs_fault::access(&full, "read", &e))? {
        Some(_) => Ok(full),
        None => Err(Fault::new(codes::MATCHES, format!("there is no {}", full.display())).into()),
    }
}

/// Compares sources and targets.
pub(super) fn plan(spec: &CopyFiles) -> Result<CopyPlan, Failure> {
    let into = Path::new(&spec.into);
    Glob::absolute(&spec.into).map_err(|e| fs_fault::glob(&e))?;
    let sources = sources(spec)?;
    counted(spec, sources.len())?;
    let exclude: Result<Vec<Glob>, _> = spec.exclude.iter().map(|text| Glob::relative(text)).collect();
    let exclude = exclude.map_err(|e| fs_fault::glob(&e))?;
    let without: Result<Vec<PathBuf>, _> = spec.without.iter().map(|path| joined(&spec.from, path)).collect();
    let without = without?;
    let mut plan = CopyPlan { pairs: Vec::new(), ops: Vec::new(), others: Vec::new() };
    let mut names = Vec::new();
    for from in sources {
        let own = files::split(&from).map_err(|e| fs_fault::access(&from, "copied", &e))?.1.to_string_lossy().into_owned();
        let name = match &spec.as_name {
            Some(name) => {
                cavalcade_common::id::check_name(name)
                    .map_err(|e| Fault::new(codes::BAD_PATH, format!("the new name {name:?}: {e}")))?;
                name.clone()
            }
            None => own,
        };
        let to = into.join(&name);
        let out = without.iter().filter_map(|path| path.strip_prefix(&from).ok()?.to_str().map(str::to_owned));
        let left_out = LeftOut::new(exclude.clone(), out.filter(|path| !path.is_empty()).collect());
        let from = meant(spec, from)?;
        if to.starts_with(&from) || from.starts_with(&to) {
            let text = format!("{} and {} lie in each other", from.display(), to.display());
            return Err(Fault::new(codes::IN_THE_WAY, text).into());
        }
        compare(&from, &to, &left_out, &mut plan)?;
        plan.pairs.push((from, to));
        names.push(name);
    }
    plan.others = super::artifact::others(into, spec.only.as_deref(), &names)?;
    Ok(plan)
}

fn counted(spec: &CopyFiles, found: usize) -> Result<(), Fault> {
    let wanted = if spec.as_name.is_some() { Some(1) } else { spec.count };
    let (holds, text) = match wanted {
        Some(wanted) => (found as u64 == u64::from(wanted), format!("must match {wanted}")),
        None => (found > 0, "must match at least one".to_owned()),
    };
    if holds {
        return Ok(());
    }
    Err(Fault::new(codes::MATCHES, format!("{} matches {}, it {text}", spec.from, fs_fault::count(found as u64, "path"))))
}

/// A folder that is named, and not found by a glob, may stand elsewhere with a symlink in its place, as sites do that share
/// it; so may any file, such as a trust store that others keep up to date. Their content is meant: through a link the new
/// server would write into what the old one has.
fn meant(spec: &CopyFiles, from: PathBuf) -> Result<PathBuf, Failure> {
    let named = !spec.paths.is_empty() || Path::new(&spec.from) == from;
    let is_link = tree::at(&from).map_err(|e| fs_fault::access(&from, "read", &e))?.is_some_and(|meta| meta.is_symlink());
    let real = if is_link { tree::end_of(&from).filter(|real| real.is_file() || (named && real.is_dir())) } else { None };
    Ok(real.unwrap_or(from))
}

fn compare(from: &Path, to: &Path, left_out: &LeftOut, plan: &mut CopyPlan) -> Result<(), Failure> {
    let source = Manifest::of(from, left_out).map_err(|e| fs_fault::access(from, "read", &e))?;
    // Folders that arrive as a whole, each by one rename: file by file thousands would take minutes.
    let mut whole = BTreeSet::new();
    for (path, wanted) in source.iter() {
        if path.match_indices('/').any(|(end, _)| whole.contains(&path[..end])) || (!path.is_empty() && whole.contains("")) {
            continue;
        }
        let (from, to) = (tree::below(from, path), tree::below(to, path));
        let found = match tree::at(&to).map_err(|e| fs_fault::access(&to, "read", &e))? {
            Some(_) => Some(tree::node(&to).map_err(|e| fs_fault::access(&to, "read", &e))?),
            None => None,
        };
        let replaces = found.is_some();
        match (wanted, &found) {
            (wanted, Some(found)) if found.same_content(wanted) => {}
            (Node::Folder { .. }, None) => {
                let (files, bytes) = source.files_in(path);
                plan.ops.push(Op::Tree { from, to, files, bytes, left_out: left_out.inside(path) });
                whole.insert(path);
            }
            (Node::File { mode, size, .. }, None | Some(Node::File { .. })) => {
                plan.ops.push(Op::File { from, to, mode: *mode, bytes: *size, replaces });
            }
            (Node::Symlink { target }, None | Some(Node::Symlink { .. })) => {
                plan.ops.push(Op::Link { target: target.clone(), from, to, replaces });
            }
            (_, Some(_)) => {
                let text = format!("{} and {} are not of one kind (file, folder, symlink)", from.display(), to.display());
                return Err(Fault::new(codes::IN_THE_WAY, text).into());
            }
        }
    }
    Ok(())
}
