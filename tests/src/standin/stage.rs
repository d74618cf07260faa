//! A folder for a test: packs, a JDK, homes with ports of their own, and a witness file. What still runs at its end is killed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use toml_edit::value;

use super::{
    fleet::{edit_toml, run_script, running, script, wait_until},
    offsets::OffsetLease,
    packs,
    witness::{self, Line},
};

/// How long a stage waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(300);

/// The folder.
#[derive(Debug)]
pub struct Stage {
    folder: TempDir,
    leases: Mutex<Vec<OffsetLease>>,
}

impl Stage {
    /// Makes packs and a JDK whose `java` is `program` (the binary `standin-java`) and behaves as `settings` say.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn new(program: &Path, settings: &Value) -> anyhow::Result<Self> {
        let stage = Self { folder: tempfile::tempdir()?, leases: Mutex::new(Vec::new()) };
        packs::write_all(&stage.packs())?;
        packs::jdk::install(&stage.jdk(), program, Some(&stage.witness_file()), settings)?;
        Ok(stage)
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of packs and artifacts.
    #[must_use]
    pub fn packs(&self) -> PathBuf {
        self.path("packs")
    }

    /// The stand-in JDK, for JAVA_HOME.
    #[must_use]
    pub fn jdk(&self) -> PathBuf {
        self.path("jdk")
    }

    /// The witness file; it is made by the first launch.
    #[must_use]
    pub fn witness_file(&self) -> PathBuf {
        self.path("witness.jsonl")
    }

    /// What was witnessed of one kind, in order; nothing before the first launch.
    ///
    /// # Errors
    ///
    /// When the file holds something else.
    pub fn witness(&self, what: &str) -> anyhow::Result<Vec<Line>> {
        if !self.witness_file().exists() {
            return Ok(Vec::new());
        }
        Ok(witness::read(&self.witness_file())?.into_iter().filter(|line| line.what == what).collect())
    }

    /// Unpacks a pack for a node and gives it ports of its own; returns home and offset.
    ///
    /// # Errors
    ///
    /// When it cannot be written or no ports are free.
    pub fn home(&self, node: &str, pack: &str) -> anyhow::Result<(PathBuf, u16)> {
        packs::unpack(&self.packs().join(pack), &self.path(node))?;
        let home = self.path(node).join(pack.trim_end_matches(".zip"));
        let offset = self.offset()?;
        edit_toml(&home, [("server.offset".to_owned(), value(i64::from(offset)))])?;
        Ok((home, offset))
    }

    /// A port offset that is this stage's as long as it lives.
    ///
    /// # Errors
    ///
    /// When no ports are free.
    pub fn offset(&self) -> anyhow::Result<u16> {
        let lease = OffsetLease::take()?;
        let offset = lease.offset();
        self.leases.lock().map_err(|_| anyhow::anyhow!("another thread panicked"))?.push(lease);
        Ok(offset)
    }

    /// Runs a home's start script with arguments; returns its status and what it printed.
    ///
    /// # Errors
    ///
    /// When it cannot be run.
    pub fn run(&self, home: &Path, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let output = run_script(&script(home), &self.jdk(), arguments)?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8(text)?))
    }

    /// Waits until something was witnessed so many times.
    ///
    /// # Errors
    ///
    /// When it was not within 300 s.
    pub fn wait_for(&self, what: &str, count: usize) -> anyhow::Result<()> {
        wait_until(PATIENCE, what, || self.witness(what).is_ok_and(|lines| lines.len() >= count))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for line in self.witness("launch").unwrap_or_default() {
            // Only a process that was launched from this home.
            if let Some(pid) = running(Path::new(&line.home)) {
                let _sent = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
}

/// The log of a home, empty where there is none yet.
#[must_use]
pub fn log(home: &Path) -> String {
    fs::read_to_string(home.join("repository/logs/wso2carbon.log")).unwrap_or_default()
}
