//! `token`.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{OutputArgs, emit, say};
use super::plan;
use crate::operate::request::{TokenAnswer, TokenRequest};
use crate::rpc::method::Method;
use crate::view::report::local;
use cavalcade_common::exit::Exit;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token for one host, or one for each host of a fleet.
    Create(CreateArgs),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("hosts").required(true).args(["host", "all"])))]
pub(super) struct CreateArgs {
    /// The host that may enrol with it.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// A token for each host of this fleet file.
    #[arg(long, value_name = "FLEET", requires = "out")]
    all: Option<PathBuf>,
    /// Folder for the tokens, one file of mode 0600 for each host.
    #[arg(long, value_name = "DIR", conflicts_with = "host")]
    out: Option<PathBuf>,
    /// How long it can be used: 2h, 30min. Without it 15 minutes.
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(command: TokenCommand, context: &Context) -> Result<Exit, Failure> {
    let TokenCommand::Create(args) = command;
    let ttl = args.ttl.as_deref().map(cavalcade_common::duration::parse).transpose();
    let ttl = ttl.map_err(|error| Failure::usage(format!("--ttl: {error}")))?.map(|ttl| ttl.as_secs());
    match (&args.host, &args.all, &args.out) {
        (_, Some(fleet), Some(out)) => all(&args, context, fleet, out, ttl).await,
        (Some(host), ..) => one(&args, context, host, ttl).await,
        _ => Err(Failure::usage("--host HOST or --all FLEET --out DIR")),
    }
}

async fn create(controller: &Controller, host: &str, ttl_seconds: Option<u64>) -> Result<TokenAnswer, Failure> {
    controller.order(Method::TokenCreate, &TokenRequest { host: host.to_owned(), ttl_seconds }).await
}

async fn one(args: &CreateArgs, context: &Context, host: &str, ttl: Option<u64>) -> Result<Exit, Failure> {
    let controller = Controller::connect(context).await?;
    let answer = create(&controller, host, ttl).await?;
    let document = json!({
        "schema": "cavalcade.token/1",
        "host": host,
        "token": answer.token,
        "expires": answer.expires,
        "enrol_at": answer.enrol_at,
    });
    emit(args.output.output, &document, || answer.token.clone())?;
    let until = local(answer.expires, &TimeZone::system());
    say(&format!("One use, for {host} only, until {until}. On that host, as the agent's user:"));
    say(&format!("  cavalcade-agent enroll --controller {} --token-file FILE", answer.enrol_at));
    Ok(Exit::Done)
}

async fn all(args: &CreateArgs, context: &Context, fleet: &Path, out: &Path, ttl: Option<u64>) -> Result<Exit, Failure> {
    let hosts = plan::hosts(fleet)?;
    let controller = Controller::connect(context).await?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(out).map_err(|error| Failure::file(out, &error))?;
    let mut made: Vec<Value> = Vec::new();
    let mut lines = Vec::new();
    for host in &hosts {
        let answer = create(&controller, host.as_str(), ttl).await.map_err(|f| partly(f, made.len(), hosts.len(), out))?;
        let path = out.join(format!("{host}.token"));
        let written = write_secret(&path, &answer.token);
        written.map_err(|f| {
            let (made, all) = (made.len() + 1, hosts.len());
            f.changed(format!("{made} of {all} tokens were made; that of {host} is in no file and ends by itself."))
        })?;
        let (at, file) = (&answer.enrol_at, path.display());
        // The token goes by standard input: never on a command line, where every user of a host could read it.
        lines.push(format!("ssh {host} 'CAVALCADE_TOKEN=$(cat) cavalcade-agent enroll --controller {at}' < {file}"));
        made.push(json!({ "host": host, "file": path, "expires": answer.expires, "enrol_at": answer.enrol_at }));
    }
    let document = json!({ "schema": "cavalcade.tokens/1", "tokens": made });
    emit(args.output.output, &document, || lines.join("\n"))?;
    say(&format!("{} tokens in {}; each for its host only, for one use.", hosts.len(), out.display()));
    Ok(Exit::Done)
}

/// A failure behind tokens that were made.
fn partly(failure: Failure, made: usize, all: usize, out: &Path) -> Failure {
    let another = if failure.is_unreachable() { "; whether another was is not known" } else { "" };
    match made {
        0 => failure,
        _ => failure.changed(format!("{made} of {all} tokens were made and are in {}{another}.", out.display())),
    }
}

/// A token in a file that nobody else reads; one that is there already is replaced.
fn write_secret(path: &Path, token: &str) -> Result<(), Failure> {
    use std::io::Write;
    let replaced = match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let file = replaced.and_then(|()| std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
    file.and_then(|mut file| writeln!(file, "{token}")).map_err(|error| Failure::file(path, &error))
}

#[cfg(test)]
mod tests {
    use cavalcade_common::codes::{link, operator};
    use cavalcade_common::error::Fault;

    use super::*;

    #[test]
    fn tokens_that_were_made_are_counted_in_a_failure() {
        let failed = |code, made| format!("{:?}", partly(Fault::new(code, "no").into(), made, 3, Path::new("tokens")));
        assert!(failed(link::TOKEN_STORE, 0).contains("Nothing was changed."));
        assert!(failed(link::TOKEN_STORE, 2).contains("2 of 3 tokens were made and are in tokens."));
        assert!(failed(operator::NO_CONTROLLER, 2).contains("whether another was is not known."));
    }
}
