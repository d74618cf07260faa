//! `autostart`: what would start a home by itself is switched off, and restored on the way back (10, rule 13).
//!
//! `disable` writes down how everything was before it changes anything: `autostart/KEY.json` in the agent's state folder,
//! KEY from the home. A repeat adds to the record and never replaces what is in it. `enable` restores what the record
//! says, then calls it `KEY.restored.json`: a later `disable` begins anew.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cavalcade_common::action::{Autostart, AutostartOp};
use cavalcade_common::codes::autostart as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;
use cavalcade_common::report::{Evidence, FileDiff, Preview, Verdict};
use serde::{Deserialize, Serialize};

use crate::action::aside::aside;
use crate::action::{Act, Applied, Context, Failure, fs_fault};
use crate::edit::{self, SecretPattern};
use crate::host::autostart::change::{Change, Way, changed_lines, tell_systemd};
use crate::host::autostart::{self, Entry, Off};
use crate::host::{Host, files, tree};

/// Two homes of one host may stand in one crontab.
static TURN: Mutex<()> = Mutex::new(());

/// How everything was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    home: String,
    under: String,
    changes: Vec<Change>,
}

/// The action at work on this host.
struct Work {
    host: Arc<dyn Host>,
    spec: Autostart,
    folder: PathBuf,
    hide: Arc<[String]>,
    /// Whether an earlier process of the agent may have begun.
    resumed: bool,
}

impl Work {
    fn new(spec: &Autostart, cx: &Context) -> Self {
        let spec = Autostart { home: spec.home.trim_end_matches('/').to_owned(), ..spec.clone() };
        let (host, hide) = (cx.host.clone(), cx.hide.clone());
        Self { host, spec, folder: cx.state_dir.join("autostart"), hide, resumed: cx.resumed }
    }

    fn root(&self) -> &Path {
        Path::new(&self.spec.under)
    }

    fn record_path(&self, end: &str) -> PathBuf {
        let key = Digest::of(self.spec.home.as_bytes());
        self.folder.join(format!("{}{end}", &key.as_str()[..32]))
    }

    fn record(&self, end: &str) -> Result<Option<Record>, Fault> {
        let path = self.record_path(end);
        let bytes = self.host.read(&path).map_err(|e| fs_fault::access(&path, "read", &e))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let damaged = |why: String| Fault::new(codes::AUTOSTART_RECORD, format!("{}: {why}", path.display()));
        let record: Record = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        if record.home != self.spec.home || record.under != self.spec.under {
            return Err(damaged(format!("it is of {} under {}", record.home, record.under)));
        }
        Ok(Some(record))
    }

    fn write(&self, end: &str, record: &Record) -> Result<(), Fault> {
        let path = self.record_path(end);
        let text = serde_json::to_vec_pretty(record).map_err(io::Error::from);
        let written = text.and_then(|text| {
            self.host.create_dirs(&self.folder)?;
            self.host.replace(&path, &text)
        });
        written.map_err(|e| fs_fault::access(&path, "written", &e))
    }

    /// What starts the home now, with the changes that switch it off.
    fn enabled(&self) -> (Vec<Entry>, Vec<String>) {
        let found = autostart::find(self.root(), Path::new(&self.spec.home));
        (found.entries.into_iter().filter(|e| e.enabled).collect(), found.unseen)
    }

    fn what(&self) -> String {
        format!("what starts {}", self.spec.home)
    }

    fn disable(&self) -> Result<Applied, Failure> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (entries, unseen) = self.enabled();
        let mut evidence = unseen_evidence(&unseen);
        let changes = changes(&entries)?;
        let known = self.record(".json")?;
        let before = known.clone().map(|r| r.changes).unwrap_or_default();
        if self.resumed {
            let gone = before.iter().filter(|change| !changes.contains(change));
            evidence
                .extend(gone.map(|change| Evidence::holds(self.what(), format!("{} (before the interruption)", change.says()))));
        }
        if changes.is_empty() {
            evidence.push(Evidence::holds(self.what(), "nothing"));
            return Ok(Applied { changed: self.resumed && !before.is_empty(), diffs: Vec::new(), evidence });
        }
        let mut all = before;
        all.extend(changes.iter().filter(|change| !all.contains(change)).cloned().collect::<Vec<_>>());
        let (home, under) = (self.spec.home.clone(), self.spec.under.clone());
        self.write(".json", &Record { home, under, changes: all })?;
        let diffs = self.diffs(&changes, Way::Off);
        let mut changed = false;
        for change in &changes {
            match change.make(self.host.as_ref(), Way::Off, self.root()) {
                Ok(done) => changed |= done,
                Err(error) => {
                    let fault = Fault::new(codes::AUTOSTART_STAYS, format!("{}: {error}", change.path().display()));
                    return Err(Failure::Failed { fault, changed, evidence });
                }
            }
            evidence.push(Evidence::holds(self.what(), change.says()));
        }
        self.tell(&changes, codes::AUTOSTART_STAYS, &evidence)?;
        Ok(Applied { changed: true, diffs, evidence })
    }

    fn enable(&self) -> Result<Applied, Failure> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(record) = self.record(".json")? else {
            let found = if self.resumed { "restored before the interruption" } else { "nothing was switched off" };
            return Ok(Applied { changed: self.resumed, diffs: Vec::new(), evidence: vec![Evidence::holds(self.what(), found)] });
        };
        let diffs = self.diffs(&record.changes, Way::On);
        let (mut evidence, mut failed, mut changed) = (Vec::new(), Vec::new(), false);
        for change in record.changes.iter().rev() {
            match change.make(self.host.as_ref(), Way::On, self.root()) {
                Ok(done) => {
                    changed |= done;
                    evidence.push(Evidence::holds(self.what(), format!("restored ({})", change.says())));
                }
                Err(error) => failed.push(format!("{} ({error})", change.says())),
            }
        }
        if !failed.is_empty() {
            let fault = Fault::new(codes::AUTOSTART_NOT_RESTORED, failed.join("; "));
            return Err(Failure::Failed { fault, changed, evidence });
        }
        self.tell(&record.changes, codes::AUTOSTART_NOT_RESTORED, &evidence)?;
        self.write(".restored.json", &record)?;
        let path = self.record_path(".json");
        tree::remove(&path).and_then(|()| files::sync_dir(&self.folder)).map_err(|e| fs_fault::access(&path, "removed", &e))?;
        Ok(Applied { changed, diffs, evidence })
    }

    fn tell(&self, changes: &[Change], code: cavalcade_common::error::Code, evidence: &[Evidence]) -> Result<(), Failure> {
        if !changes.iter().any(Change::concerns_systemd) {
            return Ok(());
        }
        tell_systemd(self.root()).map_err(|error| {
            let fault = Fault::new(code, format!("systemd was not told: {error}"));
            Failure::Failed { fault, changed: true, evidence: evidence.to_vec() }
        })
    }

    fn verify(&self) -> Result<Vec<Evidence>, Failure> {
        match self.spec.op {
            AutostartOp::Disable => {
                let (entries, unseen) = self.enabled();
                let mut evidence = unseen_evidence(&unseen);
                evidence.extend(entries.iter().map(|e| Evidence::fails(self.what(), shown(e))));
                if entries.is_empty() {
                    evidence.push(Evidence::holds(self.what(), "nothing"));
                }
                Ok(evidence)
            }
            AutostartOp::Enable => {
                if let Some(record) = self.record(".json")? {
                    let found = format!("{} changes are recorded and not restored", record.changes.len());
                    return Ok(vec![Evidence::fails(self.what(), found)]);
                }
                let Some(record) = self.record(".restored.json")? else {
                    return Ok(vec![Evidence::holds(self.what(), "nothing was switched off")]);
                };
                let one = |change: &Change| match change.holds(self.host.as_ref(), Way::On) {
                    Ok(true) => Evidence::holds(self.what(), format!("restored ({})", change.says())),
                    Ok(false) => Evidence::fails(self.what(), format!("not restored ({})", change.says())),
                    Err(error) => Evidence::fails(self.what(), format!("{}: {error}", change.path().display())),
                };
                Ok(record.changes.iter().map(one).collect())
            }
        }
    }

    fn inspect(&self) -> Result<Preview, Failure> {
        let (changes, way) = match self.spec.op {
            AutostartOp::Disable => (changes(&self.enabled().0)?, Way::Off),
            AutostartOp::Enable => (self.record(".json")?.map(|r| r.changes).unwrap_or_default(), Way::On),
        };
        if changes.is_empty() {
            let says = match way {
                Way::Off => format!("nothing starts {} by itself", self.spec.home),
                Way::On => format!("nothing that starts {} was switched off", self.spec.home),
            };
            return Ok(Preview { verdict: Verdict::Same, says, diffs: Vec::new() });
        }
        let word = if way == Way::Off { "switches off" } else { "restores" };
        let says = format!("{word} what starts {}: {}", self.spec.home, fs_fault::count(changes.len() as u64, "change"));
        Ok(Preview { verdict: Verdict::Change, says, diffs: self.diffs(&changes, way) })
    }

    /// The changes as people see them: of lines true diffs, with secrets hidden.
    fn diffs(&self, changes: &[Change], way: Way) -> Vec<FileDiff> {
        let patterns: Result<Vec<SecretPattern>, _> = self.hide.iter().map(|p| SecretPattern::new(p)).collect();
        let mut texts: BTreeMap<&Path, (String, String)> = BTreeMap::new();
        let mut diffs = Vec::new();
        for change in changes {
            let Change::Line { path, before, after } = change else {
                let says = change.says();
                let note = if way == Way::Off { says } else { format!("taken back: {says}") };
                diffs.push(FileDiff { path: change.path().display().to_string(), diff: String::new(), note });
                continue;
            };
            let (from, to) = if way == Way::Off { (before, after) } else { (after, before) };
            let (_, new) = texts.entry(path).or_insert_with(|| {
                let bytes = self.host.read(path).ok().flatten().unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (text.clone(), text)
            });
            if let Some(changed) = changed_lines(new, from, to) {
                *new = changed;
            }
        }
        for (path, (old, new)) in texts {
            let (diff, note) = match &patterns {
                Ok(patterns) => (edit::diff(old.as_bytes(), new.as_bytes(), patterns).to_string(), String::new()),
                // Rather no diff than one that shows a secret.
                Err(_) => (String::new(), "changed; not shown, since a pattern of `hide` is not valid".to_owned()),
            };
            diffs.push(FileDiff { path: path.display().to_string(), diff, note });
        }
        diffs
    }
}

/// The changes that switch everything off, each once.
fn changes(entries: &[Entry]) -> Result<Vec<Change>, Fault> {
    let (mut all, mut stays): (Vec<Change>, Vec<String>) = (Vec::new(), Vec::new());
    for entry in entries {
        match &entry.off {
            Off::Changes(changes) => {
                for change in changes {
                    if !all.contains(change) {
                        all.push(change.clone());
                    }
                }
            }
            Off::Person(why) => stays.push(format!("{}: {why}", shown(entry))),
        }
    }
    if stays.is_empty() { Ok(all) } else { Err(Fault::new(codes::AUTOSTART_STAYS, stays.join("; "))) }
}

fn shown(entry: &Entry) -> String {
    let kind = serde_json::to_value(entry.kind).ok().and_then(|k| k.as_str().map(str::to_owned)).unwrap_or_default();
    format!("{kind} {} in {}", entry.name, entry.file.display())
}

fn unseen_evidence(unseen: &[String]) -> Vec<Evidence> {
    unseen.iter().map(|place| Evidence::holds("what this agent may not look into", place)).collect()
}

#[async_trait]
impl Act for Autostart {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        let work = Work::new(self, cx);
        aside(cx, move |_| work.inspect()).await
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let work = Work::new(self, cx);
        aside(cx, move |_| match work.spec.op {
            AutostartOp::Disable => work.disable(),
            AutostartOp::Enable => work.enable(),
        })
        .await
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let work = Work::new(self, cx);
        aside(cx, move |_| work.verify()).await
    }
}

#[cfg(test)]
#[path = "autostart_tests.rs"]
mod tests;
