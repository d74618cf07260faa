//! One attempt from its turn to its end.

use std::sync::Arc;

use cavalcade_common::action::{Action, Class};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::AttemptId;
use cavalcade_common::message::Offer;
use cavalcade_common::report::{Ending, Evidence, FileDiff, Outcome};
use cavalcade_common::secret::SecretBook;
use jiff::Timestamp;

use super::book::book;
use super::output::AttemptOutput;
use super::{Executor, LineOrigin};
use crate::action::{self, Applied, Context, Failure};
use crate::host::{HeldState, keep};
use crate::ledger::LedgerError;
use crate::ledger::state::Phase;

/// All diffs of an outcome together are cut after this many bytes: the whole diff is in the log.
const DIFF_ROOM: usize = 96 << 10;

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
    let _turn = executor.turns.take(&offer.attempt.step.node).await;
    let conclusion = work(executor, offer, resumed).await?;
    let mut ledger = executor.ledger();
    match conclusion {
        Conclusion::Ended(outcome) => ledger.end(&offer.attempt, *outcome),
        Conclusion::Abandoned(why) => ledger.abandon(&offer.attempt, &why),
    }
}

async fn work(executor: &Arc<Executor>, offer: &Offer, resumed: bool) -> Result<Conclusion, LedgerError> {
    let began = executor.host.now();
    if !resumed {
        if executor.is_withdrawn(&offer.attempt) {
            return Ok(Conclusion::Abandoned("withdrawn before it began".to_owned()));
        }
        if let Some(fault) = forbidden(executor, offer) {
            return Ok(ended(executor, began, Err(fault.into())));
        }
    }
    let _home = match &offer.home {
        None => None,
        Some(home) => match executor.host.lock_home(std::path::Path::new(home)) {
            Ok(Some(guard)) => Some(guard),
            Ok(None) => return Ok(Conclusion::Abandoned(format!("another program holds the lock of {home}"))),
            Err(e) => {
                let fault = Fault::new(codes::agent::HOME_LOCKED, format!("the lock beside {home} cannot be taken: {e}"));
                return Ok(ended(executor, began, Err(fault.into())));
            }
        },
    };
    let secrets = match book(executor.secrets.as_ref(), &offer.secrets, &offer.given).await {
        Ok(book) => Arc::new(book),
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
        ledger.intend(&offer.attempt)?;
    }
    executor.news.notify_one();
    let context = context(executor, offer, resumed, secrets);
    let result = perform(&context).await;
    narrate(executor, offer, &context.secrets, &result);
    Ok(match ended(executor, began, result) {
        Conclusion::Ended(outcome) => Conclusion::Ended(Box::new(redacted(*outcome, &context.secrets))),
        Conclusion::Abandoned(why) => Conclusion::Abandoned(context.secrets.redact(&why)),
    })
}

/// Reasons not to begin, whatever the controller says: they are facts of this host.
fn forbidden(executor: &Executor, offer: &Offer) -> Option<Fault> {
    let ledger = executor.ledger();
    let state = ledger.state();
    if let Some(key) = &offer.step.effect
        && let Some(earlier) = state.effects.get(key)
        && earlier.attempt != offer.attempt
        && !offer.approved.as_ref().is_some_and(|a| &a.effect == key && a.replaces == earlier.attempt)
    {
        let how = match earlier.ending {
            Some(Ending::Succeeded) => "and succeeded",
            Some(Ending::Failed) => "and failed",
            Some(Ending::Indeterminate) => "and its end is not known",
            None => "and has not ended",
        };
        return Some(Fault::new(
            codes::agent::EFFECT_EXISTS,
            format!("the effect {key} was started by {} {how}", earlier.attempt),
        ));
    }
    let earlier: Vec<AttemptId> = state
        .attempts
        .iter()
        .filter(|(id, a)| {
            id.run == offer.attempt.run
                && id.step == offer.attempt.step
                && id.number < offer.attempt.number
                && a.phase != Phase::Abandoned
        })
        .map(|(id, _)| id.clone())
        .collect();
    drop(ledger);
    // A start script's server lives on behind a finished attempt; only an attempt without an end stands in the way.
    let lives = earlier.into_iter().find(|id| {
        let open = executor.ledger().state().attempts.get(id).is_some_and(|a| !matches!(a.phase, Phase::Ended(_)));
        open && matches!(executor.host.held(&executor.attempt_dir(id), false), Ok(Some(HeldState::Alive { .. })))
    })?;
    Some(Fault::new(codes::agent::ATTEMPT_LIVES, format!("the attempt {lives} still lives")))
}

fn context(executor: &Arc<Executor>, offer: &Offer, resumed: bool, secrets: Arc<SecretBook>) -> Context {
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
        out: Arc::new(AttemptOutput::new(executor, &offer.attempt, secrets.clone())),
        secrets,
        hide: offer.hide.clone().into(),
        artifacts: executor.artifacts.clone(),
        permits: executor.permits.clone(),
        resumed,
        incarnations: Arc::new(offer.incarnations.clone()),
        decision: offer.decision.clone(),
    }
}

/// apply, then verify. A time limit ends only what may be given up: never a job, a script or a backup under way.
async fn perform(cx: &Context) -> Result<(Applied, Vec<Evidence>), Failure> {
    let act = action::of(&cx.step.action);
    let work = async {
        let applied = act.apply(cx).await?;
        let evidence = act.verify(cx).await?;
        Ok((applied, evidence))
    };
    let may_be_given_up = cx.step.action.class() == Class::Redo || matches!(cx.step.action, Action::Server(_));
    if !may_be_given_up {
        return work.await;
    }
    match tokio::time::timeout(cx.step.timeout, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Failed {
            fault: Fault::new(
                codes::agent::STEP_TIMEOUT,
                format!("{} did not end within {}", cx.step.action.kind(), cavalcade_common::duration::format(cx.step.timeout)),
            ),
            changed: true,
            evidence: Vec::new(),
        }),
    }
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
        Err(Failure::Failed { fault, .. } | Failure::Indeterminate { fault, .. }) => say(format!("ERROR {fault}")),
        Err(Failure::NotBegun { why }) => say(format!("not begun: {why}")),
    }
}

fn ended(executor: &Executor, began: Timestamp, result: Result<(Applied, Vec<Evidence>), Failure>) -> Conclusion {
    let mut outcome = Outcome {
        ending: Ending::Succeeded,
        changed: false,
        began,
        ended: executor.host.now(),
        evidence: Vec::new(),
        diffs: Vec::new(),
        fault: None,
        known: Vec::new(),
        unknown: Vec::new(),
    };
    match result {
        Ok((applied, evidence)) => {
            outcome.changed = applied.changed;
            outcome.diffs = cut(applied.diffs);
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
            outcome.ending = Ending::Indeterminate;
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

fn cut(mut diffs: Vec<FileDiff>) -> Vec<FileDiff> {
    let mut room = DIFF_ROOM;
    for d in &mut diffs {
        if d.diff.len() > room {
            let mut end = room;
            while !d.diff.is_char_boundary(end) {
                end -= 1;
            }
            d.diff.truncate(end);
            d.note.push_str(" (cut here; whole in the log)");
        }
        room -= d.diff.len();
    }
    diffs
}
