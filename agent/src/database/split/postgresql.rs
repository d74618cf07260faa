//! PostgreSQL: split as psql does. `;` ends a statement outside quotes, comments, parentheses and the `BEGIN ATOMIC`
//! body of a function.

use cavalcade_common::action::Engine;

use super::lexer::{Token, tokens};
use super::{Piece, SplitError, SplitErrorKind, line_of};

/// Words that would break what the runner relies on.
const FORBIDDEN: &[(&str, &str)] = &[
    ("pg_advisory_unlock_all", "it would release the script's own lock"),
    ("DISCARD", "it would release the script's own lock"),
];

/// Cuts a script into statements.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, SplitError> {
    let all = tokens(Engine::Postgresql, text)
        .map_err(|u| SplitError { line: line_of(text, u.start), kind: SplitErrorKind::Unterminated(u.what) })?;
    let mut out = Vec::new();
    let mut from = 0;
    let (mut parentheses, mut begins) = (0_u32, 0_u32);
    for (i, token) in all.iter().enumerate() {
        let statement = all.get(from..i).unwrap_or_default();
        if token.sign("\\") {
            let rest = text.get(token.start..).unwrap_or_default();
            let word: String = rest.chars().take_while(|c| !c.is_whitespace()).take(20).collect();
            return Err(SplitError { line: line_of(text, token.start), kind: SplitErrorKind::MetaCommand(word) });
        }
        if token.sign("(") {
            parentheses += 1;
        } else if token.sign(")") {
            parentheses = parentheses.saturating_sub(1);
        } else if parentheses == 0 && creates_routine(statement) {
            if token.is("BEGIN") || (begins > 0 && token.is("CASE")) {
                begins += 1;
            } else if token.is("END") {
                begins = begins.saturating_sub(1);
            }
        }
        if token.sign(";") && parentheses == 0 && begins == 0 {
            piece(text, statement, token.start, &mut out)?;
            from = i + 1;
        }
    }
    let rest = all.get(from..).unwrap_or_default();
    if let (Some(first), true) = (rest.first(), parentheses > 0 || begins > 0) {
        let what = if parentheses > 0 { "a parenthesis" } else { "a routine's body" };
        return Err(SplitError { line: line_of(text, first.start), kind: SplitErrorKind::Unterminated(what) });
    }
    let end = rest.last().map_or(text.len(), |t| t.start + t.text.len());
    piece(text, rest, end, &mut out)?;
    Ok(out)
}

/// Whether these first words of a statement create a function or procedure.
fn creates_routine(words: &[Token<'_>]) -> bool {
    let Some((first, rest)) = words.split_first() else { return false };
    let rest = match rest {
        [or, replace, rest @ ..] if or.is("OR") && replace.is("REPLACE") => rest,
        rest => rest,
    };
    first.is("CREATE") && rest.first().is_some_and(|w| w.is_any(&["FUNCTION", "PROCEDURE"]))
}

fn piece(text: &str, words: &[Token<'_>], end: usize, out: &mut Vec<Piece>) -> Result<(), SplitError> {
    let Some(first) = words.first() else { return Ok(()) };
    let line = line_of(text, first.start);
    if first.is("COPY") && words.windows(2).any(|w| w[0].is_any(&["FROM", "TO"]) && w[1].is_any(&["STDIN", "STDOUT"])) {
        return Err(SplitError { line, kind: SplitErrorKind::MetaCommand("COPY FROM STDIN".to_owned()) });
    }
    for (word, why) in FORBIDDEN {
        if words.iter().any(|w| w.is(word)) {
            return Err(SplitError { line, kind: SplitErrorKind::Forbidden { word, why } });
        }
    }
    if words.windows(2).any(|w| w[0].is("PREPARE") && w[1].is("TRANSACTION")) {
        let why = "a prepared transaction outlives its session";
        return Err(SplitError { line, kind: SplitErrorKind::Forbidden { word: "PREPARE TRANSACTION", why } });
    }
    let text = text.get(first.start..end).unwrap_or_default().trim_end().to_owned();
    out.push(Piece { line, text });
    Ok(())
}
