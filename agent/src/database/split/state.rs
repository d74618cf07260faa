//! Which statements hang together: by the script's own transactions, and by state that only the session holds.

use std::collections::BTreeMap;

use cavalcade_common::action::Engine;

use super::lexer::{Token, TokenKind, tokens};
use super::{Span, SplitError, SplitErrorKind, Statement};

/// Units (transactions) and spans (session state) of a script.
pub(super) fn find(engine: Engine, statements: &[Statement]) -> Result<(Vec<Span>, Vec<Span>), SplitError> {
    let mut words = Vec::with_capacity(statements.len());
    for s in statements {
        let all = tokens(engine, &s.text).map_err(|u| SplitError { line: s.line, kind: SplitErrorKind::Unterminated(u.what) })?;
        words.push((s, all));
    }
    let units = units(engine, &words)?;
    let mut state = SessionState::default();
    for (s, all) in &words {
        match engine {
            Engine::Mysql => state.mysql(s.number, all),
            Engine::Postgresql => state.postgresql(s.number, all),
        }
    }
    let last = u32::try_from(statements.len()).unwrap_or(u32::MAX);
    Ok((units.clone(), state.spans(last, &units)))
}

type Words<'a> = (&'a Statement, Vec<Token<'a>>);

fn first_is(words: &[Token<'_>], any: &[&str]) -> bool {
    words.first().is_some_and(|w| w.is_any(any))
}

fn second_is(words: &[Token<'_>], any: &[&str]) -> bool {
    words.get(1).is_some_and(|w| w.is_any(any))
}

fn units(engine: Engine, statements: &[Words<'_>]) -> Result<Vec<Span>, SplitError> {
    let mut out = Vec::new();
    let mut open: Option<&Statement> = None;
    for (s, words) in statements {
        let begins = (first_is(words, &["START"]) && second_is(words, &["TRANSACTION"])) || first_is(words, &["BEGIN"]);
        let ends = first_is(words, &["COMMIT"])
            || (first_is(words, &["ROLLBACK"]) && !words.iter().any(|w| w.is("TO")))
            || (engine == Engine::Postgresql && first_is(words, &["END", "ABORT"]));
        if (ends && words.iter().any(|w| w.is("CHAIN"))) || (engine == Engine::Mysql && sets_autocommit(words)) {
            let why = "a transaction would stay open that no COMMIT of the script shows";
            let word = if ends { "AND CHAIN" } else { "SET autocommit" };
            return Err(SplitError { line: s.line, kind: SplitErrorKind::Forbidden { word, why } });
        }
        if begins && open.is_none() {
            open = Some(s);
        } else if let Some(first) = open.filter(|_| ends) {
            out.push(Span { first: first.number, last: s.number });
            open = None;
        }
    }
    match open {
        Some(first) => Err(SplitError { line: first.line, kind: SplitErrorKind::OpenTransaction }),
        None => Ok(out),
    }
}

fn sets_autocommit(words: &[Token<'_>]) -> bool {
    first_is(words, &["SET"]) && words.iter().any(|w| w.is("autocommit"))
}

#[derive(Default)]
struct SessionState {
    /// First and last statement that touch a thing that lives in the session.
    touched: BTreeMap<String, Span>,
    /// Statements from which on the session differs to the end.
    from: Option<u32>,
    /// The last statement that wrote rows, whose generated key the session remembers.
    wrote: Option<u32>,
}

impl SessionState {
    fn touch(&mut self, what: String, statement: u32) {
        let span = self.touched.entry(what).or_insert(Span { first: statement, last: statement });
        span.last = statement;
    }

    fn lasts_from(&mut self, statement: u32) {
        self.from.get_or_insert(statement);
    }

    fn prepared(&mut self, statement: u32, words: &[Token<'_>]) {
        let at = match words {
            [first, ..] if first.is_any(&["PREPARE", "EXECUTE"]) => 1,
            [first, second, ..] if first.is_any(&["DEALLOCATE", "DROP"]) && second.is("PREPARE") => 2,
            [first, ..] if first.is("DEALLOCATE") => 1,
            _ => return,
        };
        if let Some(name) = words.get(at).and_then(Token::name) {
            self.touch(format!("prepared {}", name.to_lowercase()), statement);
        }
    }

    fn generated_key(&mut self, statement: u32, words: &[Token<'_>], readers: &[&str], writers: &[&str]) {
        if words.iter().any(|w| w.is_any(readers)) {
            let first = self.wrote.unwrap_or(statement);
            self.touched.insert(format!("generated {statement}"), Span { first, last: statement });
        }
        if words.iter().any(|w| w.is_any(writers)) {
            self.wrote = Some(statement);
        }
    }

    fn mysql(&mut self, statement: u32, words: &[Token<'_>]) {
        for variable in words.iter().filter(|w| w.kind == TokenKind::Variable) {
            self.touch(variable.text.to_lowercase(), statement);
        }
        self.prepared(statement, words);
        self.generated_key(statement, words, &["LAST_INSERT_ID", "FOUND_ROWS"], &["INSERT", "REPLACE", "LOAD", "CALL", "SELECT"]);
        if first_is(words, &["SET"]) && sets_session(words) {
            self.lasts_from(statement);
        }
        if first_is(words, &["CREATE"]) && words.iter().take(4).any(|w| w.is("TEMPORARY")) {
            self.lasts_from(statement);
        }
        if first_is(words, &["LOCK", "UNLOCK"]) && second_is(words, &["TABLE", "TABLES"]) {
            self.touch("locked tables".to_owned(), statement);
        }
        if words.iter().any(|w| w.is("GET_LOCK")) || first_is(words, &["HANDLER"]) {
            self.lasts_from(statement);
        }
    }

    fn postgresql(&mut self, statement: u32, words: &[Token<'_>]) {
        self.prepared(statement, words);
        self.generated_key(statement, words, &["CURRVAL", "LASTVAL"], &["INSERT", "NEXTVAL"]);
        let sets = first_is(words, &["SET"]) && !second_is(words, &["LOCAL", "CONSTRAINTS", "TRANSACTION"]);
        let temporary = words.iter().take(8).any(|w| w.is_any(&["TEMP", "TEMPORARY"]))
            && (first_is(words, &["CREATE"]) || words.iter().any(|w| w.is("INTO")));
        if sets || temporary || first_is(words, &["LISTEN", "LOAD"]) || words.iter().any(|w| w.is("SET_CONFIG")) {
            self.lasts_from(statement);
        }
        if first_is(words, &["DECLARE", "FETCH", "CLOSE"]) {
            self.touch("cursors".to_owned(), statement);
        }
    }

    fn spans(self, last: u32, units: &[Span]) -> Vec<Span> {
        let mut all: Vec<Span> = self.touched.into_values().chain(units.iter().copied()).collect();
        all.extend(self.from.map(|first| Span { first, last }));
        all.retain(|s| s.first < s.last);
        all.sort();
        let mut merged: Vec<Span> = Vec::new();
        for span in all {
            match merged.last_mut() {
                Some(before) if span.first <= before.last => before.last = before.last.max(span.last),
                _ => merged.push(span),
            }
        }
        merged
    }
}

/// Whether a SET of MySQL changes a setting of the session (`SET sql_mode = ...`), beside variables of the user.
fn sets_session(words: &[Token<'_>]) -> bool {
    let mut depth = 0_u32;
    let mut target = true;
    for word in words.iter().skip(1) {
        if target {
            target = false;
            let elsewhere = word.is_any(&["GLOBAL", "PERSIST", "PERSIST_ONLY", "PASSWORD", "DEFAULT"]);
            if word.kind != TokenKind::Variable && !elsewhere {
                return true;
            }
        }
        if word.sign("(") {
            depth += 1;
        } else if word.sign(")") {
            depth = depth.saturating_sub(1);
        } else if word.sign(",") && depth == 0 {
            target = true;
        }
    }
    false
}
