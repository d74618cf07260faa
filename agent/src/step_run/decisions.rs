//! Effects that happen at most once, and a person's decision to start one again (10, rules 1 and 6).

use cavalcade_common::action::{Action, Job};
use cavalcade_common::codes::agent as codes;
use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::message::ApprovedRepeat;
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::Ending;

use super::{Exit, Options, Stopped};
use crate::ledger::effects::EffectState;
use crate::ledger::state::LedgerState;

/// Whether a step may start its effect.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It may; with the decision that lets it start again.
    Start(Option<ApprovedRepeat>),
    /// The ledger holds it as done, in these words.
    Done(String),
    /// A script that the ledger holds as done: its own ledger, in the database, has the last word.
    Look(Fault),
    /// It was started, and nobody decided.
    Refused(Fault),
}

/// Every --again names a start of the past.
///
/// # Errors
/// Those that do not.
pub(super) fn check(options: &Options, steps: &[PlanStep], state: &LedgerState) -> Result<(), Stopped> {
    let mut faults = Faults::default();
    for name in &options.again {
        let step = steps.iter().find(|s| s.name == *name);
        let why = match step.map(|s| &s.effect) {
            None => format!("the file has no step `{name}` that runs"),
            Some(None) => format!("`{name}` may run as often as it likes"),
            Some(Some(key)) if !state.effects.is_known(key) => format!("`{name}` was not started before"),
            Some(Some(_)) => continue,
        };
        faults.push(Fault::new(codes::NO_SUCH_DECISION, why));
    }
    faults.into_result(()).map_err(|faults| Stopped { exit: Exit::Usage, faults })
}

/// Whether a step may start now. Not asked for an attempt that was interrupted: that one goes on.
pub(super) fn verdict(options: &Options, step: &PlanStep, state: &LedgerState) -> Verdict {
    let Some(key) = &step.effect else { return Verdict::Start(None) };
    let Some((key, earlier)) = state.effects.earlier(key) else { return Verdict::Start(None) };
    if options.again.contains(&step.name) {
        if let Some(fault) = restore_first(options, step, state, earlier) {
            return Verdict::Refused(fault);
        }
        let says = format!("{}: {}", who(), options.why.as_deref().unwrap_or_default());
        return Verdict::Start(Some(ApprovedRepeat { effect: key.clone(), replaces: earlier.attempt.clone(), says }));
    }
    let how = match earlier.ending {
        Some(Ending::Succeeded) => "and was done then",
        Some(Ending::Failed) => "and failed",
        Some(Ending::Indeterminate) => "and its end is not known",
        None => "and has not ended",
    };
    let fault = Fault::new(codes::STARTED_BEFORE, format!("{key} was started by {} {how}", earlier.attempt))
        .help(format!("--again {} --why TEXT starts it once more", step.name));
    match (&step.action, earlier.ending) {
        (Action::Sql(_), Some(Ending::Succeeded)) => Verdict::Look(fault),
        (_, Some(Ending::Succeeded)) => Verdict::Done(format!("done by {}", earlier.attempt)),
        _ => Verdict::Refused(fault),
    }
}

/// Databases that a job changed must have been restored since.
fn restore_first(options: &Options, step: &PlanStep, state: &LedgerState, earlier: &EffectState) -> Option<Fault> {
    let Action::Job(job) = &step.action else { return None };
    let missing = not_restored(options, job, state, earlier);
    if missing.is_empty() {
        return None;
    }
    let text = format!("{} changed {} in a way that no ledger knows", earlier.attempt, missing.join(", "));
    Some(Fault::new(codes::RESTORE_BEFORE, text))
}

fn not_restored(options: &Options, job: &Job, state: &LedgerState, earlier: &EffectState) -> Vec<String> {
    let restored = |name: &String| options.restored.contains(name) || state.effects.restored_since(name, earlier);
    job.databases.iter().filter(|name| !restored(name)).cloned().collect()
}

/// The person at the keyboard.
pub(super) fn who() -> String {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| format!("user {uid}"), |user| user.name);
    match std::env::var("SUDO_USER") {
        Ok(person) if uid.is_root() => format!("{person} as {name}"),
        Ok(_) | Err(_) => name,
    }
}
