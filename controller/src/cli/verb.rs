//! What the verbs have in common: the step is shown and the position just read is sent, unless `--at` names one.

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::find;
use super::output::{Format, OutputArgs, emit, say};
use crate::operate::request::{VerbAnswer, VerbRequest};
use crate::rpc::method::Method;
use crate::view::document::{RunStatus, StepStatus};
use cavalcade_common::exit::Exit;

/// Which run, where several fleets have one.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The run: its name, or at least 8 digits of its plan's sha256. Without it the only open one.
    #[arg(long = "run", value_name = "RUN")]
    pub(super) run: Option<String>,
    /// The journal position that you saw: what somebody changed since refuses the command. Without it the present state is
    /// shown and the position just read is sent.
    #[arg(long, value_name = "SEQ")]
    pub(super) at: Option<u64>,
}

/// A verb on a step.
#[derive(Debug, Args)]
pub(super) struct StepArgs {
    /// The step: 3.2@is-1, or 3.2 or its name where only one node has it.
    #[arg(value_name = "STEP")]
    pub(super) step: String,
    #[command(flatten)]
    pub(super) on: RunArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// A step found in the open run, with the connection that found it.
pub(super) struct Found {
    pub(super) controller: Controller,
    pub(super) step: StepStatus,
    run: String,
    at: Option<u64>,
    format: Format,
}

/// Finds the step and shows it where its position is taken from what was just read.
pub(super) async fn find(args: &StepArgs, context: &Context) -> Result<Found, Failure> {
    let controller = Controller::connect(context).await?;
    let run = controller.open_run(args.on.run.as_deref()).await?;
    let step = find::step(&run, &args.step)?.clone();
    if args.on.at.is_none() {
        say(&find::shown(&step));
    }
    Ok(Found { controller, step, run: run.run, at: args.on.at, format: args.output.output })
}

impl Found {
    /// Sends the verb on the step; the rest of the request is the verb's own.
    pub(super) async fn send(self, method: Method, rest: VerbRequest) -> Result<Exit, Failure> {
        let key = self.step.step.parse().map_err(|error| Failure::usage(format!("{error}")))?;
        let at = self.at.or(Some(self.step.position));
        let request = VerbRequest { run: Some(self.run), step: Some(key), at, ..rest };
        send(&self.controller, method, &request, self.format).await
    }
}

/// Sends a verb and prints the answer.
pub(super) async fn send(
    controller: &Controller,
    method: Method,
    request: &VerbRequest,
    format: Format,
) -> Result<Exit, Failure> {
    let answer: VerbAnswer = controller.order(method, request).await?;
    let document = json!({
        "schema": "cavalcade.verb/1",
        "run": answer.run,
        "position": answer.position,
        "says": answer.says,
    });
    let shown = emit(format, &document, || answer.says.clone());
    shown.map_err(|failure| failure.changed(format!("The command was carried out: {}", answer.says)))?;
    Ok(Exit::Done)
}

/// Reads a file of evidence for the journal: its name, its digest, and its beginning where it is text.
pub(super) fn evidence_text(path: &std::path::Path) -> Result<String, Failure> {
    const MOST: usize = 4096;
    let bytes = read_small(path)?;
    let digest = cavalcade_common::id::Digest::of(&bytes);
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let shown = match std::str::from_utf8(&bytes) {
        Ok(text) => text.chars().take(MOST).collect::<String>(),
        Err(_) => "(no text)".to_owned(),
    };
    Ok(format!("evidence {name} sha256 {digest}: {}", shown.trim()))
}

/// Reads a file that a person wrote for one command.
pub(super) fn read_small(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    const MOST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes));
    read.map_err(|error| Failure::file(path, &error))?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::usage(format!("{} is larger than 1 MiB", path.display())));
    }
    Ok(bytes)
}

/// Why, as far as it was said.
pub(super) fn why(text: Option<String>) -> String {
    text.unwrap_or_default()
}

/// A verb on a run as a whole: shows where it stands, then sends.
pub(super) async fn on_run(
    context: &Context,
    on: &RunArgs,
    output: &OutputArgs,
    method: Method,
    rest: VerbRequest,
) -> Result<Exit, Failure> {
    let controller = Controller::connect(context).await?;
    let run = shown_run(&controller, on).await?;
    send(&controller, method, &of_run(&run, on, rest), output.output).await
}

/// The run, shown where its position is taken from what was just read.
pub(super) async fn shown_run(controller: &Controller, on: &RunArgs) -> Result<RunStatus, Failure> {
    let run = controller.open_run(on.run.as_deref()).await?;
    if on.at.is_none() {
        say(&find::shown_run(&run));
    }
    Ok(run)
}

/// The request with the run and what was seen of it.
pub(super) fn of_run(run: &RunStatus, on: &RunArgs, rest: VerbRequest) -> VerbRequest {
    VerbRequest { run: Some(run.run.clone()), at: on.at.or(Some(run.position)), ..rest }
}
