//! Where a script goes on, from what the ledger says. Called with the script's lock held, so nothing of it runs.

use std::collections::BTreeMap;

use cavalcade_common::action::{DbTarget, Engine};
use cavalcade_common::id::Digest;

use super::error::{DbError, Refusal};
use super::ledger::{Ledger, Row, State, Writer};
use super::split::{Script, Span, tokens};
use super::verify::{self, Effect, Verdict};

/// What a person decided about a statement whose effect cannot be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// This statement and all before it took place, or were done by hand, or are left out: go on behind it.
    Done,
    /// This statement and all behind it have no effect (or it was undone by hand): go on at it.
    NotDone,
}

/// A person's decision. It counts once: where the ledger already holds rows of the same attempt, it was applied before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval {
    /// Number of the statement.
    pub statement: u32,
    /// Done or not.
    pub decision: Decision,
}

/// What the ledger says of the first statement without DONE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It was not begun.
    Untouched,
    /// It was begun, so that its effect must be looked for.
    Begun,
    /// It did not take place: the server refused it, or a person says so.
    NotDone,
}

impl Opening {
    pub(crate) fn of(row: Option<&Row>) -> Self {
        match row.map(|r| r.state) {
            None | Some(State::Done) => Self::Untouched,
            Some(State::Intent) => Self::Begun,
            Some(State::NotDone) => Self::NotDone,
        }
    }
}

/// The span whose session state is lost when a script stopped at this statement: it stands inside, or the first statement
/// of the span was begun.
pub(crate) fn lost(script: &Script, next: u32, opening: Opening) -> Option<Span> {
    script.span(next).filter(|s| s.first < next || opening != Opening::Untouched)
}

/// How far a script came in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptState {
    /// Nothing of it was begun.
    None,
    /// Every statement is done.
    Done {
        /// How many there are.
        statements: u32,
    },
    /// Some are done.
    Partial {
        /// First statement without DONE.
        next: u32,
        /// Its line.
        line: u32,
        /// What the ledger says of it.
        opening: Opening,
        /// The statements that hang together with it by session state, which is lost: a word about one is about all.
        session_state: Option<Span>,
    },
    /// A session holds the script's lock now.
    Running {
        /// The server's number of the session.
        session: u64,
        /// First statement without DONE.
        next: u32,
    },
}

impl ScriptState {
    /// What a person's word is about: the open statement, or all that hang together with it. `None`: nothing is open.
    #[must_use]
    pub fn decided(&self, decision: Decision) -> Option<Approval> {
        let (next, opening, span) = match self {
            Self::Partial { next, opening, session_state, .. } => (*next, *opening, *session_state),
            Self::None | Self::Done { .. } | Self::Running { .. } => return None,
        };
        let statement = match (span, decision) {
            (None, _) if opening == Opening::Untouched => return None,
            (None, _) => next,
            (Some(span), Decision::Done) => span.last,
            (Some(span), Decision::NotDone) => span.first,
        };
        Some(Approval { statement, decision })
    }
}

/// Where to go on, and what was found on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resume {
    /// First statement to run; behind the last one when all are done.
    pub(crate) next: u32,
    /// Statements that were found to have taken place.
    pub(crate) verified: Vec<u32>,
    /// Statements that a person's word counts as done, or leaves out.
    pub(crate) by_word: Vec<u32>,
}

/// First statement without DONE.
pub(crate) fn first_open(script: &Script, rows: &BTreeMap<u32, Row>) -> u32 {
    (1..=script.total()).find(|n| rows.get(n).is_none_or(|r| r.state != State::Done)).unwrap_or(script.total() + 1)
}

/// Refuses a ledger that belongs to another script, or that a newer controller wrote.
pub(crate) fn fence(script: &Script, sha256: &Digest, rows: &BTreeMap<u32, Row>, epoch: Option<u64>) -> Result<(), Refusal> {
    for (number, row) in rows {
        let same = script.statement(*number).is_some_and(|s| s.sha256.as_str() == row.statement_sha256);
        if row.script_sha256 != sha256.as_str() || !same {
            return Err(Refusal::OtherScript(row.script_sha256.clone()));
        }
        if let Some(ours) = epoch.filter(|e| row.epoch > *e) {
            return Err(Refusal::Epoch { newer: row.epoch, ours });
        }
    }
    Ok(())
}

/// What is asked of the ledger.
pub(crate) struct Question<'a> {
    pub(crate) target: &'a DbTarget,
    pub(crate) script: &'a Script,
    pub(crate) sha256: &'a Digest,
    pub(crate) writer: Writer<'a>,
    pub(crate) approval: Option<Approval>,
}

impl Question<'_> {
    /// Finds where the script goes on, and writes what it found.
    pub(crate) async fn answer(&self, ledger: &mut Ledger<'_>) -> Result<Resume, DbError> {
        let rows = ledger.rows().await?;
        fence(self.script, self.sha256, &rows, Some(self.writer.epoch))?;
        let mut resume = Resume { next: first_open(self.script, &rows), ..Resume::default() };
        let fresh = rows.values().all(|r| r.attempt != self.writer.attempt);
        if let Some(approval) = self.approval.filter(|_| fresh) {
            return self.decided(ledger, &rows, resume, approval).await;
        }
        if let Some(row) = rows.get(&resume.next).filter(|r| r.state == State::Intent) {
            match self.verdict(ledger, &rows, resume.next, row).await? {
                Verdict::Done => {
                    ledger.outcome(resume.next..=resume.next, State::Done, "found in the schema").await?;
                    resume.verified.push(resume.next);
                    resume.next += 1;
                }
                Verdict::NotDone => {}
                verdict @ (Verdict::Partly | Verdict::Unknown) => {
                    return Err(self.indeterminate(resume.next, Some(row), verdict == Verdict::Partly));
                }
            }
        }
        if self.script.inside(resume.next).is_some() {
            return Err(self.indeterminate(resume.next, rows.get(&resume.next), false));
        }
        Ok(resume)
    }

    async fn decided(
        &self,
        ledger: &mut Ledger<'_>,
        rows: &BTreeMap<u32, Row>,
        mut resume: Resume,
        approval: Approval,
    ) -> Result<Resume, DbError> {
        let next = resume.next;
        // A statement that the server refused is open too: a person may have done it by hand, or leave it out.
        let begun = rows.contains_key(&next);
        let span = self.script.span(next).unwrap_or(Span { first: next, last: next });
        let open = begun || self.script.inside(next).is_some();
        let fits = match approval.decision {
            Decision::Done => next <= approval.statement && approval.statement <= span.last,
            Decision::NotDone => span.first <= approval.statement && approval.statement <= next,
        };
        if !(open && fits) {
            let open = open.then_some(next);
            return Err(Refusal::StaleDecision { decided: approval.statement, open }.into());
        }
        let after = match approval.decision {
            Decision::Done => approval.statement + 1,
            Decision::NotDone => approval.statement,
        };
        // A decision that leaves the script in the middle of lost session state decides nothing.
        if self.script.inside(after).is_some() {
            return Err(self.indeterminate(next, rows.get(&next), false));
        }
        let script = (self.script, self.sha256);
        match approval.decision {
            Decision::Done => {
                let note = match Opening::of(rows.get(&next)) {
                    Opening::NotDone => "left out by a person",
                    Opening::Untouched | Opening::Begun => "done, says a person",
                };
                ledger.decide(script, next..=approval.statement, State::Done, self.writer, note).await?;
                resume.by_word = (next..=approval.statement).collect();
            }
            Decision::NotDone => {
                let note = "not done, says a person";
                ledger.decide(script, approval.statement..=next, State::NotDone, self.writer, note).await?;
            }
        }
        resume.next = after;
        Ok(resume)
    }

    /// What became of a statement that was begun.
    async fn verdict(
        &self,
        ledger: &mut Ledger<'_>,
        rows: &BTreeMap<u32, Row>,
        number: u32,
        row: &Row,
    ) -> Result<Verdict, DbError> {
        let Some(statement) = self.script.statement(number) else { return Ok(Verdict::Unknown) };
        if self.target.engine == Engine::Postgresql && verify::transactional(&statement.text) {
            // DONE is in the statement's own transaction: without it, the transaction did not commit.
            return Ok(Verdict::NotDone);
        }
        if let Some(unit) = self.script.unit(number) {
            return Ok(if !rows.contains_key(&unit.last) && self.only_rows(unit) { Verdict::NotDone } else { Verdict::Unknown });
        }
        match verify::recognise(self.target.engine, &statement.text) {
            Effect::Repeatable => Ok(Verdict::NotDone),
            Effect::Definitions { objects, drops } => {
                let restarted = match row.server_start {
                    Some(then) => server_start(ledger).await?.is_none_or(|now| now.abs_diff(then) > RESTART),
                    None => false,
                };
                if restarted {
                    return Ok(Verdict::Unknown);
                }
                let now = verify::look(&mut ledger.link, self.target, &objects).await;
                Ok(match (&row.before, now) {
                    (Some(before), Some(now)) => verify::compare(before, &now, drops),
                    _ => Verdict::Unknown,
                })
            }
            Effect::ConcurrentIndex(index) => verify::concurrent_index(&mut ledger.link, &index).await,
            Effect::Opaque => Ok(Verdict::Unknown),
        }
    }

    /// Whether a transaction of the script changes rows only, so that its session's end rolled it back.
    fn only_rows(&self, unit: Span) -> bool {
        let rows = ["INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "BEGIN", "START", "COMMIT", "SAVEPOINT", "ROLLBACK"];
        (unit.first..=unit.last)
            .filter_map(|n| self.script.statement(n))
            .all(|s| tokens(self.script.engine, &s.text).is_ok_and(|w| w.first().is_some_and(|w| w.is_any(&rows))))
    }

    fn indeterminate(&self, number: u32, row: Option<&Row>, partly: bool) -> DbError {
        let total = self.script.total();
        let statement = self.script.statement(number);
        let what = statement.map_or_else(String::new, |s| beginning(self.script.engine, &s.text));
        let mut known = Vec::new();
        let mut unknown = Vec::new();
        match number {
            0 | 1 => known.push("no statement before it".to_owned()),
            _ => known.push(format!("statements 1 to {} of {total} are done", number - 1)),
        }
        known.push("no session of the script is alive: nothing of it runs any more".to_owned());
        match row.map(|r| (r.state, r)) {
            Some((State::Intent, row)) => {
                known.push(format!("statement {number} was begun at {} by session {}", row.begun, row.session));
                let part = if partly { "the rest of " } else { "" };
                unknown.push(format!("whether {part}statement {number} (`{what}`) took place"));
            }
            Some((State::NotDone, _)) => known.push(format!("statement {number} (`{what}`) did not take place")),
            Some((State::Done, _)) | None => known.push(format!("statement {number} (`{what}`) was not begun")),
        }
        if let Some(span) = lost(self.script, number, Opening::of(row)) {
            known.push(format!(
                "statements {} to {} hang together by session state, which is lost: the script cannot go on inside. A word \
                 about one is about all: `done`, that each took place or was done by hand; `not-done`, that none has an \
                 effect any more, so that they run again from {}",
                span.first, span.last, span.first
            ));
        }
        let line = statement.map_or(0, |s| s.line);
        DbError::Indeterminate { statement: number, line, known, unknown }
    }
}

/// Two readings of the server's start differ by rounding only.
const RESTART: u64 = 5;

/// The first three words of a statement: enough to find it, too few for a value to be in it.
fn beginning(engine: Engine, sql: &str) -> String {
    let words = tokens(engine, sql).unwrap_or_default();
    words.iter().take(3).map(|w| w.text).collect::<Vec<_>>().join(" ")
}

/// When the server was started, in seconds since 1970, on MySQL and MariaDB.
pub(crate) async fn server_start(ledger: &mut Ledger<'_>) -> Result<Option<u64>, DbError> {
    let what = "asking for the server's uptime";
    let uptime = ledger.link.rows("SHOW GLOBAL STATUS LIKE 'Uptime'").await.map_err(DbError::query(what))?;
    let uptime = uptime.into_iter().next().and_then(|r| r.into_iter().nth(1).flatten()).and_then(|v| v.parse::<u64>().ok());
    let now = ledger.link.value("SELECT FLOOR(UNIX_TIMESTAMP())", what).await?.and_then(|v| v.parse::<u64>().ok());
    Ok(now.zip(uptime).map(|(now, up)| now.saturating_sub(up)))
}
