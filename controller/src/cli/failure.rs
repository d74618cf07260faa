//! How commands fail: faults with their places, the exit code, and the sentence that says what was changed.

use cavalcade_common::codes::operator as codes;
use cavalcade_common::error::{Code, Fault, Faults};
use cavalcade_common::render::{self, Sources};

use super::context::Context;
use cavalcade_common::exit::Exit;

/// What is true of most failures.
pub(super) const NOTHING: &str = "Nothing was changed.";

/// A command's failure.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something to tell.
    Told(Box<Told>),
    /// Nobody reads standard output any more: there is nothing to tell.
    Pipe,
}

/// A failure with all that a person is told of it.
#[derive(Debug)]
pub(super) struct Told {
    faults: Faults,
    sources: Sources,
    changed: String,
    exit: Exit,
}

impl Failure {
    /// Wrong use of a command.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Fault::new(codes::USAGE, message).into()
    }

    /// A file that cannot be read or written.
    pub(super) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::usage(format!("{}: {error}", path.display()))
    }

    /// Adds the texts of files, for snippets.
    pub(super) fn with(mut self, name: &str, text: &str) -> Self {
        if let Self::Told(told) = &mut self {
            told.sources.insert(name.to_owned(), text.to_owned());
        }
        self
    }

    /// Adds the texts of several files.
    pub(super) fn sourced(mut self, sources: Sources) -> Self {
        if let Self::Told(told) = &mut self {
            told.sources.extend(sources);
        }
        self
    }

    /// Says what was changed instead of [`NOTHING`].
    pub(super) fn changed(mut self, sentence: impl Into<String>) -> Self {
        if let Self::Told(told) = &mut self {
            told.changed = sentence.into();
        }
        self
    }

    /// Whether it comes from a controller that went away.
    pub(super) fn is_unreachable(&self) -> bool {
        self.has(codes::NO_CONTROLLER)
    }

    /// Whether this code is among its faults.
    pub(super) fn has(&self, code: Code) -> bool {
        matches!(self, Self::Told(told) if told.faults.0.iter().any(|f| f.code == code))
    }

    /// Tells it on standard error and gives the exit code.
    pub(super) fn tell(&self, context: &Context) -> Exit {
        match self {
            Self::Told(told) => {
                super::output::say(render::faults(&told.faults, &told.sources, &told.changed, context.colour_err).trim_end());
                told.exit
            }
            Self::Pipe => Exit::Done,
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Faults::from(fault).into()
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        let exit = faults.0.iter().map(Exit::of).max().unwrap_or(Exit::Failed);
        Self::Told(Box::new(Told { faults, sources: Sources::new(), changed: NOTHING.to_owned(), exit }))
    }
}
