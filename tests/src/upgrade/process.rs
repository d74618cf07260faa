//! Programs of ours as processes: started with their output in a file, killed by number, gone with the value that holds them.

use std::{
    ffi::OsStr,
    fs::OpenOptions,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::standin::fleet::wait_until;

/// A running program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// What it says.
    pub log: PathBuf,
}

impl Running {
    /// Starts a program in a clean environment; what it says is appended to `log`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start<S: AsRef<OsStr>>(program: &Path, arguments: &[S], log: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("NO_COLOR", "1")
            .env("CAVALCADE_CONFIG", "/dev/null")
            .env("CAVALCADE_AGENT_CONFIG", "/dev/null")
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    ///
    /// When nobody can say.
    pub fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it was gone before.
    pub fn kill(mut self) -> anyhow::Result<()> {
        ensure!(self.runs()?, "it was gone already; see {}", self.log.display());
        self.child.kill()?;
        let status = self.child.wait()?;
        ensure!(status.signal() == Some(9), "it ended with {status}");
        Ok(())
    }

    /// Ends it (SIGTERM) and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it is still there after 120 s.
    pub fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.pid())?), Signal::SIGTERM)?;
        wait_until(Duration::from_secs(120), "the process is gone", || self.child.try_wait().is_ok_and(|ended| ended.is_some()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Every process whose command line names this folder, but this one.
///
/// # Errors
///
/// When /proc cannot be read.
pub fn naming(folder: &Path) -> anyhow::Result<Vec<(i32, String)>> {
    let wanted = folder.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
        // A process that ended meanwhile has none.
        let Ok(bytes) = std::fs::read(format!("/proc/{pid}/cmdline")) else { continue };
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        if line.contains(&wanted) && pid != i32::try_from(std::process::id())? {
            found.push((pid, line));
        }
    }
    Ok(found)
}
