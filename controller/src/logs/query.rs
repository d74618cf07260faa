//! What a search asks for.

use std::str::FromStr;

use cavalcade_common::id::RunId;
use regex::Regex;

use super::catalog::Summary;
use super::error::LogError;
use super::line::{Address, Level, LogLine};
use super::record::Source;

/// A pattern over whole names: `*` is any text, `?` any one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<char>);

impl Glob {
    /// Any text is a pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Whether the whole of `text` fits.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_slice(), text.chars().collect::<Vec<_>>());
        let (mut p, mut t) = (0, 0);
        // Where the last star stands, and how much text it has taken: a mismatch lets it take one character more.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((at, taken)) = star else { return false };
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

impl FromStr for Glob {
    type Err = std::convert::Infallible;
    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(pattern))
    }
}

/// A search. All given conditions must hold; a gap passes `grep` and `level`, since what is missing might have held.
#[derive(Debug, Clone)]
pub struct Query {
    /// Nodes; any where empty.
    pub nodes: Vec<Glob>,
    /// Streams; any where empty.
    pub streams: Vec<Glob>,
    /// Steps (`4.6`) or stages (`4`); any where empty.
    pub steps: Vec<String>,
    /// The run.
    pub run: Option<RunId>,
    /// Read by the agent at this time or later.
    pub since: Option<jiff::Timestamp>,
    /// Read by the agent before this time.
    pub until: Option<jiff::Timestamp>,
    /// Found in any line of the record.
    pub grep: Option<Regex>,
    /// This level or a graver one.
    pub level: Option<Level>,
    /// From the record that holds this line on.
    pub from: Option<Address>,
    /// Only records that begin behind this position: [`Page::next`] of the page before.
    pub after: Option<u64>,
    /// The newest records instead of the oldest.
    pub newest: bool,
    /// How many records; at most [`MAX_LIMIT`].
    pub limit: usize,
    /// Leaves out the gaps of what was removed for its age: nobody knows of which steps and streams those lines were.
    pub without_removed: bool,
}

/// Most records of one page.
pub const MAX_LIMIT: usize = 10_000;

impl Default for Query {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            streams: Vec::new(),
            steps: Vec::new(),
            run: None,
            since: None,
            until: None,
            grep: None,
            level: None,
            from: None,
            after: None,
            newest: false,
            limit: 1000,
            without_removed: false,
        }
    }
}

/// A part of an answer.
#[derive(Debug, Default)]
pub struct Page {
    /// The records, in the order of their positions.
    pub lines: Vec<LogLine>,
    /// Where to go on ([`Query::after`]); `None` when everything was searched, and for `newest`.
    pub next: Option<u64>,
    /// Position of the last record of the store when the search began: follow from here ([`Query::after`]).
    pub head: u64,
    /// Parts of the store that could not be read: the answer is not complete.
    pub damaged: Vec<LogError>,
    /// Whether there are more of the `newest` that were asked for than one page may hold.
    pub cut: bool,
}

impl Query {
    /// Reads a pattern for [`Query::grep`].
    ///
    /// # Errors
    /// [`LogError::Pattern`].
    pub fn pattern(text: &str) -> Result<Regex, LogError> {
        Regex::new(text).map_err(LogError::Pattern)
    }

    pub(super) fn wants_node(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.iter().any(|glob| glob.matches(node))
    }

    /// Whether a segment can hold a match.
    pub(super) fn wants_segment(&self, summary: &Summary) -> bool {
        summary.nodes.keys().any(|node| self.wants_node(node.as_str()))
            && self.since.is_none_or(|since| summary.until.is_some_and(|last| last >= since))
            && self.until.is_none_or(|until| summary.since.is_some_and(|first| first < until))
            && (self.level.is_none() || summary.gaps > 0 || summary.gravest >= self.level)
    }

    /// Whether lines of this source can match.
    pub(super) fn wants_source(&self, source: &Source) -> bool {
        let in_step = |wanted: &String| {
            source.step == *wanted || source.step.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        self.wants_node(source.node.as_str())
            && (self.streams.is_empty() || self.streams.iter().any(|glob| glob.matches(&source.stream)))
            && (self.steps.is_empty() || self.steps.iter().any(in_step))
            && self.run.as_ref().is_none_or(|run| source.run.as_ref() == Some(run))
    }

    /// Whether a whole record matches; its source did.
    pub(super) fn wants_record(&self, line: &LogLine) -> bool {
        self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at < until)
            && (line.gap.is_some() || (line.level >= self.level && self.found_in(line)))
    }

    fn found_in(&self, line: &LogLine) -> bool {
        self.grep.as_ref().is_none_or(|pattern| line.lines().any(|text| pattern.is_match(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        let fits = [("is-*", "is-1"), ("*", ""), ("*", "x"), ("is-?", "is-2"), ("*-1", "a-1-1"), ("a*b*c", "aXbbYc"), ("", "")];
        for (glob, text) in fits {
            assert!(Glob::new(glob).matches(text), "{glob} {text}");
        }
        for (glob, text) in [("is-*", "xis-1"), ("is-?", "is-10"), ("is-1", "is-11"), ("a*b", "abc"), ("", "x"), ("?", "")] {
            assert!(!Glob::new(glob).matches(text), "{glob} {text}");
        }
        let hard = Glob::new(&"*a".repeat(500));
        assert!(!hard.matches(&"a".repeat(499)), "no exponential search");
    }
}
