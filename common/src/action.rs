//! What a step does: one struct per kind of action, all values resolved.
//!
//! These are the forms that stand in a plan and travel to agents. The reader of recipes ([`crate::step`]) makes them from
//! YAML; nothing here knows a product or a version. A string value may hold secret markers ([`crate::secret`]), which
//! only the agent replaces.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::duration;
use crate::id::Digest;

mod copy;
mod exchange;
mod started;
mod text;
mod toml;
mod undo;

pub use copy::CopyFiles;
pub use exchange::{Call, Covers, EACH, Exchange, ExchangeQuery, HttpMethod, Part, is_capture_name, parts};
pub use text::{TextEdit, TextReplace};
pub use toml::{TomlAppend, TomlCarry, TomlCarryKey, TomlEdit};
pub use undo::Undo;

/// How an interrupted effect is treated (04-guarantees, "Classes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Can be begun again without harm: the apply compares before it acts.
    Redo,
    /// Its effect can be looked at: what is found decides.
    Verify,
    /// Only a person decides what an interruption means.
    Operator,
}

/// One action, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Edit a TOML file; comments, order and layout of everything else stay byte for byte.
    Toml(TomlEdit),
    /// Edit a YAML file, likewise.
    Yaml(YamlEdit),
    /// Edit a text file by lines and literal texts.
    Text(TextEdit),
    /// Bring one artifact to a path.
    Artifact(PlaceArtifact),
    /// Unpack an archive into a new folder.
    Unpack(Unpack),
    /// Copy files or a tree on the node.
    Copy(CopyFiles),
    /// Remove files or trees; a copy is kept for the way back.
    Remove(RemoveFiles),
    /// Start, stop, wait for, or prove down a server.
    Server(Server),
    /// A long run that nothing of ours interrupts.
    Job(Job),
    /// A short command.
    Command(CommandLine),
    /// A script on a database, statement by statement.
    Sql(SqlScript),
    /// An assertion on a database.
    Query(Query),
    /// A backup, proved by a restore into the scratch database.
    Backup(Backup),
    /// A restore into an empty database.
    Restore(Restore),
    /// Wait until a URL answers as wanted.
    Http(HttpGate),
    /// Wait until an address accepts connections.
    Tcp(TcpGate),
    /// Wait until a log file holds a line.
    Log(LogGate),
    /// HTTP calls in order, until they hold.
    Exchange(Exchange),
    /// Switch off what starts a home by itself, or restore it.
    Autostart(Autostart),
    /// Put back what finished file steps of an earlier run changed. Only a person orders it: no recipe has it.
    Undo(Undo),
}

impl Action {
    /// The word that names the kind in recipes, plans and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Toml(_) => "toml",
            Self::Yaml(_) => "yaml",
            Self::Text(_) => "text",
            Self::Artifact(_) => "artifact",
            Self::Unpack(_) => "unpack",
            Self::Copy(_) => "copy",
            Self::Remove(_) => "remove",
            Self::Server(_) => "server",
            Self::Job(_) => "job",
            Self::Command(_) => "command",
            Self::Sql(_) => "sql",
            Self::Query(_) => "query",
            Self::Backup(_) => "backup",
            Self::Restore(_) => "restore",
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Log(_) => "log",
            Self::Exchange(_) => "exchange",
            Self::Autostart(_) => "autostart",
            Self::Undo(_) => "undo",
        }
    }

    /// Whether it changes the database of this name.
    #[must_use]
    pub fn changes(&self, database: &str) -> bool {
        match self {
            Self::Sql(s) => s.database.name == database,
            Self::Job(j) => j.databases.iter().any(|d| d == database),
            _ => false,
        }
    }

    /// Whether it asserts something of the database of this name.
    #[must_use]
    pub fn asserts(&self, database: &str) -> bool {
        matches!(self, Self::Query(q) if q.database.name == database)
    }

    /// Whether it only looks: nothing is different after it, however often it runs.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        match self {
            Self::Query(_) | Self::Http(_) | Self::Tcp(_) | Self::Log(_) => true,
            Self::Exchange(exchange) => !exchange.changes,
            Self::Server(s) => match s.op {
                ServerOp::Wait | ServerOp::Down => true,
                ServerOp::Start | ServerOp::Stop => false,
            },
            Self::Toml(_)
            | Self::Yaml(_)
            | Self::Text(_)
            | Self::Artifact(_)
            | Self::Unpack(_)
            | Self::Copy(_)
            | Self::Remove(_)
            | Self::Job(_)
            | Self::Command(_)
            | Self::Sql(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Autostart(_)
            | Self::Undo(_) => false,
        }
    }

    /// Whether lines of a program come through it, which may hold any secret of the node.
    #[must_use]
    pub fn tells_lines(&self) -> bool {
        match self {
            Self::Server(_) | Self::Job(_) | Self::Command(_) | Self::Log(_) => true,
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
            | Self::Exchange(_)
            | Self::Autostart(_)
            | Self::Undo(_) => false,
        }
    }

    /// How an interruption is treated.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Toml(_)
            | Self::Yaml(_)
            | Self::Text(_)
            | Self::Artifact(_)
            | Self::Unpack(_)
            | Self::Copy(_)
            | Self::Remove(_)
            | Self::Autostart(_)
            | Self::Undo(_) => Class::Redo,
            Self::Query(_) | Self::Http(_) | Self::Tcp(_) | Self::Log(_) | Self::Exchange(_) => Class::Redo,
            Self::Server(s) => match s.op {
                ServerOp::Start => Class::Verify,
                ServerOp::Stop | ServerOp::Wait | ServerOp::Down => Class::Redo,
            },
            Self::Command(c) => {
                if c.repeatable {
                    Class::Redo
                } else {
                    Class::Operator
                }
            }
            // The statement ledger in the database tells what was done (promise 6). A restore that was interrupted is found
            // by its marker: it is looked at, emptied and loaded again behind locked accounts, and nobody else's content is
            // ever touched (10, rule 23). So begun twice it does what it does once, and no person needs to decide.
            Self::Sql(_) | Self::Backup(_) | Self::Restore(_) => Class::Verify,
            Self::Job(_) => Class::Operator,
        }
    }
}

/// A JSON object whose order is that of the recipe.
pub type Table = Map<String, Value>;

/// Edit of a YAML file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YamlEdit {
    /// Absolute path of the file.
    pub file: String,
    /// Scalars to set, by path (`migrationEnable`, `versions[version=5.5.0].migratorConfigs[name=X].order`). The path
    /// must exist: a scalar is replaced, nothing is added. A string value is written in the style of the old one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Table,
    /// List items to remove by what they contain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_items: Vec<YamlRemove>,
}

/// One kind of list item to remove.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YamlRemove {
    /// Path of the list.
    pub list: String,
    /// What an item must contain, nested; other keys of the item do not matter. Scalars compare as text, so that
    /// `order: 2` matches `order: "2"`.
    pub contains: Table,
    /// How many items must match; another number is an error and changes nothing.
    #[serde(default = "one")]
    pub count: u32,
}

fn one() -> u32 {
    1
}

/// An artifact as the plan pins it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// Its name in the fleet file.
    pub name: String,
    /// SHA-256 of its content.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The file's own name (for its extension).
    pub file: String,
}

/// Bring one artifact to a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaceArtifact {
    /// Which.
    pub artifact: ArtifactRef,
    /// Absolute path of the file to make.
    pub to: String,
    /// Glob of other versions that must not stand beside it in the same folder; they are removed (kept for undo).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

/// Unpack an archive (zip, tar.gz by content) into a folder that does not exist yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unpack {
    /// Which.
    pub artifact: ArtifactRef,
    /// Absolute path of the folder to make.
    pub to: String,
    /// How many leading path parts of every entry to drop: 1 for an archive with one root folder.
    #[serde(default)]
    pub strip: u32,
    /// User that the folder belongs to, where the agent is root: who runs the server. `None`: the owner of the folder that
    /// it is made in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// A folder that is there: the new one lets nobody in whom that one keeps out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_more_open_than: Option<String>,
    /// Limit on the unpacked size in bytes (a bomb is refused).
    #[serde(default = "unpack_limit")]
    pub limit: u64,
}

fn unpack_limit() -> u64 {
    16 << 30
}

/// Remove on the node. What is not there counts as removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemoveFiles {
    /// Absolute paths or globs.
    pub paths: Vec<String>,
}

/// What to do with what starts a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutostartOp {
    /// Switch it off and record how it was.
    Disable,
    /// Restore what is recorded, and nothing else.
    Enable,
}

/// Switch off or restore what would start a server by itself: systemd units, cron, init scripts, rc.local.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Autostart {
    /// What to do.
    pub op: AutostartOp,
    /// The home.
    pub home: String,
    /// Folder that holds `etc`, `var` and `usr`: `/` but in tests and chroots.
    #[serde(default = "machine")]
    pub under: String,
}

fn machine() -> String {
    "/".to_owned()
}

/// What a server or job runs with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Runtime {
    /// User that it runs as; `None`: nobody said, so it is the agent's own, unless that is root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// JAVA_HOME. The scripts refuse to work without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub java_home: Option<String>,
    /// The whole rest of the environment beside PATH, HOME and LANG: nothing is inherited from the agent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// What to do with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerOp {
    /// Start it and wait until it is ready.
    Start,
    /// Stop it and wait until its process is gone.
    Stop,
    /// Wait until it is ready.
    Wait,
    /// Prove that no process has this home: looked for twice, `apart` from each other.
    Down,
}

/// Start, stop, wait for, prove down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// What to do.
    pub op: ServerOp,
    /// The home.
    pub home: String,
    /// The start script, relative to the home (`bin/wso2server.sh`).
    pub script: String,
    /// Arguments after `start` (`-Dprofile=gateway-worker`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// systemd unit that owns this home; start and stop go through it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// User, JAVA_HOME, environment.
    #[serde(default)]
    pub runtime: Runtime,
    /// What ready means.
    #[serde(default)]
    pub ready: Ready,
    /// How long start, wait, or stop may take.
    #[serde(with = "duration::text")]
    pub within: Duration,
    /// `down`: time between the two looks.
    #[serde(with = "duration::text", default)]
    pub apart: Duration,
}

/// Evidence that a server is up: all that is given must hold, for one and the same process.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ready {
    /// Log file, relative to the home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Regular expression of the line that says "started"; only lines written by this process count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// Regular expressions of lines that say that the start failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// URLs that must answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpCheck>,
    /// `host:port` pairs that must accept a connection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<String>,
}

/// One HTTP check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// `http://` or `https://` URL.
    pub url: String,
    /// Accepted status codes.
    #[serde(default = "ok_status")]
    pub status: Vec<u16>,
    /// Regular expression that the body must match. An IS with its health check off answers 200 with an empty body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether any certificate is accepted: the products ship a self-signed one. Default true.
    #[serde(default = "yes")]
    pub insecure: bool,
}

fn ok_status() -> Vec<u16> {
    vec![200]
}

fn yes() -> bool {
    true
}

/// A long run, never interrupted by anything of ours, judged by its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The recipe's stable name of the effect, for the effect key.
    pub effect: String,
    /// The home that it changes; also the working folder.
    pub home: String,
    /// Program (relative to the home) and arguments.
    pub command: Vec<String>,
    /// User, JAVA_HOME, environment.
    #[serde(default)]
    pub runtime: Runtime,
    /// Databases that it changes, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// Log file relative to the home, read beside the job's own output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Lines that say that the attempt ended, well or badly. The end of the process counts too.
    pub ends: Vec<String>,
    /// What must hold for success, judged after the end.
    pub evidence: Evidence,
    /// Lines that carry progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressPattern>,
    /// Longer than this raises an alarm, and nothing else.
    #[serde(with = "duration::text")]
    pub alarm_after: Duration,
}

/// Evidence of a job, all of it needed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Regular expressions that must each match a line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
    /// Regular expressions that must match no line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbid: Vec<String>,
    /// A numbered sequence that must be complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
}

/// A numbered sequence in the output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Regular expression with one group, the number.
    pub pattern: String,
    /// First number.
    pub from: u32,
    /// Last number.
    pub to: u32,
}

/// Where a job's progress stands in its output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgressPattern {
    /// Regular expression with groups `done` and, if known, `label`.
    pub pattern: String,
    /// The true total.
    pub total: u32,
}

/// A short command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandLine {
    /// The recipe's stable name of the effect, for the effect key of one that is not repeatable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Absolute program and arguments; no shell.
    pub command: Vec<String>,
    /// Working folder.
    pub cwd: String,
    /// User, JAVA_HOME, environment.
    #[serde(default)]
    pub runtime: Runtime,
    /// Exit codes that count as success.
    #[serde(default = "exit_zero")]
    pub exit: Vec<i32>,
    /// Whether a second run does no harm. If not, an interrupted one is for a person to decide.
    #[serde(default)]
    pub repeatable: bool,
    /// Paths (or globs) that must exist afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub present: Vec<String>,
    /// Paths (or globs) that must not exist afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Regular expressions that its output must not match: some scripts say that they failed and exit 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbid: Vec<String>,
    /// How long it may take; then it is killed and the step fails.
    #[serde(with = "duration::text")]
    pub within: Duration,
}

fn exit_zero() -> Vec<i32> {
    vec![0]
}

/// Engine of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// MySQL or MariaDB.
    Mysql,
    /// PostgreSQL.
    Postgresql,
}

/// A database as its steps reach it, from the node they run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DbTarget {
    /// Its name in the fleet file.
    pub name: String,
    /// Engine.
    pub engine: Engine,
    /// Host or address; empty with `socket`.
    #[serde(default)]
    pub host: String,
    /// Port.
    pub port: u16,
    /// Unix socket instead of host and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// The database (MySQL: schema).
    pub database: String,
    /// Scratch database for the proof of a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<String>,
    /// Account for DDL.
    pub user: String,
    /// Its password, a secret marker; empty for none.
    #[serde(default)]
    pub password: String,
    /// Accounts of the servers, whose sessions must be gone before a script.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_accounts: Vec<String>,
    /// Whether TLS is required.
    #[serde(default)]
    pub tls: bool,
    /// PEM file of the CA on the node, for TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Folder with the dump and restore clients on the node; `None`: PATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_bin: Option<String>,
}

/// A script on a database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SqlScript {
    /// The recipe's stable name of the effect, for the effect key.
    pub effect: String,
    /// Where.
    pub database: DbTarget,
    /// What: an artifact, or else `statements`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<ArtifactRef>,
    /// What, in the recipe's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<String>,
    /// Names or addresses that sessions may come from while it runs: without them nobody else may be in the database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub but_from: Vec<String>,
}

impl SqlScript {
    /// What people read of it.
    #[must_use]
    pub fn title(&self) -> &str {
        self.script.as_ref().map_or("the recipe's statements", |script| &script.file)
    }
}

/// An assertion on a database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// Where.
    pub database: DbTarget,
    /// The assertions, all needed.
    pub asserts: Vec<Assert>,
}

/// One assertion.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assert {
    /// What it shows, in words.
    pub says: String,
    /// A column `TABLE.COLUMN` that must exist; compared without regard to case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// A table that must exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// A SELECT whose first column of its first row must equal `equals`, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// Expected value of `select`, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// Nobody else is in the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_sessions: Option<NoSessions>,
}

/// No session is in the database but the one that looks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSessions {
    /// Names or addresses that sessions may come from all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub but_from: Vec<String>,
}

/// A backup with its proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// Which.
    pub database: DbTarget,
    /// Absolute folder on the node that receives dump and manifest.
    pub to: String,
}

/// A restore from a backup's manifest, into an empty database of the name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restore {
    /// The recipe's stable name of the effect, for the effect key.
    pub effect: String,
    /// Which.
    pub database: DbTarget,
    /// The backup's folder.
    pub from: String,
}

/// Wait until a URL answers as wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpGate {
    /// What must hold.
    #[serde(flatten)]
    pub check: HttpCheck,
    /// How long to wait.
    #[serde(with = "duration::text")]
    pub within: Duration,
}

/// Wait until an address accepts connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TcpGate {
    /// `host:port`.
    pub address: String,
    /// How long to wait.
    #[serde(with = "duration::text")]
    pub within: Duration,
}

/// Wait until a log file holds a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogGate {
    /// Absolute path.
    pub file: String,
    /// Regular expression.
    pub pattern: String,
    /// Regular expressions that end the wait with a failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// How long to wait.
    #[serde(with = "duration::text")]
    pub within: Duration,
}
