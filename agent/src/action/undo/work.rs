//! Puts back, path by path: noted, what is there kept, put back, the record renamed. Killed anywhere, the next one looks
//! at the path and goes on.

use std::io;
use std::path::PathBuf;

use cavalcade_common::action::Undo;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;
use cavalcade_common::report::{Evidence, Progress};

use super::machine::Machine;
use super::plan::{Item, Next, Plan};
use crate::action::{Applied, Context, Failure, fs_fault};
use crate::host::keep::{self, PutBack, What};
use crate::host::{new_home, place, tree};

/// Does it. `alive` is asked before every write; its error ends the work there.
pub(super) fn apply(spec: &Undo, cx: &Context, alive: &mut dyn FnMut() -> io::Result<()>) -> Result<Applied, Failure> {
    let mut doing = Doing { cx, alive, changed: false };
    // Refused as a whole; only what was done before an interruption is done.
    let plan = Plan::of(spec, cx);
    let plan = plan.map_err(|fault| Failure::Failed { fault, changed: cx.resumed, evidence: Vec::new() })?;
    let earlier = plan.items.iter().filter(|item| doing.began(item)).count() as u64;
    // What this attempt did before it was interrupted is its own work.
    doing.changed = cx.resumed && earlier > 0;
    let total = plan.items.len() as u64;
    for (done, item) in plan.items.iter().enumerate().filter(|(_, item)| !item.record.undone) {
        let label = format!("undoes {}", item.step);
        cx.out.progress(Progress { done: done as u64, total, label, quiet_seconds: 0 });
        let evidence = Vec::new();
        doing.one(item).map_err(|fault| Failure::Failed { fault, changed: doing.changed, evidence })?;
    }
    let mut evidence = Vec::new();
    if cx.resumed && earlier > 0 {
        let found = format!("{} begun or put back before the interruption", fs_fault::count(earlier, "path"));
        evidence.push(Evidence::holds("undo folders", found));
    }
    Ok(Applied { changed: doing.changed, diffs: plan.diffs, evidence })
}

struct Doing<'a> {
    cx: &'a Context,
    alive: &'a mut dyn FnMut() -> io::Result<()>,
    changed: bool,
}

impl Doing<'_> {
    /// Whether this very attempt noted that it puts the path back.
    fn began(&self, item: &Item) -> bool {
        item.record.kept.undo.as_ref().is_some_and(|note| note.by == self.cx.attempt.to_string())
    }

    /// One path. It is looked at once more: the walk before may be long ago.
    fn one(&mut self, item: &Item) -> Result<(), Fault> {
        let path = item.path();
        let next = match item.goes {
            true => Next::AsBefore,
            false => item.next(self.cx.host.as_ref(), &Machine::default())?,
        };
        self.act(item, next).map_err(|e| fs_fault::access(path, "put back", &e))?;
        let ended = self.note_goes(item).and_then(|()| (self.alive)()).and_then(|()| keep::put_back(&item.record));
        ended.map_err(|e| fs_fault::access(&item.record.dir, "written", &e))
    }

    fn act(&mut self, item: &Item, next: Next) -> io::Result<()> {
        let (cx, path) = (self.cx, item.path());
        let undo_dir = cx.undo_dir.as_path();
        match next {
            Next::AsBefore | Next::Stays => Ok(()),
            Next::Edit { now, old } => {
                self.begin(item, None)?;
                keep::edit(cx.host.as_ref(), undo_dir, path, Some(&now), &Digest::of(&old))?;
                (self.alive)()?;
                cx.host.replace(path, &old)
            }
            Next::Over => {
                let kept = kept(item)?;
                self.begin(item, None)?;
                keep::replaced(undo_dir, path, keep::mark(&tree::node(&kept)?).as_ref())?;
                (self.alive)()?;
                place::back(&kept, path, true, self.alive).map_err(io::Error::other)
            }
            Next::Return { back } => {
                let kept = kept(item)?;
                self.begin(item, Some(back))?;
                keep::made(undo_dir, path, keep::mark(&tree::node(&kept)?).as_ref())?;
                (self.alive)()?;
                place::back(&kept, path, false, self.alive).map_err(io::Error::other)
            }
            Next::Aside => {
                self.begin(item, None)?;
                keep::removed(undo_dir, path)
            }
            Next::Empty => {
                (self.alive)()?;
                self.changed = true;
                tree::remove_empty(path).map(|_| ())
            }
        }
    }

    fn begin(&mut self, item: &Item, back: Option<Digest>) -> io::Result<()> {
        (self.alive)()?;
        keep::putting_back(self.cx.host.as_ref(), &item.record, PutBack { by: self.cx.attempt.to_string(), back })?;
        (self.alive)()?;
        self.changed = true;
        Ok(())
    }

    /// The note beside a home that was unpacked goes after the home.
    fn note_goes(&mut self, item: &Item) -> io::Result<()> {
        let path = item.path();
        if item.record.kept.what != What::Made || tree::at(path)?.is_some() || new_home::note(path)?.is_none() {
            return Ok(());
        }
        (self.alive)()?;
        keep::removed(&self.cx.undo_dir, &new_home::note_path(path)?)
    }
}

fn kept(item: &Item) -> io::Result<PathBuf> {
    item.content().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}
