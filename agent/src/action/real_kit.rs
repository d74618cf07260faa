//! A real machine for tests: a home with a start script like the products' own, a "JVM" that is a shell script, real
//! shims. The JVM appends to a witness file that nothing of ours writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cavalcade_common::action::{ArtifactRef, HttpCheck, Ready, Runtime, Server, ServerOp};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, Epoch, RunId};
use cavalcade_common::plan::{Need, PlanStep};
use cavalcade_common::report::{Evidence, Observation, Progress, Sight};
use cavalcade_common::secret::SecretBook;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::aside::Beside;
use super::{ArtifactSource, Context, Failure, OutputSink, PermitRefused, PermitSource};
use crate::host::held::tests::test_shim;
use crate::host::machine::own_user;
use crate::host::real::RealHost;
use crate::host::test_program::program;
use crate::host::{Host, Process};
use crate::shim::record::Records;

/// Behaves like the products' script where it matters (09): JAVA_HOME first, `start` in the background with its output
/// thrown away, `stop` by the PID file, a loop around exit code 121, and 0 as its own exit code whatever the JVM's was.
const SCRIPT: &str = r#"#!/bin/sh
home=$(cd "$(dirname "$0")/.." && pwd)
[ -n "$JAVACMD" ] || JAVACMD="$JAVA_HOME/bin/java"
if [ ! -x "$JAVACMD" ]; then
    echo "Error: JAVA_HOME is not defined correctly."
    echo " CARBON cannot execute $JAVACMD"
    exit 1
fi
case "$1" in
start)
    if [ -e "$home/wso2carbon.pid" ] && ps -p "$(head -n 1 "$home/wso2carbon.pid")" > /dev/null; then
        echo "Process is already running"; exit 0
    fi
    shift
    nohup sh "$0" "$@" > /dev/null 2>&1 &
    exit 0 ;;
stop) kill -TERM "$(head -n 1 "$home/wso2carbon.pid")"; exit 0 ;;
esac
"$JAVACMD" -version 2> /dev/null
status=121
while [ "$status" = 121 ]; do
    $JAVACMD -Xmx1g -Dcarbon.home="$home" org.wso2.carbon.bootstrap.Bootstrap "$@"
    status=$?
done
"#;

/// The JVM: writes the PID file, tells the witness, then does what `behave` in its home says.
const JAVA: &str = r#"#!/bin/sh
[ "$1" = -version ] && exit 0
for a in "$@"; do case "$a" in -Dcarbon.home=*) home=${a#-Dcarbon.home=} ;; esac; done
log="$home/repository/logs/wso2carbon.log"
say() { echo "TID: [-1234] [] [$(date '+%Y-%m-%d %H:%M:%S,%3N')]  INFO {x} - $1" | tee -a "$log"; }
stay() { while [ ! -e "$home/stop-now" ] && [ -e "$home" ]; do sleep 0.03; done; exit 0; }
trap 'echo "down $$" >> "$home/../witness"; exit 143' TERM
echo "up $$ $*" >> "$home/../witness"
echo $$ > "$home/wso2carbon.pid"
. "$home/behave"
"#;

/// A normal start.
pub(crate) const NORMAL: &str = "say 'Starting WSO2 Carbon...'; say 'WSO2 Carbon started in 9 sec'; stay";

/// What the actions said.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) lines: Mutex<Vec<(String, String)>>,
    pub(crate) progress: Mutex<Vec<Progress>>,
    pub(crate) ended: Mutex<Vec<String>>,
    pub(crate) observed: Mutex<Vec<Observation>>,
}

impl Heard {
    /// What was seen of servers since the last call.
    pub(crate) fn sights(&self) -> Vec<Sight> {
        self.observed.lock().unwrap().drain(..).map(|o| o.sight).collect()
    }

    pub(crate) fn has(&self, stream: &str, part: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|(s, l)| s == stream && l.contains(part))
    }
}

impl OutputSink for Heard {
    fn progress(&self, progress: Progress) {
        self.progress.lock().unwrap().push(progress);
    }
    fn line(&self, stream: &str, line: &str) {
        self.lines.lock().unwrap().push((stream.to_owned(), line.to_owned()));
    }
    fn work_ended(&self, shown_by: &str) {
        self.ended.lock().unwrap().push(shown_by.to_owned());
    }
    fn saw(&self, observation: Observation) {
        self.observed.lock().unwrap().push(observation);
    }
}

/// Permits that are given or not, and counted.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) refuses: AtomicBool,
    pub(crate) asked: AtomicU32,
}

#[async_trait]
impl PermitSource for Desk {
    async fn obtain(&self, _: &AttemptId, _: &PlanStep) -> Result<Vec<Evidence>, PermitRefused> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.refuses.load(Ordering::SeqCst) {
            return Err(PermitRefused("is-2 is not ready".to_owned()));
        }
        Ok(vec![Evidence::holds("permit", "is-2 ready")])
    }
}

pub(crate) struct NoArtifacts;

#[async_trait]
impl ArtifactSource for NoArtifacts {
    async fn fetch(&self, artifact: &ArtifactRef, _: &Path, _: &dyn OutputSink) -> Result<PathBuf, Failure> {
        Err(Fault::new(codes::artifact::FETCH_BROKEN, artifact.name.clone()).into())
    }
}

/// A machine with one home.
pub(crate) struct Machine {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) desk: Arc<Desk>,
}

impl Machine {
    pub(crate) fn new(behave: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["home/bin", "home/repository/logs", "jdk/bin", "state"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let host = Arc::new(RealHost::with_shim(test_shim()));
        let machine = Self { dir, host, heard: Arc::default(), desk: Arc::default() };
        machine.program("home/bin/wso2server.sh", SCRIPT);
        machine.program("jdk/bin/java", JAVA);
        machine.behave(behave);
        machine
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn home(&self) -> String {
        self.at("home").display().to_string()
    }

    pub(crate) fn behave(&self, behave: &str) {
        fs::write(self.at("home/behave"), behave).unwrap();
    }

    fn program(&self, path: &str, text: &str) {
        program(&self.at(path), text);
    }

    pub(crate) fn runtime(&self) -> Runtime {
        // Who runs the tests may be root, and what he starts says so.
        let run_as = Some(own_user());
        Runtime { run_as, java_home: Some(self.at("jdk").display().to_string()), env: BTreeMap::new() }
    }

    pub(crate) fn server(&self, op: ServerOp) -> Server {
        Server {
            op,
            home: self.home(),
            script: "bin/wso2server.sh".to_owned(),
            args: Vec::new(),
            service: None,
            runtime: self.runtime(),
            ready: Ready {
                log: Some("repository/logs/wso2carbon.log".to_owned()),
                started: Some(r"WSO2 Carbon started in (\d+) sec".to_owned()),
                failed: vec!["initialization Failed".to_owned()],
                http: Vec::new(),
                tcp: Vec::new(),
            },
            within: Duration::from_secs(60),
            apart: Duration::from_millis(300),
        }
    }

    /// Attempt `number` of the step.
    pub(crate) fn context(&self, number: u32, resumed: bool) -> Context {
        let step = r#"{"key":"1.1@is-1","host":"h-1","name":"s","action":{"remove":{"paths":[]}},"timeout":"60s"}"#;
        let step: PlanStep = serde_json::from_str(step).unwrap();
        let attempt = AttemptId { run: RunId::new("r1").unwrap(), step: step.key.clone(), number };
        Context {
            host: self.host.clone(),
            attempt,
            epoch: Epoch(1),
            step: Arc::new(step),
            attempt_dir: self.at(&format!("state/attempt-{number}")),
            undo_dir: self.at("state/undo"),
            state_dir: self.at("state"),
            cache_dir: self.at("state/cache"),
            secrets: Arc::new(SecretBook::default()),
            hide: Arc::from(Vec::new()),
            artifacts: Arc::new(NoArtifacts),
            permits: self.desk.clone(),
            out: self.heard.clone(),
            incarnations: Arc::default(),
            resumed,
            decision: None,
            beside: Beside::default(),
        }
    }

    /// The same, for a step that needs a permit.
    pub(crate) fn needing(&self, number: u32) -> Context {
        let mut cx = self.context(number, false);
        let mut step = (*cx.step).clone();
        step.needs = vec![Need::Down { nodes: Vec::new() }];
        cx.step = Arc::new(step);
        cx
    }

    pub(crate) fn processes(&self) -> Vec<Process> {
        self.host.processes_of(&self.at("home")).unwrap()
    }

    /// Launches that the witness saw.
    pub(crate) fn launches(&self) -> Vec<String> {
        let witness = fs::read_to_string(self.at("witness")).unwrap_or_default();
        witness.lines().filter(|l| l.starts_with("up ")).map(str::to_owned).collect()
    }
}

impl Drop for Machine {
    /// Whatever the test left running ends with it.
    fn drop(&mut self) {
        let _ = fs::write(self.at("home/stop-now"), "");
        for process in self.host.processes_of(&self.at("home")).unwrap_or_default() {
            let _ = kill(Pid::from_raw(i32::try_from(process.id.pid).unwrap_or(i32::MAX)), Signal::SIGKILL);
        }
    }
}

/// Kills shim and child of an attempt's folder, as a power loss would: no record of an end is written.
pub(crate) fn kill_both(dir: &Path) {
    let (child, _) = Records::read(dir).unwrap().spawned.unwrap();
    let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    let shim = status.lines().find_map(|l| l.strip_prefix("PPid:")).unwrap().trim().parse().unwrap();
    for pid in [shim, i32::try_from(child).unwrap()] {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
}

/// Waits for something that other processes do.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(300) {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came: {what}");
}

/// A check of an answering server, and the server's body.
pub(crate) async fn health(body: &'static str) -> HttpCheck {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    HttpCheck { url, status: vec![200], body: None, insecure: true }
}

/// The fault of a failure, and whether anything was changed.
pub(crate) fn fault<T: std::fmt::Debug>(result: Result<T, Failure>) -> (Fault, bool) {
    match result {
        Err(Failure::Failed { fault, changed, .. }) => (fault, changed),
        other => panic!("did not fail: {other:?}"),
    }
}
