//! From the text of a script to its statements, as the vendor's client would send them.
//!
//! Pure: no I/O. A script that the client would read differently from what this splitter can promise is refused with
//! its line; nothing is guessed.

mod lexer;
mod mysql;
mod postgresql;
mod state;

use cavalcade_common::action::Engine;
use cavalcade_common::id::Digest;

pub(crate) use lexer::{Token, TokenKind, tokens};

/// One statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// From 1.
    pub number: u32,
    /// Line of its first word in the script, from 1.
    pub line: u32,
    /// The text that is sent, without the delimiter.
    pub text: String,
    /// SHA-256 of `text`.
    pub sha256: Digest,
}

/// Statements that belong together, by their numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Number of the first statement.
    pub first: u32,
    /// Number of the last statement.
    pub last: u32,
}

impl Span {
    /// Whether the statement belongs to it.
    #[must_use]
    pub fn holds(self, statement: u32) -> bool {
        self.first <= statement && statement <= self.last
    }
}

/// A script in statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Whose dialect it is.
    pub engine: Engine,
    /// In order, numbered from 1 without a gap.
    pub statements: Vec<Statement>,
    /// Transactions that the script opens and ends itself.
    pub units: Vec<Span>,
    /// Spans that hold session state: a new session cannot go on inside one (03-field-notes, section 3). They do not
    /// overlap.
    pub spans: Vec<Span>,
}

impl Script {
    /// The statement of this number.
    #[must_use]
    pub fn statement(&self, number: u32) -> Option<&Statement> {
        self.statements.get((number as usize).checked_sub(1)?)
    }

    /// How many statements there are.
    #[must_use]
    pub fn total(&self) -> u32 {
        u32::try_from(self.statements.len()).unwrap_or(u32::MAX)
    }

    /// The span of session state that holds the statement.
    #[must_use]
    pub fn span(&self, statement: u32) -> Option<Span> {
        self.spans.iter().copied().find(|s| s.holds(statement))
    }

    /// The span that a new session would enter in its middle if it went on at this statement.
    #[must_use]
    pub fn inside(&self, statement: u32) -> Option<Span> {
        self.span(statement).filter(|s| s.first < statement)
    }

    /// The script's own transaction that holds the statement.
    #[must_use]
    pub fn unit(&self, statement: u32) -> Option<Span> {
        self.units.iter().copied().find(|u| u.holds(statement))
    }
}

/// Why a script is not run, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct SplitError {
    /// Line in the script, from 1.
    pub line: u32,
    /// What is wrong there.
    pub kind: SplitErrorKind,
}

/// What is wrong with a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitErrorKind {
    /// A NUL byte: the clients refuse it too.
    #[error("the script holds a NUL byte")]
    Nul,
    /// Something is opened and not closed.
    #[error("{0} is not closed")]
    Unterminated(&'static str),
    /// A command of the client itself (`SOURCE`, `\!`, `\copy`), which no server knows.
    #[error("`{0}` is a command of the database's client, not of the server")]
    MetaCommand(String),
    /// `DELIMITER` without a usable argument.
    #[error("DELIMITER needs an argument without a backslash")]
    Delimiter,
    /// `DELIMITER` behind a statement on one line: the clients differ there.
    #[error("DELIMITER must begin its line")]
    DelimiterPlace,
    /// A stored program with `;` inside and no `DELIMITER` around it: the client would cut it apart.
    #[error("a stored program with `BEGIN` needs DELIMITER around it: the client would cut it at its first `;`")]
    CompoundWithoutDelimiter,
    /// A comment or a delimiter inside `/*! */`, where the clients differ.
    #[error("a comment or delimiter inside `/*! */`")]
    VersionedComment,
    /// A statement that would break what the runner relies on.
    #[error("`{word}` cannot be run statement by statement: {why}")]
    Forbidden {
        /// The word.
        word: &'static str,
        /// What it would break.
        why: &'static str,
    },
    /// `BEGIN` without `COMMIT`.
    #[error("the transaction that begins here is never committed")]
    OpenTransaction,
    /// No statement at all.
    #[error("the script holds no statement")]
    Empty,
}

/// Splits a script.
///
/// # Errors
/// [`SplitError`] with the line where it cannot be split as the vendor's client would.
pub fn split(engine: Engine, text: &str) -> Result<Script, SplitError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(at) = text.find('\0') {
        return Err(SplitError { line: line_of(text, at), kind: SplitErrorKind::Nul });
    }
    let pieces = match engine {
        Engine::Mysql => mysql::pieces(text)?,
        Engine::Postgresql => postgresql::pieces(text)?,
    };
    if pieces.is_empty() {
        return Err(SplitError { line: 1, kind: SplitErrorKind::Empty });
    }
    let statements: Vec<Statement> = pieces
        .into_iter()
        .zip(1..)
        .map(|(p, number)| Statement { number, line: p.line, sha256: Digest::of(p.text.as_bytes()), text: p.text })
        .collect();
    let (units, spans) = state::find(engine, &statements)?;
    Ok(Script { engine, statements, units, spans })
}

/// A statement before it has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    line: u32,
    text: String,
}

/// The line, from 1, of a byte offset.
fn line_of(text: &str, at: usize) -> u32 {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    u32::try_from(before.iter().filter(|b| **b == b'\n').count()).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests;
