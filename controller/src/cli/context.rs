//! What every command knows: the resolved form of the arguments that all of them take, and of the surroundings.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use cavalcade_common::config_file;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};

use crate::view::screen::Size;

/// Where the controller keeps its state without a word of the operator.
pub(super) const STATE: &str = "/var/lib/cavalcade";

/// Arguments of all commands, as they were typed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct GlobalArgs {
    /// File with options in place of flags (docs/cli.md). Without it config.yaml in $XDG_CONFIG_HOME/cavalcade
    /// (~/.config/cavalcade), else in /etc/cavalcade; /dev/null is none.
    #[arg(id = config_file::OPTION, long, global = true, env = "CAVALCADE_CONFIG", value_name = "FILE")]
    pub(super) config: Option<OsString>,
    /// State folder of the controller, with the operator's socket in it.
    #[arg(long, global = true, env = "CAVALCADE_STATE", default_value = STATE, value_name = "DIR")]
    pub(super) state: PathBuf,
    /// Whether to use colours. NO_COLOR takes them away as well.
    #[arg(long, global = true, env = "CAVALCADE_COLOR", default_value = "auto", value_name = "WHEN")]
    pub(super) color: When,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the commands work with.
#[derive(Debug)]
pub(super) struct Context {
    /// State folder.
    pub(super) state: PathBuf,
    /// Flags of this command that another one needs to reach the same controller.
    flags: Vec<(&'static str, PathBuf)>,
    /// Colours on standard output.
    pub(super) colour_out: bool,
    /// Colours on standard error.
    pub(super) colour_err: bool,
    /// Whether standard output is a screen that can be drawn on again.
    pub(super) live_out: bool,
    /// Whether standard error is.
    pub(super) live_err: bool,
    /// Whether a person can be asked.
    pub(super) asks: bool,
}

impl Context {
    /// Resolves the arguments against the surroundings.
    pub(super) fn new(args: &GlobalArgs, matches: &ArgMatches) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let drawn_on = !dumb && !set("CI");
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let colour = |terminal: bool| match args.color {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !dumb && !set("NO_COLOR"),
        };
        // What stands in the environment or in a usual file is found again.
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let config = args.config.clone().filter(|_| typed(config_file::OPTION)).map(|file| ("--config", file.into()));
        let state = Some(("--state", args.state.clone())).filter(|_| typed("state"));
        Self {
            state: args.state.clone(),
            flags: config.into_iter().chain(state).collect(),
            colour_out: colour(out),
            colour_err: colour(err),
            live_out: out && drawn_on,
            live_err: err && drawn_on,
            asks: std::io::stdin().is_terminal() && err,
        }
    }

    /// How a command begins that reaches the same controller from the same shell.
    pub(super) fn program(&self) -> String {
        let mut program = "cavalcade".to_owned();
        for (flag, path) in &self.flags {
            let path = path.display().to_string();
            let bare = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
            let path = if bare { path } else { format!("'{}'", path.replace('\'', r"'\''")) };
            program.push_str(&format!(" {flag} {path}"));
        }
        program
    }

    /// The size of the screen now.
    pub(super) fn size(&self) -> Size {
        let term = if self.live_out { console::Term::stdout() } else { console::Term::stderr() };
        let (rows, width) = term.size_checked().unwrap_or((24, 80));
        Size { width: usize::from(width), rows: usize::from(rows) }
    }
}
