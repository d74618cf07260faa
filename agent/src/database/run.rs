//! Runs a script, statement by statement, each at most once.
//!
//! Two sessions: the script's, which holds the named lock from before the first statement to after the last, and ours,
//! which writes the ledger. INTENT is on disk before a statement begins; DONE follows it. What is open after an
//! interruption is settled by [`super::resume`].

use std::collections::BTreeMap;

use cavalcade_common::action::{DbTarget, Engine};
use cavalcade_common::id::Digest;

use super::error::{DbError, Refusal, connection_ended};
use super::facts::atomic_ddl;
use super::ledger::{Ledger, Row, State, Writer};
use super::link::{Link, Purpose};
use super::resume::{Approval, Opening, Question, ScriptState, fence, first_open, lost, server_start};
use super::split::{Script, Span, Statement, split};
use super::verify::{self, Effect};
use super::{incarnation, lock};

/// One run of a script.
#[derive(Debug, Clone)]
pub struct ScriptRun<'a> {
    /// Where.
    pub target: &'a DbTarget,
    /// Text of the effect key.
    pub effect: &'a str,
    /// The attempt that asks.
    pub attempt: &'a str,
    /// The controller's epoch.
    pub epoch: u64,
    /// SHA-256 that was planned.
    pub script_sha256: &'a Digest,
    /// The text.
    pub script: &'a str,
    /// The incarnation that the journal knows; `None`: any.
    pub incarnation: Option<&'a str>,
    /// A person's decision.
    pub approved: Option<Approval>,
}

/// What a run shows while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A session of an earlier attempt still executes; we wait.
    Waiting {
        /// The server's number of it.
        session: u64,
        /// Seconds that its statement takes so far.
        seconds: u64,
    },
    /// A session of an earlier attempt rested with the lock and was ended.
    OrphanEnded {
        /// The server's number of it.
        session: u64,
    },
    /// The script goes on here; statements before it are done.
    From {
        /// Number of the statement.
        statement: u32,
        /// How many there are.
        total: u32,
    },
    /// INTENT is written, the statement begins.
    Begun {
        /// Its number.
        statement: u32,
        /// Its line.
        line: u32,
        /// How many there are.
        total: u32,
    },
    /// DONE is written.
    Done {
        /// Its number.
        statement: u32,
        /// How many there are.
        total: u32,
    },
}

/// A script whose statements are all done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptOutcome {
    /// How many there are.
    pub statements: u32,
    /// How many this run executed.
    pub executed: u32,
    /// Statements of earlier attempts that were found in the schema.
    pub verified: Vec<u32>,
    /// Statements that a person's word counts as done, or leaves out.
    pub by_word: Vec<u32>,
}

/// Runs a script, or goes on with it.
///
/// # Errors
/// [`DbError::Refused`] and [`DbError::Script`]: nothing was begun. [`DbError::Failed`]: the server refused a statement.
/// [`DbError::Interrupted`]: call it again, the ledger tells. [`DbError::Indeterminate`]: a person decides.
pub async fn run_script(run: &ScriptRun<'_>, progress: &(dyn Fn(Progress) + Send + Sync)) -> Result<ScriptOutcome, DbError> {
    let script = checked(run)?;
    let mut ledger = Ledger::open(run.target, run.effect).await?;
    incarnation::require(&mut ledger.link, run.target, run.incarnation).await?;
    let mut session = Link::open(run.target, Purpose::Script).await?;
    lock::take(&mut session, &mut ledger.link, run.target, progress).await?;
    let finished = under_lock(run, &script, &mut ledger, &mut session, progress).await;
    // The lock tells that a statement runs, and after a broken connection one may.
    if !matches!(finished, Err(DbError::Interrupted { .. })) {
        lock::release(&mut session, run.target).await;
    }
    session.close().await;
    ledger.link.close().await;
    finished
}

/// Looks how far a script came, without changing anything.
///
/// # Errors
/// [`DbError`] when the database cannot be reached or the script does not fit the ledger.
pub async fn inspect_script(run: &ScriptRun<'_>) -> Result<ScriptState, DbError> {
    let script = checked(run)?;
    let mut ledger = Ledger::open(run.target, run.effect).await?;
    incarnation::require(&mut ledger.link, run.target, run.incarnation).await?;
    let rows = ledger.rows().await?;
    let holder = lock::holder(&mut ledger.link, run.target).await?;
    ledger.link.close().await;
    fence(&script, run.script_sha256, &rows, None)?;
    Ok(state(&script, &rows, holder))
}

/// What ledger and lock say.
fn state(script: &Script, rows: &BTreeMap<u32, Row>, holder: Option<u64>) -> ScriptState {
    if rows.is_empty() {
        return ScriptState::None;
    }
    let next = first_open(script, rows);
    // Done is done: whoever holds the lock, which is the whole database's, runs another script.
    let Some(statement) = script.statement(next) else { return ScriptState::Done { statements: script.total() } };
    if let Some(session) = holder {
        return ScriptState::Running { session, next };
    }
    let opening = Opening::of(rows.get(&next));
    ScriptState::Partial { next, line: statement.line, opening, session_state: lost(script, next, opening) }
}

fn checked(run: &ScriptRun<'_>) -> Result<Script, DbError> {
    if Digest::of(run.script.as_bytes()) != *run.script_sha256 {
        return Err(Refusal::Digest.into());
    }
    Ok(split(run.target.engine, run.script)?)
}

async fn under_lock(
    run: &ScriptRun<'_>,
    script: &Script,
    ledger: &mut Ledger<'_>,
    session: &mut Link,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<ScriptOutcome, DbError> {
    ledger.create().await?;
    let writer = Writer { attempt: run.attempt, epoch: run.epoch };
    let question = Question { target: run.target, script, sha256: run.script_sha256, writer, approval: run.approved };
    let resume = question.answer(ledger).await?;
    progress(Progress::From { statement: resume.next, total: script.total() });
    let server_start = match run.target.engine {
        Engine::Mysql if !atomic_ddl(&mut ledger.link).await? => server_start(ledger).await?,
        _ => None,
    };
    let number = session.id().await?;
    let mut runner = Runner { run, script, writer, ledger, session, number, server_start, progress };
    let mut next = resume.next;
    while let Some(statement) = script.statement(next) {
        next = match script.unit(next) {
            Some(unit) => runner.unit(unit).await?,
            None => runner.single(statement).await?,
        };
    }
    Ok(ScriptOutcome {
        statements: script.total(),
        executed: (script.total() + 1).saturating_sub(resume.next),
        verified: resume.verified,
        by_word: resume.by_word,
    })
}

struct Runner<'a, 'l> {
    run: &'a ScriptRun<'a>,
    script: &'a Script,
    writer: Writer<'a>,
    ledger: &'a mut Ledger<'l>,
    session: &'a mut Link,
    /// The server's number of the script's session.
    number: u64,
    /// Start of a server without atomic DDL.
    server_start: Option<u64>,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Runner<'_, '_> {
    /// One statement on its own. Gives the number of the next.
    async fn single(&mut self, statement: &Statement) -> Result<u32, DbError> {
        let n = statement.number;
        self.intent(statement).await?;
        if self.run.target.engine == Engine::Postgresql && verify::transactional(&statement.text) {
            let done = self.ledger.outcome_sql(n..=n, State::Done, "");
            for sql in ["BEGIN", &statement.text, &done, "COMMIT"] {
                self.execute(statement, sql).await?;
            }
        } else {
            self.execute(statement, &statement.text).await?;
            self.ledger.outcome(n..=n, State::Done, "").await?;
        }
        self.done(n);
        Ok(n + 1)
    }

    /// A transaction of the script's own: its statements are done together or not at all.
    async fn unit(&mut self, unit: Span) -> Result<u32, DbError> {
        let done = self.ledger.outcome_sql(unit.first..=unit.last, State::Done, "");
        let mut inside = false;
        for statement in (unit.first..=unit.last).filter_map(|n| self.script.statement(n)) {
            self.intent(statement).await?;
            let commits = statement.number == unit.last && !rolls_back(&statement.text);
            if commits && self.run.target.engine == Engine::Postgresql {
                self.execute(statement, &done).await?;
                inside = true;
            }
            self.execute(statement, &statement.text).await?;
        }
        if !inside {
            self.ledger.outcome(unit.first..=unit.last, State::Done, "").await?;
        }
        self.done(unit.last);
        Ok(unit.last + 1)
    }

    async fn intent(&mut self, statement: &Statement) -> Result<(), DbError> {
        let before = match verify::recognise(self.run.target.engine, &statement.text) {
            Effect::Definitions { objects, .. } if self.run.target.engine == Engine::Mysql => {
                verify::look(&mut self.ledger.link, self.run.target, &objects).await
            }
            _ => None,
        };
        let (sha256, start) = (self.run.script_sha256, self.server_start);
        self.ledger.intent(sha256, statement, self.writer, self.number, start, before.as_deref()).await?;
        let total = self.script.total();
        (self.progress)(Progress::Begun { statement: statement.number, line: statement.line, total });
        Ok(())
    }

    fn done(&self, statement: u32) {
        (self.progress)(Progress::Done { statement, total: self.script.total() });
    }

    /// Runs a text in the script's session on behalf of a statement.
    async fn execute(&mut self, statement: &Statement, sql: &str) -> Result<(), DbError> {
        let Err(source) = self.session.run(sql).await else { return Ok(()) };
        let (number, line) = (statement.number, statement.line);
        let refused = match &source {
            sqlx::Error::Database(e) if !connection_ended(&source) => (e.code().map(|c| c.into_owned()), e.message().to_owned()),
            _ => return Err(DbError::Interrupted { statement: number, line, source }),
        };
        let (code, message) = refused;
        let code = match &source {
            sqlx::Error::Database(e) => match e.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                Some(e) => Some(e.number().to_string()),
                None => code,
            },
            _ => code,
        };
        let note = format!("refused by the server: {}", code.as_deref().unwrap_or("no code"));
        self.ledger.outcome(number..=number, State::NotDone, &note).await?;
        let done = self.script.unit(number).map_or(number, |u| u.first) - 1;
        let (total, together) = (self.script.total(), self.script.span(number));
        Err(DbError::Failed { statement: number, line, code, message, done, total, together })
    }
}

/// Whether the last statement of a transaction takes it back.
fn rolls_back(sql: &str) -> bool {
    let word: String = sql.chars().take_while(char::is_ascii_alphabetic).collect();
    word.eq_ignore_ascii_case("ROLLBACK") || word.eq_ignore_ascii_case("ABORT")
}
