//! `completions`.

use clap::Args;
use clap_complete::Shell;

use super::failure::Failure;
use super::output::raw;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "cavalcade", &mut script);
    raw(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
