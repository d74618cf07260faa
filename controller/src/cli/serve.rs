//! `serve`.

use std::net::SocketAddr;

use cavalcade_common::config_file::ConfigFile;
use cavalcade_common::exit::Exit;
use clap::{Args, ValueEnum};
use nix::unistd::{Gid, Group};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::context::Context;
use super::failure::Failure;
use crate::daemon::{self, ServeConfig};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where agents connect.
    #[arg(long, env = "CAVALCADE_AGENTS", default_value = "0.0.0.0:7420", value_name = "ADDR:PORT")]
    agents: SocketAddr,
    /// Where new agents enrol.
    #[arg(long, env = "CAVALCADE_ENROL", default_value = "0.0.0.0:7421", value_name = "ADDR:PORT")]
    enrol: SocketAddr,
    /// A name or address of this controller, as agents reach it; may be given again. The first stands in tokens. Without
    /// it the host's own name.
    #[arg(long, env = "CAVALCADE_NAME", value_delimiter = ',', value_name = "NAME")]
    name: Vec<String>,
    /// A group whose members may be operators too; each acts under the name of their own account. Without it the
    /// controller's user and root alone reach it.
    #[arg(long, env = "CAVALCADE_OPERATORS", value_name = "GROUP")]
    operators: Option<String>,
    /// Form of the controller's own log, on standard error.
    #[arg(long, env = "CAVALCADE_LOG_FORMAT", default_value = "text", value_name = "FORM")]
    log_format: LogFormat,
    /// What is logged: a level, or levels by module (info, cavalcade_controller=debug).
    #[arg(long, env = "CAVALCADE_LOG", default_value = "info", value_name = "FILTER")]
    log: Targets,
}

/// Form of the controller's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON document for each line.
    Json,
}

pub(super) fn run(args: ServeArgs, context: &Context, file: Option<&ConfigFile>) -> Result<Exit, Failure> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(context.colour_err);
    match args.log_format {
        LogFormat::Text => tracing_subscriber::registry().with(lines).with(args.log).init(),
        LogFormat::Json => tracing_subscriber::registry().with(lines.json()).with(args.log).init(),
    }
    if let Some(file) = file {
        tracing::info!(file = file.name, "read the file with options");
    }
    let names = if args.name.is_empty() { vec![host_name()?] } else { args.name };
    let operators = args.operators.as_deref().map(group).transpose()?;
    let config = ServeConfig { state_dir: context.state.clone(), agents: args.agents, enrol: args.enrol, names, operators };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::usage(format!("no threads can be started: {error}")))?;
    runtime.block_on(daemon::serve(config)).map_err(|fault| Failure::from(fault).changed("The controller has ended."))?;
    Ok(Exit::Done)
}

fn group(name: &str) -> Result<Gid, Failure> {
    let found = Group::from_name(name).map_err(|error| Failure::usage(format!("--operators {name}: {error}")))?;
    Ok(found.ok_or_else(|| Failure::usage(format!("--operators {name}: there is no such group on this host")))?.gid)
}

fn host_name() -> Result<String, Failure> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = name.map_err(|error| Failure::usage(format!("this host's name cannot be read ({error}); give --name")))?;
    Ok(name.trim().to_owned())
}
