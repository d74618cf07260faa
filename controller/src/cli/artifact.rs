//! `artifact`, and how artifacts come into the controller's store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;
use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{OutputArgs, emit};
use super::progress::{Bytes, size};
use crate::operate::request::{ArtifactPutAnswer, ArtifactPutRequest};
use cavalcade_common::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum ArtifactCommand {
    /// Put a file into the controller's store; agents take it from there.
    Add(AddArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The digest that it must have.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(command: ArtifactCommand, context: &Context) -> Result<Exit, Failure> {
    let ArtifactCommand::Add(args) = command;
    let wanted = args.sha256.as_deref().map(Digest::new).transpose();
    let wanted = wanted.map_err(|error| Failure::usage(format!("--sha256: {error}")))?;
    let controller = Controller::connect(context).await?;
    let answer = put(&controller, context, &args.file, wanted).await?;
    let document = json!({ "schema": "cavalcade.artifact/1", "sha256": answer.sha256, "size": answer.size });
    let line = format!("{}  {} ({})", answer.sha256, args.file.display(), size(answer.size));
    emit(args.output.output, &document, || line)?;
    Ok(Exit::Done)
}

/// Uploads a file, with a bar.
pub(super) async fn put(
    controller: &Controller,
    context: &Context,
    file: &Path,
    sha256: Option<Digest>,
) -> Result<ArtifactPutAnswer, Failure> {
    let request = serde_json::to_value(ArtifactPutRequest { sha256 });
    let request = request.map_err(|error| Failure::usage(format!("the request cannot be written: {error}")))?;
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let bytes = Arc::new(Mutex::new(Bytes::new(context, crate::view::text::clean(&name))));
    let shown = Arc::clone(&bytes);
    let progress = move |done, total| shown.lock().unwrap_or_else(PoisonError::into_inner).at(done, total);
    let answer = controller.client().put_artifact(file, &request, progress).await;
    bytes.lock().unwrap_or_else(PoisonError::into_inner).end();
    let kept = "No run was changed.";
    let answer = answer.map_err(|fault| Failure::from(fault).changed(kept))?;
    serde_json::from_value(answer)
        .map_err(|error| Fault::new(codes::WIRE, format!("the controller's answer is not understood: {error}")).into())
}
