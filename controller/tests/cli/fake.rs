//! A controller that answers from a script, on a real socket, and the program that talks to it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;
use cavalcade_controller::rpc::method::Method;
use cavalcade_controller::rpc::operator::{AnswerStream, Operator, OperatorHandler, OperatorSocket, UploadStream};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What the controller knows and answers.
pub(crate) struct Script {
    /// The status document; `watch` gets each new one.
    pub(crate) status: watch::Sender<Value>,
    /// Answers of calls and, as arrays, of streams.
    answers: Mutex<BTreeMap<Method, Result<Value, Fault>>>,
    /// The status after a call of this method.
    after: Mutex<BTreeMap<Method, Value>>,
    /// What was asked.
    asked: Mutex<Vec<(Method, Value)>>,
}

impl Script {
    pub(crate) fn answer(&self, method: Method, answer: Value) {
        self.answers.lock().expect("whole").insert(method, Ok(answer));
    }
    pub(crate) fn refuse(&self, method: Method, fault: Fault) {
        self.answers.lock().expect("whole").insert(method, Err(fault));
    }
    pub(crate) fn after(&self, method: Method, status: Value) {
        self.after.lock().expect("whole").insert(method, status);
    }
    /// The requests of this method, in order.
    pub(crate) fn asked(&self, method: Method) -> Vec<Value> {
        self.asked.lock().expect("whole").iter().filter(|(m, _)| *m == method).map(|(_, v)| v.clone()).collect()
    }
    fn note(&self, method: Method, request: Value) {
        self.asked.lock().expect("whole").push((method, request));
    }
    fn answer_of(&self, method: Method) -> Result<Value, Fault> {
        let found = self.answers.lock().expect("whole").get(&method).cloned();
        found.unwrap_or_else(|| Err(Fault::new(codes::run::NO_RUN, format!("the script has no answer to {method:?}"))))
    }
}

/// As the controller filters: by the run's id or its plan's digest.
fn filtered(mut status: Value, request: &Value) -> Value {
    if let (Some(run), Some(runs)) = (request["run"].as_str(), status["runs"].as_array_mut()) {
        runs.retain(|r| r["run"] == run || r["plan"].as_str().is_some_and(|plan| plan.starts_with(run)));
    }
    status
}

struct Handler(Arc<Script>);

#[async_trait]
impl OperatorHandler for Handler {
    async fn call(&self, _who: &Operator, method: Method, request: Value) -> Result<Value, Fault> {
        self.0.note(method, request.clone());
        if method == Method::Status || method == Method::NodeList {
            return Ok(filtered(self.0.status.borrow().clone(), &request));
        }
        let answer = self.0.answer_of(method);
        let after = self.0.after.lock().expect("whole").get(&method).cloned();
        if let Some(status) = after {
            self.0.status.send_replace(status);
        }
        answer
    }

    async fn stream(&self, _who: &Operator, method: Method, request: Value) -> Result<AnswerStream, Fault> {
        self.0.note(method, request.clone());
        if method == Method::Watch {
            let statuses = tokio_stream::wrappers::WatchStream::new(self.0.status.subscribe());
            return Ok(statuses.map(move |status| Ok(filtered(status, &request))).boxed());
        }
        let answers = self.0.answer_of(method)?.as_array().cloned().unwrap_or_default();
        Ok(stream::iter(answers.into_iter().map(Ok)).boxed())
    }

    async fn put_artifact(&self, _who: &Operator, request: Value, mut bytes: UploadStream) -> Result<Value, Fault> {
        self.0.note(Method::ArtifactPut, request);
        let mut all = Vec::new();
        while let Some(chunk) = bytes.next().await {
            all.extend(chunk?);
        }
        Ok(json!({ "sha256": Digest::of(&all), "size": all.len() }))
    }
}

/// A served script in a folder of its own.
pub(crate) struct Session {
    pub(crate) script: Arc<Script>,
    pub(crate) folder: tempfile::TempDir,
    stop: CancellationToken,
    served: Option<std::thread::JoinHandle<()>>,
}

impl Session {
    pub(crate) fn new(status: Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = Arc::new(Script {
            status: watch::Sender::new(status),
            answers: Mutex::default(),
            after: Mutex::default(),
            asked: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let (handler, state, ended) = (Handler(Arc::clone(&script)), folder.path().join("state"), stop.clone());
        let (up, is_up) = std::sync::mpsc::channel();
        let served = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let socket = OperatorSocket::open(&state, None).await.expect("a socket");
                up.send(()).expect("somebody waits");
                tokio::select! {
                    biased;
                    () = ended.cancelled() => {}
                    served = socket.serve(Arc::new(handler), CancellationToken::new()) => served.expect("serves"),
                }
            });
        });
        is_up.recv().expect("is up");
        Self { script, folder, stop, served: Some(served) }
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("is written");
        path
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = cavalcade(args);
        command.env("CAVALCADE_STATE", self.folder.path().join("state"));
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Said {
        Said::of(self.command(args).output().expect("runs"))
    }

    /// The same, by an operator in this time zone.
    pub(crate) fn run_in<S: AsRef<OsStr>>(&self, zone: &str, args: impl IntoIterator<Item = S>) -> Said {
        Said::of(self.command(args).env("TZ", zone).output().expect("runs"))
    }

    /// The controller goes away.
    pub(crate) fn end(&mut self) {
        self.stop.cancel();
        if let Some(served) = self.served.take() {
            served.join().expect("ends");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The program, with nothing of the surroundings in it.
pub(crate) fn cavalcade<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cavalcade"));
    command.env_clear().env("TZ", "UTC").env("TERM", "xterm").env("CAVALCADE_CONFIG", "/dev/null").args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        let said = Self {
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
            code: output.status.code(),
        };
        assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'), "no terminal, no escapes: {said:?}");
        assert!(!said.err.contains("panicked"), "{said:?}");
        said
    }

    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn out_has(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.out.contains(word), "{word:?} is missing in {}", self.out);
        }
        self
    }

    #[track_caller]
    pub(crate) fn err_has(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "{word:?} is missing in {}", self.err);
        }
        self
    }
}
