//! One attempt from its turn to its end.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cavalcade_common::action::{Action, Class};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::message::Offer;
use cavalcade_common::report::{Ending, Evidence, Outcome, Progress};
use cavalcade_common::secret::SecretBook;
use jiff::Timestamp;

use super::book::{book, hide_also};
use super::forbidden::forbidden;
use super::output::AttemptOutput;
use super::turns::shared;
use super::{Executor, LineOrigin, fit};
use crate::action::aside::Beside;
use crate::action::{self, Applied, Context, Failure};
use crate::host::keep;
use crate::ledger::LedgerError;

/// Between two looks at the lock of a home that another program holds.
const HOME_LOOK: Duration = Duration::from_secs(1);

/// Holds the lock of a home for as long as it lives.
type HomeLock = Box<dyn Any + Send>;

/// How an attempt concluded.
enum Conclusion {
    Ended(Box<Outcome>),
    Abandoned(String),
}

/// Runs an attempt and writes its end into the ledger.
///
/// # Errors
/// Those of the ledger: the agent must end.
pub(super) async fn run(executor: &Arc<Executor>, offer: &Offer, resumed: bool) -> Result<(), LedgerError> {
    let _turn = executor.turns.take(shared(offer)).await;
    let conclusion = work(executor, offer, resumed).await?;
    let mut ledger = executor.ledger();
    let written = match conclusion {
        Conclusion::Ended(outcome) => ledger.end(&offer.attempt, fit::fitting(*outcome)),
        Conclusion::Abandoned(why) => ledger.abandon(&offer.attempt, &fit::fitting_text(why)),
    };
    match written {
        Err(LedgerError::Encode(error)) => ledger.end(&offer.attempt, fit::unwritten(&error, executor.host.now())),
        written => written,
    }
}

async fn work(executor: &Arc<Executor>, offer: &Offer, resumed: bool) -> Result<Conclusion, LedgerError> {
    let began = executor.host.now();
    if !resumed {
        if executor.is_withdrawn(&offer.attempt) {
            return Ok(Conclusion::Abandoned("withdrawn before it began".to_owned()));
        }
        if let Some(failure) = forbidden(executor, offer) {
            return Ok(ended(executor, began, Err(failure)));
        }
    }
    let _home = match home(executor, offer, resumed).await {
        Ok(guard) => guard,
        Err(failure) => return Ok(ended(executor, began, Err(failure))),
    };
    let secrets = match book(executor.secrets.as_ref(), &offer.secrets, &offer.given).await {
        Ok(book) => Arc::new(hide_also(book, executor.secrets.as_ref(), &offer.also_hide, &offer.given).await),
        // What began before the restart may be under way or done: that its secret is gone now says nothing of it.
        Err(fault) if resumed => {
            let known = vec!["it began before the agent's restart".to_owned()];
            let unknown = vec!["how far it came: it cannot be looked at without its secrets".to_owned()];
            return Ok(ended(executor, began, Err(Failure::Indeterminate { fault, known, unknown })));
        }
        Err(fault) => return Ok(ended(executor, began, Err(fault.into()))),
    };
    if !resumed {
        let mut ledger = executor.ledger();
        if executor.is_withdrawn(&offer.attempt) {
            return Ok(Conclusion::Abandoned("withdrawn before it began".to_owned()));
        }
        match ledger.intend(&offer.attempt) {
            Ok(()) => {}
            Err(error @ LedgerError::NoRoom(_)) => return Ok(ended(executor, began, Err(error.fault().into()))),
            Err(error) => return Err(error),
        }
    }
    executor.news.notify_one();
    let out = Arc::new(AttemptOutput::new(executor, &offer.attempt, secrets.clone()));
    let context = context(executor, offer, resumed, secrets, out.clone());
    let result = perform(&context).await;
    narrate(executor, offer, &context.secrets, &result);
    Ok(match ended(executor, began, result) {
        Conclusion::Ended(outcome) => {
            let outcome = Outcome { observed: out.observed(), ..redacted(*outcome, &context.secrets) };
            Conclusion::Ended(Box::new(outcome))
        }
        Conclusion::Abandoned(why) => Conclusion::Abandoned(context.secrets.redact(&why)),
    })
}

/// The lock of the home that the step works on. An attempt that did not begin is given back where another program holds it.
/// One that began waits for it, however long: a lock that is busy now says nothing of what began then.
async fn home(executor: &Arc<Executor>, offer: &Offer, resumed: bool) -> Result<Option<HomeLock>, Failure> {
    let Some(home) = &offer.home else { return Ok(None) };
    let busy = || format!("another program holds the lock of {home}");
    let unusable = |e: &io::Error| format!("the lock beside {home} cannot be taken: {e}");
    loop {
        let why = match executor.host.lock_home(Path::new(home)) {
            Ok(Some(guard)) => return Ok(Some(guard)),
            Ok(None) if !resumed => return Err(Failure::NotBegun { why: busy() }),
            Err(e) if !resumed => return Err(Fault::new(codes::agent::HOME_LOCKED, unusable(&e)).into()),
            Ok(None) => busy(),
            Err(e) => unusable(&e),
        };
        let label = format!("waits: {why}");
        executor.note_progress(&offer.attempt, Progress { done: 0, total: 0, label, quiet_seconds: 0 });
        tokio::time::sleep(HOME_LOOK).await;
    }
}

fn context(executor: &Arc<Executor>, offer: &Offer, resumed: bool, secrets: Arc<SecretBook>, out: Arc<AttemptOutput>) -> Context {
    let mut attempt_dir = executor.attempt_dir(&offer.attempt);
    if executor.bugs.starts_known_attempts() || executor.bugs.begins_again() {
        // The folder's lock would keep the effect from starting twice all the same: the bug goes round it.
        attempt_dir.set_extension(executor.host.random_id());
    }
    Context {
        host: executor.host.clone(),
        attempt: offer.attempt.clone(),
        epoch: offer.epoch,
        step: Arc::new(offer.step.clone()),
        attempt_dir,
        undo_dir: keep::folder(&executor.state_dir, &offer.attempt.run, &offer.attempt.step),
        state_dir: executor.state_dir.clone(),
        cache_dir: executor.state_dir.join("cache"),
        out,
        secrets,
        hide: offer.hide.clone().into(),
        artifacts: executor.artifacts.clone(),
        permits: executor.permits.clone(),
        resumed,
        incarnations: Arc::new(offer.incarnations.clone()),
        decision: offer.decision.clone(),
        beside: Beside::default(),
    }
}

/// apply, then verify. A time limit ends only what may be given up: never a job, a script or a backup under way.
async fn perform(cx: &Context) -> Result<(Applied, Vec<Evidence>), Failure> {
    let act = action::of(&cx.step.action);
    let work = async {
        let applied = act.apply(cx).await?;
        let evidence = act.verify(cx).await?;
        shown(applied, evidence)
    };
    let may_be_given_up = cx.step.action.class() == Class::Redo || matches!(cx.step.action, Action::Server(_));
    if !may_be_given_up {
        return work.await;
    }
    let ended = tokio::time::timeout(cx.step.timeout, work).await;
    match ended {
        Ok(result) => result,
        Err(_) => {
            // What it does to files hears that it is given up, and may need a while to hear it. Until then the turn and the
            // home's lock stay taken, and the attempt lives (10, rule 6).
            let label = "its time ran out; waits for the end of its work on files".to_owned();
            cx.out.progress(Progress { done: 0, total: 0, label, quiet_seconds: 0 });
            cx.beside.ended().await;
            let within = cavalcade_common::duration::format(cx.step.timeout);
            let text = format!("{} did not end within {within}", cx.step.action.kind());
            let fault = Fault::new(codes::agent::STEP_TIMEOUT, text);
            Err(Failure::Failed { fault, changed: true, evidence: Vec::new() })
        }
    }
}

/// Succeeded implies that the look behind the work shows its effect (promise 4).
fn shown(applied: Applied, evidence: Vec<Evidence>) -> Result<(Applied, Vec<Evidence>), Failure> {
    let Some(first) = evidence.iter().find(|e| !e.holds) else { return Ok((applied, evidence)) };
    let fault = Fault::new(codes::agent::NOT_SHOWN, format!("{}: {}", first.what, first.found));
    let evidence = applied.evidence.into_iter().chain(evidence).collect();
    Err(Failure::Failed { fault, changed: applied.changed, evidence })
}

/// One line in the central log for each piece of evidence, and each diff: the log alone tells the story of a step.
fn narrate(executor: &Executor, offer: &Offer, secrets: &SecretBook, result: &Result<(Applied, Vec<Evidence>), Failure>) {
    let origin = LineOrigin {
        node: offer.attempt.step.node.clone(),
        run: offer.attempt.run.clone(),
        step: format!("{}.{}", offer.attempt.step.stage, offer.attempt.step.step),
        attempt: offer.attempt.number,
    };
    let say = |text: String| executor.lines.line(&origin, "cavalcade", &secrets.redact(&text));
    match result {
        Ok((applied, evidence)) => {
            for diff in &applied.diffs {
                say(format!("{} {}", diff.path, diff.note));
                diff.diff.lines().for_each(|l| say(l.to_owned()));
            }
            for e in applied.evidence.iter().chain(evidence) {
                say(format!("{}: {}", e.what, e.found));
            }
            let done = if applied.changed { "done" } else { "done, nothing to change" };
            say(format!("{} {}: {done}", offer.step.action.kind(), offer.step.name));
        }
        Err(Failure::Failed { fault, evidence, .. }) => {
            for e in evidence {
                say(format!("{}: {}", e.what, e.found));
            }
            say(format!("ERROR {fault}"));
        }
        Err(Failure::Indeterminate { fault, .. }) => say(format!("ERROR {fault}")),
        Err(Failure::NotBegun { why }) => say(format!("not begun: {why}")),
    }
}

fn ended(executor: &Executor, began: Timestamp, result: Result<(Applied, Vec<Evidence>), Failure>) -> Conclusion {
    let mut outcome = Outcome::bare(Ending::Succeeded, false, began, executor.host.now());
    match result {
        Ok((applied, evidence)) => {
            outcome.changed = applied.changed;
            outcome.diffs = applied.diffs;
            outcome.evidence = applied.evidence;
            outcome.evidence.extend(evidence);
        }
        Err(Failure::Failed { fault, changed, evidence }) => {
            outcome.ending = Ending::Failed;
            outcome.changed = changed;
            outcome.evidence = evidence;
            outcome.fault = Some(fault);
        }
        Err(Failure::Indeterminate { fault, known, unknown }) => {
            outcome.ending = if executor.bugs.unknown_is_success() { Ending::Succeeded } else { Ending::Indeterminate };
            outcome.changed = true;
            outcome.fault = Some(fault);
            outcome.known = known;
            outcome.unknown = unknown;
        }
        Err(Failure::NotBegun { why }) => return Conclusion::Abandoned(why),
    }
    Conclusion::Ended(Box::new(outcome))
}

/// Actions keep secrets out of what they tell; this is the last look before it is written and sent.
fn redacted(mut outcome: Outcome, secrets: &SecretBook) -> Outcome {
    for evidence in &mut outcome.evidence {
        evidence.found = secrets.redact(&evidence.found);
    }
    for diff in &mut outcome.diffs {
        diff.diff = secrets.redact(&diff.diff);
    }
    if let Some(fault) = &mut outcome.fault {
        fault.message = secrets.redact(&fault.message);
    }
    for text in outcome.known.iter_mut().chain(&mut outcome.unknown) {
        *text = secrets.redact(text);
    }
    outcome
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
