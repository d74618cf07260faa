//! A host of real files for tests of actions, and a context around a temporary folder.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::action::{Action, ArtifactRef, HttpCheck};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, Digest, Epoch, RunId};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::{Evidence, Progress};
use cavalcade_common::secret::SecretBook;
use jiff::Timestamp;

use super::aside::Beside;
use super::{ArtifactSource, Context, Failure, OutputSink, PermitRefused, PermitSource};
use crate::database::{Databases, RealDatabases};
use crate::host::{HeldSpec, HeldState, Host, HttpAnswer, Process, ProcessId, RecordFile, files};

/// Real files; nothing else of a machine. From a given write on everything fails, as for a process that is killed.
pub(crate) struct FileHost {
    writes_left: AtomicI64,
    /// Whether the last write that "happens" takes effect before the process dies.
    late: bool,
    ids: AtomicU64,
    databases: Box<dyn Databases>,
}

impl FileHost {
    pub(crate) fn new() -> Arc<Self> {
        Self::dying(i64::MAX, false)
    }

    /// On these databases.
    pub(crate) fn on(databases: Box<dyn Databases>) -> Arc<Self> {
        Arc::new(Self { writes_left: AtomicI64::new(i64::MAX), late: false, ids: AtomicU64::new(0), databases })
    }

    /// Lives for this many writes.
    pub(crate) fn dying(after: i64, late: bool) -> Arc<Self> {
        let databases = Box::new(RealDatabases);
        Arc::new(Self { writes_left: AtomicI64::new(after), late, ids: AtomicU64::new(0), databases })
    }

    fn write(&self, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self.writes_left.fetch_sub(1, Ordering::SeqCst) {
            left if left > 0 => work(),
            0 if self.late => work().and(Err(io::Error::other("killed"))),
            _ => Err(io::Error::other("killed")),
        }
    }
}

fn none<T>() -> io::Result<T> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[async_trait]
impl Host for FileHost {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn resident_kib(&self) -> u64 {
        0
    }
    fn random_id(&self) -> String {
        format!("{:032x}", self.ids.fetch_add(1, Ordering::SeqCst))
    }
    fn is_root(&self) -> bool {
        false
    }
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        files::read(path)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(|| files::replace(path, bytes))
    }
    fn replace_private(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(|| files::replace_private(path, bytes))
    }
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        self.write(|| files::create_dirs(path))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        files::list(path)
    }
    fn record_file(&self, path: &Path) -> io::Result<Box<dyn RecordFile>> {
        crate::host::record_file::open(path)
    }
    fn lock_home(&self, _: &Path) -> io::Result<Option<Box<dyn std::any::Any + Send>>> {
        none()
    }
    fn hold(&self, _: &HeldSpec) -> io::Result<()> {
        none()
    }
    fn held(&self, _: &Path, _: bool) -> io::Result<Option<HeldState>> {
        none()
    }
    fn held_output(&self, _: &Path, _: u64) -> io::Result<(Vec<u8>, u64)> {
        none()
    }
    fn processes_of(&self, _: &Path) -> io::Result<Vec<Process>> {
        Ok(Vec::new())
    }
    fn terminate(&self, _: &ProcessId) -> io::Result<()> {
        none()
    }
    async fn http_get(&self, _: &HttpCheck, _: Duration) -> io::Result<HttpAnswer> {
        none()
    }
    async fn tcp_connect(&self, _: &str, _: Duration) -> io::Result<()> {
        none()
    }
    fn databases(&self) -> &dyn Databases {
        self.databases.as_ref()
    }
    async fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        let ended = tokio::task::spawn_blocking(work).await;
        assert!(ended.is_ok(), "the work panicked");
    }
}

/// Artifacts from memory, written to the cache folder. Counts what is asked of it.
#[derive(Default)]
pub(crate) struct MemorySource {
    pub(crate) content: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) asked: AtomicU64,
}

#[async_trait]
impl ArtifactSource for MemorySource {
    async fn fetch(&self, artifact: &ArtifactRef, cache: &Path, _: &dyn OutputSink) -> Result<PathBuf, Failure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let content = self.content.lock().expect("no panic").get(&artifact.name).cloned();
        let content = content.ok_or_else(|| Fault::new(codes::artifact::FETCH_BROKEN, "not in this test"))?;
        let path = cache.join(artifact.sha256.as_str());
        files::create_dirs(cache).expect("makes the cache");
        std::fs::write(&path, content).expect("writes to the cache");
        Ok(path)
    }
}

struct NoPermits;

#[async_trait]
impl PermitSource for NoPermits {
    async fn obtain(&self, _: &AttemptId, _: &PlanStep) -> Result<Vec<Evidence>, PermitRefused> {
        Err(PermitRefused("no launches here".to_owned()))
    }
}

#[derive(Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<(u64, u64)>>);

impl OutputSink for Heard {
    fn progress(&self, progress: Progress) {
        self.0.lock().expect("no panic").push((progress.done, progress.total));
    }
    fn line(&self, _: &str, _: &str) {}
    fn work_ended(&self, _: &str) {}
}

/// A temporary machine: `home` for the product, `state` for the agent.
pub(crate) struct Machine {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) source: Arc<MemorySource>,
    pub(crate) heard: Arc<Heard>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        std::fs::create_dir_all(dir.path().join("home")).expect("makes");
        std::fs::create_dir_all(dir.path().join("state")).expect("makes");
        Self { dir, source: Arc::default(), heard: Arc::default() }
    }

    /// Absolute path of something below `home`.
    pub(crate) fn at(&self, path: &str) -> String {
        self.dir.path().join("home").join(path).display().to_string()
    }

    pub(crate) fn write(&self, path: &str, content: &[u8]) -> String {
        let at = self.at(path);
        std::fs::create_dir_all(Path::new(&at).parent().expect("has one")).expect("makes");
        std::fs::write(&at, content).expect("writes");
        at
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        std::fs::read(self.at(path)).ok().map(|b| String::from_utf8(b).expect("UTF-8"))
    }

    /// Names in a folder below `home`, hidden ones too.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        files::list(Path::new(&self.at(path))).expect("lists")
    }

    pub(crate) fn artifact(&self, file: &str, content: &[u8]) -> ArtifactRef {
        self.source.content.lock().expect("no panic").insert(file.to_owned(), content.to_vec());
        let (sha256, size) = (Digest::of(content), content.len() as u64);
        ArtifactRef { name: file.to_owned(), sha256, size, file: file.to_owned() }
    }

    pub(crate) fn undo_dir(&self, run: &str) -> PathBuf {
        self.dir.path().join("state/undo").join(run).join("1.1_is-1")
    }

    /// Inode and time of change of everything below `home`: equal means that nothing was written.
    pub(crate) fn stamps(&self) -> BTreeMap<PathBuf, (u64, i64, i64)> {
        use std::os::unix::fs::MetadataExt;
        let entries = walkdir::WalkDir::new(self.dir.path().join("home")).into_iter();
        let stamp = |e: walkdir::DirEntry| {
            let meta = e.metadata().expect("there");
            (e.into_path(), (meta.ino(), meta.ctime(), meta.ctime_nsec()))
        };
        entries.map(|e| stamp(e.expect("readable"))).collect()
    }

    pub(crate) fn context(&self, host: Arc<dyn Host>, run: &str, resumed: bool, secrets: SecretBook) -> Context {
        let step = r#"{"key":"1.1@is-1","host":"h-1","name":"s","action":{"remove":{"paths":[]}},"timeout":"60s"}"#;
        let step: PlanStep = serde_json::from_str(step).expect("a step");
        assert!(matches!(step.action, Action::Remove(_)));
        let attempt = AttemptId { run: RunId::new(run).expect("a name"), step: step.key.clone(), number: 1 };
        Context {
            host,
            attempt,
            epoch: Epoch(1),
            step: Arc::new(step),
            attempt_dir: self.dir.path().join("state/attempt"),
            undo_dir: self.undo_dir(run),
            state_dir: self.dir.path().join("state"),
            cache_dir: self.dir.path().join("state/cache"),
            secrets: Arc::new(secrets),
            hide: Arc::from(vec!["(?i)password".to_owned()]),
            artifacts: self.source.clone(),
            permits: Arc::new(NoPermits),
            out: self.heard.clone(),
            incarnations: Arc::default(),
            resumed,
            decision: None,
            beside: Beside::default(),
        }
    }

    /// A context of the first run on a sound host.
    pub(crate) fn plain(&self) -> Context {
        self.context(FileHost::new(), "r1", false, SecretBook::default())
    }
}

/// Whether all of the evidence holds.
pub(crate) fn holds(evidence: &[Evidence]) -> bool {
    !evidence.is_empty() && evidence.iter().all(|e| e.holds)
}

/// The fault of a failure.
pub(crate) fn fault<T: std::fmt::Debug>(result: Result<T, Failure>) -> (Fault, bool) {
    match result {
        Err(Failure::Failed { fault, changed, .. }) => (fault, changed),
        other => panic!("did not fail: {other:?}"),
    }
}
