//! What people wrote: steps, names, facts, places of secrets.

use std::collections::BTreeMap;
use std::path::Path;

use cavalcade_common::codes::agent as codes;
use cavalcade_common::codes::written::UNREADABLE;
use cavalcade_common::error::{Fault, Faults, Place};
use cavalcade_common::id::{HostId, NodeId};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::render::Sources;
use cavalcade_common::secret::{SecretRef, markers};
use cavalcade_common::step::{Names, StepList, read_steps, secret_values};
use cavalcade_common::written;
use serde_json::{Map, Value, json};

use super::{Exit, Options, Stopped};
use crate::host::files;

/// Name of node and host where no --node file gives one.
const NAMELESS: &str = "local";

/// Keys whose values no diff shows. A recipe has patterns of its own; a bare list of steps has these.
const HIDDEN: [&str; 4] = [
    r"(?i)(^|\.)[a-z_]*(password|passphrase)$",
    r"(?i)(^|\.)[a-z_]*(secret|secret_key|api_key|auth_token|private_key)$",
    r"(?i)(^|\.)encryption\.key$",
    r"(?i)(^|\.)auth\.hash$",
];

/// Everything read and sound in form.
pub(super) struct Input {
    /// The node.
    pub(super) names: Names,
    /// Whether a --node file gave the names.
    pub(super) named: bool,
    /// The steps.
    pub(super) list: StepList,
    /// Where secrets are found.
    pub(super) secrets: BTreeMap<String, SecretRef>,
    /// Patterns of hidden keys.
    pub(super) hide: Vec<String>,
}

impl Input {
    /// The new home of the node, else its old one.
    pub(super) fn home(&self) -> Option<&str> {
        self.side("new").or_else(|| self.side("old"))
    }

    /// The home of one side of the node.
    pub(super) fn side(&self, side: &str) -> Option<&str> {
        self.names.values.get("node")?.get(side)?.get("home")?.as_str()
    }

    /// Where the secrets of a step are found.
    pub(super) fn secrets_of(&self, step: &PlanStep) -> BTreeMap<String, SecretRef> {
        self.secrets_in(&serde_json::to_string(&step.action).unwrap_or_default())
    }

    /// Where the secrets are found that a text names.
    pub(super) fn secrets_in(&self, text: &str) -> BTreeMap<String, SecretRef> {
        markers(text).into_iter().filter_map(|n| Some((n.to_owned(), self.secrets.get(n)?.clone()))).collect()
    }
}

/// Reads all files.
///
/// # Errors
/// All faults of the first file that has one; nothing was changed.
pub(super) fn read(options: &Options, sources: &mut Sources) -> Result<Input, Stopped> {
    let usage = |faults| Stopped { exit: Exit::Usage, faults };
    let secrets = match &options.secrets {
        Some(path) => secrets(path).map_err(usage)?,
        None => BTreeMap::new(),
    };
    let mut names = match &options.node {
        Some(path) => names(path).map_err(usage)?,
        None => nameless(),
    };
    if let Some(path) = &options.facts {
        names.values.insert("facts".to_owned(), Value::Object(mapping(path, "facts").map_err(usage)?));
    }
    if !secrets.is_empty() || !names.values.contains_key("secrets") {
        names.values.insert("secrets".to_owned(), secret_values(secrets.keys().map(String::as_str)));
    }
    let bytes = bytes(&options.file).map_err(usage)?;
    let shown = options.file.display().to_string();
    sources.insert(shown.clone(), String::from_utf8_lossy(&bytes).into_owned());
    let list = read_steps(&bytes, &shown, &names).map_err(usage)?;
    let hide = HIDDEN.map(str::to_owned).to_vec();
    let input = Input { names, named: options.node.is_some(), list, secrets, hide };
    known_secrets(&input).map_err(usage)?;
    Ok(input)
}

/// A fault of a file as a whole.
fn of_file(path: &Path, fault: Fault) -> Faults {
    fault.at(Place { file: path.display().to_string(), line: 0, column: 0, length: 0 }).into()
}

fn bytes(path: &Path) -> Result<Vec<u8>, Faults> {
    let unreadable = |why: String| of_file(path, Fault::new(UNREADABLE, why));
    match files::read(path) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(unreadable(format!("there is no file {}", path.display()))),
        Err(e) => Err(unreadable(format!("{} cannot be read: {e}", path.display()))),
    }
}

fn mapping(path: &Path, what: &str) -> Result<Map<String, Value>, Faults> {
    let document = written::read(&bytes(path)?, &path.display().to_string())?;
    match document.root.to_value() {
        Value::Object(map) => Ok(map),
        _ => Err(of_file(path, Fault::new(codes::STEP_NAMES, format!("{what} are a mapping, this is {}", document.root.kind())))),
    }
}

fn names(path: &Path) -> Result<Names, Faults> {
    let map = mapping(path, "the names of a node")?;
    serde_json::from_value(Value::Object(map))
        .map_err(|e| of_file(path, Fault::new(codes::STEP_NAMES, format!("the names cannot be taken: {e}"))))
}

/// Names of a machine of which nothing was said.
fn nameless() -> Names {
    #[expect(clippy::expect_used, reason = "a constant that obeys the grammar; every test without --node reads it")]
    let (node, host) = (NodeId::new(NAMELESS).expect("is a name"), HostId::new(NAMELESS).expect("is a name"));
    let values = json!({ "name": NAMELESS, "node": { "id": NAMELESS, "host": NAMELESS }, "facts": {} });
    Names {
        node,
        host,
        values: values.as_object().cloned().unwrap_or_default(),
        homes: Vec::new(),
        runtime: cavalcade_common::action::Runtime::default(),
        artifacts: BTreeMap::new(),
        databases: BTreeMap::new(),
        backup_to: BTreeMap::new(),
        needs: BTreeMap::new(),
        hooks: BTreeMap::new(),
    }
}

/// Places of secrets. Errors never show what stands there: it may be a value.
fn secrets(path: &Path) -> Result<BTreeMap<String, SecretRef>, Faults> {
    let shown = path.display().to_string();
    let hidden = |place: Option<Place>| {
        let fault = Fault::new(codes::STEP_NAMES, "the file of secrets is not valid YAML (its text is not shown)");
        Faults::from(match place {
            Some(place) => fault.at(Place { length: 0, ..place }),
            None => fault,
        })
    };
    let document =
        written::read(&bytes(path)?, &shown).map_err(|faults| hidden(faults.0.into_iter().next().and_then(|f| f.place)))?;
    let Some(entries) = document.root.entries() else { return Err(hidden(None)) };
    let mut found = BTreeMap::new();
    let mut faults = Faults::default();
    for entry in entries {
        match serde_json::from_value(entry.value.to_value()) {
            Ok(place) => {
                found.insert(entry.key.clone(), place);
            }
            Err(_) => faults.push(
                Fault::new(codes::STEP_NAMES, format!("nothing says where the secret `{}` is found", entry.key))
                    .at(entry.mark.in_file(&shown))
                    .help("write exactly one of `file: PATH`, `env: NAME`, `exec: [PROGRAM]`; a value here is an error"),
            ),
        }
    }
    faults.into_result(found)
}

/// Every secret that a step names has a place.
fn known_secrets(input: &Input) -> Result<(), Faults> {
    let mut faults = Faults::default();
    for step in &input.list.steps {
        let text = serde_json::to_string(&step.action).unwrap_or_default();
        for name in markers(&text).into_iter().filter(|n| !input.secrets.contains_key(*n)) {
            let fault = Fault::new(codes::STEP_SECRET, format!("nothing says where the secret `{name}` is found"));
            faults.push(fault.in_step(&step.name).help("give a --secrets file"));
        }
    }
    faults.into_result(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_secrets_is_never_quoted() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("secrets.yaml");
        for text in ["am: hunter2\n", "am: { value: hunter2 }\n", "am: [hunter2\n", "hunter2\n", "am: { file: /a, hunter2: x }\n"]
        {
            std::fs::write(&path, text).expect("writes");
            let faults = secrets(&path).expect_err("is refused");
            assert!(!faults.to_string().contains("hunter2"), "{faults}");
        }
        std::fs::write(&path, "am: { file: /run/secrets/am }\nir: { env: IR }\n").expect("writes");
        let found = secrets(&path).expect("is read");
        assert_eq!(found["am"], SecretRef::File("/run/secrets/am".to_owned()));
    }

    #[test]
    fn hidden_keys_are_regular_expressions() {
        for pattern in HIDDEN {
            crate::edit::SecretPattern::new(pattern).expect("compiles");
        }
    }
}
