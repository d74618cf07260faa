//! What all actions that start a child share: secrets, the permit, the start itself.

use std::io;

use cavalcade_common::action::Runtime;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, Progress};

use crate::action::{Context, Failure};
use crate::host::HeldSpec;

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

/// The spec of a child in the attempt's folder, its secrets filled in.
///
/// # Errors
/// [`codes::server::NO_SECRET`].
pub(super) fn spec(cx: &Context, command: &[String], cwd: &str, runtime: &Runtime) -> Result<HeldSpec, Failure> {
    let mut runtime = runtime.clone();
    for value in runtime.env.values_mut() {
        *value = revealed(cx, value)?;
    }
    Ok(HeldSpec {
        dir: cx.attempt_dir.clone(),
        command: command.iter().map(|part| revealed(cx, part)).collect::<Result<_, _>>()?,
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

/// The permit and, with nothing in between, the start of the child.
pub(super) async fn launch(cx: &Context, spec: &HeldSpec) -> Result<Vec<Evidence>, Failure> {
    let permitted = permit(cx).await?;
    cx.host.hold(spec).map_err(|e| {
        let program = spec.command.first().map_or("", String::as_str);
        Fault::new(codes::server::NOT_HELD, format!("{program} could not be started: {e}"))
    })?;
    Ok(permitted)
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
