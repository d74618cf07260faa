//! The homes that the steps touch, locked for as long as the invocation lasts, whatever --state says (10, rule 18).

use std::any::Any;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::action::{Action, HttpCheck, ServerOp};
use cavalcade_common::codes::agent as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::plan::PlanStep;
use jiff::Timestamp;

use super::Stopped;
use super::input::Input;
use crate::host::glob::Glob;
use crate::host::{
    FilePart, HeldSpec, HeldState, Host, HttpAnswer, HttpRequest, Occupant, Process, ProcessId, RecordFile, home_lock,
};

/// Locks all homes.
///
/// # Errors
/// One of them is held, by whom, or cannot be locked.
pub(super) fn take(input: &Input, inner: Arc<dyn Host>) -> Result<HeldHomes, Stopped> {
    let (mut locks, mut guards) = (BTreeSet::new(), Vec::new());
    for home in touched(input) {
        let fault = |text: String| Stopped::refused(Fault::new(codes::HOME_LOCKED, text));
        let cannot = |e: io::Error| fault(format!("the lock beside {} cannot be taken: {e}", home.display()));
        let path = home_lock::path_of(&home).map_err(cannot)?;
        match inner.lock_home(&home).map_err(cannot)? {
            Some(guard) => {
                locks.insert(path);
                guards.push(guard);
            }
            None => return Err(fault(format!("{} holds the lock of {}", holder(&path), home.display()))),
        }
    }
    Ok(HeldHomes { inner, locks, _guards: Mutex::new(guards) })
}

/// Homes that the steps of a list change or work in, and the node's own.
pub(super) fn touched(input: &Input) -> BTreeSet<PathBuf> {
    let mut known: BTreeSet<PathBuf> = input.names.homes.iter().map(|h| PathBuf::from(&h.home)).collect();
    known.extend(["old", "new"].iter().filter_map(|side| input.side(side).map(PathBuf::from)));
    let mut found: BTreeSet<PathBuf> = input.home().map(PathBuf::from).into_iter().collect();
    for step in &input.list.steps {
        let (home, paths) = places(step);
        if let Some(home) = home {
            known.insert(PathBuf::from(home));
        }
        // A command is only known to work in its folder, and may do so above homes; what a step writes, it may write in all
        // homes below as well.
        let writes = !matches!(step.action, Action::Command(_));
        for path in paths.into_iter().map(Glob::firm) {
            found.extend(known.iter().filter(|home| path.starts_with(home) || (writes && home.starts_with(&path))).cloned());
        }
        // A folder that a step makes is its home from then on, unless it lies in one.
        if let Action::Unpack(unpack) = &step.action
            && !known.iter().any(|home| Path::new(&unpack.to).starts_with(home))
        {
            known.insert(PathBuf::from(&unpack.to));
            found.insert(PathBuf::from(&unpack.to));
        }
    }
    found
}

/// The home that a step names, and the paths that it changes.
fn places(step: &PlanStep) -> (Option<&str>, Vec<&str>) {
    match &step.action {
        Action::Toml(e) => (None, vec![&e.file]),
        Action::Yaml(e) => (None, vec![&e.file]),
        Action::Text(e) => (None, vec![&e.file]),
        Action::Artifact(a) => (None, vec![&a.to]),
        Action::Unpack(u) => (None, vec![&u.to]),
        Action::Copy(c) => (None, vec![&c.into]),
        Action::Remove(r) => (None, r.paths.iter().map(String::as_str).collect()),
        Action::Server(s) if matches!(s.op, ServerOp::Start | ServerOp::Stop) => (Some(&s.home), vec![&s.home]),
        Action::Job(j) => (Some(&j.home), vec![&j.home]),
        Action::Command(c) => (None, vec![&c.cwd]),
        Action::Server(_) | Action::Sql(_) | Action::Query(_) | Action::Backup(_) | Action::Restore(_) => (None, Vec::new()),
        // No two invocations keep the record of one home at a time.
        Action::Autostart(a) => (Some(&a.home), vec![&a.home]),
        // An undo is never in a list of steps: a person orders it at the controller.
        Action::Http(_) | Action::Tcp(_) | Action::Log(_) | Action::Exchange(_) | Action::Undo(_) => (None, Vec::new()),
    }
}

/// Who holds a lock, as the kernel tells it.
fn holder(lock: &Path) -> String {
    let pid = std::fs::metadata(lock).ok().and_then(|meta| {
        // The kernel gives the table in parts: where locks come and go meanwhile, one read may leave a line out.
        (0..3).find_map(|_| pid_of(&std::fs::read_to_string("/proc/locks").ok()?, meta.ino()))
    });
    let Some(pid) = pid else { return "another program".to_owned() };
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    let line: String = words.join(" ").trim().chars().filter(|c| !c.is_control()).take(120).collect();
    if line.is_empty() { format!("process {pid}") } else { format!("process {pid} ({line})") }
}

/// `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`. The device is left out of the comparison: file systems with several
/// devices show another one here than `stat` does.
fn pid_of(table: &str, inode: u64) -> Option<u32> {
    let flocks = table.lines().filter(|l| l.contains(" FLOCK ") && !l.contains("->"));
    flocks
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(4);
            let (pid, file) = (words.next()?, words.next()?);
            (file.rsplit(':').next()?.parse() == Ok(inode)).then(|| pid.parse().ok().filter(|p| *p > 0))?
        })
        .next()
}

/// The machine, with homes that this invocation holds already: the executor's own taking of the lock would find it held.
pub(super) struct HeldHomes {
    inner: Arc<dyn Host>,
    locks: BTreeSet<PathBuf>,
    /// Dropped with the invocation; until then nobody looks at them.
    _guards: Mutex<Vec<Box<dyn Any + Send>>>,
}

#[async_trait]
impl Host for HeldHomes {
    fn lock_home(&self, home: &Path) -> io::Result<Option<Box<dyn Any + Send>>> {
        if self.locks.contains(&home_lock::path_of(home)?) {
            return Ok(Some(Box::new(())));
        }
        self.inner.lock_home(home)
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }
    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }
    fn resident_kib(&self) -> u64 {
        self.inner.resident_kib()
    }
    fn random_id(&self) -> String {
        self.inner.random_id()
    }
    fn is_root(&self) -> bool {
        self.inner.is_root()
    }
    fn boot_id(&self) -> Option<String> {
        self.inner.boot_id()
    }
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(path)
    }
    fn read_part(&self, path: &Path, from: u64, max: usize) -> io::Result<Option<FilePart>> {
        self.inner.read_part(path, from, max)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.inner.replace(path, bytes)
    }
    fn replace_private(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.inner.replace_private(path, bytes)
    }
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dirs(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.inner.list(path)
    }
    fn record_file(&self, path: &Path) -> io::Result<Box<dyn RecordFile>> {
        self.inner.record_file(path)
    }
    fn hold(&self, spec: &HeldSpec) -> io::Result<()> {
        self.inner.hold(spec)
    }
    fn held(&self, dir: &Path, claim: bool) -> io::Result<Option<HeldState>> {
        self.inner.held(dir, claim)
    }
    fn held_output(&self, dir: &Path, from: u64) -> io::Result<(Vec<u8>, u64)> {
        self.inner.held_output(dir, from)
    }
    fn kill_held(&self, dir: &Path) -> io::Result<()> {
        self.inner.kill_held(dir)
    }
    fn processes_of(&self, home: &Path) -> io::Result<Vec<Process>> {
        self.inner.processes_of(home)
    }
    fn occupant(&self, pid: u32) -> io::Result<Option<Occupant>> {
        self.inner.occupant(pid)
    }
    async fn listener(&self, address: &str) -> io::Result<Option<Occupant>> {
        self.inner.listener(address).await
    }
    fn terminate(&self, process: &ProcessId) -> io::Result<()> {
        self.inner.terminate(process)
    }
    async fn http_get(&self, check: &HttpCheck, limit: Duration) -> io::Result<HttpAnswer> {
        self.inner.http_get(check, limit).await
    }
    async fn http_request(&self, request: &HttpRequest, limit: Duration) -> io::Result<HttpAnswer> {
        self.inner.http_request(request, limit).await
    }
    async fn tcp_connect(&self, address: &str, limit: Duration) -> io::Result<()> {
        self.inner.tcp_connect(address, limit).await
    }
    async fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.inner.blocking(work).await;
    }
}

#[cfg(test)]
mod tests {
    use cavalcade_common::render::Sources;

    use super::super::{Format, Options, input};
    use super::*;

    /// A list of one step on a node whose old home is /opt/wso2/is.
    fn input(step: &str) -> Input {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("steps.yaml");
        std::fs::write(&file, format!("- step: one\n  {step}\n")).expect("writes");
        let options = Options {
            file,
            preview: false,
            state: None,
            agent_state: dir.path().to_owned(),
            node: None,
            facts: None,
            secrets: None,
            artifacts: None,
            take_over: false,
            why: None,
            again: Vec::new(),
            restored: Vec::new(),
            statement: None,
            format: Format::Json,
        };
        let mut input = input::read(&options, &mut Sources::new()).expect("is sound");
        let node = serde_json::json!({ "old": { "home": "/opt/wso2/is" }, "new": { "home": "/opt/new/is" } });
        input.names.values.insert("node".to_owned(), node);
        input
    }

    #[test]
    fn homes_below_what_a_step_writes_are_touched_too() {
        let touched = |step: &str| touched(&input(step)).contains(Path::new("/opt/wso2/is"));
        assert!(touched("remove: [/opt/wso2/is/tmp]"));
        assert!(touched("remove: [/opt/wso2/*/tmp]"), "the glob may match in the home");
        assert!(touched("remove: [/opt/wso2]"), "the home goes with it");
        assert!(touched("copy: { from: /srv/is, into: /opt/wso2 }"));
        assert!(!touched("remove: [/opt/wso2/km/tmp]"));
        assert!(!touched("remove: [/opt/wso3/*]"));
        assert!(!touched("command: { command: [/bin/true], cwd: /opt }"), "it only works above the home");
    }

    #[test]
    fn the_kernel_says_who_holds_a_lock() {
        let dir = tempfile::tempdir().expect("temp dir");
        let home = dir.path().join("wso2is-5.11.0");
        let _guard = home_lock::take(&home).expect("opens").expect("is free");
        let who = holder(&home_lock::path_of(&home).expect("has a place"));
        assert!(who.starts_with(&format!("process {} (", std::process::id())), "{who}");
        assert_eq!(holder(&dir.path().join("missing")), "another program");
    }
}
