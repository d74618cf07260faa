//! Programs that tests write and run.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a program that is run soon after. Another process writes it: what this one writes may still be open in a child
/// that another test forked meanwhile, and until that child's exec nobody can run it (ETXTBSY).
pub(crate) fn program(path: &Path, content: impl AsRef<[u8]>) {
    let mut command = Command::new("sh");
    command.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut writer = command.spawn().unwrap();
    writer.stdin.take().unwrap().write_all(content.as_ref()).unwrap();
    assert!(writer.wait().unwrap().success(), "{} is not written", path.display());
}
