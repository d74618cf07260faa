//! The launch gate: an attempt gets one launch of its JVM (10, rule 12).
//!
//! The products' start scripts launch the JVM again with the same arguments when it exits with 121. They take the JVM's
//! program from JAVACMD where it is set, so the shim puts a small script there. The script reads one byte from a pipe
//! that holds exactly one: the first launch gets it and goes on as the real `java` with the same pid, every later one
//! finds the pipe empty, is recorded as refused and exits with [`REFUSED_EXIT`], which ends the start script's loop.
//!
//! The child's user cannot reach the attempt's folder, so script, launch list and pipe come to it as open descriptors
//! and JAVACMD is a path below `/proc/self/fd`. All three are closed before `java` runs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::record;

/// Exit code of a refused launch. Not 121, which would ask for another one.
pub(crate) const REFUSED_EXIT: i32 = 97;

/// Descriptor of the script in the child. One digit: `sh` knows no larger ones in redirections.
pub(crate) const SCRIPT_FD: i32 = 7;
/// Descriptor of the launch list in the child.
pub(crate) const LAUNCHES_FD: i32 = 8;
/// Descriptor of the pipe in the child.
pub(crate) const TOKEN_FD: i32 = 9;

/// The gate's open files, before they get their places in the child.
#[derive(Debug)]
pub(crate) struct Gate {
    /// The script.
    pub(crate) script: File,
    /// The launch list, opened for appending.
    pub(crate) launches: File,
    /// The reading end of the pipe; the writing end is closed already.
    pub(crate) token: OwnedFd,
}

impl Gate {
    /// Writes the script and fills the pipe.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn make(dir: &Path, java: &str) -> io::Result<Self> {
        let path = dir.join(record::GATE);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        file.write_all(script(java).as_bytes())?;
        file.set_permissions(std::fs::Permissions::from_mode(0o755))?;
        drop(file); // The kernel runs no file that is open for writing.
        let script = File::open(&path)?;
        let launches = OpenOptions::new().append(true).create(true).mode(0o600).open(dir.join(record::LAUNCHES))?;
        let (token, writer) = pipe2(OFlag::O_CLOEXEC)?;
        File::from(writer).write_all(b"\n")?;
        Ok(Self { script, launches, token })
    }

    /// Value of JAVACMD in the child.
    pub(crate) fn javacmd() -> String {
        format!("/proc/self/fd/{SCRIPT_FD}")
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The scripts ask `java -version` first: that is no launch.
fn script(java: &str) -> String {
    let java = quoted(java);
    let close = format!("{SCRIPT_FD}<&- {LAUNCHES_FD}>&- {TOKEN_FD}<&-");
    format!(
        "#!/bin/sh\n\
         # Made by cavalcade-agent: lets one launch of this attempt through.\n\
         if [ $# -eq 1 ]; then\n\
         \x20   case \"$1\" in -version|--version|-showversion) exec {java} \"$1\" {close} ;; esac\n\
         fi\n\
         if IFS= read -r token <&{TOKEN_FD}; then\n\
         \x20   echo \"launched $$\" >&{LAUNCHES_FD}\n\
         \x20   exec {java} \"$@\" {close}\n\
         fi\n\
         echo \"refused $$\" >&{LAUNCHES_FD}\n\
         echo \"cavalcade: a second launch of this attempt was asked for (exit 121) and is refused\" >&2\n\
         exit {REFUSED_EXIT}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_keeps_a_quote_in_the_path_of_java() {
        assert!(script("/opt/it's/java").contains(r"'/opt/it'\''s/java'"));
    }
}
