//! Preview of a list of steps: what each would do on the node as the steps before it leave it. Changes nothing.
//!
//! Edits are really made, in memory: on the file as it is, or as an earlier step of the list leaves it, or as it will come
//! out of a pack that an earlier step unpacks. So the diffs are true for homes that do not exist yet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cavalcade_common::action::{Action, Unpack};
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, Epoch, RunId};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::{FileDiff, Preview, Progress, Verdict};
use cavalcade_common::secret::SecretBook;

use crate::action::aside::Beside;
use crate::action::edited::FileEdit;
use crate::action::{self, ArtifactSource, Context, Failure, OutputSink, PermitRefused, PermitSource};
use crate::edit::{self, SecretPattern};
use crate::host::Host;

/// What previews are made with.
pub struct Previewer {
    /// The machine.
    pub host: Arc<dyn Host>,
    /// The agent's state folder.
    pub state_dir: PathBuf,
    /// Where packs come from; they land in the agent's own cache.
    pub artifacts: Arc<dyn ArtifactSource>,
    /// Values of secrets, for true diffs; they are hidden in what is shown.
    pub secrets: Arc<SecretBook>,
    /// Key patterns whose values are hidden.
    pub hide: Arc<[String]>,
}

/// The node as the steps before leave it.
#[derive(Default)]
struct Later {
    files: BTreeMap<PathBuf, Vec<u8>>,
    unpacked: Vec<(PathBuf, PathBuf, Unpack)>,
    /// Copies that an earlier step makes: to where, from where.
    copied: Vec<(PathBuf, PathBuf)>,
    /// Steps that change what cannot be seen here, by name.
    touched: Vec<String>,
}

struct Silent;

impl OutputSink for Silent {
    fn progress(&self, _: Progress) {}
    fn line(&self, _: &str, _: &str) {}
    fn work_ended(&self, _: &str) {}
}

#[async_trait::async_trait]
impl PermitSource for Silent {
    async fn obtain(&self, _: &AttemptId, _: &PlanStep) -> Result<Vec<cavalcade_common::report::Evidence>, PermitRefused> {
        Err(PermitRefused("a preview launches nothing".to_owned()))
    }
}

impl Previewer {
    /// Previews of steps of one or more nodes, in order.
    pub async fn all(&self, steps: &[PlanStep]) -> Vec<Preview> {
        let mut later: BTreeMap<String, Later> = BTreeMap::new();
        let mut out = Vec::with_capacity(steps.len());
        for step in steps {
            let later = later.entry(step.key.node.to_string()).or_default();
            let preview = self.one(step, later).await.unwrap_or_else(|fault| Preview {
                verdict: Verdict::Maybe,
                says: depends(later, &fault),
                diffs: Vec::new(),
            });
            if matches!(preview.verdict, Verdict::Opaque | Verdict::Maybe) {
                later.touched.push(step.name.to_string());
            }
            out.push(Preview { says: self.secrets.redact(&preview.says), ..preview });
        }
        out
    }

    async fn one(&self, step: &PlanStep, later: &mut Later) -> Result<Preview, Fault> {
        match &step.action {
            Action::Toml(e) => self.edit(e, later).await,
            Action::Yaml(e) => self.edit(e, later).await,
            Action::Text(e) => self.edit(e, later).await,
            Action::Unpack(u) => {
                let preview = self.inspect(step).await?;
                if preview.verdict != Verdict::Same {
                    let archive =
                        self.artifacts.fetch(&u.artifact, &self.state_dir.join("cache"), &Silent).await.map_err(fault_of)?;
                    later.unpacked.push((PathBuf::from(&u.to), archive, u.clone()));
                }
                Ok(preview)
            }
            Action::Copy(c) => {
                let from = PathBuf::from(&c.from);
                let named: Vec<PathBuf> = c.paths.iter().map(|path| from.join(path)).collect();
                for from in if named.is_empty() { vec![from] } else { named } {
                    let name = c.as_name.as_deref().map(Path::new).or_else(|| from.file_name().map(Path::new));
                    if let Some(name) = name {
                        later.copied.push((Path::new(&c.into).join(name), from));
                    }
                }
                self.inspect(step).await
            }
            Action::Undo(_) => {
                let preview = self.inspect(step).await?;
                if preview.verdict == Verdict::Change {
                    // An undo behind it finds other files than those that are there now.
                    later.touched.push(step.name.to_string());
                }
                Ok(preview)
            }
            _ => self.inspect(step).await,
        }
    }

    async fn inspect(&self, step: &PlanStep) -> Result<Preview, Fault> {
        action::of(&step.action).inspect(&self.context(step)?).await.map_err(fault_of)
    }

    pub(crate) fn context(&self, step: &PlanStep) -> Result<Context, Fault> {
        let run = RunId::new("preview").map_err(|e| Fault::new(cavalcade_common::codes::operator::USAGE, e.to_string()))?;
        let silent = Arc::new(Silent);
        Ok(Context {
            host: self.host.clone(),
            attempt: AttemptId { run, step: step.key.clone(), number: 0 },
            epoch: Epoch(0),
            step: Arc::new(step.clone()),
            attempt_dir: self.state_dir.join("preview"),
            undo_dir: self.state_dir.join("preview"),
            state_dir: self.state_dir.clone(),
            cache_dir: self.state_dir.join("cache"),
            secrets: self.secrets.clone(),
            hide: self.hide.clone(),
            artifacts: self.artifacts.clone(),
            permits: silent.clone(),
            out: silent,
            resumed: false,
            incarnations: Arc::default(),
            decision: None,
            beside: Beside::default(),
        })
    }

    async fn edit<E: FileEdit>(&self, edit: &E, later: &mut Later) -> Result<Preview, Fault> {
        let path = PathBuf::from(edit.file());
        let before = self.content(&path, later).await?;
        let Some(before) = before.or_else(|| edit.creates().then(Vec::new)) else {
            let says = format!("{} does not exist now", path.display());
            return Ok(Preview { verdict: Verdict::Maybe, says: depends_on(later, &says), diffs: Vec::new() });
        };
        let edit = action::edited::reveal(edit, &self.secrets)?.filled(self.host.as_ref())?.previewed();
        let after = match edit.run(&before) {
            Ok(after) => after,
            // Removed before, by an attempt of ours: the notes beside the undo folders know.
            Err(error) => return Err(error.fault(&path.display().to_string())),
        };
        if before == after {
            return Ok(Preview { verdict: Verdict::Same, says: "as wanted already".to_owned(), diffs: Vec::new() });
        }
        let hide: Vec<SecretPattern> = self.hide.iter().filter_map(|p| SecretPattern::new(p).ok()).collect();
        let diff = self.secrets.redact(&edit::diff(&before, &after, &hide).to_string());
        let diffs = vec![FileDiff { path: path.display().to_string(), diff, note: String::new() }];
        later.files.insert(path.clone(), after);
        Ok(Preview { verdict: Verdict::Change, says: format!("edits {}", path.display()), diffs })
    }

    /// A file as it will be when the step comes.
    async fn content(&self, path: &Path, later: &Later) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(bytes) = later.files.get(path) {
            return Ok(Some(bytes.clone()));
        }
        let copy = later.copied.iter().rev().find_map(|(to, from)| Some(from.join(path.strip_prefix(to).ok()?)));
        if let Some(source) = copy.filter(|source| source != path) {
            return Box::pin(self.content(&source, later)).await;
        }
        for (home, archive, unpack) in &later.unpacked {
            let Ok(inside) = path.strip_prefix(home) else { continue };
            let (archive, strip, inside) = (archive.clone(), unpack.strip, inside.to_owned());
            let found = crate::host::archive::read_entry(&archive, strip, &inside);
            return found.map_err(|e| action::archive_fault(&unpack.artifact.file, &e));
        }
        self.host
            .read(path)
            .map_err(|e| Fault::new(cavalcade_common::codes::files::FILE_ACCESS, format!("{}: {e}", path.display())))
    }
}

fn fault_of(failure: Failure) -> Fault {
    match failure {
        Failure::Failed { fault, .. } | Failure::Indeterminate { fault, .. } => fault,
        Failure::NotBegun { why } => Fault::new(cavalcade_common::codes::operator::USAGE, why),
    }
}

fn depends(later: &Later, fault: &Fault) -> String {
    depends_on(later, &fault.message)
}

fn depends_on(later: &Later, now: &str) -> String {
    match later.touched.last() {
        Some(step) => format!("depends on {step} and what comes before it ({now})"),
        None if later.unpacked.is_empty() => format!("as things are now: {now}"),
        None => format!("depends on the pack that is unpacked before ({now})"),
    }
}
