//! The program `cavalcade-agent`.

use std::path::PathBuf;
use std::process::ExitCode;

use cavalcade_agent::shim;
use clap::{Parser, Subcommand};

/// Does the work of Cavalcade on one host.
#[derive(Debug, Parser)]
#[command(name = "cavalcade-agent", version, about)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Holds one child of the agent; started by the agent itself.
    #[command(hide = true)]
    Shim {
        /// Runs as the main process of a systemd unit.
        #[arg(long)]
        unit: bool,
        /// Folder of the attempt.
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().verb {
        // Before anything that could start a thread: the shim forks.
        Verb::Shim { unit, dir } => {
            let home = if unit { shim::Home::Unit } else { shim::Home::Agent };
            ExitCode::from(u8::try_from(shim::run(&dir, home)).unwrap_or(1))
        }
    }
}
