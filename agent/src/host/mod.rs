//! Everything the agent does to the machine goes through [`Host`]: files, processes, network, clock.
//!
//! The real one is [`real::RealHost`]; the simulation has one of its own, so that executor, ledger and the actions that
//! it runs are the same code there. Heavy work on trees of files (archives, copies) is plain functions in this module,
//! called through [`Host::blocking`].

pub mod archive;
pub(crate) mod autostart;
pub mod cgroup;
pub mod disks;
pub mod files;
pub mod glob;
pub mod held;
pub(crate) mod home_lock;
pub mod inventory;
pub mod jar;
pub mod keep;
pub(crate) mod keytool;
pub mod left_out;
pub mod machine;
pub(crate) mod network;
pub mod new_home;
pub mod owner;
pub mod partial;
pub mod place;
pub(crate) mod process_detail;
pub(crate) mod processes;
pub mod real;
pub mod record_file;
pub mod secrets;
pub(crate) mod sockets;
pub mod spool;
#[cfg(test)]
pub(crate) mod test_program;
pub(crate) mod tls_peer;
pub mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::action::{HttpCheck, HttpMethod, Runtime};
use cavalcade_common::secret::SecretValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::database::{Databases, RealDatabases};

/// A process as the kernel shows it. `pid` alone names nobody: numbers are used again, so the start time belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// The kernel's number.
    pub pid: u32,
    /// Start time in clock ticks since boot, from `/proc/PID/stat`.
    pub start_ticks: u64,
}

/// A live process with its command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Which.
    pub id: ProcessId,
    /// Command line.
    pub args: Vec<String>,
    /// Name of its user; the number where it has no name.
    pub user: String,
    /// When it started.
    pub started: Timestamp,
}

/// Who has what a server would have: its port, or the number in its PID file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupant {
    /// The kernel's number, where the kernel lets this user see it.
    pub pid: Option<u32>,
    /// Name of its user.
    pub user: Option<String>,
    /// The `carbon.home` on its command line.
    pub home: Option<String>,
}

impl Occupant {
    /// Number, user and home, as far as they are known.
    #[must_use]
    pub fn words(&self) -> String {
        let Some(pid) = self.pid else { return "a process that the agent cannot see".to_owned() };
        let user = self.user.as_deref().map(|user| format!(" of {user}")).unwrap_or_default();
        let home = self.home.as_deref().map(|home| format!(" with the home {home}")).unwrap_or_default();
        format!("process {pid}{user}{home}")
    }
}

/// A child that outlives the agent: held by a shim, its output in a file, its end in a record (10, rules 8 to 14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSpec {
    /// Folder of the attempt: spec, lock, records and output are in it.
    pub dir: PathBuf,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Working folder.
    pub cwd: PathBuf,
    /// User, JAVA_HOME, environment.
    pub runtime: Runtime,
    /// Whether a second launch of the JVM by the start script (exit 121) is refused and recorded (10, rule 12).
    pub one_launch: bool,
    /// Whether it must live on when the agent ends: a job, a server. Refused where the agent's own end would be its end (10,
    /// rule 10).
    #[serde(default)]
    pub outlives_agent: bool,
}

/// What the attempt's folder says (10, rule 8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldState {
    /// No shim ever took the lock, and none can any more: the caller holds the lock now and has written ABANDONED.
    NeverBegan,
    /// The lock is held: shim or child lives, even if an exit record is there (a start script returns at once).
    Alive {
        /// Exit code of the direct child, if it has ended already.
        exit: Option<i32>,
    },
    /// The lock is free and an exit record is there.
    Ended {
        /// Exit code; 128 + signal for a signal.
        exit: i32,
        /// Whether a second launch was refused.
        relaunch_refused: bool,
    },
    /// The lock is free, SPAWNED is there, no exit record: it vanished.
    Vanished,
}

/// An answer to an HTTP check or request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// Body, cut: after 64 KiB for a check.
    pub body: Vec<u8>,
}

/// An HTTP request. URL, headers and body may hold secrets: it has no `Debug`, and no error repeats it.
pub struct HttpRequest {
    /// `http://` or `https://` URL.
    pub url: SecretValue,
    /// Method.
    pub method: HttpMethod,
    /// Headers; one of these names replaces what the client would write itself.
    pub headers: Vec<(String, SecretValue)>,
    /// The body; empty for none.
    pub body: SecretValue,
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// Most bytes of the answer's body that are kept.
    pub most: usize,
}

/// A part of a file that grows, with what tells whether it is still the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// Number of the file in its file system. A number is used again after its file is gone.
    pub inode: u64,
    /// Length of the whole file in bytes at the moment of the look.
    pub len: u64,
    /// When it was last written, where that is known.
    pub modified: Option<Timestamp>,
    /// When it was made, where that is known.
    pub created: Option<Timestamp>,
    /// The bytes asked for; fewer at the file's end.
    pub bytes: Vec<u8>,
}

/// A file of records that only grows, for the ledger. Every method is durable when it returns.
pub trait RecordFile: Send {
    /// The whole content as of opening.
    ///
    /// # Errors
    /// Those of the file system.
    fn read_all(&mut self) -> io::Result<Vec<u8>>;
    /// Appends and syncs.
    ///
    /// # Errors
    /// Those of the file system. After an error the file is suspect: the caller stops using it (10, rule 32).
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file to a length and syncs (a torn tail).
    ///
    /// # Errors
    /// Those of the file system.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Makes sure that this many more bytes can be appended without running out of space (fallocate with KEEP_SIZE).
    ///
    /// # Errors
    /// Those of the file system, above all "no space left".
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;
}

/// The machine.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Wall clock, for what people read. Never for decisions.
    fn now(&self) -> Timestamp;
    /// Monotonic clock since some fixed point, for ages and limits. Goes on over a suspend where the system can.
    fn monotonic(&self) -> Duration;
    /// Resident memory of this process in KiB; 0 where it cannot be read.
    fn resident_kib(&self) -> u64;
    /// A random text of 32 hex digits.
    fn random_id(&self) -> String;
    /// Whether what this agent starts would be root's where nobody says whose it is.
    fn is_root(&self) -> bool;
    /// Which boot of the machine this is: ticks since boot and numbers of processes mean something within one alone. `None`
    /// where a host does not tell.
    fn boot_id(&self) -> Option<String> {
        None
    }

    /// Whole content of a file; `None` where there is none. Refuses folders, devices and files above 64 MiB.
    ///
    /// # Errors
    /// Those of the file system.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// A part of a file of any size, from an offset on, at most `max` bytes; `None` where there is no file. Without an
    /// implementation of its own it is cut from [`Host::read`], the file's number is 0 and its times are unknown.
    ///
    /// # Errors
    /// Those of the file system.
    fn read_part(&self, path: &Path, from: u64, max: usize) -> io::Result<Option<FilePart>> {
        let Some(bytes) = self.read(path)? else { return Ok(None) };
        let len = bytes.len() as u64;
        let start = usize::try_from(from.min(len)).unwrap_or(bytes.len());
        let bytes = bytes[start..].iter().copied().take(max).collect();
        Ok(Some(FilePart { inode: 0, len, modified: None, created: None, bytes }))
    }
    /// Replaces a file's content, old or new and never a mix (promise 9): temp file in the same folder, owner, mode and
    /// extended attributes of the old file (a new file gets those of `like`, or 0644 and the folder's owner), fsync,
    /// rename, fsync of the folder. A symlink is followed to its target, which is then replaced.
    ///
    /// # Errors
    /// Those of the file system.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// The same for content that not everybody may read: a file that this makes is its owner's alone from the beginning.
    ///
    /// # Errors
    /// Those of the file system.
    fn replace_private(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes a folder with its parents, synced.
    ///
    /// # Errors
    /// Those of the file system.
    fn create_dirs(&self, path: &Path) -> io::Result<()>;
    /// Names of a folder's entries, sorted; empty where there is no folder.
    ///
    /// # Errors
    /// Those of the file system.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Opens or makes a record file.
    ///
    /// # Errors
    /// Those of the file system; a file that another process holds locked.
    fn record_file(&self, path: &Path) -> io::Result<Box<dyn RecordFile>>;

    /// Takes the lock of a home, a file beside it, for as long as the returned value lives; `None` while another process
    /// holds it (10, rule 18).
    ///
    /// # Errors
    /// Those of the file system.
    fn lock_home(&self, home: &Path) -> io::Result<Option<Box<dyn std::any::Any + Send>>>;

    /// Starts the shim for this spec. It returns when the shim was asked to start; [`Host::held`] tells the rest. Called
    /// again for the same folder it does nothing: the lock and the records decide.
    ///
    /// # Errors
    /// Those of making the folder and starting the shim, which may have begun all the same: [`Host::held`] tells.
    fn hold(&self, spec: &HeldSpec) -> io::Result<()>;
    /// State of an attempt's folder. With `claim` a folder in which nothing began is claimed (ABANDONED is written), so
    /// that a late shim finds it and exits; without it such a folder is reported as `None`.
    ///
    /// # Errors
    /// Those of the file system.
    fn held(&self, dir: &Path, claim: bool) -> io::Result<Option<HeldState>>;
    /// The direct child of an attempt's folder as the shim recorded it (SPAWNED), for the ledger; `None` where none was
    /// spawned, or where a host keeps no such record. It informs; whether something lives is what [`Host::held`] says.
    ///
    /// # Errors
    /// Those of the file system.
    fn held_process(&self, dir: &Path) -> io::Result<Option<ProcessId>> {
        let _ = dir;
        Ok(None)
    }
    /// New output of a held child from a byte offset on: the bytes and the offset behind them. At most 256 KiB a call.
    ///
    /// # Errors
    /// Those of the file system.
    fn held_output(&self, dir: &Path, from: u64) -> io::Result<(Vec<u8>, u64)>;

    /// Kills a held child with its process group. For short commands alone whose time is up; never for servers and jobs.
    ///
    /// # Errors
    /// Those of the signal; `Unsupported` where a host holds no short commands. A child that is gone is no error.
    fn kill_held(&self, dir: &Path) -> io::Result<()> {
        let _ = dir;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// All processes whose command line holds `-Dcarbon.home=HOME` for this home, whoever started them.
    ///
    /// # Errors
    /// Those of reading `/proc`.
    fn processes_of(&self, home: &Path) -> io::Result<Vec<Process>>;
    /// The process of this number; `None` where there is none, or where a host keeps no such list.
    ///
    /// # Errors
    /// Those of reading `/proc`.
    fn occupant(&self, pid: u32) -> io::Result<Option<Occupant>> {
        let _ = pid;
        Ok(None)
    }
    /// Who listens at `host:port` on this machine; `None` where nobody does, where the address leads elsewhere, or where a
    /// host does not tell.
    ///
    /// # Errors
    /// Those of resolving the name and of reading `/proc`.
    async fn listener(&self, address: &str) -> io::Result<Option<Occupant>> {
        let _ = address;
        Ok(None)
    }
    /// Sends TERM to a process if it is still the same one.
    ///
    /// # Errors
    /// Those of the signal; a process that is gone is no error.
    fn terminate(&self, process: &ProcessId) -> io::Result<()>;

    /// One HTTP GET, within `limit`.
    ///
    /// # Errors
    /// Those of the connection, and a limit that ran out.
    async fn http_get(&self, check: &HttpCheck, limit: Duration) -> io::Result<HttpAnswer>;
    /// One HTTP request without redirects, within `limit`. No error repeats the request.
    ///
    /// # Errors
    /// Those of the connection, and a limit that ran out; `Unsupported` where a host has no network of its own.
    async fn http_request(&self, request: &HttpRequest, limit: Duration) -> io::Result<HttpAnswer> {
        let _ = (request, limit);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// One TCP connection, within `limit`.
    ///
    /// # Errors
    /// Those of the connection, and a limit that ran out.
    async fn tcp_connect(&self, address: &str, limit: Duration) -> io::Result<()>;

    /// The databases that its steps work on.
    fn databases(&self) -> &dyn Databases {
        &RealDatabases
    }

    /// Runs blocking work aside, where it does not hold up the run loop.
    async fn blocking(&self, work: Box<dyn FnOnce() + Send>);
}
