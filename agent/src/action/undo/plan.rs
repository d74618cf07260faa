//! What an undo has to do, record by record, and whether it may.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cavalcade_common::action::Undo;
use cavalcade_common::codes::files as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{Digest, StepKey};
use cavalcade_common::report::{Evidence, FileDiff};

use super::machine::Machine;
use crate::action::{Context, Failure, fs_fault, shown};
use crate::host::keep::{self, Record, What};
use crate::host::new_home::{self, There};
use crate::host::tree::{self, Node, settled};
use crate::host::{Host, inventory};

/// Refused paths that are listed by name.
const LISTED: usize = 5;

/// One path that a step changed.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) step: StepKey,
    pub(super) record: Record,
    /// It lies in a tree that a step made: it goes aside with that.
    pub(super) goes: bool,
}

/// What is to be done for one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// It is as before the step.
    AsBefore,
    /// Its former content is written, owner and mode stay.
    Edit { now: Vec<u8>, old: Vec<u8> },
    /// The kept one takes its place.
    Over,
    /// The kept one, with this digest, comes back where nothing is.
    Return { back: Digest },
    /// It goes aside.
    Aside,
    /// A folder without anything in it goes.
    Empty,
    /// A folder with something in it stays.
    Stays,
}

impl Item {
    pub(super) fn path(&self) -> &Path {
        Path::new(&self.record.kept.path)
    }

    /// Where the content from before the step is kept.
    pub(super) fn content(&self) -> Option<PathBuf> {
        self.record.kept.content.as_ref().map(|name| self.record.dir.join(name))
    }

    fn lost(&self, why: &str) -> Fault {
        Fault::new(codes::UNDO_LOST, format!("{}, step {}: {why}", self.record.kept.path, self.step))
    }

    fn changed(&self, how: &str) -> Fault {
        let path = &self.record.kept.path;
        Fault::new(codes::UNDO_CHANGED, format!("{path} is not as step {} left it: {how}", self.step))
    }

    fn access(&self, error: &std::io::Error) -> Fault {
        fs_fault::access(self.path(), "read", error)
    }

    fn kept(&self) -> Result<PathBuf, Fault> {
        self.content().ok_or_else(|| self.lost("its record names no kept content"))
    }

    /// Compares the path with what the step left and with what was there before.
    pub(super) fn next(&self, host: &dyn Host, machine: &Machine) -> Result<Next, Fault> {
        match self.record.kept.what {
            What::Edited => self.edited(host, machine),
            What::Replaced => self.replaced(machine),
            What::Removed => self.removed(machine),
            What::Made => self.made(machine),
            What::Folder => self.folder(machine),
        }
    }

    fn edited(&self, host: &dyn Host, machine: &Machine) -> Result<Next, Fault> {
        let kept = self.kept()?;
        let old = host.read(&kept).map_err(|e| self.access(&e))?;
        let old = old.ok_or_else(|| self.lost("its kept content is missing"))?;
        let now = match machine.place(self.path()) {
            Some(at) => host.read(&at).map_err(|e| self.access(&e))?,
            None => None,
        };
        let Some(now) = now else { return Err(self.changed("it is gone")) };
        if now == old {
            return Ok(Next::AsBefore);
        }
        if Some(Digest::of(&now)) != self.record.kept.after_sha256 {
            return Err(self.changed("its content is another"));
        }
        Ok(Next::Edit { now, old })
    }

    fn replaced(&self, machine: &Machine) -> Result<Next, Fault> {
        let kept = self.kept()?;
        let Some(_) = tree::at(&kept).map_err(|e| self.access(&e))? else {
            return Err(self.lost("its kept content is missing"));
        };
        let old = tree::node(&kept).map_err(|e| self.access(&e))?;
        let Some(now) = machine.node(self.path()).map_err(|e| self.access(&e))? else {
            return Err(self.changed("it is gone"));
        };
        if now == old {
            return Ok(Next::AsBefore);
        }
        self.same_as_left(&now)?;
        Ok(Next::Over)
    }

    fn removed(&self, machine: &Machine) -> Result<Next, Fault> {
        let kept = self.kept()?;
        let there = machine.place(self.path()).map(|at| tree::at(&at).map(|meta| meta.map(|_| at))).transpose();
        let there = there.map_err(|e| self.access(&e))?.flatten();
        let back = match tree::at(&kept).map_err(|e| self.access(&e))? {
            Some(_) => Some(keep::manifest_digest(&kept).map_err(|e| self.access(&e))?),
            None => self.record.kept.undo.as_ref().and_then(|note| note.back.clone()),
        };
        let Some(back) = back else { return Err(self.lost("its kept content is missing")) };
        if let Some(at) = there {
            let now = keep::manifest_digest(&at).map_err(|e| self.access(&e))?;
            return if now == back { Ok(Next::AsBefore) } else { Err(self.changed("something else stands there")) };
        }
        if tree::at(&kept).map_err(|e| self.access(&e))?.is_none() {
            return Err(self.lost("its kept content is missing"));
        }
        let folder = self.path().parent().unwrap_or(Path::new("/"));
        match machine.node(folder).map_err(|e| self.access(&e))? {
            Some(Node::Folder { .. }) => Ok(Next::Return { back }),
            // A symlink to a folder is one, too, to those who come through it.
            Some(Node::Symlink { .. }) => Ok(Next::Return { back }),
            Some(Node::File { .. }) | None => Err(self.changed("the folder that it was in is gone")),
        }
    }

    fn made(&self, machine: &Machine) -> Result<Next, Fault> {
        let Some(now) = machine.node(self.path()).map_err(|e| self.access(&e))? else { return Ok(Next::AsBefore) };
        match (&now, &self.record.kept.after_sha256) {
            (Node::Folder { .. }, None) => {
                let moved = machine.place(self.path()) != Some(settled(self.path()));
                let noted = new_home::note(self.path()).map_err(|e| self.access(&e))?.is_some();
                if moved || !noted {
                    return Ok(Next::Aside);
                }
                match new_home::there(self.path()).map_err(|e| self.access(&e))? {
                    There::Made(_) => Ok(Next::Aside),
                    There::Nothing | There::Other => Err(self.changed("it is another folder")),
                }
            }
            (Node::Folder { .. }, Some(_)) => Err(self.changed("a folder stands there")),
            (Node::File { .. } | Node::Symlink { .. }, _) => self.same_as_left(&now).map(|()| Next::Aside),
        }
    }

    fn folder(&self, machine: &Machine) -> Result<Next, Fault> {
        match machine.node(self.path()).map_err(|e| self.access(&e))? {
            None => Ok(Next::AsBefore),
            Some(Node::Folder { .. }) => {
                let empty = machine.is_empty(self.path()).map_err(|e| self.access(&e))?;
                Ok(if empty { Next::Empty } else { Next::Stays })
            }
            Some(Node::File { .. } | Node::Symlink { .. }) => Err(self.changed("no folder stands there")),
        }
    }

    /// What a record without a digest says of a file is not enough to tell it from a stranger's.
    fn same_as_left(&self, now: &Node) -> Result<(), Fault> {
        match &self.record.kept.after_sha256 {
            Some(after) if keep::mark(now).as_ref() == Some(after) => Ok(()),
            Some(_) => Err(self.changed("its content is another")),
            None => Err(self.changed("its record does not tell what was left")),
        }
    }

    /// The name that other steps may have for the same file: an edit goes through symlinks.
    fn settled(&self) -> PathBuf {
        let path = settled(self.path());
        match self.record.kept.what {
            What::Edited => tree::end_of(&path).unwrap_or(path),
            What::Replaced | What::Removed | What::Made | What::Folder => path,
        }
    }

    fn told(&self, next: &Next, machine: &Machine, cx: &Context) -> Result<Option<FileDiff>, Fault> {
        let path = self.path();
        let note = match next {
            Next::AsBefore | Next::Stays => return Ok(None),
            Next::Edit { now, old } => return Ok(Some(shown::diff(path, now, old, &cx.hide, &cx.secrets))),
            Next::Over => format!("as before step {}; what is there now is kept", self.step),
            Next::Return { .. } => format!("comes back: {}", self.measured(self.content())?),
            Next::Aside => format!("goes, kept for undo: {}", self.measured(machine.place(path))?),
            Next::Empty => "goes: a folder that was made and is empty".to_owned(),
        };
        Ok(Some(FileDiff { path: path.display().to_string(), diff: String::new(), note }))
    }

    fn measured(&self, at: Option<PathBuf>) -> Result<String, Fault> {
        let mut sum = inventory::Measured::default();
        let Some(at) = at else { return Ok("nothing".to_owned()) };
        if tree::at(&at).map_err(|e| self.access(&e))?.is_some_and(|meta| meta.is_symlink()) {
            return Ok("a symlink".to_owned());
        }
        inventory::measure(&at, &mut sum).map_err(|e| self.access(&e))?;
        Ok(format!("{}, {}", fs_fault::count(sum.files, "file"), fs_fault::size(sum.bytes)))
    }
}

/// Everything that an undo is about.
#[derive(Debug)]
pub(super) struct Plan {
    /// All records, in the order in which they are put back.
    pub(super) items: Vec<Item>,
    /// What changes.
    pub(super) diffs: Vec<FileDiff>,
}

impl Plan {
    /// Looks at the whole list. Nothing is changed.
    ///
    /// # Errors
    /// A path that is not as its step left it; a kept copy that is missing; those of the file system.
    pub(super) fn of(spec: &Undo, cx: &Context) -> Result<Self, Fault> {
        let mut plan = Self { items: items(spec, cx.host.as_ref(), &cx.state_dir)?, diffs: Vec::new() };
        let mut machine = Machine::default();
        let mut faults = Vec::new();
        for item in plan.items.iter().filter(|item| !item.record.undone && !item.goes) {
            match item.next(cx.host.as_ref(), &machine) {
                Ok(next) => {
                    plan.diffs.extend(item.told(&next, &machine, cx)?);
                    match next {
                        // What is as before may have been moved back: then nothing of it lies in the undo folder.
                        Next::AsBefore | Next::Stays => {}
                        Next::Edit { .. } | Next::Over | Next::Return { .. } => machine.set(&item.settled(), item.content()),
                        Next::Aside | Next::Empty => machine.set(&item.settled(), None),
                    }
                }
                Err(fault) => {
                    faults.push(fault);
                    // As if it were put back: one change is told once, not by every step before it too.
                    machine.set(&item.settled(), item.content());
                }
            }
        }
        if faults.is_empty() { Ok(plan) } else { Err(all(faults)) }
    }
}

/// The first fault, with the others named in it.
fn all(faults: Vec<Fault>) -> Fault {
    let more = faults.len().saturating_sub(LISTED);
    let code = faults.first().map_or(codes::UNDO_CHANGED, |fault| fault.code);
    let mut text = faults.iter().take(LISTED).map(|f| f.message.as_str()).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    Fault::new(code, text)
}

/// All records of the steps, in the order in which they are put back.
fn items(spec: &Undo, host: &dyn Host, state_dir: &Path) -> Result<Vec<Item>, Fault> {
    let mut items = Vec::new();
    for step in spec.steps.iter().rev() {
        let dir = keep::folder(state_dir, &spec.run, step);
        let records = keep::records(host, &dir);
        let records = records.map_err(|e| Fault::new(codes::UNDO_LOST, format!("step {step}: {}: {e}", dir.display())))?;
        let (removed, others): (Vec<_>, Vec<_>) = records.into_iter().partition(|r| r.kept.what == What::Removed);
        // What was made goes from the inside out, what was removed comes from the outside in.
        let ordered = others.into_iter().rev().chain(removed);
        items.extend(ordered.map(|record| Item { step: step.clone(), record, goes: false }));
    }
    let mut trees = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let made = item.record.kept.what == What::Made && !item.record.undone;
        if made && matches!(tree::at(item.path()).map_err(|e| item.access(&e))?, Some(meta) if meta.is_dir()) {
            trees.push((at, settled(item.path())));
        }
    }
    for (at, item) in items.iter_mut().enumerate() {
        let path = settled(item.path());
        item.goes = trees.iter().any(|(later, tree)| *later > at && path != *tree && path.starts_with(tree));
    }
    Ok(items)
}

/// Shows from the machine that every path is as it was before the first of the steps that changed it.
///
/// # Errors
/// Those of the file system.
pub(super) fn verify(spec: &Undo, host: &dyn Host, state_dir: &Path) -> Result<Vec<Evidence>, Failure> {
    let mut first = BTreeMap::new();
    for item in items(spec, host, state_dir)? {
        // The last one that is put back is the one of the first step.
        first.insert(item.settled(), item);
    }
    let what = format!("paths that {} of {} changed here", fs_fault::count(spec.steps.len() as u64, "step"), spec.run);
    if first.is_empty() {
        return Ok(vec![Evidence::holds(what, "none: no copy was kept")]);
    }
    let gone: Vec<&PathBuf> = first.iter().filter(|(_, i)| i.record.kept.what == What::Made).map(|(path, _)| path).collect();
    let mut differ = Vec::new();
    for (path, item) in &first {
        if gone.iter().any(|tree| path != *tree && path.starts_with(tree)) {
            continue;
        }
        let inside = first.keys().any(|other| other != path && other.starts_with(path));
        if let Some(how) = item.differs(host, inside)? {
            differ.push(format!("{} {how}", item.record.kept.path));
        }
    }
    let (all, found) = (first.len(), differ.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", "));
    Ok(vec![match differ.len() {
        0 => Evidence::holds(what, format!("{all}, all as before")),
        many => Evidence::fails(what, format!("{many} of {all} are not as before: {found}")),
    }])
}

impl Item {
    /// How the path differs from what was there before the step. Of a tree in which earlier steps changed something, too
    /// (`inside`), only the root is looked at: those paths are looked at by themselves.
    fn differs(&self, host: &dyn Host, inside: bool) -> Result<Option<&'static str>, Fault> {
        let kept = &self.record.kept;
        let real = Machine::default();
        let now = real.node(self.path()).map_err(|e| self.access(&e))?;
        let content = self.content();
        Ok(match (kept.what, now) {
            (What::Made | What::Folder, None) => None,
            (What::Made, Some(_)) => Some("is there"),
            (What::Folder, Some(_)) => real.is_empty(self.path()).map_err(|e| self.access(&e))?.then_some("is there"),
            (What::Edited | What::Replaced | What::Removed, None) => Some("is missing"),
            (What::Edited, Some(_)) => {
                let now = host.read(self.path()).map_err(|e| self.access(&e))?;
                let old = content.map(|at| host.read(&at)).transpose().map_err(|e| self.access(&e))?.flatten();
                (old.is_none() || now != old).then_some("has another content")
            }
            (What::Replaced, Some(now)) => {
                let old = content.map(|at| tree::node(&at)).transpose().map_err(|e| self.access(&e))?;
                (old != Some(now)).then_some("is another one")
            }
            (What::Removed, Some(_)) if inside => None,
            (What::Removed, Some(_)) => {
                let back = match content.map(|at| tree::at(&at).map(|meta| meta.map(|_| at))).transpose() {
                    Ok(Some(Some(at))) => Some(keep::manifest_digest(&at).map_err(|e| self.access(&e))?),
                    Ok(_) => kept.undo.as_ref().and_then(|note| note.back.clone()),
                    Err(e) => return Err(self.access(&e)),
                };
                let now = keep::manifest_digest(self.path()).map_err(|e| self.access(&e))?;
                (back != Some(now)).then_some("is another one")
            }
        })
    }
}
