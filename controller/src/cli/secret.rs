//! `secret give`, `secret repin`.

use std::io::{IsTerminal, Read};

use cavalcade_common::given::GivenSecrets;
use cavalcade_common::secret::SecretValue;
use clap::{Args, Subcommand};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use serde_json::json;
use zeroize::Zeroizing;

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{OutputArgs, emit, say};
use crate::operate::request::{SecretGiveRequest, VerbAnswer};
use crate::rpc::method::Method;
use cavalcade_common::exit::Exit;

/// Longest value, in bytes.
const LONGEST: u64 = 64 << 10;

#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// Give the controller the value of a secret that its run asks for. It is kept in the controller's memory only.
    Give(GiveArgs),
    /// Put another value in place of the one that the run was begun with: that one was wrong, or was changed meanwhile. It is
    /// refused once something that stays was done with the first one, and says what was.
    Repin(RepinArgs),
}

#[derive(Debug, Args)]
pub(super) struct GiveArgs {
    /// The secret, as the fleet file names it. Its value is read from the terminal without echo, or from standard input
    /// (one line end at its end is dropped).
    #[arg(value_name = "NAME")]
    name: String,
    /// The run: its name, or at least 8 digits of its plan's sha256. Without it the only open one.
    #[arg(long = "run", value_name = "RUN")]
    run: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct RepinArgs {
    #[command(flatten)]
    give: GiveArgs,
    /// Why; the journal and the report keep it.
    #[arg(long, value_name = "TEXT")]
    why: String,
}

pub(super) async fn run(command: SecretCommand, context: &Context) -> Result<Exit, Failure> {
    let (args, repin) = match command {
        SecretCommand::Give(args) => (args, None),
        SecretCommand::Repin(args) => (args.give, Some(args.why)),
    };
    let controller = Controller::connect(context).await?;
    let run = controller.open_run(args.run.as_deref()).await?;
    let value = if std::io::stdin().is_terminal() {
        let question = format!("Secret {} for {} of fleet {}:", args.name, run.run, run.fleet);
        let Some(value) = asked(&question).await? else { return Ok(Exit::Left) };
        value
    } else {
        piped()?
    };
    let mut secret = GivenSecrets::default();
    secret.insert(args.name, value);
    let request = SecretGiveRequest { run: Some(run.run), secret, repin };
    let answer: VerbAnswer = controller.order(Method::SecretGive, &request).await?;
    let document = json!({ "schema": "cavalcade.verb/1", "run": answer.run, "position": answer.position, "says": answer.says });
    emit(args.output.output, &document, || answer.says.clone())?;
    Ok(Exit::Done)
}

/// Sets the terminal's echo back, whatever happens.
struct Quiet(Termios);

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs no setting back.
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// Reads a value from the terminal without echo. `None`: the person left with Ctrl-C, and the terminal is as before.
pub(super) async fn asked(question: &str) -> Result<Option<SecretValue>, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::usage(format!("the terminal cannot be read: {error}"));
    let before = tcgetattr(std::io::stdin()).map_err(|e| unreadable(&e))?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &silent).map_err(|e| unreadable(&e))?;
    let quiet = Quiet(before);
    say(question);
    // A thread reads: nothing wakes a read of a terminal, and this command must hear Ctrl-C meanwhile.
    let read = tokio::task::spawn_blocking(|| {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let read = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => return Ok(None),
        read = read => read,
    };
    drop(quiet);
    let line = read.map_err(|e| unreadable(&e))?.map_err(|e| unreadable(&e))?;
    value(&line).map(Some)
}

fn piped() -> Result<SecretValue, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = std::io::stdin().take(LONGEST + 2).read_to_string(&mut text);
    read.map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    value(&text)
}

fn value(text: &str) -> Result<SecretValue, Failure> {
    let text = text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t));
    if text.is_empty() {
        return Err(Failure::usage("the value is empty: nothing was given"));
    }
    if text.len() as u64 > LONGEST {
        return Err(Failure::usage("a secret has at most 64 KiB"));
    }
    Ok(SecretValue::new(text.to_owned()))
}
