//! The real machine.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cavalcade_common::action::HttpCheck;
use jiff::Timestamp;

use super::held::{self, ShimProgram};
use super::{FilePart, HeldSpec, HeldState, Host, HttpAnswer, HttpRequest, Occupant, Process, ProcessId, RecordFile};
use super::{files, home_lock, network, owner, processes, record_file, sockets};

/// The machine that this program runs on.
#[derive(Debug, Clone)]
pub struct RealHost {
    shim: ShimProgram,
    /// Where the clock that stands still during a suspend began: used where `/proc/uptime` cannot be read.
    made: Instant,
}

impl Default for RealHost {
    fn default() -> Self {
        Self::with_shim(ShimProgram::default())
    }
}

impl RealHost {
    /// A host whose shims are started from this program.
    #[must_use]
    pub fn with_shim(shim: ShimProgram) -> Self {
        Self { shim, made: Instant::now() }
    }
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "the one place of the agent that reads the wall clock")]
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::now()
}

fn time(of: io::Result<std::time::SystemTime>) -> Option<Timestamp> {
    of.ok().and_then(|t| Timestamp::try_from(t).ok())
}

#[async_trait]
impl Host for RealHost {
    fn now(&self) -> Timestamp {
        wall_clock()
    }

    fn monotonic(&self) -> Duration {
        processes::uptime().unwrap_or_else(|_| self.made.elapsed())
    }

    fn resident_kib(&self) -> u64 {
        processes::resident_kib().unwrap_or(0)
    }

    fn random_id(&self) -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    fn is_root(&self) -> bool {
        owner::is_root()
    }

    fn boot_id(&self) -> Option<String> {
        processes::boot_id()
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        files::read(path)
    }

    fn read_part(&self, path: &Path, from: u64, max: usize) -> io::Result<Option<FilePart>> {
        let mut file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no regular file", path.display())));
        }
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(max as u64).read_to_end(&mut bytes)?;
        let (modified, created) = (time(meta.modified()), time(meta.created()));
        Ok(Some(FilePart { inode: meta.ino(), len: meta.len(), modified, created, bytes }))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        files::replace(path, bytes)
    }

    fn replace_private(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        files::replace_private(path, bytes)
    }

    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        files::create_dirs(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        files::list(path)
    }

    fn record_file(&self, path: &Path) -> io::Result<Box<dyn RecordFile>> {
        record_file::open(path)
    }

    fn lock_home(&self, home: &Path) -> io::Result<Option<Box<dyn std::any::Any + Send>>> {
        Ok(home_lock::take(home)?.map(|lock| -> Box<dyn std::any::Any + Send> { Box::new(lock) }))
    }

    fn hold(&self, spec: &HeldSpec) -> io::Result<()> {
        held::hold(&self.shim, spec)
    }

    fn held(&self, dir: &Path, claim: bool) -> io::Result<Option<HeldState>> {
        held::state(dir, claim)
    }

    fn held_process(&self, dir: &Path) -> io::Result<Option<ProcessId>> {
        held::process(dir)
    }

    fn held_output(&self, dir: &Path, from: u64) -> io::Result<(Vec<u8>, u64)> {
        held::output(dir, from)
    }

    fn kill_held(&self, dir: &Path) -> io::Result<()> {
        held::kill(dir)
    }

    fn processes_of(&self, home: &Path) -> io::Result<Vec<Process>> {
        processes::processes_of(home, || self.now())
    }

    fn occupant(&self, pid: u32) -> io::Result<Option<Occupant>> {
        processes::occupant(pid)
    }

    async fn listener(&self, address: &str) -> io::Result<Option<Occupant>> {
        sockets::listener_at(address).await
    }

    fn terminate(&self, process: &ProcessId) -> io::Result<()> {
        processes::terminate(process)
    }

    async fn http_get(&self, check: &HttpCheck, limit: Duration) -> io::Result<HttpAnswer> {
        network::http_get(check, limit).await
    }

    async fn http_request(&self, request: &HttpRequest, limit: Duration) -> io::Result<HttpAnswer> {
        network::http_request(request, limit).await
    }

    async fn tcp_connect(&self, address: &str, limit: Duration) -> io::Result<()> {
        network::tcp_connect(address, limit).await
    }

    async fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        // A panic in there is the work's own; its caller sees that no result came.
        let _ = tokio::task::spawn_blocking(work).await;
    }
}
