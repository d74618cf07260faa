//! What an agent goes on with by itself after its restart (10, rule 3): what is only watched.

use cavalcade_common::action::{Action, ServerOp};

use crate::host::{HeldState, Host};

/// Ends the server that a job lives in: a seeded bug, and what systemd does to a unit with its defaults (10, rule 10).
pub(super) fn end(host: &dyn Host, action: &Action) {
    let Action::Job(job) = action else { return };
    for process in host.processes_of(job.home.as_ref()).unwrap_or_default() {
        // As a system would: whether it worked, nobody asks.
        let _ = host.terminate(&process.id);
    }
}

/// Whether going on with an attempt means to watch what lives or has ended, and nothing else: whatever it finds, it starts
/// and repeats nothing and ends no server. Everything else waits for the offer that confirms it.
pub(super) fn only_watches(action: &Action, state: &HeldState) -> bool {
    let (began, vanished) = match state {
        HeldState::Alive { .. } | HeldState::Ended { .. } => (true, false),
        HeldState::Vanished => (true, true),
        HeldState::NeverBegan => (false, false),
    };
    match action {
        Action::Job(_) => began,
        // One that is repeatable runs again where it vanished.
        Action::Command(command) => began && !command.repeatable,
        Action::Server(server) => match server.op {
            ServerOp::Start => began && !vanished,
            // A stop asks again where its script has ended and the process is still there.
            ServerOp::Stop | ServerOp::Wait | ServerOp::Down => false,
        },
        Action::Toml(_)
        | Action::Yaml(_)
        | Action::Text(_)
        | Action::Artifact(_)
        | Action::Unpack(_)
        | Action::Copy(_)
        | Action::Remove(_)
        | Action::Sql(_)
        | Action::Query(_)
        | Action::Backup(_)
        | Action::Restore(_)
        | Action::Http(_)
        | Action::Tcp(_)
        | Action::Log(_)
        | Action::Exchange(_)
        | Action::Autostart(_)
        | Action::Undo(_) => false,
    }
}
