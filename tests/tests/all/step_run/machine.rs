//! A folder that plays a machine, and the program run on it.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use cavalcade_agent::host::machine::own_user;
use cavalcade_common::id::Digest;
use cavalcade_tests::standin::{fleet::wait_until, stage::Stage};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// Names the folder of the programs, where it is not that of this test's build.
const BIN_DIR: &str = "CAVALCADE_BIN_DIR";

/// A program of ours: built beside this test by `cargo build --workspace --bins`.
pub(super) fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os(BIN_DIR)
        .map_or_else(|| std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned(), PathBuf::from);
    let program = folder.join(name);
    assert!(program.is_file(), "{} is not built: cargo build --workspace --bins", program.display());
    program
}

/// What a run of the program left.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    /// Lines of JSON on standard output.
    pub(super) lines: Vec<Value>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    /// The line of a step.
    pub(super) fn step(&self, name: &str) -> &Value {
        let found = self.lines.iter().find(|l| l["step"] == name);
        found.unwrap_or_else(|| panic!("no line of {name}: {self:#?}"))
    }

    /// Outcomes of all steps, in order.
    pub(super) fn outcomes(&self) -> Vec<(&str, &str)> {
        self.lines.iter().map(|l| (l["step"].as_str().unwrap_or("-"), l["outcome"].as_str().unwrap_or("-"))).collect()
    }

    /// It ended with this code.
    #[track_caller]
    pub(super) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// The machine.
pub(super) struct Machine {
    folder: TempDir,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The command, its state folder `state`, JSON on standard output.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("cavalcade-agent"));
        command.args(["step", "run", "--output", "json"]).args(arguments).stdin(Stdio::null());
        command.env("CAVALCADE_STEP_STATE", self.path("state")).env("CAVALCADE_AGENT_STATE", self.path("agent"));
        command.env("HOME", self.folder.path()).env("CAVALCADE_AGENT_CONFIG", "/dev/null").env_remove("CAVALCADE_LOG");
        command
    }

    /// Runs it to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        ran(output.status.code(), &output.stdout, &output.stderr)
    }

    /// Starts it; what it says goes into `out` and `err`.
    pub(super) fn start(&self, arguments: &[&str]) -> Started<'_> {
        let (out, err) = (File::create(self.path("out")).unwrap(), File::create(self.path("err")).unwrap());
        let child = self.command(arguments).stdout(out).stderr(err).spawn().unwrap();
        Started { machine: self, child }
    }

    /// Every file and folder below, with content and times.
    pub(super) fn tree(&self) -> BTreeMap<PathBuf, String> {
        tree(self.folder.path())
    }
}

/// A program under way.
pub(super) struct Started<'m> {
    machine: &'m Machine,
    child: Child,
}

impl Started<'_> {
    pub(super) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    pub(super) fn until(&self, what: &str, holds: impl FnMut() -> bool) {
        if let Err(error) = wait_until(PATIENCE, what, holds) {
            panic!("{error}: {}", fs::read_to_string(self.machine.path("err")).unwrap());
        }
    }

    pub(super) fn end(mut self) -> Ran {
        let code = self.child.wait().unwrap().code();
        ran(code, &fs::read(self.machine.path("out")).unwrap(), &fs::read(self.machine.path("err")).unwrap())
    }
}

fn ran(code: Option<i32>, out: &[u8], err: &[u8]) -> Ran {
    let (out, err) = (String::from_utf8(out.to_vec()).unwrap(), String::from_utf8(err.to_vec()).unwrap());
    let lines = out.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    Ran { code, lines, out, err }
}

/// Every file and folder below, with content and time of change.
pub(super) fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    entries
        .map(|entry| {
            let meta = entry.metadata().unwrap();
            let content = if meta.is_file() { Digest::of(&fs::read(entry.path()).unwrap()).to_string() } else { String::new() };
            (entry.path().to_owned(), format!("{content} {}.{}", meta.mtime(), meta.mtime_nsec()))
        })
        .collect()
}

/// An artifact's reference, as a --node file pins it.
pub(super) fn artifact(name: &str, file: &Path) -> Value {
    let bytes = fs::read(file).unwrap();
    json!({ "name": name, "sha256": Digest::of(&bytes), "size": bytes.len(), "file": file.file_name().unwrap().to_str() })
}

/// Names of a node whose new home is this one.
pub(super) fn names(stage: &Stage, role: &str, home: &Path, script: &str) -> Value {
    json!({
        "node": "n-1", "host": "host-1",
        "values": { "name": "n-1", "node": { "id": "n-1", "role": role, "new": { "home": home } }, "facts": {} },
        "homes": [{ "home": home, "script": script, "ready": {
            "log": "repository/logs/wso2carbon.log", "started": r"WSO2 Carbon started in (\d+) sec",
            "failed": ["WSO2 Carbon initialization Failed"] } }],
        "runtime": { "run_as": own_user(), "java_home": stage.jdk() },
    })
}
