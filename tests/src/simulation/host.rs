//! The simulated machine as the agent's [`Host`].

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_agent::database::Databases;
use cavalcade_agent::host::{HeldSpec, HeldState, Host, HttpAnswer, Process, ProcessId, RecordFile};
use cavalcade_common::action::HttpCheck;
use jiff::{SignedDuration, Timestamp};

use super::machine::{Ender, Fate, Inner, SimHeld, Witnessed, World};

/// Wall clock at the beginning of every simulation: 2026-11-23T03:00:00Z.
const WALL: i64 = 1_795_402_800;

/// One life of one agent on one machine.
pub struct SimHost {
    world: Arc<World>,
    host: String,
    life: u64,
}

impl SimHost {
    /// A new life; earlier ones are dead from here on.
    #[must_use]
    pub fn new(world: &Arc<World>, host: &str) -> Arc<Self> {
        let life = {
            let mut inner = world.lock();
            let machine = inner.machine(host);
            machine.life += 1;
            machine.life
        };
        Arc::new(Self { world: world.clone(), host: host.to_owned(), life })
    }

    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Inner, Duration) -> T) -> io::Result<T> {
        let now = self.world.now();
        let mut inner = self.world.lock();
        inner.settle(&self.host, now);
        if inner.machine(&self.host).life != self.life {
            return Err(io::Error::other("this agent is dead"));
        }
        Ok(f(&mut inner, now))
    }
}

/// The instant at which a world begins.
pub(super) fn started_at() -> Timestamp {
    Timestamp::from_second(WALL).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The wall clock of a world at one of its times.
fn wall_at(time: Duration) -> Timestamp {
    started_at() + SignedDuration::try_from(time).unwrap_or_default()
}

/// Time of a world at an instant of its wall clock.
pub(super) fn since_start(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(started_at())).unwrap_or_default()
}

impl SimHost {
    /// A random number below `limit`.
    pub(super) fn below(&self, limit: u64) -> u64 {
        self.world.below(limit)
    }

    /// Whether a seeded bug lets restored databases keep their incarnation.
    pub(super) fn keeps_incarnations(&self) -> bool {
        self.world.lock().keeps_incarnations
    }
}

/// The wall clock of a world.
#[must_use]
pub fn wall(world: &World) -> Timestamp {
    wall_at(world.now())
}

struct SimRecords {
    host: Arc<World>,
    name: String,
    life: u64,
    path: PathBuf,
}

impl RecordFile for SimRecords {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.host.lock().machine(&self.name).files.get(&self.path).cloned().unwrap_or_default())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        use rand::RngExt;
        let mut inner = self.host.lock();
        if inner.machine(&self.name).life != self.life {
            return Err(io::Error::other("this agent is dead"));
        }
        let crash = inner.machine(&self.name).crash_in.as_mut().map(|n| {
            *n = n.saturating_sub(1);
            *n
        });
        let kept = if crash == Some(0) { inner.random.random_range(0..=bytes.len()) } else { bytes.len() };
        let machine = inner.machine(&self.name);
        machine.files.entry(self.path.clone()).or_default().extend_from_slice(&bytes[..kept]);
        if crash == Some(0) {
            machine.crash_in = None;
            machine.life += 1;
            return Err(io::Error::other("the agent died here"));
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut inner = self.host.lock();
        if let Some(file) = inner.machine(&self.name).files.get_mut(&self.path) {
            file.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    fn reserve(&mut self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Host for SimHost {
    fn now(&self) -> Timestamp {
        wall(&self.world)
    }

    fn monotonic(&self) -> Duration {
        self.world.now()
    }

    fn resident_kib(&self) -> u64 {
        0
    }

    fn random_id(&self) -> String {
        format!("{:016x}{:016x}", self.world.below(u64::MAX), self.world.below(u64::MAX))
    }

    fn is_root(&self) -> bool {
        false
    }

    fn boot_id(&self) -> Option<String> {
        // Starts of servers are told in times of the world, so that no two boots share one.
        Some("simulated".to_owned())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.with(|inner, now| {
            let machine = inner.machine(&self.host);
            let home = path.to_string_lossy().strip_suffix("/repository/logs/wso2carbon.log").map(PathBuf::from);
            match home.and_then(|h| machine.servers.get(&h)) {
                Some(server) if server.ready_at <= now => {
                    let at = wall_at(server.ready_at);
                    let stamp = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
                    Some(format!("TID: [-1234] [] [{stamp}]  INFO - WSO2 Carbon started in 9 sec\n").into_bytes())
                }
                _ => machine.files.get(path).cloned(),
            }
        })
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.with(|inner, now| {
            inner.machine(&self.host).files.insert(path.to_owned(), bytes.to_vec());
            inner.witness.push((now, Witnessed::Replaced { path: path.to_owned() }));
        })
    }

    fn replace_private(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace(path, bytes)
    }

    fn create_dirs(&self, _path: &Path) -> io::Result<()> {
        self.with(|_, _| ())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.with(|inner, _| {
            let files = inner.machine(&self.host).files.keys();
            files
                .filter(|p| p.parent() == Some(path))
                .filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned()))
                .collect()
        })
    }

    fn record_file(&self, path: &Path) -> io::Result<Box<dyn RecordFile>> {
        Ok(Box::new(SimRecords { host: self.world.clone(), name: self.host.clone(), life: self.life, path: path.to_owned() }))
    }

    fn lock_home(&self, _home: &Path) -> io::Result<Option<Box<dyn Any + Send>>> {
        Ok(Some(Box::new(())))
    }

    fn hold(&self, spec: &HeldSpec) -> io::Result<()> {
        let delay = Duration::from_millis(self.world.below(300));
        let fate = match self.world.below(100) {
            0..75 => Fate::Well,
            75..90 => Fate::Badly,
            _ => Fate::Hangs,
        };
        self.with(|inner, now| {
            inner.machine(&self.host).held.entry(spec.dir.clone()).or_insert(SimHeld {
                begins_at: now + delay,
                abandoned: false,
                began: false,
                ends_at: None,
                vanished: false,
                server_home: None,
                output: Vec::new(),
                spec: spec.clone(),
                asked: now,
                life: self.life,
                fate,
            });
        })
    }

    fn held(&self, dir: &Path, claim: bool) -> io::Result<Option<HeldState>> {
        self.with(|inner, now| {
            let machine = inner.machine(&self.host);
            let Some(held) = machine.held.get_mut(dir) else { return claim.then_some(HeldState::NeverBegan) };
            if !held.began {
                held.abandoned |= claim;
                return held.abandoned.then_some(HeldState::NeverBegan);
            }
            if held.vanished {
                return Some(HeldState::Vanished);
            }
            let exit = held.ends_at.filter(|(at, _)| *at <= now).map(|(_, code)| code);
            Some(match (exit, &held.server_home) {
                (exit, Some(_)) => HeldState::Alive { exit },
                (Some(exit), None) => HeldState::Ended { exit, relaunch_refused: false },
                (None, None) => HeldState::Alive { exit: None },
            })
        })
    }

    fn held_output(&self, dir: &Path, from: u64) -> io::Result<(Vec<u8>, u64)> {
        self.with(|inner, _| {
            let output = inner.machine(&self.host).held.get(dir).map(|h| h.output.clone()).unwrap_or_default();
            let start = usize::try_from(from).unwrap_or(usize::MAX).min(output.len());
            (output[start..].to_vec(), output.len() as u64)
        })
    }

    fn processes_of(&self, home: &Path) -> io::Result<Vec<Process>> {
        self.with(|inner, _| {
            let server = inner.machine(&self.host).servers.get(home);
            server
                .map(|s| Process {
                    id: ProcessId { pid: s.pid, start_ticks: u64::try_from(s.started.as_millis()).unwrap_or(0) },
                    args: s.args.clone(),
                    user: "wso2".to_owned(),
                    started: wall_at(s.started),
                })
                .into_iter()
                .collect()
        })
    }

    fn terminate(&self, process: &ProcessId) -> io::Result<()> {
        self.with(|inner, now| {
            let home = inner.machine(&self.host).servers.iter().find(|(_, s)| s.pid == process.pid).map(|(h, _)| h.clone());
            if let Some(home) = home {
                inner.stop_server(&self.host, &home, now, Ender::Agent);
            }
        })
    }

    async fn http_get(&self, check: &HttpCheck, _limit: Duration) -> io::Result<HttpAnswer> {
        tokio::time::sleep(Duration::from_millis(3)).await;
        // `http://HOST/HOME`: ready when the server of that home on that host is.
        let rest = check.url.strip_prefix("http://").unwrap_or_default();
        let (host, home) = rest.split_once('/').unwrap_or((rest, ""));
        let home = PathBuf::from(format!("/{home}"));
        let ready = self.with(|inner, now| {
            inner.settle(host, now);
            inner.machine(host).servers.get(&home).is_some_and(|s| s.ready_at <= now)
        })?;
        if ready {
            Ok(HttpAnswer { status: 200, body: b"{\"health\":[]}".to_vec() })
        } else {
            Err(io::Error::other("connection refused"))
        }
    }

    async fn tcp_connect(&self, _address: &str, _limit: Duration) -> io::Result<()> {
        Ok(())
    }

    fn databases(&self) -> &dyn Databases {
        self
    }

    async fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}
