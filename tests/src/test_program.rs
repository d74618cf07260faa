//! Programs that tests write and run.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

/// Writes a program that is run soon after. Another process writes it: what this one writes may still be open in a child
/// that another thread forked meanwhile, and until that child's exec nobody can run it (ETXTBSY).
///
/// # Errors
///
/// When it cannot be written.
pub fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut writer = command.spawn()?;
    writer.stdin.take().context("no standard input")?.write_all(content)?;
    ensure!(writer.wait()?.success(), "{} cannot be written", path.display());
    Ok(())
}
