//! What actions start programs, and what these run with.

use super::{Action, Runtime, ServerOp};

impl Action {
    /// What a program that it starts runs with: the server, the job, the command. `None`: it starts none.
    #[must_use]
    pub fn starts_with(&self) -> Option<&Runtime> {
        match self {
            Self::Server(s) => match s.op {
                ServerOp::Start => Some(&s.runtime),
                // The script of a stop sends a signal and ends.
                ServerOp::Stop | ServerOp::Wait | ServerOp::Down => None,
            },
            Self::Job(j) => Some(&j.runtime),
            Self::Command(c) => Some(&c.runtime),
            Self::Toml(_)
            | Self::Yaml(_)
            | Self::Text(_)
            | Self::Artifact(_)
            | Self::Unpack(_)
            | Self::Copy(_)
            | Self::Remove(_)
            | Self::Sql(_)
            | Self::Query(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Http(_)
            | Self::Tcp(_)
            | Self::Log(_)
            | Self::Exchange(_)
            | Self::Autostart(_)
            | Self::Undo(_) => None,
        }
    }
}
