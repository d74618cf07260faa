//! `man`: the manual pages, one for each command.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::output::{say, write_file};
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Folder for the pages; it is made.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(args: &ManArgs) -> Result<Exit, Failure> {
    std::fs::create_dir_all(&args.out).map_err(|error| Failure::file(&args.out, &error))?;
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    let pages = write(&command, args)?;
    say(&format!("{pages} pages in {}", args.out.display()));
    Ok(Exit::Done)
}

/// Writes the page of a command and those below it; hidden ones have none.
fn write(command: &clap::Command, args: &ManArgs) -> Result<usize, Failure> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render(&mut page).map_err(|error| Failure::file(&args.out, &error))?;
    // Built commands have the whole way to them as their name: cavalcade-token-create.
    let name = command.get_display_name().unwrap_or(command.get_name());
    write_file(&args.out.join(format!("{name}.1")), &page)?;
    let mut pages = 1;
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        pages += write(below, args)?;
    }
    Ok(pages)
}
