//! MySQL and MariaDB: split as their command-line client does in batch mode.
//!
//! The client reads line by line. It knows strings, backticks and comments, drops comments (but `/*! */`), ends a
//! statement at the delimiter, and takes some words at the start of a statement as commands of its own. Its parser does
//! not know stored programs: that is what `DELIMITER` is for.

use super::lexer::{Token, tokens};
use super::{Piece, SplitError, SplitErrorKind};
use cavalcade_common::action::Engine;

/// The client's commands, and whether they take an argument. A word of this list that stands alone, or one that takes an
/// argument and has one, is not sent to the server.
const COMMANDS: &[(&str, bool)] = &[
    ("?", true),
    ("charset", true),
    ("clear", false),
    ("connect", true),
    ("edit", false),
    ("ego", false),
    ("exit", false),
    ("go", false),
    ("help", true),
    ("nopager", false),
    ("notee", false),
    ("nowarning", false),
    ("pager", true),
    ("print", false),
    ("prompt", true),
    ("quit", false),
    ("rehash", false),
    ("resetconnection", false),
    ("sandbox", false),
    ("source", true),
    ("status", false),
    ("system", true),
    ("tee", true),
    ("use", true),
    ("warnings", false),
];

/// Words that would break what the runner relies on.
const FORBIDDEN: &[(&str, &str)] = &[
    ("RELEASE_ALL_LOCKS", "it would release the script's own lock"),
    ("ROW_COUNT", "the driver counts rows that were found, the vendor's client rows that were changed"),
    ("XA", "a prepared transaction outlives its session"),
];

/// Cuts a script into statements.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, SplitError> {
    let mut reader = Reader::default();
    for (line, number) in text.lines().zip(1..) {
        reader.number = number;
        if !reader.command_line(line)? {
            reader.line(line)?;
        }
    }
    reader.end()
}

struct Reader {
    /// What the client's buffer holds: the statement so far, without comments.
    buffer: String,
    /// Line of the first character of `buffer`.
    begun: u32,
    delimiter: String,
    quote: Option<(char, u32)>,
    /// Line where the open comment began.
    comment: Option<u32>,
    /// Line where the open `/*!` began.
    versioned: Option<u32>,
    /// A comment ended here: it counts as white space.
    space: bool,
    number: u32,
    out: Vec<Piece>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            buffer: String::new(),
            begun: 0,
            delimiter: ";".to_owned(),
            quote: None,
            comment: None,
            versioned: None,
            space: false,
            number: 0,
            out: Vec::new(),
        }
    }
}

impl Reader {
    fn error<T>(&self, kind: SplitErrorKind) -> Result<T, SplitError> {
        Err(SplitError { line: self.number, kind })
    }

    /// A line that is one of the client's own commands. `DELIMITER` is obeyed, every other one refused.
    fn command_line(&mut self, line: &str) -> Result<bool, SplitError> {
        if !self.buffer.is_empty() || self.quote.is_some() || self.comment.is_some() {
            return Ok(false);
        }
        let line = line.trim_start();
        if let Some(argument) = delimiter_argument(line) {
            let Some(new) = argument.split_ascii_whitespace().next().filter(|d| !d.contains('\\')) else {
                return self.error(SplitErrorKind::Delimiter);
            };
            self.delimiter = new.trim_matches(['\'', '"', '`']).to_owned();
            if self.delimiter.is_empty() {
                return self.error(SplitErrorKind::Delimiter);
            }
            return Ok(true);
        }
        if line.contains(self.delimiter.as_str()) {
            return Ok(false);
        }
        self.refuse_command(line)?;
        Ok(false)
    }

    fn refuse_command(&self, text: &str) -> Result<(), SplitError> {
        let text = text.trim_start();
        let (word, rest) = text.split_once([' ', '\t', '\n']).unwrap_or((text, ""));
        let alone = rest.trim().is_empty();
        let found = COMMANDS.iter().find(|(name, argument)| word.eq_ignore_ascii_case(name) && (alone || *argument));
        match found {
            Some((name, _)) => self.error(SplitErrorKind::MetaCommand((*name).to_owned())),
            None => Ok(()),
        }
    }

    fn push(&mut self, c: char) {
        if self.buffer.is_empty() {
            if c.is_ascii_whitespace() {
                return;
            }
            self.begun = self.number;
        } else if self.space && !c.is_ascii_whitespace() {
            self.buffer.push(' ');
        }
        self.space = false;
        self.buffer.push(c);
    }

    fn line(&mut self, line: &str) -> Result<(), SplitError> {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            rest = if self.comment.is_some() {
                match rest.strip_prefix("*/") {
                    Some(after) => {
                        self.comment = None;
                        self.space = true;
                        after
                    }
                    None => skip(rest, 1),
                }
            } else if let Some((quote, _)) = self.quote {
                self.quoted(rest, c, quote)
            } else {
                match self.plain(rest, c)? {
                    Some(after) => after,
                    None => break,
                }
            };
        }
        if self.comment.is_none() {
            if !self.buffer.is_empty() {
                self.buffer.push('\n');
            }
            self.space = false;
        }
        Ok(())
    }

    fn quoted<'a>(&mut self, rest: &'a str, c: char, quote: char) -> &'a str {
        self.buffer.push(c);
        if c == '\\' && quote != '`' {
            if let Some(escaped) = rest.chars().nth(1) {
                self.buffer.push(escaped);
            }
            return skip(rest, 2);
        }
        if c == quote {
            self.quote = None;
        }
        skip(rest, 1)
    }

    /// Outside strings and comments. `None`: the rest of the line is a comment.
    fn plain<'a>(&mut self, rest: &'a str, c: char) -> Result<Option<&'a str>, SplitError> {
        if let Some(after) = rest.strip_prefix(self.delimiter.as_str()) {
            self.statement()?;
            if delimiter_argument(after.trim_start()).is_some() {
                return self.error(SplitErrorKind::DelimiterPlace);
            }
            return Ok(Some(after));
        }
        if c == '\\' {
            if rest.starts_with("\\N") {
                self.push('\\');
                self.push('N');
                return Ok(Some(skip(rest, 2)));
            }
            return self.error(SplitErrorKind::MetaCommand(rest.chars().take(2).collect()));
        }
        let dashes = rest.strip_prefix("--").is_some_and(|after| {
            after.is_empty() || after.starts_with(|c: char| c.is_ascii_whitespace()) || self.buffer.is_empty()
        });
        if c == '#' || dashes {
            return Ok(None);
        }
        if rest.starts_with("/*!") || rest.starts_with("/*M!") {
            if self.versioned.is_some() {
                return self.error(SplitErrorKind::VersionedComment);
            }
            self.versioned = Some(self.number);
        } else if rest.starts_with("/*") {
            if self.versioned.is_some() {
                return self.error(SplitErrorKind::VersionedComment);
            }
            self.comment = Some(self.number);
            return Ok(Some(skip(rest, 2)));
        } else if self.versioned.is_some() && rest.starts_with("*/") {
            self.versioned = None;
            self.push('*');
            self.push('/');
            return Ok(Some(skip(rest, 2)));
        }
        self.push(c);
        if matches!(c, '\'' | '"' | '`') {
            self.quote = Some((c, self.number));
        }
        Ok(Some(skip(rest, 1)))
    }

    /// The delimiter was met, or the end of the file.
    fn statement(&mut self) -> Result<(), SplitError> {
        if self.versioned.is_some() {
            return self.error(SplitErrorKind::VersionedComment);
        }
        self.space = false;
        let text = std::mem::take(&mut self.buffer).trim_end().to_owned();
        if text.is_empty() {
            return Ok(());
        }
        self.refuse_command(&text)?;
        let line = self.begun;
        check(&text, &self.delimiter).map_err(|kind| SplitError { line, kind })?;
        self.out.push(Piece { line, text });
        Ok(())
    }

    fn end(mut self) -> Result<Vec<Piece>, SplitError> {
        let open = [
            (self.quote.map(|(_, line)| line), "a string or quoted name"),
            (self.comment, "a comment"),
            (self.versioned, "a comment `/*!`"),
        ];
        if let Some((line, what)) = open.into_iter().find_map(|(line, what)| line.map(|l| (l, what))) {
            return Err(SplitError { line, kind: SplitErrorKind::Unterminated(what) });
        }
        self.statement()?;
        Ok(self.out)
    }
}

/// What follows the word `DELIMITER` at the start of a line.
fn delimiter_argument(line: &str) -> Option<&str> {
    let (word, rest) = line.split_at_checked("DELIMITER".len())?;
    (word.eq_ignore_ascii_case("DELIMITER") && rest.chars().next().is_none_or(|c| c.is_ascii_whitespace())).then_some(rest)
}

fn skip(text: &str, characters: usize) -> &str {
    let mut rest = text.chars();
    for _ in 0..characters {
        rest.next();
    }
    rest.as_str()
}

/// Refuses what the server would run differently, or only in part.
fn check(text: &str, delimiter: &str) -> Result<(), SplitErrorKind> {
    let words = tokens(Engine::Mysql, text).map_err(|u| SplitErrorKind::Unterminated(u.what))?;
    let stored_program = words.first().is_some_and(|w| w.is_any(&["CREATE", "ALTER"]))
        && words.iter().take(12).any(|w| w.is_any(&["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"]))
        && words.iter().any(|w| w.is("BEGIN"));
    if stored_program {
        let closed = words.iter().rev().take(2).any(|w: &Token<'_>| w.is("END"));
        if delimiter == ";" && !closed {
            return Err(SplitErrorKind::CompoundWithoutDelimiter);
        }
        // What the body does later, when it is called, is not part of this statement.
        return Ok(());
    }
    for (i, word) in words.iter().enumerate() {
        let call = words.get(i + 1).is_some_and(|w| w.sign("("));
        if let Some((name, why)) = FORBIDDEN.iter().find(|(name, _)| word.is(name) && (call || (i == 0 && *name == "XA"))) {
            return Err(SplitErrorKind::Forbidden { word: name, why });
        }
    }
    Ok(())
}
