//! The simulated machines: files, held children, servers. They go on when an agent dies, and they write the witness.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use cavalcade_agent::host::HeldSpec;

use super::database::SimDatabase;

/// What really happened, written by the machines and never by the code under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Witnessed {
    /// A held command was executed.
    Started {
        /// Where.
        host: String,
        /// Its attempt's folder.
        dir: PathBuf,
        /// The command.
        command: Vec<String>,
        /// When the agent asked for it.
        asked: Duration,
        /// Which life of the agent asked.
        life: u64,
        /// Incarnations of the databases that it changes.
        over: BTreeMap<String, String>,
    },
    /// A migration came to the end of its work.
    WorkEnded {
        /// The attempt's folder.
        dir: PathBuf,
        /// Whether it did all of it.
        well: bool,
    },
    /// A script began, or was taken up again.
    ScriptBegun {
        /// Where.
        database: String,
        /// Which one that was.
        incarnation: String,
        /// For which attempt.
        attempt: String,
    },
    /// A statement of the script began.
    Statement {
        /// Where.
        database: String,
        /// Which one that was.
        incarnation: String,
        /// Its number.
        statement: u32,
    },
    /// A database was restored.
    Restored {
        /// Which.
        database: String,
        /// Its incarnation from here on.
        incarnation: String,
        /// Whether what was restored holds a part of a migration's work.
        half_migrated: bool,
    },
    /// A server's process began.
    ServerUp {
        /// Its home.
        home: PathBuf,
        /// Whether it belongs to API Manager.
        api_manager: bool,
    },
    /// A server became ready.
    ServerReady {
        /// Its home.
        home: PathBuf,
    },
    /// A server's process ended.
    ServerDown {
        /// Its home.
        home: PathBuf,
        /// The attempt that it was started by; empty: by hand.
        dir: PathBuf,
        /// What ended it.
        by: Ender,
    },
    /// A file was replaced.
    Replaced {
        /// Which.
        path: PathBuf,
    },
}

/// What ends a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ender {
    /// The agent.
    Agent,
    /// Its machine lost its power.
    Power,
    /// A person at the machine.
    Hand,
}

/// How a migration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// To its end.
    Well,
    /// To its end, with an error.
    Badly,
    /// It hangs in the middle.
    Hangs,
}

/// One simulated server process.
#[derive(Debug, Clone)]
pub struct SimServer {
    /// Process number.
    pub pid: u32,
    /// Launch time.
    pub started: Duration,
    /// When it says "started".
    pub ready_at: Duration,
    /// Command line.
    pub args: Vec<String>,
    /// The attempt whose lock it holds.
    pub dir: PathBuf,
}

/// One held child.
#[derive(Debug, Clone)]
pub struct SimHeld {
    /// When the shim takes the lock.
    pub begins_at: Duration,
    /// Claimed by the agent before the shim came.
    pub abandoned: bool,
    /// Whether the child was executed.
    pub began: bool,
    /// When the direct child ends, and with which code.
    pub ends_at: Option<(Duration, i32)>,
    /// It went with its machine, and left no record of its end.
    pub vanished: bool,
    /// The server that holds the lock beside it.
    pub server_home: Option<PathBuf>,
    /// Output so far.
    pub output: Vec<u8>,
    /// What it runs.
    pub spec: HeldSpec,
    /// When the agent asked for it.
    pub asked: Duration,
    /// Which life of the agent asked.
    pub life: u64,
    /// How it goes, where it migrates.
    pub fate: Fate,
}

/// One machine.
#[derive(Debug, Default)]
pub struct Machine {
    /// Files by path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Held children by attempt folder.
    pub held: BTreeMap<PathBuf, SimHeld>,
    /// Servers by home.
    pub servers: BTreeMap<PathBuf, SimServer>,
    /// Life of the agent that may touch it; older lives are dead.
    pub life: u64,
    /// The next append crashes the agent after this many, leaving a torn tail.
    pub crash_in: Option<u32>,
}

/// All machines, the clock and the generator.
pub struct World {
    start: Instant,
    inner: Mutex<Inner>,
}

/// What the lock guards.
pub struct Inner {
    /// Machines by host name.
    pub machines: BTreeMap<String, Machine>,
    /// The witness, with times.
    pub witness: Vec<(Duration, Witnessed)>,
    /// Databases by name.
    pub databases: BTreeMap<String, SimDatabase>,
    /// A seeded bug: a restore writes no new incarnation.
    pub keeps_incarnations: bool,
    /// The only source of randomness.
    pub random: SmallRng,
    next_pid: u32,
}

impl World {
    /// A world with these hosts.
    #[must_use]
    pub fn new(seed: u64, hosts: &[&str]) -> Arc<Self> {
        let machines = hosts.iter().map(|h| ((*h).to_owned(), Machine::default())).collect();
        let inner = Inner {
            machines,
            witness: Vec::new(),
            databases: BTreeMap::new(),
            keeps_incarnations: false,
            random: SmallRng::seed_from_u64(seed),
            next_pid: 1000,
        };
        Arc::new(Self { start: Instant::now(), inner: Mutex::new(inner) })
    }

    /// Virtual time since the world began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The inside.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A random number below `limit`.
    #[must_use]
    pub fn below(&self, limit: u64) -> u64 {
        self.lock().random.random_range(0..limit)
    }

    /// Whether something with this chance in a thousand happens.
    #[must_use]
    pub fn chance(&self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

impl Inner {
    /// Lets everything happen on a machine that is due by `now`.
    pub fn settle(&mut self, host: &str, now: Duration) {
        let due: Vec<PathBuf> = self
            .machine(host)
            .held
            .iter()
            .filter(|(_, h)| !h.began && !h.abandoned && h.begins_at <= now)
            .map(|(d, _)| d.clone())
            .collect();
        for dir in due {
            self.begin(host, &dir, now);
        }
        self.catch_up(host, now);
    }

    /// Lets the migrations of a machine come as far as they are by now.
    fn catch_up(&mut self, host: &str, now: Duration) {
        let mut seen = Vec::new();
        for held in self.machine(host).held.values_mut() {
            if let (true, Some(home)) = (held.began, held.server_home.clone()) {
                seen.extend(migrate(held, now).map(|ended| (home, ended)));
            }
        }
        for (home, (at, well, dir)) in seen {
            self.witness.push((at, Witnessed::WorkEnded { dir, well }));
            for name in databases_of(&home) {
                self.databases.entry((*name).to_owned()).or_default().half_migrated = !well;
            }
        }
    }

    /// The incarnations of the databases that a migration in this home changes.
    fn over(&self, home: &Path) -> BTreeMap<String, String> {
        let of = |name: &str| self.databases.get(name).and_then(|d| d.incarnation.clone()).unwrap_or_default();
        databases_of(home).iter().map(|name| ((*name).to_owned(), of(name))).collect()
    }

    /// The server of a home, if one runs there.
    #[must_use]
    pub fn server(&self, host: &str, home: &Path) -> Option<&SimServer> {
        self.machines.get(host)?.servers.get(home)
    }

    /// Whether a migration in this home did all its work in the databases as they are now.
    #[must_use]
    pub fn migrated(&self, home: &Path) -> bool {
        let over = self.over(home);
        let mut dirs = self.witness.iter().filter_map(|(_, w)| match w {
            Witnessed::Started { dir, over: of, .. } if *of == over => Some(dir),
            _ => None,
        });
        dirs.any(|dir| self.witness.iter().any(|(_, w)| *w == Witnessed::WorkEnded { dir: dir.clone(), well: true }))
    }

    /// One machine.
    pub fn machine(&mut self, host: &str) -> &mut Machine {
        self.machines.entry(host.to_owned()).or_default()
    }

    fn begin(&mut self, host: &str, dir: &Path, now: Duration) {
        self.next_pid += 1;
        let pid = self.next_pid;
        let slow = Duration::from_millis(self.random.random_range(2_000..20_000));
        let Some(held) = self.machine(host).held.get_mut(dir) else { return };
        held.began = true;
        let command = held.spec.command.clone();
        let home = home_of(&command);
        let (asked, life) = (held.asked, held.life);
        let migrates = migrates(&command);
        let over = if migrates { self.over(&home) } else { BTreeMap::new() };
        for name in over.keys() {
            self.databases.entry(name.clone()).or_default().half_migrated = true;
        }
        let (host_name, dir_name) = (host.to_owned(), dir.to_owned());
        let started = Witnessed::Started { host: host_name, dir: dir_name, command: command.clone(), asked, life, over };
        let begun = (now, started);
        let starts = command.iter().any(|a| a == "start");
        let stops = command.iter().any(|a| a == "stop");
        if let Some(held) = self.machine(host).held.get_mut(dir).filter(|_| starts || stops) {
            held.ends_at = Some((now + Duration::from_millis(10), 0));
        }
        self.witness.push(begun);
        if stops {
            self.stop_server(host, &home, now + Duration::from_secs(2), Ender::Agent);
        } else if !self.machine(host).servers.contains_key(&home) {
            if let Some(held) = self.machine(host).held.get_mut(dir) {
                held.server_home = Some(home.clone());
            }
            let args = std::iter::once("java".to_owned())
                .chain([format!("-Dcarbon.home={}", home.display())])
                .chain(command.iter().skip(1).filter(|a| *a != "start").cloned())
                .collect();
            let server = SimServer { pid, started: now, ready_at: now + slow, args, dir: dir.to_owned() };
            self.machine(host).servers.insert(home.clone(), server);
            let api_manager = home.to_string_lossy().contains("wso2am");
            self.witness.push((now, Witnessed::ServerUp { home: home.clone(), api_manager }));
            // One that migrates answers too, but it is no Identity Server that anybody may count on.
            if !migrates {
                self.witness.push((now + slow, Witnessed::ServerReady { home }));
            }
        }
    }

    /// The machine loses its power: every process is gone, and no record of an end was written.
    pub fn power_loss(&mut self, host: &str, now: Duration) {
        let homes: Vec<PathBuf> = self.machine(host).servers.keys().cloned().collect();
        for home in &homes {
            self.stop_server(host, home, now, Ender::Power);
        }
        let machine = self.machine(host);
        machine.life += 1;
        for held in machine.held.values_mut() {
            if !held.began {
                held.abandoned = true;
            } else if held.ends_at.is_none_or(|(at, _)| at >= now) {
                held.ends_at = None;
                held.vanished = true;
            }
        }
    }

    /// A person starts the server of a home, if none runs there.
    pub fn start_by_hand(&mut self, host: &str, home: &Path, now: Duration) {
        if self.machine(host).servers.contains_key(home) {
            return;
        }
        self.next_pid += 1;
        let pid = self.next_pid;
        let ready_at = now + Duration::from_secs(8);
        let args = vec!["java".to_owned(), format!("-Dcarbon.home={}", home.display())];
        let server = SimServer { pid, started: now, ready_at, args, dir: PathBuf::new() };
        self.machine(host).servers.insert(home.to_owned(), server);
        self.witness.push((now, Witnessed::ServerUp { home: home.to_owned(), api_manager: false }));
        self.witness.push((ready_at, Witnessed::ServerReady { home: home.to_owned() }));
    }

    /// Ends a server's process at a time.
    pub fn stop_server(&mut self, host: &str, home: &Path, at: Duration, by: Ender) {
        self.catch_up(host, at);
        if let Some(server) = self.machine(host).servers.remove(home) {
            self.witness.retain(|(t, w)| *t <= at || !matches!(w, Witnessed::ServerReady { home: h } if h == home));
            self.witness.push((at, Witnessed::ServerDown { home: home.to_owned(), dir: server.dir, by }));
            let machine = self.machine(host);
            for held in machine.held.values_mut().filter(|h| h.server_home.as_deref() == Some(home)) {
                held.server_home = None;
                held.ends_at.get_or_insert((at, 143));
            }
        }
    }
}

/// Orders that the simulated migration runs through.
pub const ORDERS: u32 = 5;
/// Time between two of its lines.
const LINE: Duration = Duration::from_secs(20);

/// Whether a command migrates.
#[must_use]
pub fn migrates(command: &[String]) -> bool {
    command.iter().any(|a| a.starts_with("-Dmigrate"))
}

/// Databases that a migration in this home changes.
#[must_use]
pub fn databases_of(home: &Path) -> &'static [&'static str] {
    if home.to_string_lossy().contains("wso2is") { &["identity_db"] } else { &["am_db"] }
}

/// Writes the output that a migration has reached by now: when it came to its end, whether well, and its folder.
fn migrate(held: &mut SimHeld, now: Duration) -> Option<(Duration, bool, PathBuf)> {
    if !migrates(&held.spec.command) {
        return None;
    }
    let lines = held.output.iter().filter(|b| **b == b'\n').count();
    let elapsed = now.saturating_sub(held.begins_at).as_secs();
    let due = usize::try_from(elapsed / LINE.as_secs()).unwrap_or(usize::MAX);
    let fourth = if held.fate == Fate::Badly { "ERROR the fourth order failed" } else { "Migrator of order : 4 is starting" };
    let script: Vec<String> = (1..=ORDERS)
        .map(|n| if n == 4 { fourth.to_owned() } else { format!("Migration Step : Migrator of order : {n} is starting") })
        .chain(["Execution was done".to_owned(), "WSO2 Carbon started in 9 sec".to_owned()])
        .collect();
    let due = if held.fate == Fate::Hangs { due.min(4) } else { due };
    let mut ended = None;
    for (n, line) in (1..).zip(&script).skip(lines).take(due.saturating_sub(lines)) {
        held.output.extend_from_slice(line.as_bytes());
        held.output.push(b'\n');
        if n as usize == script.len() {
            ended = Some((held.begins_at + LINE * n, held.fate == Fate::Well, held.spec.dir.clone()));
        }
    }
    ended
}

/// The home of a script `HOME/bin/x.sh`.
fn home_of(command: &[String]) -> PathBuf {
    let script = Path::new(command.first().map_or("", String::as_str));
    script.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned()
}
