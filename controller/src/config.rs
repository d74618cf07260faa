//! What the daemon is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

/// How the daemon writes its own log, to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object for each line.
    Json,
}

/// Everything that `cavalcade serve` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// State folder: journal, certificates, artifacts, logs, operator's socket.
    pub state_dir: PathBuf,
    /// Where agents connect.
    pub agents: SocketAddr,
    /// Where new agents enrol.
    pub enrol: SocketAddr,
    /// Names and addresses of this controller for its certificate, as agents reach it; the first stands in tokens. Empty:
    /// the host's own name.
    pub names: Vec<String>,
    /// Form of the log.
    pub log_format: LogFormat,
}
