//! The file with a program's options: what is given there needs no flag. Flags win over the environment, that over the
//! file, the file over what is built in.
//!
//! Which keys there are is said in one place, the command line itself: every option that has a variable has a key, and
//! `CAVALCADE_LOG_FORMAT` is `log_format`. A value goes through the parser of its option.

mod place;
mod shown;
mod values;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};

use crate::codes::operator;
use crate::error::Faults;
use crate::exit::Exit;
use crate::render::Sources;
use crate::written::read_limited;

pub use shown::{From, Shown, shown};
pub use values::ConfigFile;

/// Id of the option that names the file, of the kind [`OsString`]: a variable that is set to nothing names none. Its own
/// variable has no key.
pub const OPTION: &str = "config";

/// What one program's file looks like, and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Schema word.
    pub schema: &'static str,
    /// Its name in a folder `cavalcade` of the user, else of the machine.
    pub name: &'static str,
    /// Commands that work whatever the file is like.
    pub without: &'static [&'static str],
}

/// A command line, read with the file behind it.
#[derive(Debug)]
pub struct Parsed {
    /// What was given or is built in.
    pub matches: ArgMatches,
    /// The file, where there is one.
    pub file: Option<ConfigFile>,
}

/// Why there is no [`Parsed`].
#[derive(Debug)]
pub enum Refused {
    /// The command line is wrong, or asks for help.
    Line(clap::Error),
    /// The file is.
    File {
        /// What is wrong with it.
        faults: Faults,
        /// Its text, for snippets.
        sources: Sources,
        /// The command line as far as it can be read without the file.
        matches: Box<ArgMatches>,
    },
}

impl std::convert::From<clap::Error> for Refused {
    fn from(error: clap::Error) -> Self {
        Self::Line(error)
    }
}

/// Reads the arguments of this process, and the file that they, the environment or the usual places name.
///
/// # Errors
/// A command line or a file that cannot be read, and the call for help.
pub fn parse(command: &Command, form: &Form, arguments: &[OsString]) -> Result<Parsed, Refused> {
    // What is missing on the command line may stand in the file; which file that is, stands on the command line.
    let early = command.clone().ignore_errors(true).try_get_matches_from(arguments)?;
    let reads = early.subcommand_name().is_some_and(|name| !form.without.contains(&name));
    let named = early.get_one::<OsString>(OPTION).filter(|name| !name.is_empty()).map(PathBuf::from);
    let path = if reads { named.or_else(|| place::usual(form.name, |name| std::env::var_os(name))) } else { None };
    // What names no file at all, for scripts that are to depend on nothing.
    let Some(path) = path.filter(|p| p.as_os_str() != "/dev/null") else {
        return Ok(Parsed { matches: command.clone().try_get_matches_from(arguments)?, file: None });
    };
    let name = path.display().to_string();
    let refused = |faults, text: Option<&[u8]>| {
        let sources = text.map(|t| (name.clone(), String::from_utf8_lossy(t).into_owned())).into_iter().collect();
        Refused::File { faults, sources, matches: Box::new(early) }
    };
    let bytes = match read_limited(&path) {
        Ok(bytes) => bytes,
        Err(faults) => return Err(refused(faults, None)),
    };
    let file = match values::read(&bytes, &name, form, command) {
        Ok(file) => file,
        Err(faults) => return Err(refused(faults, Some(&bytes))),
    };
    let matches = file.as_defaults(command.clone()).try_get_matches_from(arguments)?;
    Ok(Parsed { matches, file: Some(file) })
}

/// Tells help, version, or what is wrong with the command line and that nothing was changed; gives the exit code.
#[must_use]
pub fn told(error: &clap::Error) -> ExitCode {
    // Nobody reads it: there is nobody to tell.
    let _ = error.print();
    let helps = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !helps && error.use_stderr() {
        let _ = writeln!(std::io::stderr(), "\nNothing was changed.   More: cavalcade explain {}", operator::USAGE);
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.number()))
}

#[cfg(test)]
mod tests;
