//! Whose "started" line counted once: a note for each log in the agent's state folder.
//!
//! The stamps in a log say whose line it is as long as nobody sets the clock. Afterwards the line of a server that runs on
//! looks like another one's, or lies ahead of the clock. What counted once for a process counts for as long as that process
//! lives, whatever the clock says: the boot, its number and its start in ticks since that boot name it.

use std::io;
use std::path::{Path, PathBuf};

use cavalcade_common::id::Digest;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::host::{Host, Process, ProcessId};
use crate::ready::{self, StartedLine};

/// Folder of the notes in the agent's state folder.
const FOLDER: &str = "started";

/// A line that counted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    boot: String,
    process: ProcessId,
    /// What the line had to match.
    pattern: String,
    line: String,
}

/// Where to look for a "started" line.
#[derive(Clone, Copy)]
pub struct StartedIn<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// The agent's state folder.
    pub state_dir: &'a Path,
    /// The log.
    pub log: &'a Path,
    /// What the line matches.
    pub pattern: &'a Regex,
}

impl StartedIn<'_> {
    /// The line of this process: one that counted before, else what the log says.
    ///
    /// # Errors
    /// Those of reading the log.
    pub fn line_of(&self, process: &Process) -> io::Result<StartedLine> {
        if let Some(line) = self.noted(process) {
            return Ok(StartedLine::Found(line));
        }
        let found = ready::started_line(self.host, self.log, self.pattern, process)?;
        if let StartedLine::Found(line) = &found {
            self.note(process, line);
        }
        Ok(found)
    }

    /// Notes that this line counts for this process. Without the note the next look reads the log again, as the first did.
    pub fn note(&self, process: &Process, line: &str) {
        let Some(boot) = self.host.boot_id() else { return };
        let (process, pattern, line) = (process.id.clone(), self.pattern.as_str().to_owned(), line.to_owned());
        let note = Note { boot, process, pattern, line };
        if self.read().is_some_and(|known| known == note) {
            return;
        }
        let kept = serde_json::to_vec(&note).map_err(io::Error::from).and_then(|json| {
            self.host.create_dirs(&self.state_dir.join(FOLDER))?;
            self.host.replace_private(&self.path(), &json)
        });
        if let Err(error) = kept {
            tracing::warn!(log = %self.log.display(), %error, "that this server started is not noted");
        }
    }

    fn noted(&self, process: &Process) -> Option<String> {
        let note = self.read()?;
        let same = note.process == process.id && note.pattern == self.pattern.as_str();
        (same && self.host.boot_id().is_some_and(|boot| boot == note.boot)).then_some(note.line)
    }

    fn read(&self) -> Option<Note> {
        let json = self.host.read(&self.path()).ok()??;
        serde_json::from_slice(&json).ok()
    }

    fn path(&self) -> PathBuf {
        let name = Digest::of(self.log.as_os_str().as_encoded_bytes());
        self.state_dir.join(FOLDER).join(format!("{}.json", name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::tz::TimeZone;
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::host::real::{RealHost, wall_clock};

    fn process(number: u32, started: Timestamp) -> Process {
        let id = ProcessId { pid: number, start_ticks: 100 };
        Process { id, args: Vec::new(), user: String::new(), started }
    }

    /// A clock step moves what the clock says of a process's start, and where "now" lies to the stamps; it moves no stamp.
    #[test]
    fn a_set_clock_takes_ready_from_nobody_who_was_and_gives_it_to_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let (log, state_dir) = (dir.path().join("wso2carbon.log"), dir.path().join("state"));
        let (now, hours) = (wall_clock(), SignedDuration::from_hours);
        let minute = SignedDuration::from_mins(1);
        let write = |at: Timestamp| {
            let stamp = at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
            fs::write(&log, format!("TID: [-1234] [] [{stamp}]  INFO - WSO2 Carbon started in 9 sec\n")).unwrap();
            fs::File::options().append(true).open(&log).unwrap().set_modified(at.into()).unwrap();
        };
        let (host, pattern) = (RealHost::default(), ready::pattern("WSO2 Carbon started").unwrap());
        let of = StartedIn { host: &host, state_dir: &state_dir, log: &log, pattern: &pattern };
        let counts = |process: &Process| matches!(of.line_of(process).unwrap(), StartedLine::Found(_));
        write(now - minute);
        assert!(!counts(&process(1, now)), "the line is older");
        assert!(counts(&process(1, now - minute * 2)));
        for step in [hours(1), hours(24 * 365), hours(-1), hours(-24 * 365)] {
            // The clock says now what it says; the log is as it was written before the step.
            write(now - minute - step);
            let began = now - minute * 2;
            assert!(counts(&process(1, began)), "{step}: the same process");
            assert!(!counts(&process(2, began)), "{step}: another one has no line of its own");
        }
        // A note of another boot names nobody, and one for another pattern says nothing.
        let other = ready::pattern("Carbon started").unwrap();
        assert!(!matches!(StartedIn { pattern: &other, ..of }.line_of(&process(1, now)).unwrap(), StartedLine::Found(_)));
        let json = fs::read_to_string(of.path()).unwrap();
        let boot = host.boot_id().expect("Linux tells it");
        fs::write(of.path(), json.replace(&boot, "another")).unwrap();
        assert!(!counts(&process(1, now)));
    }
}
