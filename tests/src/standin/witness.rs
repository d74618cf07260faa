//! The witness file: what really happened, one JSON line each, appended and synced before the stand-in goes on.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Writes the lines of one launch.
#[derive(Debug)]
pub struct Witness {
    file: Option<File>,
    common: Map<String, Value>,
}

impl Witness {
    /// Opens (or makes) the file. `common` stands in every line.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for appending.
    pub fn open(file: Option<&Path>, common: Map<String, Value>) -> io::Result<Self> {
        let file = file.map(|file| OpenOptions::new().create(true).append(true).open(file)).transpose()?;
        Ok(Self { file, common })
    }

    /// Appends one line: the time, what is common to the launch, `what`, and the fields of `detail`.
    ///
    /// # Errors
    ///
    /// When the line cannot be written or synced. A stand-in that cannot witness must not go on.
    #[expect(clippy::disallowed_methods, reason = "the stand-ins are no part of the product: they read the clock themselves")]
    pub fn record(&self, what: &str, detail: Value) -> io::Result<()> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        let mut line = Map::new();
        line.insert("t".to_owned(), json!(jiff::Timestamp::now().to_string()));
        line.extend(self.common.clone());
        line.insert("what".to_owned(), json!(what));
        if let Value::Object(detail) = detail {
            line.extend(detail);
        }
        let mut bytes = Value::Object(line).to_string().into_bytes();
        bytes.push(b'\n');
        // One write: lines of several servers do not mix under O_APPEND.
        file.write_all(&bytes)?;
        file.sync_all()
    }
}

/// One line of a witness file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Line {
    /// RFC 3339, UTC.
    pub t: String,
    /// The JVM's process.
    pub pid: u32,
    /// One launch of a JVM; a PID can come back, this does not.
    pub launch: String,
    /// The server's home.
    pub home: String,
    /// `wso2is` or `wso2am`.
    pub product: String,
    /// `5.11.0` ...
    pub version: String,
    /// The profile of `-Dprofile`, `default` without.
    pub profile: String,
    /// What happened: `launch`, `pid-file`, `settings`, `ready`, `term`, `exit`, `migration-begin`, `migration-order`,
    /// `migration-end`, `migration-destroyed`, `registry-unread`, `encrypted-with-another-key`, `reindexed`,
    /// `started-without-is`, `is-answered`, `without-brokers`, `hub-reached`, `port-in-use`.
    pub what: String,
    /// Everything else of the line.
    #[serde(flatten)]
    pub detail: Map<String, Value>,
}

/// Reads a witness file.
///
/// # Errors
///
/// When it cannot be read, or holds a line that is none of ours.
pub fn read(file: &Path) -> anyhow::Result<Vec<Line>> {
    let bytes = std::fs::read(file)?;
    // A last line without its end is just being written.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = std::str::from_utf8(&bytes[..whole])?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
