//! What all actions that start a child share: secrets, the permit, the start itself.

use std::io;
use std::path::PathBuf;

use cavalcade_common::action::{Action, Runtime};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, Progress};
use cavalcade_common::secret::markers;

use crate::action::aside::aside;
use crate::action::watch::OWN;
use crate::action::{Context, Failure, fs_fault};
use crate::host::{HeldSpec, HeldState, new_home};

/// Something that could not be looked at.
pub(super) fn not_seen(what: &str, error: &io::Error) -> Fault {
    Fault::new(codes::server::NOT_SEEN, format!("{what}: {error}"))
}

/// A failure after something was started or signalled.
pub(super) fn failed(fault: Fault, evidence: Vec<Evidence>) -> Failure {
    Failure::Failed { fault, changed: true, evidence }
}

/// Replaces secret markers by their values.
fn revealed(cx: &Context, text: &str) -> Result<String, Failure> {
    let value = cx.secrets.reveal(text).map_err(|e| Fault::new(codes::server::NO_SECRET, e.to_string()))?;
    Ok(value.expose().to_owned())
}

/// An argument as written. The reader of steps refuses secrets in it; an offer may come from elsewhere.
fn argument(text: &str) -> Result<String, Fault> {
    match markers(text).first() {
        None => Ok(text.to_owned()),
        Some(name) => {
            let text = format!("the secret `{name}` stands in an argument, which every user of the host can read");
            Err(Fault::new(codes::written::SECRET_ARGUMENT, text))
        }
    }
}

/// The spec of a child in the attempt's folder, the secrets of its environment filled in.
///
/// # Errors
/// [`codes::server::NO_SECRET`]; a secret among its arguments.
pub(super) fn spec(cx: &Context, command: &[String], cwd: &str, runtime: &Runtime) -> Result<HeldSpec, Failure> {
    let mut runtime = runtime.clone();
    for value in runtime.env.values_mut() {
        *value = revealed(cx, value)?;
    }
    Ok(HeldSpec {
        dir: cx.attempt_dir.clone(),
        command: command.iter().map(|part| argument(part)).collect::<Result<_, _>>()?,
        cwd: cwd.into(),
        runtime,
        one_launch: false,
        outlives_agent: false,
    })
}

/// Asks for the permit that the step needs. The caller launches at once.
pub(super) async fn permit(cx: &Context) -> Result<Vec<Evidence>, Failure> {
    if cx.step.needs.is_empty() {
        return Ok(Vec::new());
    }
    cx.out.progress(Progress { done: 0, total: 0, label: "waits for its permit".to_owned(), quiet_seconds: 0 });
    cx.permits.obtain(&cx.attempt, &cx.step).await.map_err(|missing| refused(cx, missing.0))
}

/// What a refusal means. What was interrupted did begin: it is not given back as if it had not (10, rule 8).
pub(super) fn refused(cx: &Context, why: String) -> Failure {
    if cx.resumed { failed(Fault::new(codes::agent::NOT_PERMITTED, why), Vec::new()) } else { Failure::NotBegun { why } }
}

/// A home in which something runs loses files by that: `unpack` has to know.
async fn note_use(cx: &Context, spec: &HeldSpec) -> Result<(), Failure> {
    let mut folders = vec![spec.cwd.clone()];
    if let Action::Server(server) = &cx.step.action {
        // A service is started from elsewhere.
        folders.push(PathBuf::from(&server.home));
    }
    aside(cx, move |_| {
        let noted = folders.iter().try_for_each(|folder| new_home::used(folder).map_err(|e| (folder, e)));
        noted.map_err(|(folder, e)| fs_fault::access(folder, "noted as used", &e).into())
    })
    .await
}

/// The permit and, with nothing in between, the start of the child.
pub(super) async fn launch(cx: &Context, spec: &HeldSpec) -> Result<Vec<Evidence>, Failure> {
    // Before the permit, which ages.
    note_use(cx, spec).await?;
    let permitted = permit(cx).await?;
    match cx.host.hold(spec) {
        Ok(()) => {}
        Err(error) => not_held(cx, spec, &error)?,
    }
    Ok(permitted)
}

/// A start that reported an error. That alone does not say that nothing began: systemd may have started the unit while
/// `systemd-run` waited in vain for the answer. The folder tells, and a shim that comes later finds ABANDONED there (10,
/// rule 8).
fn not_held(cx: &Context, spec: &HeldSpec, error: &io::Error) -> Result<(), Failure> {
    let program = spec.command.first().map_or("", String::as_str);
    let says = format!("{program} could not be started: {error}");
    let look = match cx.host.held(&spec.dir, true) {
        Ok(Some(HeldState::Alive { .. } | HeldState::Ended { .. } | HeldState::Vanished)) => {
            cx.out.line(OWN, &format!("{says}; but it began, and goes on"));
            return Ok(());
        }
        Ok(Some(HeldState::NeverBegan)) => return Err(Fault::new(codes::server::NOT_HELD, says).into()),
        Ok(None) => "the attempt's folder does not say it".to_owned(),
        Err(look) => format!("the attempt's folder cannot be read: {look}"),
    };
    let unknown = vec!["whether it began all the same".to_owned()];
    Err(Failure::Indeterminate { fault: Fault::new(codes::server::NOT_SEEN, look), known: vec![says], unknown })
}

/// JAVA_HOME, without which the products' scripts do nothing.
///
/// # Errors
/// [`codes::server::JAVA_HOME_UNSET`].
pub(super) fn java_home(runtime: &Runtime) -> Result<(), Fault> {
    let set = runtime.java_home.as_deref().or_else(|| runtime.env.get("JAVA_HOME").map(String::as_str));
    match set {
        Some(home) if !home.trim().is_empty() => Ok(()),
        Some(_) | None => Err(Fault::new(codes::server::JAVA_HOME_UNSET, "no JAVA_HOME is set for this node")),
    }
}
