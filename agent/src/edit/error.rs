//! Why an edit is refused. No message holds a value of the file or of the edit: either may be a secret.

use cavalcade_common::codes::edit as codes;
use cavalcade_common::error::{Code, Fault, Place};

/// A place in the file, both counted from 1; the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// A refused edit. The input is unchanged in every case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Longer than what is edited.
    #[error("the file is {size} bytes long; at most {limit} bytes are edited")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A NUL byte: not a text file, or UTF-16.
    #[error("the file holds a NUL byte")]
    Nul {
        /// Where.
        at: At,
    },
    /// Not UTF-8.
    #[error("the file is not UTF-8")]
    NotUtf8 {
        /// The first wrong byte.
        at: At,
    },
    /// Nested too deep.
    #[error("the file is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit in levels.
        limit: usize,
        /// Where, if known.
        at: Option<At>,
    },
    /// Aliases that repeat each other.
    #[error("the file's aliases stand for more than {limit} values")]
    TooManyAliases {
        /// The limit in values.
        limit: u64,
    },
    /// Not valid in its format.
    #[error("the file is not valid {format}: {what}")]
    Syntax {
        /// `TOML` or `YAML`.
        format: &'static str,
        /// What the parser expected; never the text that it met.
        what: String,
        /// Where, if known.
        at: Option<At>,
    },
    /// The edit is not well formed.
    #[error("the edit of `{path}` is not well formed: {what}")]
    Operation {
        /// Path in the file, or field of the edit.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Nothing there.
    #[error("`{path}` is not in the file")]
    NotFound {
        /// Path in the file, or field of the edit.
        path: String,
    },
    /// Another number of matches.
    #[error("`{path}` matches {found} times, not {wanted}")]
    Count {
        /// Path in the file, or field of the edit.
        path: String,
        /// How many match.
        found: usize,
        /// How many must.
        wanted: usize,
    },
    /// A value of another kind.
    #[error("`{path}` is {found} in the file; the edit needs {wanted}")]
    Kind {
        /// Path in the file.
        path: String,
        /// Kind that is there.
        found: &'static str,
        /// Kind that is needed.
        wanted: &'static str,
    },
    /// A form that is not edited.
    #[error("`{path}` stands in a form that is not edited: {what}")]
    Unsupported {
        /// Path in the file.
        path: String,
        /// The form.
        what: &'static str,
        /// Where, if known.
        at: Option<At>,
    },
    /// An anchor that is used elsewhere.
    #[error("`{path}` carries an anchor that is used elsewhere in the file")]
    AnchorUsed {
        /// Path in the file.
        path: String,
        /// The place that uses it.
        at: At,
    },
    /// A value that the edit expects is another one.
    #[error("`{path}` does not hold the value that is expected there")]
    Expected {
        /// Path in the file.
        path: String,
    },
    /// A value that must not be there.
    #[error("`{path}` would hold a value that the step refuses")]
    Refused {
        /// Path in the file.
        path: String,
    },
    /// A text of another length.
    #[error("`{path}` would not have one of the lengths {allowed}")]
    Length {
        /// Path in the file.
        path: String,
        /// The lengths in bytes.
        allowed: String,
    },
    /// The result would not be what was intended.
    #[error("the edited {format} does not hold exactly what was intended")]
    Unintended {
        /// `TOML` or `YAML`.
        format: &'static str,
    },
}

impl EditError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. } | Self::TooDeep { .. } | Self::TooManyAliases { .. } => codes::EDIT_LIMIT,
            Self::Nul { .. } | Self::NotUtf8 { .. } | Self::Syntax { .. } => codes::EDIT_SYNTAX,
            Self::Operation { .. } => codes::EDIT_OPERATION,
            Self::NotFound { .. } => codes::EDIT_NOT_FOUND,
            Self::Count { .. } => codes::EDIT_COUNT,
            Self::Kind { .. } => codes::EDIT_KIND,
            Self::Unsupported { .. } => codes::EDIT_UNSUPPORTED,
            Self::AnchorUsed { .. } => codes::EDIT_ANCHOR,
            Self::Expected { .. } => codes::EDIT_EXPECTED,
            Self::Refused { .. } | Self::Length { .. } => codes::EDIT_REFUSED,
            Self::Unintended { .. } => codes::EDIT_UNINTENDED,
        }
    }

    /// Where in the file, if known.
    #[must_use]
    pub fn at(&self) -> Option<At> {
        match self {
            Self::Nul { at } | Self::NotUtf8 { at } | Self::AnchorUsed { at, .. } => Some(*at),
            Self::TooDeep { at, .. } | Self::Syntax { at, .. } | Self::Unsupported { at, .. } => *at,
            Self::TooLarge { .. }
            | Self::TooManyAliases { .. }
            | Self::Operation { .. }
            | Self::NotFound { .. }
            | Self::Count { .. }
            | Self::Kind { .. }
            | Self::Expected { .. }
            | Self::Refused { .. }
            | Self::Length { .. }
            | Self::Unintended { .. } => None,
        }
    }

    /// The form for people, with the file as it is to be named.
    #[must_use]
    pub fn fault(&self, file: &str) -> Fault {
        let at = self.at().unwrap_or(At { line: 0, column: 0 });
        let place = Place { file: file.to_owned(), line: at.line, column: at.column, length: 0 };
        Fault::new(self.code(), self.to_string()).at(place)
    }
}
