//! What is said while steps run: lines of output on standard error, each with the name of its step.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::executor::{LineOrigin, LineSink};
use crate::logs::SpooledLines;

/// Stream of lines that the agent says itself.
const OWN: &str = "cavalcade";

/// One line to standard error. A closed one is no reason to stop working.
pub(super) fn talk(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Control characters shown, not sent.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Lines go to standard error and, with the agent's ledger, into the agent's spool.
pub(super) struct Console {
    /// Names of steps by run and number.
    names: BTreeMap<(String, String), String>,
    spool: Option<SpooledLines>,
    /// Lines of the agent's own. At its end a step's outcome is told in them once more, which the result shows anyway: so
    /// they are shown a moment later, and those of the end not at all.
    own: Mutex<Vec<String>>,
}

impl Console {
    pub(super) fn new(names: BTreeMap<(String, String), String>, spool: Option<SpooledLines>) -> Arc<Self> {
        Arc::new(Self { names, spool, own: Mutex::default() })
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the agent's own lines so far.
    pub(super) fn show_own(&self) {
        let lines = std::mem::take(&mut *self.own());
        lines.iter().for_each(|line| talk(line));
    }

    /// Leaves them out.
    pub(super) fn forget_own(&self) {
        self.own().clear();
    }

    /// Says something, to the person and to the log.
    pub(super) fn say(&self, origin: &LineOrigin, text: &str) {
        talk(text);
        if let Some(spool) = &self.spool {
            spool.line(origin, OWN, text);
        }
    }
}

impl LineSink for Console {
    fn line(&self, origin: &LineOrigin, stream: &str, line: &str) {
        let key = (origin.run.to_string(), origin.step.clone());
        let step = self.names.get(&key).cloned().unwrap_or_else(|| format!("{}/{}", origin.run, origin.step));
        let text = printable(line);
        if stream == OWN {
            self.own().push(format!("{step} | {text}"));
        } else {
            talk(&format!("{step} | {text}"));
        }
        if let Some(spool) = &self.spool {
            spool.line(origin, stream, line);
        }
    }
}
