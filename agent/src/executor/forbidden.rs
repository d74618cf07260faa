//! Reasons not to begin an attempt, whatever the controller says: they are facts of this host.

use std::io;
use std::path::Path;

use cavalcade_common::action::{Action, ServerOp};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::AttemptId;
use cavalcade_common::message::Offer;
use cavalcade_common::report::{EFFECT_HELD_BY, Ending, Evidence};

use super::Executor;
use crate::action::{Failure, command};
use crate::host::HeldState;
use crate::ledger::state::Phase;

/// The first reason, if there is one.
pub(super) fn forbidden(executor: &Executor, offer: &Offer) -> Option<Failure> {
    if let Some(fault) = root_unsaid(&offer.step.action, executor.host.is_root()) {
        return Some(fault.into());
    }
    let lives = || attempt_lives(executor, offer).or_else(|| job_lives(executor, offer)).map(Failure::from);
    started_before(executor, offer).or_else(lives)
}

/// It would start something as root because the agent is root, and nobody said that it may (10, rule 14).
pub(crate) fn root_unsaid(action: &Action, is_root: bool) -> Option<Fault> {
    let unsaid = action.starts_with().is_some_and(|runtime| runtime.run_as.is_none());
    let text = || format!("the agent is root, and no `run_as` says as whom this {} runs", action.kind());
    (is_root && unsaid).then(|| Fault::new(codes::agent::ROOT_UNSAID, text()))
}

/// Its effect was started before, and no person replaced that very start (10, rule 1). The controller is told who began it:
/// it may know nothing of a start by hand, and a person's word has to name that one.
fn started_before(executor: &Executor, offer: &Offer) -> Option<Failure> {
    let key = offer.step.effect.as_ref()?;
    let ledger = executor.ledger();
    let (known, earlier) = ledger.state().effects.earlier(key)?;
    let replaced =
        offer.approved.as_ref().is_some_and(|a| a.replaces == earlier.attempt && (a.effect == *key || a.effect == *known));
    if earlier.attempt == offer.attempt || replaced {
        return None;
    }
    let how = match earlier.ending {
        Some(Ending::Succeeded) => "and succeeded",
        Some(Ending::Failed) => "and failed",
        Some(Ending::Indeterminate) => "and its end is not known",
        None => "and has not ended",
    };
    let fault = Fault::new(codes::agent::EFFECT_EXISTS, format!("the effect {known} was started by {} {how}", earlier.attempt));
    let holder = Evidence::fails(EFFECT_HELD_BY, earlier.attempt.to_string());
    Some(Failure::Failed { fault, changed: false, evidence: vec![holder] })
}

/// An earlier attempt of the step lives (10, rule 6): the lock says so, whatever the ledger says. A command outlives its
/// end there where killing it did not help. Only the server behind a start script lives on rightly.
fn attempt_lives(executor: &Executor, offer: &Offer) -> Option<Fault> {
    let outlives = matches!(offer.step.action, Action::Server(_));
    let earlier: Vec<AttemptId> = {
        let ledger = executor.ledger();
        let attempts = ledger.state().attempts.iter().filter(|(id, attempt)| {
            let counts = match attempt.phase {
                Phase::Accepted | Phase::Intended => true,
                Phase::Ended(_) => !outlives,
                Phase::Abandoned => false,
            };
            counts && id.run == offer.attempt.run && id.step == offer.attempt.step && id.number < offer.attempt.number
        });
        attempts.map(|(id, _)| id.clone()).collect()
    };
    earlier.iter().find_map(|id| match lives(executor, id) {
        Ok(false) => None,
        Ok(true) => Some(Fault::new(codes::agent::ATTEMPT_LIVES, format!("the attempt {id} still lives"))),
        Err(e) => {
            let text = format!("whether the attempt {id} lives cannot be seen: {e}");
            Some(Fault::new(codes::server::NOT_SEEN, text))
        }
    })
}

/// A stop would end a job that nothing interrupts: its child lives, and the end of its work is not in the ledger (10, rule
/// 11). A person's `stop-job` is another way, and stays.
fn job_lives(executor: &Executor, offer: &Offer) -> Option<Fault> {
    let Action::Server(server) = &offer.step.action else { return None };
    match server.op {
        ServerOp::Stop => {}
        ServerOp::Start | ServerOp::Wait | ServerOp::Down => return None,
    }
    let jobs: Vec<AttemptId> = {
        let ledger = executor.ledger();
        let of_home =
            |offer: &Offer| matches!(&offer.step.action, Action::Job(job) if Path::new(&job.home) == Path::new(&server.home));
        let attempts = ledger.state().attempts.iter();
        let open = attempts.filter(|(_, a)| !a.work_ended && a.offer.as_deref().is_some_and(of_home));
        open.map(|(id, _)| id.clone()).collect()
    };
    jobs.iter().find_map(|id| {
        let why = match lives(executor, id) {
            Ok(false) => return None,
            Ok(true) => format!("the job {id} lives in {}, and its work has not ended", server.home),
            Err(e) => format!("whether the job {id} lives in {} cannot be seen: {e}", server.home),
        };
        Some(Fault::new(codes::server::JOB_LIVES, why))
    })
}

/// Whether anything that an attempt started lives.
fn lives(executor: &Executor, attempt: &AttemptId) -> io::Result<bool> {
    for dir in command::folders(executor.host.as_ref(), &executor.attempt_dir(attempt))? {
        match executor.host.held(&dir, false)? {
            Some(HeldState::Alive { .. }) => return Ok(true),
            Some(HeldState::Ended { .. } | HeldState::Vanished | HeldState::NeverBegan) | None => {}
        }
    }
    Ok(false)
}
