//! `copy`: files and trees on the node.
//!
//! A tree whose place is free arrives by one rename. Where a folder is there already the two are merged, as `cp -r`
//! does: a folder that is missing arrives by one rename too, each other file is by itself old or new, what is replaced is kept
//! for undo, what is there beyond the source stays.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_common::action::CopyFiles;
use cavalcade_common::codes::files as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, FileDiff, Preview, Progress, Verdict};

use crate::action::aside::{GivenUp, aside};
use crate::action::copy_plan::{CopyPlan, Op, plan, sources};
use crate::action::{Act, Applied, Context, Failure, OutputSink, artifact, fs_fault};
use crate::host::left_out::LeftOut;
use crate::host::{disks, keep, place};

fn diffs(spec: &CopyFiles, plan: &CopyPlan) -> Vec<FileDiff> {
    let copied = plan.ops.iter().map(|op| {
        let (path, note) = match op {
            Op::Tree { from, to, files, bytes, .. } => {
                let much = format!("{}, {}", fs_fault::count(*files, "file"), fs_fault::size(*bytes));
                (to, format!("new: {much}, copied from {}", from.display()))
            }
            Op::File { from, to, bytes, replaces, .. } => {
                let what = if *replaces { "replaced, the old one is kept for undo" } else { "new" };
                (to, format!("{what}: {}, copied from {}", fs_fault::size(*bytes), from.display()))
            }
            Op::Link { target, to, replaces, .. } => {
                let what = if *replaces { "replaced" } else { "new" };
                (to, format!("{what}: a symlink to {target}"))
            }
        };
        FileDiff { path: path.display().to_string(), diff: String::new(), note }
    });
    copied.chain(artifact::removals(Some(Path::new(&spec.into)), &plan.others)).collect()
}

struct Doing<'a> {
    undo_dir: &'a Path,
    out: &'a dyn OutputSink,
    given_up: &'a GivenUp,
    label: String,
    done: u64,
    total: u64,
    changed: bool,
}

impl Doing<'_> {
    fn all(&mut self, into: &Path, plan: &CopyPlan) -> Result<(), Fault> {
        let disk = disks::of(into).map_err(|e| fs_fault::access(into, "measured", &e))?;
        if disk.free_bytes < self.total {
            let text =
                format!("{} has {} free, {} are needed", disk.mount, fs_fault::size(disk.free_bytes), fs_fault::size(self.total));
            return Err(Fault::new(codes::NO_SPACE, text));
        }
        for op in &plan.ops {
            self.given_up.check().map_err(|e| fs_fault::access(into, "written", &e))?;
            self.one(op)?;
            self.changed = true;
            self.done += op.bytes();
            self.progress(self.done);
        }
        for name in &plan.others {
            let other = into.join(name);
            self.given_up.check().map_err(|e| fs_fault::access(&other, "removed", &e))?;
            self.changed = true;
            keep::removed(self.undo_dir, &other).map_err(|e| fs_fault::access(&other, "removed", &e))?;
        }
        Ok(())
    }

    fn one(&self, op: &Op) -> Result<(), Fault> {
        let mut alive = || self.given_up.check();
        match op {
            Op::Tree { from, to, left_out, .. } => {
                let done = self.done;
                let mut hear = |bytes| {
                    self.progress(done + bytes);
                    self.given_up.check()
                };
                place::tree(from, to, left_out, self.undo_dir, &mut hear).map_err(|e| fs_fault::place(to, &e))
            }
            Op::File { from, to, mode, .. } => {
                place::file(from, to, *mode, None, self.undo_dir, &mut alive).map(|_| ()).map_err(|e| fs_fault::place(to, &e))
            }
            Op::Link { target, from, to, replaces } => {
                let put = if *replaces {
                    place::link(target, to, self.undo_dir, &mut alive)
                } else {
                    place::tree(from, to, &LeftOut::default(), self.undo_dir, &mut |_| alive())
                };
                put.map_err(|e| fs_fault::place(to, &e))
            }
        }
    }

    fn progress(&self, done: u64) {
        self.out.progress(Progress { done, total: self.total, label: self.label.clone(), quiet_seconds: 0 });
    }
}

#[async_trait]
impl Act for CopyFiles {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        let spec = self.clone();
        aside(cx, move |_| {
            if sources(&spec)?.is_empty() {
                let says = format!("nothing matches {} yet; a step before it may bring it", spec.from);
                return Ok(Preview { verdict: Verdict::Maybe, says, diffs: Vec::new() });
            }
            let plan = plan(&spec)?;
            let diffs = diffs(&spec, &plan);
            let verdict = if diffs.is_empty() { Verdict::Same } else { Verdict::Change };
            let says = format!("copies {} into {}", fs_fault::count(plan.pairs.len() as u64, "path"), spec.into);
            Ok(Preview { verdict, says, diffs })
        })
        .await
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let (spec, undo_dir, out) = (self.clone(), cx.undo_dir.clone(), Arc::clone(&cx.out));
        aside(cx, move |given_up| {
            let plan = plan(&spec)?;
            let diffs = diffs(&spec, &plan);
            if diffs.is_empty() {
                return Ok(Applied::default());
            }
            let total = plan.ops.iter().map(Op::bytes).sum();
            let label = format!("copies into {}", spec.into);
            let out = out.as_ref();
            let mut doing = Doing { undo_dir: &undo_dir, out, given_up, label, done: 0, total, changed: false };
            match doing.all(Path::new(&spec.into), &plan) {
                Ok(()) => Ok(Applied { changed: true, diffs, evidence: Vec::new() }),
                Err(fault) => Err(Failure::Failed { fault, changed: doing.changed, evidence: Vec::new() }),
            }
        })
        .await
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let spec = self.clone();
        aside(cx, move |_| {
            let plan = plan(&spec)?;
            let left = diffs(&spec, &plan);
            let what =
                format!("{} against {} in {}, by digest", fs_fault::count(plan.pairs.len() as u64, "path"), spec.from, spec.into);
            let found = match left.first() {
                None => "equal".to_owned(),
                Some(first) => format!("{} differ, first {}", left.len(), first.path),
            };
            Ok(vec![Evidence { what, found, holds: left.is_empty() }])
        })
        .await
    }
}
