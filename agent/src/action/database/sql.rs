//! `sql`: a script, statement by statement, each at most once (promise 6).

use std::time::Duration;

use async_trait::async_trait;
use backoff::Retryable;
use cavalcade_common::action::{DbTarget, NoSessions, SqlScript};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;
use cavalcade_common::report::{Evidence, Preview, Progress, Verdict};

use super::{failure, revealed};
use crate::action::launch::{permit, refused};
use crate::action::{Act, Applied, Context, Failure};
use crate::database::{Approval, DbError, Decision, Progress as RunProgress, ScriptRun, ScriptState};

/// A lost connection is taken up again this often before a person hears of it.
const RECONNECTS: usize = 5;

struct Prepared {
    target: DbTarget,
    text: String,
    sha256: Digest,
    effect: String,
    attempt: String,
    incarnation: Option<String>,
}

impl Prepared {
    fn run<'a>(&'a self, cx: &Context, approved: Option<Approval>) -> ScriptRun<'a> {
        ScriptRun {
            target: &self.target,
            effect: &self.effect,
            attempt: &self.attempt,
            epoch: cx.epoch.0,
            script_sha256: &self.sha256,
            script: &self.text,
            incarnation: self.incarnation.as_deref(),
            approved,
        }
    }
}

async fn prepare(step: &SqlScript, cx: &Context) -> Result<Prepared, Failure> {
    let target = revealed(cx, &step.database)?;
    let (text, sha256) = text(step, cx).await?;
    Ok(Prepared {
        target,
        text,
        sha256,
        effect: step.effect.clone(),
        attempt: cx.attempt.to_string(),
        incarnation: cx.incarnations.get(&step.database.name).cloned(),
    })
}

/// The statements, and the digest that they must have.
async fn text(step: &SqlScript, cx: &Context) -> Result<(String, Digest), Failure> {
    let Some(script) = &step.script else {
        let statements = step.statements.clone().unwrap_or_default();
        let sha256 = Digest::of(statements.as_bytes());
        return Ok((statements, sha256));
    };
    let path = cx.artifacts.fetch(script, &cx.cache_dir, cx.out.as_ref()).await?;
    let unreadable = |e: &dyn std::fmt::Display| Fault::new(codes::artifact::CACHE_ACCESS, format!("{}: {e}", path.display()));
    let bytes = cx.host.read(&path).map_err(|e| unreadable(&e))?.ok_or_else(|| unreadable(&"it is gone"))?;
    let text = String::from_utf8(bytes).map_err(|e| unreadable(&e))?;
    Ok((text, script.sha256.clone()))
}

/// What a person's word is about: the statement that is open, refused by the server or begun, or those that hang together
/// with it.
async fn approval(cx: &Context, prepared: &Prepared) -> Result<Option<Approval>, Failure> {
    let decision = match cx.decision.as_deref() {
        Some("done") => Decision::Done,
        Some("not-done") => Decision::NotDone,
        Some(_) | None => return Ok(None),
    };
    let state = cx.host.databases().inspect_script(&prepared.run(cx, None)).await.map_err(|e| failure(&e, false))?;
    Ok(state.decided(decision))
}

/// How many statements it has, where all are done.
async fn done(cx: &Context, prepared: &Prepared) -> Result<Option<u32>, Failure> {
    match cx.host.databases().inspect_script(&prepared.run(cx, None)).await.map_err(|e| failure(&e, true))? {
        ScriptState::Done { statements } => Ok(Some(statements)),
        ScriptState::None | ScriptState::Partial { .. } | ScriptState::Running { .. } => Ok(None),
    }
}

fn show(cx: &Context, progress: &RunProgress) {
    let at = |done: u32, total: u32, label: String| {
        cx.out.progress(Progress { done: done.into(), total: total.into(), label, quiet_seconds: 0 })
    };
    match progress {
        RunProgress::Waiting { session, seconds } => {
            at(0, 0, format!("waits: session {session} of an earlier attempt still executes, for {seconds} s"));
        }
        RunProgress::OrphanEnded { session } => {
            cx.out.line("cavalcade", &format!("session {session} of an earlier attempt rested with the lock and was ended"));
        }
        RunProgress::From { statement, total } => {
            cx.out.line("cavalcade", &format!("begins at statement {statement} of {total}"))
        }
        RunProgress::Begun { statement, line, total } => {
            at(statement.saturating_sub(1), *total, format!("statement {statement} of {total} (line {line})"));
        }
        RunProgress::Done { statement, total } => {
            cx.out.line("cavalcade", &format!("statement {statement} of {total} done"));
            at(*statement, *total, format!("statement {statement} of {total} done"));
        }
    }
}

#[async_trait]
impl Act for SqlScript {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        let prepared = prepare(self, cx).await?;
        let state = cx.host.databases().inspect_script(&prepared.run(cx, None)).await.map_err(|e| failure(&e, false))?;
        let (verdict, says) = match state {
            ScriptState::Done { statements } => (Verdict::Same, format!("all {statements} statements are done already")),
            ScriptState::None => {
                (Verdict::Opaque, format!("runs {} on {}; judged by the script ledger", self.title(), self.database.name))
            }
            ScriptState::Partial { next, .. } => (Verdict::Opaque, format!("goes on with statement {next} of {}", self.title())),
            ScriptState::Running { session, .. } => (Verdict::Opaque, format!("session {session} executes it now")),
        };
        Ok(Preview { verdict, says, diffs: Vec::new() })
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let prepared = prepare(self, cx).await?;
        if cx.resumed
            && let Some(statements) = done(cx, &prepared).await?
        {
            // The agent ended between the last statement and the outcome. Nothing is left to do that a server could be in the
            // way of: by now the next one may be connected, as the plan has it.
            let found = format!("{statements} of {statements}, all before the interruption");
            return Ok(Applied { changed: true, diffs: Vec::new(), evidence: vec![Evidence::holds("statements done", found)] });
        }
        // Both after an interruption too: a server may have come up meanwhile (10, rule 16).
        let wanted = NoSessions { but_from: self.but_from.clone() };
        let others = cx.host.databases().strangers(&prepared.target, &wanted).await.map_err(|e| failure(&e, cx.resumed))?;
        if let Some(other) = others.first() {
            let why = format!(
                "session {} of {} is in {}; nobody else may be while its script runs",
                other.id, other.user, self.database.name
            );
            return Err(refused(cx, why));
        }
        let shown = permit(cx).await?;
        shown.iter().for_each(|e| cx.out.line("cavalcade", &format!("{}: {}", e.what, e.found)));
        let approved = approval(cx, &prepared).await?;
        let run = prepared.run(cx, approved);
        let progress = |p: RunProgress| show(cx, &p);
        // A connection that ends is taken up again at once: the ledger knows where. Inside a span of session state the
        // runner itself says that a person decides.
        let pauses = backoff::ExponentialBuilder::new().with_min_delay(Duration::from_secs(1)).with_max_times(RECONNECTS);
        let outcome = (|| cx.host.databases().run_script(&run, &progress))
            .retry(pauses)
            .when(|e| matches!(e, DbError::Interrupted { .. }))
            .await;
        let outcome = outcome.map_err(|e| failure(&e, true))?;
        let mut evidence = vec![Evidence::holds("statements done", format!("{} of {}", outcome.statements, outcome.statements))];
        if !outcome.verified.is_empty() {
            evidence
                .push(Evidence::holds("statements of earlier attempts found in the schema", format!("{:?}", outcome.verified)));
        }
        if !outcome.by_word.is_empty() {
            let found = format!("{:?}", outcome.by_word);
            evidence.push(Evidence::holds("statements that a person's word counts as done or leaves out", found));
        }
        Ok(Applied { changed: outcome.executed > 0, diffs: Vec::new(), evidence })
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let prepared = prepare(self, cx).await?;
        match cx.host.databases().inspect_script(&prepared.run(cx, None)).await.map_err(|e| failure(&e, true))? {
            ScriptState::Done { statements } => Ok(vec![Evidence::holds(
                "script ledger in the database",
                format!("{statements} of {statements} statements done"),
            )]),
            other => Err(Failure::Failed {
                fault: Fault::new(codes::database::SQL_INTERRUPTED, "the script ledger does not show every statement done"),
                changed: true,
                evidence: vec![Evidence::fails("script ledger in the database", format!("{other:?}"))],
            }),
        }
    }
}
