//! `toml`, `yaml`, `text`: one way for all three around the pure editors of [`crate::edit`].
//!
//! Before the file is replaced two things are on disk: in the step's undo folder the original with the digests before
//! and after (10, rule 29), and beside all undo folders a note that this very edit leads to that digest. With the first
//! an interrupted attempt knows where it stands. With the second an edit that cannot be made twice (a removed list item
//! is not found again) is known to be done, by a later run too. Notes and copies stay in the agent's own folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_common::action::{TextEdit, TomlEdit, YamlEdit};
use cavalcade_common::codes::files as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;
use cavalcade_common::report::{Evidence, FileDiff, Preview, Verdict};
use cavalcade_common::secret::SecretBook;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::action::aside::{GivenUp, aside};
use crate::action::{Act, Applied, Context, Failure, fs_fault, shown};
use crate::edit::{self, EditError};
use crate::host::Host;
use crate::host::keep::{self, Kept};

/// An edit of one file.
pub trait FileEdit: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Absolute path of the file.
    fn file(&self) -> &str;
    /// Whether it makes a file that is missing.
    fn creates(&self) -> bool {
        false
    }
    /// The edit with everything that it takes from other files of the node.
    ///
    /// # Errors
    /// A file that cannot be read, or does not hold what is taken from it.
    fn filled(self, _host: &dyn Host) -> Result<Self, Fault> {
        Ok(self)
    }
    /// Whether the product copies the file's values into XML as they are.
    fn is_read_as_xml(&self) -> bool {
        false
    }
    /// The edit for a preview, which may stand without the values of its secrets: nothing is asked of what they are like.
    fn previewed(self) -> Self {
        self
    }
    /// The edit itself: pure.
    ///
    /// # Errors
    /// See [`EditError`].
    fn run(&self, source: &[u8]) -> Result<Vec<u8>, EditError>;
}

impl FileEdit for TomlEdit {
    fn file(&self) -> &str {
        &self.file
    }
    fn filled(self, host: &dyn Host) -> Result<Self, Fault> {
        let Some(carry) = self.carry.clone() else { return Ok(self) };
        let from = Path::new(&carry.from);
        let source = host.read(from).map_err(|e| fs_fault::access(from, "read", &e))?;
        let source = source.ok_or_else(|| Fault::new(codes::FILE_ACCESS, format!("{} does not exist", carry.from)))?;
        edit::carried(&source, &carry, self).map_err(|e| e.fault(&carry.from))
    }
    fn is_read_as_xml(&self) -> bool {
        self.xml
    }
    fn previewed(mut self) -> Self {
        self.lengths.clear();
        self
    }
    fn run(&self, source: &[u8]) -> Result<Vec<u8>, EditError> {
        edit::toml(source, self)
    }
}

impl FileEdit for YamlEdit {
    fn file(&self) -> &str {
        &self.file
    }
    fn run(&self, source: &[u8]) -> Result<Vec<u8>, EditError> {
        edit::yaml(source, self)
    }
}

impl FileEdit for TextEdit {
    fn file(&self) -> &str {
        &self.file
    }
    fn creates(&self) -> bool {
        self.content.is_some()
    }
    fn run(&self, source: &[u8]) -> Result<Vec<u8>, EditError> {
        edit::text(source, self)
    }
}

/// The action around an edit.
#[derive(Debug, Clone)]
pub struct Edited<E>(pub E);

/// That an edit, with the values its secrets had, leads to a file of this digest.
#[derive(Debug, Serialize, Deserialize)]
struct DoneNote {
    path: String,
    /// Random, so that the digest below tells nothing about the secrets.
    salt: String,
    /// Digest of salt and edit with secrets.
    edit_sha256: Digest,
    after_sha256: Digest,
}

/// An edit at work on this host.
struct Work<E> {
    host: Arc<dyn Host>,
    /// With secrets in place of their markers.
    edit: E,
    revealed: Vec<u8>,
    path: PathBuf,
    undo_dir: PathBuf,
    note: PathBuf,
    /// Whether it puts the value of a secret into the file.
    secret: bool,
    resumed: bool,
    hide: Arc<[String]>,
    secrets: Arc<SecretBook>,
}

/// What an edit would do to the file as it is.
enum Next {
    /// There is no file.
    NoFile,
    /// It would change nothing.
    Same,
    /// It would leave this.
    Bytes { old: Option<Vec<u8>>, new: Vec<u8> },
}

/// The edit with the values of its secrets in place of their markers.
///
/// # Errors
/// A secret without a value.
pub fn reveal<E: FileEdit>(edit: &E, secrets: &SecretBook) -> Result<E, Fault> {
    // Without the error's text, which may hold a value.
    let lost = |_| Fault::new(codes::WORK_LOST, "the edit cannot be read again with its secrets");
    let mut value = serde_json::to_value(edit).map_err(lost)?;
    fill(&mut value, secrets, edit.is_read_as_xml())?;
    serde_json::from_value(value).map_err(lost)
}

fn fill(value: &mut serde_json::Value, secrets: &SecretBook, xml: bool) -> Result<(), Fault> {
    match value {
        serde_json::Value::String(text) => {
            let shown = if xml { secrets.reveal_for_xml(text) } else { secrets.reveal(text) };
            let shown = shown.map_err(|e| Fault::new(codes::SECRET_MISSING, e.to_string()))?;
            if shown.expose() != text {
                *text = shown.expose().to_owned();
            }
            Ok(())
        }
        serde_json::Value::Array(items) => items.iter_mut().try_for_each(|v| fill(v, secrets, xml)),
        serde_json::Value::Object(map) => map.values_mut().try_for_each(|v| fill(v, secrets, xml)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Ok(()),
    }
}

/// Beside all undo folders, which are `undo/RUN/STEP`: what was done outlives the run that did it.
fn note_path(undo_dir: &Path, path: &str, action: &[u8]) -> PathBuf {
    let base = undo_dir.ancestors().nth(2).unwrap_or(undo_dir);
    let key = Digest::of(&[path.as_bytes(), b"\0", action].concat());
    base.join(".edits").join(format!("{}.json", &key.as_str()[..32]))
}

impl<E: FileEdit> Work<E> {
    fn new(edit: &E, cx: &Context) -> Result<Self, Fault> {
        let lost = |_| Fault::new(codes::WORK_LOST, "the edit cannot be written as JSON");
        let action = serde_json::to_vec(edit).map_err(lost)?;
        let revealed = reveal(edit, &cx.secrets)?;
        let secret = serde_json::to_vec(&revealed).map_err(lost)? != action;
        let revealed = revealed.filled(cx.host.as_ref())?;
        let file = revealed.file().to_owned();
        if !Path::new(&file).is_absolute() {
            return Err(Fault::new(codes::BAD_PATH, format!("{file:?} must begin with a slash")));
        }
        Ok(Self {
            host: Arc::clone(&cx.host),
            revealed: serde_json::to_vec(&revealed).map_err(lost)?,
            note: note_path(&cx.undo_dir, &file, &action),
            path: PathBuf::from(file),
            edit: revealed,
            secret,
            undo_dir: cx.undo_dir.clone(),
            resumed: cx.resumed,
            hide: Arc::clone(&cx.hide),
            secrets: Arc::clone(&cx.secrets),
        })
    }

    fn read(&self) -> Result<Option<Vec<u8>>, Fault> {
        self.host.read(&self.path).map_err(|e| fs_fault::access(&self.path, "read", &e))
    }

    /// Digest that this edit, with these secrets, led to before.
    fn done_before(&self) -> Result<Option<Digest>, Fault> {
        let bytes = self.host.read(&self.note).map_err(|e| fs_fault::access(&self.note, "read", &e))?;
        let note: Option<DoneNote> = bytes.and_then(|b| serde_json::from_slice(&b).ok());
        Ok(note.filter(|n| self.salted(&n.salt) == n.edit_sha256).map(|n| n.after_sha256))
    }

    fn salted(&self, salt: &str) -> Digest {
        Digest::of(&[salt.as_bytes(), b"\0", &self.revealed].concat())
    }

    fn write_note(&self, after: &Digest) -> std::io::Result<()> {
        let salt = self.host.random_id();
        let path = self.path.display().to_string();
        let edit_sha256 = self.salted(&salt);
        let text = serde_json::to_vec(&DoneNote { path, salt, edit_sha256, after_sha256: after.clone() })?;
        if let Some(dir) = self.note.parent() {
            self.host.create_dirs(dir)?;
        }
        self.host.replace(&self.note, &text)
    }

    fn next(&self) -> Result<Next, Fault> {
        let old = self.read()?;
        if old.is_none() && !self.edit.creates() {
            return Ok(Next::NoFile);
        }
        let source = old.as_deref().unwrap_or_default();
        let done = match &old {
            Some(bytes) => self.done_before()?.is_some_and(|after| after == Digest::of(bytes)),
            None => false,
        };
        match self.edit.run(source) {
            _ if done => Ok(Next::Same),
            Ok(new) if old.as_ref() == Some(&new) => Ok(Next::Same),
            Ok(new) => Ok(Next::Bytes { old, new }),
            Err(error) => Err(error.fault(&self.path.display().to_string())),
        }
    }

    fn diff(&self, old: &[u8], new: &[u8]) -> FileDiff {
        shown::diff(&self.path, old, new, &self.hide, &self.secrets)
    }

    fn inspect(&self) -> Result<Preview, Failure> {
        let path = self.path.display();
        Ok(match self.next()? {
            Next::NoFile => {
                let says = format!("{path} is not there yet; a step before this one may bring it");
                Preview { verdict: Verdict::Maybe, says, diffs: Vec::new() }
            }
            Next::Same => Preview { verdict: Verdict::Same, says: format!("{path} is as wanted"), diffs: Vec::new() },
            Next::Bytes { old, new } => {
                let says = if old.is_some() { format!("changes {path}") } else { format!("makes {path}") };
                let diff = self.diff(old.as_deref().unwrap_or_default(), &new);
                Preview { verdict: Verdict::Change, says, diffs: vec![diff] }
            }
        })
    }

    fn apply(&self, given_up: &GivenUp) -> Result<Applied, Failure> {
        let record = keep::record(self.host.as_ref(), &self.undo_dir, &self.path);
        let record = record.map_err(|e| fs_fault::access(&self.undo_dir, "read", &e))?;
        if let Some(record) = record.filter(|_| self.resumed)
            && let Some(applied) = self.continued(&record)?
        {
            return Ok(applied);
        }
        let (old, new) = match self.next()? {
            Next::NoFile => return Err(Fault::new(codes::FILE_ACCESS, format!("{} does not exist", self.path.display())).into()),
            Next::Same => return Ok(Applied::default()),
            Next::Bytes { old, new } => (old, new),
        };
        let after = Digest::of(&new);
        keep::edit(self.host.as_ref(), &self.undo_dir, &self.path, old.as_deref(), &after)
            .and_then(|()| self.write_note(&after))
            .map_err(|e| fs_fault::access(&self.undo_dir, "written", &e))?;
        given_up.check().map_err(|e| fs_fault::access(&self.path, "written", &e))?;
        // A home is open to everybody, and a new file in it would be so too.
        let written = match self.secret {
            true => self.host.replace_private(&self.path, &new),
            false => self.host.replace(&self.path, &new),
        };
        if let Err(error) = written {
            // Only the folder's sync may have failed.
            let changed = self.read().is_ok_and(|now| now.as_ref() == Some(&new));
            let fault = fs_fault::access(&self.path, "written", &error);
            return Err(Failure::Failed { fault, changed, evidence: Vec::new() });
        }
        let diff = self.diff(old.as_deref().unwrap_or_default(), &new);
        Ok(Applied { changed: true, diffs: vec![diff], evidence: Vec::new() })
    }

    /// What an interrupted attempt left: done, or `None` for "not yet".
    fn continued(&self, record: &Kept) -> Result<Option<Applied>, Failure> {
        let Some(after) = &record.after_sha256 else { return Ok(None) };
        let now = self.read()?;
        let digest = now.as_deref().map(Digest::of);
        if digest.as_ref() == Some(after) {
            let kept = match &record.content {
                Some(name) => self.host.read(&self.undo_dir.join(name)),
                None => Ok(None),
            };
            let kept = kept.map_err(|e| fs_fault::access(&self.undo_dir, "read", &e))?.unwrap_or_default();
            let diff = self.diff(&kept, &now.unwrap_or_default());
            let evidence =
                vec![Evidence::holds(format!("content of {}", self.path.display()), "the interrupted edit had been made")];
            return Ok(Some(Applied { changed: true, diffs: vec![diff], evidence }));
        }
        if digest == record.before_sha256 {
            return Ok(None);
        }
        let text = format!("{} is neither as before the interrupted edit nor as after it", self.path.display());
        Err(Fault::new(codes::CHANGED_MEANWHILE, text).into())
    }

    fn verify(&self) -> Result<Vec<Evidence>, Failure> {
        let what = format!("content of {}", self.path.display());
        let record = keep::record(self.host.as_ref(), &self.undo_dir, &self.path);
        let record = record.map_err(|e| fs_fault::access(&self.undo_dir, "read", &e))?;
        let now = self.read()?.map(|bytes| Digest::of(&bytes));
        if now.is_some() && now == record.and_then(|r| r.after_sha256) {
            return Ok(vec![Evidence::holds(what, "as this edit left it")]);
        }
        Ok(vec![match self.next() {
            Ok(Next::Same) => Evidence::holds(what, "the edit again changes nothing"),
            Ok(Next::NoFile) => Evidence::fails(what, "the file is not there"),
            Ok(Next::Bytes { .. }) => Evidence::fails(what, "the edit again would change it"),
            Err(fault) => Evidence::fails(what, fault.message),
        }])
    }
}

#[async_trait]
impl<E: FileEdit> Act for Edited<E> {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        let work = Work::new(&self.0, cx)?;
        aside(cx, move |_| work.inspect()).await
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let work = Work::new(&self.0, cx)?;
        aside(cx, move |given_up| work.apply(given_up)).await
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let work = Work::new(&self.0, cx)?;
        aside(cx, move |_| work.verify()).await
    }
}
