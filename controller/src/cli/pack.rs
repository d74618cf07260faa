//! `pack`: what a pack of the vendor shipped, as a list that stands in for the pack.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::{put, say};
use crate::pack;
use cavalcade_common::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum PackCommand {
    /// List what a pack ships: the digest of each file and the settings of its deployment.toml. A fleet file may name the
    /// list in place of an old pack, so that nobody has to keep it.
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The pack as the vendor gives it (wso2am-3.1.0.zip), or a list of one.
    #[arg(value_name = "PACK.zip")]
    pack: PathBuf,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(command: PackCommand) -> Result<Exit, Failure> {
    let PackCommand::List(args) = command;
    let shipped = pack::read(&args.pack)?;
    put(args.out.as_deref(), &pack::to_text(&shipped)?)?;
    say(&format!("{}: files {}, settings {}", shipped.root, shipped.files.len(), shipped.settings.len()));
    Ok(Exit::Done)
}
