//! The central log: every line of every command and server of every node, durable, searchable, with gaps that say so.
//!
//! Lines of all agents go into one sequence of segment files (8 MiB each, one index file beside each closed one), so
//! that one sync serves whatever waits at that moment. Every line has an [`Address`] for good. Layout and figures:
//! `docs/decisions/logs.md`.
//!
//! Absences: the log knows nothing of runs and journal, and nobody who drives a run waits for it (10, rule 30). It
//! redacts nothing: the agent did.

mod catalog;
mod error;
mod follow;
mod join;
mod line;
mod pruned;
mod query;
mod record;
mod retain;
mod scan;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cavalcade_common::id::{HostId, Incarnation};
use cavalcade_common::message::LogRecord;
use nix::fcntl::{Flock, FlockArg};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;

use writer::{Append, Job, MAX_LABEL, Shared, Writer};

pub use error::LogError;
pub use line::{Address, AddressError, Gap, Level, LogLine, LostBy, shown};
pub use query::{Glob, MAX_LIMIT, Page, Query};

/// Batches that wait for the writer; more make the senders wait.
const QUEUE: usize = 64;
/// Searches at the same time; more wait.
const SEARCHES: usize = 2;
/// Records that wait for a follower; more make its reader wait.
const FOLLOW: usize = 256;

/// How much room the log may take, in bytes. When a limit is met lines are given up, with a gap (10, rule 31).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// For all lines together.
    pub budget: u64,
    /// What must stay free on the file system, for the journal.
    pub keep_free: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { budget: 8 << 30, keep_free: 2 << 30 }
    }
}

/// How full the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogUsage {
    /// Bytes of all segments.
    pub used: u64,
    /// Bytes that they may have.
    pub budget: u64,
    /// Whether lines are given up at present.
    pub stopped: bool,
}

/// The store. Cheap to clone; the writer ends with the last clone.
#[derive(Debug, Clone)]
pub struct LogStore {
    root: Arc<PathBuf>,
    limits: LogLimits,
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    searches: Arc<Semaphore>,
}

/// Ends a search when nobody waits for it any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl LogStore {
    /// Opens the store in `root` (`<state>/logs`) and makes it if there is none. Cuts what an earlier process had not
    /// acked.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it open; [`LogError::Io`].
    pub async fn open(root: &Path, limits: LogLimits) -> Result<Self, LogError> {
        let root = Arc::new(root.to_owned());
        tokio::task::spawn_blocking(move || Self::open_now(root, limits)).await.map_err(LogError::Worker)?
    }

    fn open_now(root: Arc<PathBuf>, limits: LogLimits) -> Result<Self, LogError> {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&*root);
        made.map_err(LogError::io("made", &root))?;
        let lock = lock(&root)?;
        let found = catalog::recover(&root)?;
        let (sender, head) = watch::channel(0);
        let shared = Arc::new(Shared { catalog: std::sync::RwLock::default(), head });
        let (jobs, receiver) = mpsc::channel(QUEUE);
        let writer = Writer::new(root.to_path_buf(), limits, found, Arc::clone(&shared), sender, lock);
        let thread = std::thread::Builder::new().name("log-writer".to_owned());
        thread.spawn(move || writer.run(receiver)).map_err(LogError::io("given a thread", &root))?;
        Ok(Self { root, limits, shared, jobs, searches: Arc::new(Semaphore::new(SEARCHES)) })
    }

    /// Stores a batch of one agent's lines and returns the sequence up to which all is settled: durable, or given up with
    /// a gap while the budget is used. The agent forgets up to there. Lines that are here already are passed over;
    /// missing sequences become a gap. The caller has checked that the host serves the nodes.
    ///
    /// Waits while the writer is busy: never call it from the run loop or before a control message.
    ///
    /// # Errors
    /// Nothing of the batch is acked then; the agent sends it again. A dropped future leaves that open.
    pub async fn append(&self, host: &HostId, incarnation: &Incarnation, batch: Vec<LogRecord>) -> Result<u64, LogError> {
        let (reply, answer) = oneshot::channel();
        let (host, incarnation) = (host.clone(), short(incarnation));
        let job = Job::Append(Append { host, incarnation, batch, reply });
        self.jobs.send(job).await.map_err(|_| LogError::Stopped)?;
        answer.await.map_err(|_| LogError::Stopped)?
    }

    /// Waits until everything that was sent is written and the writer has ended; the last clone must be the one that is
    /// closed, or gone.
    pub async fn close(self) {
        let mut head = self.shared.head.clone();
        drop(self);
        while head.changed().await.is_ok() {}
    }

    /// The sequence up to which this agent's lines are settled; 0 where none is known.
    #[must_use]
    pub fn settled(&self, host: &HostId, incarnation: &Incarnation) -> u64 {
        let catalog = self.shared.catalog();
        catalog.settled.get(&(host.clone(), short(incarnation))).copied().unwrap_or(0)
    }

    /// How full the log is.
    #[must_use]
    pub fn usage(&self) -> LogUsage {
        let catalog = self.shared.catalog();
        LogUsage { used: catalog.used, budget: self.limits.budget, stopped: catalog.stopped }
    }

    /// Answers a query with one page.
    ///
    /// # Errors
    /// [`LogError::NoLine`]; [`LogError::Io`]. Damage is part of the page.
    pub async fn search(&self, query: Query) -> Result<Page, LogError> {
        // Closed only with the store itself; then nobody waits here.
        let _permit = self.searches.acquire().await.map_err(|_| LogError::Stopped)?;
        let cancelled = Arc::new(AtomicBool::new(false));
        let _guard = CancelOnDrop(Arc::clone(&cancelled));
        let (root, catalog) = (Arc::clone(&self.root), self.shared.catalog());
        let work = move || scan::search(&root, &catalog, &query, &cancelled);
        tokio::task::spawn_blocking(work).await.map_err(LogError::Worker)?
    }

    /// Records as they become durable, for as long as the stream is read. It begins with the record that holds
    /// [`Query::from`], or behind [`Query::after`], or now. A record with a stack trace comes once it was quiet for a
    /// moment. A reader that is slow makes nobody wait but itself.
    ///
    /// # Errors
    /// [`LogError::NoLine`]. In the stream: [`LogError::Damaged`] for lines that cannot be read, after which it goes on;
    /// [`LogError::Io`] is its end. It ends with the store as well.
    pub async fn follow(&self, query: Query) -> Result<ReceiverStream<Result<LogLine, LogError>>, LogError> {
        let catalog = self.shared.catalog();
        let pruned = Arc::clone(&catalog.pruned);
        let behind = match (&query.from, query.after) {
            (Some(address), _) => {
                let (root, address) = (Arc::clone(&self.root), address.clone());
                let work = move || scan::locate(&root, &catalog, &address);
                tokio::task::spawn_blocking(work).await.map_err(LogError::Worker)?? - 1
            }
            (None, Some(position)) => position,
            (None, None) => catalog.head,
        };
        // From an address on, what was removed behind it is told first.
        let gaps = if query.from.is_some() { pruned.gaps(&query, behind) } else { Vec::new() };
        let (out, lines) = mpsc::channel(FOLLOW);
        let scan = scan::Scan::new(Arc::clone(&self.root), query).start_behind(behind);
        tokio::spawn(follow::follow(scan, gaps, Arc::clone(&self.shared), out));
        Ok(ReceiverStream::new(lines))
    }

    /// Removes segments whose lines were all read before this time, and returns how many bytes that freed. The newest
    /// segments stay. What is gone stays a gap for every search, for good.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub async fn prune(&self, before: jiff::Timestamp) -> Result<u64, LogError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Prune { before, reply }).await.map_err(|_| LogError::Stopped)?;
        answer.await.map_err(|_| LogError::Stopped)?
    }
}

fn short(incarnation: &Incarnation) -> Incarnation {
    Incarnation(writer::head(&incarnation.0, MAX_LABEL).to_owned())
}

/// Two writers would tear the segments apart.
fn lock(root: &Path) -> Result<Flock<std::fs::File>, LogError> {
    let path = root.join("lock");
    let opened = std::fs::File::options().create(true).append(true).open(&path);
    let file = opened.map_err(LogError::io("opened", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => LogError::Locked(root.to_owned()),
        other => LogError::io("locked", &path)(other.into()),
    })
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;
