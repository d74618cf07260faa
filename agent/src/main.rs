//! The program `cavalcade-agent`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
