//! One line of a log as people and programs meet it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use cavalcade_common::id::{HostId, NodeId, RunId};
use serde::{Deserialize, Serialize};

/// Name of a line for good: the node and the line's number on it, from 1 and rising: `is-1:8841`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The node.
    pub node: NodeId,
    /// Number of the line among all lines of this node, over all streams.
    pub line: u64,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a line: write NODE:LINE, for example is-1:8841")]
pub struct AddressError(pub String);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.line)
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || AddressError(text.chars().take(80).collect());
        let (node, line) = text.split_once(':').ok_or_else(bad)?;
        Ok(Self { node: NodeId::new(node).map_err(|_| bad())?, line: line.parse().map_err(|_| bad())? })
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

/// How grave a line says it is, by the levels of log4j.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// TRACE.
    Trace,
    /// DEBUG.
    Debug,
    /// INFO.
    Info,
    /// WARN, and WARNING of java.util.logging.
    Warn,
    /// ERROR, and SEVERE of java.util.logging.
    Error,
    /// FATAL.
    Fatal,
}

impl Level {
    /// All levels, the least grave first.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// The level with this very word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "TRACE" => Self::Trace,
            "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "WARN" | "WARNING" => Self::Warn,
            "ERROR" | "SEVERE" => Self::Error,
            "FATAL" => Self::Fatal,
            _ => return None,
        })
    }

    /// The level that a line's head names. Carbon's layouts are `TID: [tenant] [app] [time] [id] LEVEL {class} - text`
    /// and `[time] LEVEL {class} - text` (log4j2.properties of the products); our own is `time LEVEL target: text`.
    /// A level's name inside the text does not count.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        if line.starts_with([' ', '\t']) {
            return None;
        }
        let mut rest = line.strip_prefix("TID:").unwrap_or(line).trim_start_matches(' ');
        // A head has few parts; a line of brackets alone must not cost more.
        for _ in 0..12 {
            if let Some(inside) = rest.strip_prefix('[') {
                let (inside, after) = inside.split_once(']')?;
                if let Some(level) = Self::of_word(inside.trim()) {
                    return Some(level);
                }
                rest = after.trim_start_matches(' ');
                continue;
            }
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-:.,+".contains(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if let Some(level) = Self::of_word(word.trim_end_matches(':')) {
                return Some(level);
            }
            if !word.starts_with(|c: char| c.is_ascii_digit()) {
                return None;
            }
            rest = after.trim_start_matches(' ');
        }
        None
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        })
    }
}

/// What a line is to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It begins a record.
    Head,
    /// It belongs to the record before it, whatever that is: a frame of a stack trace.
    Frame,
    /// It names an exception and belongs to a record that began with a level.
    Thrown,
}

/// Tells a stack trace's lines from heads.
pub(super) fn place_of(line: &str) -> Place {
    if line.starts_with([' ', '\t']) || line.starts_with("at ") || line.starts_with("Caused by") {
        return Place::Frame;
    }
    let name_end = line.find([':', ' ']).unwrap_or(line.len());
    let name = &line[..name_end];
    let is_class = name.contains('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$'));
    let is_thrown = ["Exception", "Error", "Throwable"].iter().any(|end| name.ends_with(end));
    if is_class && is_thrown { Place::Thrown } else { Place::Head }
}

/// Why lines are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostBy {
    /// The agent said so: its buffer was full, or a file rolled away unseen.
    Agent,
    /// Sequence numbers are missing and nobody said why.
    Unexplained,
    /// The central log's budget was used.
    Budget,
    /// They were old, and were removed to make room.
    Age,
}

/// Lines that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// How many; 0 where that shows only when lines are stored again.
    pub lines: u64,
    /// Why.
    pub by: LostBy,
}

/// One record of the central log: a line with the stack trace that belongs to it, or a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its name for good, that of its first line.
    pub address: Address,
    /// Place of its first line in the whole store, from 1; orders lines of all nodes and serves as a cursor.
    pub position: u64,
    /// The host whose agent sent it.
    pub host: HostId,
    /// The run, if one is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Step as `3.2`; empty where none is concerned.
    pub step: String,
    /// Stream (`output`, `wso2carbon.log`, `cavalcade`).
    pub stream: String,
    /// Sequence on the agent.
    pub seq: u64,
    /// When the agent read it.
    pub at: jiff::Timestamp,
    /// The level that its first line names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The first line as it came, control characters and all: never to a terminal without [`shown`].
    pub text: String,
    /// The lines that belong to the first one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<String>,
    /// Set for a gap; the text is empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

impl LogLine {
    /// All its lines in order.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.text.as_str()).chain(self.more.iter().map(String::as_str))
    }

    /// About how many bytes it holds.
    pub(super) fn weight(&self) -> usize {
        self.lines().map(|l| l.len() + 32).sum::<usize>() + 256
    }
}

/// The text with everything visible that could act on a terminal or hide: control characters, escapes, and characters
/// that turn the direction of writing. Tabs stay.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    let acts = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_the_products_layouts() {
        let lines = [
            ("TID: [-1234] [] [2026-11-23 05:01:36,123] [8f-2] ERROR {org.wso2.carbon.X} - it failed", Some(Level::Error)),
            ("TID: [-1234] [api#am] [2026-11-23 05:01:36,123]  INFO {org.wso2.carbon.X} - ERROR in text", Some(Level::Info)),
            ("[2026-11-23 05:01:36,123]  WARN - X text", Some(Level::Warn)),
            ("[2026-11-23 05:01:36,123] FATAL {x} - y", Some(Level::Fatal)),
            ("2026-11-23T05:01:36.123456Z  INFO cavalcade_agent::link: up", Some(Level::Info)),
            ("2026-11-23 05:01:36,123 DEBUG x", Some(Level::Debug)),
            ("[ERROR] Failed to execute goal", Some(Level::Error)),
            ("23-11-2026 05:01:36.123 SEVERE [main] x", Some(Level::Error)),
            ("WARNING: An illegal reflective access operation", Some(Level::Warn)),
            ("ERROR 1064 (42000) at line 3: You have an error", Some(Level::Error)),
            ("INFORMATION about things", None),
            ("no level, though ERROR is said", None),
            ("\tat org.wso2.ERROR(X.java:1)", None),
            ("    ERROR {x} - an indented line has none", None),
            ("[unclosed ERROR", None),
            ("", None),
        ];
        for (line, level) in lines {
            assert_eq!(Level::of_line(line), level, "{line}");
        }
        assert_eq!(Level::of_line(&"[]".repeat(100_000)), None);
        for level in Level::ALL {
            assert_eq!(Level::of_word(&level.to_string()), Some(level));
        }
    }

    #[test]
    fn frames_and_exceptions() {
        for frame in ["\tat a.b.C.d(C.java:1)", "at a.b.C", "Caused by: a.b.C: x", "\t... 23 more", "  x"] {
            assert_eq!(place_of(frame), Place::Frame, "{frame}");
        }
        for thrown in ["java.lang.NullPointerException", "a.b.C$DError: text", "java.lang.Throwable: x"] {
            assert_eq!(place_of(thrown), Place::Thrown, "{thrown}");
        }
        for head in ["", "[2026] INFO", "NoException", "Exception: x", "see a.b.CException", "attic", "état.é.Error"] {
            assert_eq!(place_of(head), Place::Head, "{head}");
        }
    }

    #[test]
    fn addresses_read_what_they_write() {
        let address: Address = "is-1:8841".parse().unwrap();
        assert_eq!((address.node.as_str(), address.line), ("is-1", 8841));
        assert_eq!(address.to_string(), "is-1:8841");
        for bad in ["", "is-1", ":1", "is-1:", "is-1:-1", "../x:1", "is-1:1:2", "is-1:99999999999999999999"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_shown_acts_on_a_terminal() {
        assert_eq!(shown("a\tb é"), "a\tb é");
        assert_eq!(shown("\u{1b}[2J\r\n\u{9b}1m\u{7f}"), "\\u{1b}[2J\\u{d}\\u{a}\\u{9b}1m\\u{7f}");
        assert_eq!(shown("x\u{202e}y\u{200b}"), "x\\u{202e}y\\u{200b}");
    }
}
