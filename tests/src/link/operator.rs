//! The operator's socket: identity, modes, calls, streams, uploads.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use cavalcade_common::codes::operator as codes;
use cavalcade_common::error::{Code, Fault};
use cavalcade_common::id::Digest;
use cavalcade_controller::rpc::client::OperatorClient;
use cavalcade_controller::rpc::method::{Method, Shape};
use cavalcade_controller::rpc::operator::{
    AnswerStream, Operator, OperatorHandler, OperatorSocket, SOCKET, SocketError, UploadStream,
};
use futures_util::StreamExt;
use nix::unistd::Gid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::site::soon;

#[derive(Default)]
struct Desk {
    begun: Notify,
    go_on: Notify,
    finished: AtomicBool,
    done: Notify,
}

#[async_trait]
impl OperatorHandler for Desk {
    async fn call(&self, who: &Operator, method: Method, request: Value) -> Result<Value, Fault> {
        match method {
            Method::Cancel => Err(Fault::new(Code(5001), "€".repeat(50_000)).on("am-1").help("look")),
            Method::Apply => {
                self.begun.notify_one();
                self.go_on.notified().await;
                self.finished.store(true, Ordering::SeqCst);
                self.done.notify_one();
                Ok(Value::Null)
            }
            _ => Ok(json!({"uid": who.uid, "name": who.name, "method": format!("{method:?}"), "request": request})),
        }
    }

    async fn stream(&self, _who: &Operator, method: Method, request: Value) -> Result<AnswerStream, Fault> {
        if method == Method::Logs {
            return Err(Fault::new(Code(5002), "no logs"));
        }
        let last = Fault::new(Code(5003), "the end");
        let numbers = futures_util::stream::iter((0..100).map(move |i| Ok(json!([i, request, format!("{method:?}")]))));
        Ok(numbers.chain(futures_util::stream::iter([Err(last)])).boxed())
    }

    async fn put_artifact(&self, _who: &Operator, request: Value, mut bytes: UploadStream) -> Result<Value, Fault> {
        let mut whole = Vec::new();
        while let Some(chunk) = bytes.next().await {
            whole.extend(chunk?);
        }
        Ok(json!({"request": request, "size": whole.len(), "sha256": Digest::of(&whole)}))
    }
}

async fn serve() -> (TempDir, PathBuf, Arc<Desk>, DropGuard) {
    serve_for(None).await
}

async fn serve_for(operators: Option<Gid>) -> (TempDir, PathBuf, Arc<Desk>, DropGuard) {
    let dir = tempfile::tempdir().expect("a folder");
    let state = dir.path().join("state");
    let desk = Arc::new(Desk::default());
    let stop = CancellationToken::new();
    let socket = OperatorSocket::open(&state, operators).await.expect("opens");
    tokio::spawn(socket.serve(Arc::clone(&desk), stop.clone()));
    (dir, state, desk, stop.drop_guard())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn every_method_answers_in_its_shape() {
    let (_dir, state, _desk, _stop) = serve().await;
    assert_eq!((mode(&state), mode(&state.join(SOCKET))), (0o700, 0o600));
    let client = OperatorClient::connect(&state).await.expect("connects");
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("is read").expect("has a name");
    for method in Method::ALL.iter().copied().filter(|method| !matches!(method, Method::Cancel | Method::Apply | Method::Logs)) {
        let request = json!({"large": "x".repeat(1 << 20)});
        match method.shape() {
            Shape::Call => {
                let answer = soon(client.call(method, &request)).await.expect("an answer");
                let expected =
                    json!({"uid": me.uid.as_raw(), "name": me.name, "method": format!("{method:?}"), "request": request});
                assert_eq!(answer, expected);
            }
            Shape::Stream => {
                let answers: Vec<_> = client.stream(method, &json!(7)).await.expect("answers").collect().await;
                assert_eq!(answers.len(), 101);
                assert_eq!(answers[99].as_ref().expect("an answer"), &json!([99, 7, format!("{method:?}")]));
                assert_eq!(answers[100], Err(Fault::new(Code(5003), "the end")));
            }
            Shape::Upload => {}
        }
    }
}

#[tokio::test]
async fn faults_arrive_as_they_are_and_long_ones_are_cut() {
    let (_dir, state, _desk, _stop) = serve().await;
    let client = OperatorClient::connect(&state).await.expect("connects");
    let fault = client.call(Method::Cancel, &Value::Null).await.expect_err("a fault");
    assert_eq!((fault.code, fault.node.as_deref(), fault.help.as_deref()), (Code(5001), Some("am-1"), Some("look")));
    assert!(fault.message.contains("[cut: "));
    let refused = client.stream(Method::Logs, &Value::Null).await.map(|_| ()).expect_err("a fault");
    assert_eq!(refused, Fault::new(Code(5002), "no logs"));
}

#[tokio::test]
async fn uploads_arrive_whole_and_tell_their_progress() {
    let (dir, state, _desk, _stop) = serve().await;
    let client = OperatorClient::connect(&state).await.expect("connects");
    let content: Vec<u8> = (0..3_000_001_u32).map(|i| (i % 249) as u8).collect();
    let file = dir.path().join("pack.zip");
    std::fs::File::create(&file).and_then(|mut f| f.write_all(&content)).expect("is written");
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let request = json!({"name": "pack"});
    let progress = move |sent, total| said.send((sent, total)).expect("is heard");
    let answer = soon(client.put_artifact(&file, &request, progress)).await.expect("an answer");
    assert_eq!(answer, json!({"request": {"name": "pack"}, "size": content.len(), "sha256": Digest::of(&content)}));
    let mut last = (0, 0);
    while let Some(now) = heard.recv().await {
        assert!(now.0 >= last.0);
        last = now;
    }
    assert_eq!(last, (content.len() as u64, content.len() as u64));
    let missing = client.put_artifact(&dir.path().join("none"), &Value::Null, |_, _| {}).await.expect_err("a fault");
    assert_eq!(missing.code, cavalcade_common::codes::link::ARTIFACT_STREAM);
}

#[tokio::test]
async fn a_call_goes_on_when_its_command_hangs_up() {
    let (_dir, state, desk, _stop) = serve().await;
    let client = OperatorClient::connect(&state).await.expect("connects");
    let call = tokio::spawn(async move { client.call(Method::Apply, &Value::Null).await });
    soon(desk.begun.notified()).await;
    call.abort();
    assert!(call.await.expect_err("is gone").is_cancelled());
    desk.go_on.notify_one();
    soon(desk.done.notified()).await;
    assert!(desk.finished.load(Ordering::SeqCst));
}

#[tokio::test]
async fn one_controller_a_socket_and_a_dead_ones_socket_is_replaced() {
    let (_dir, state, _desk, stop) = serve().await;
    assert!(matches!(OperatorSocket::open(&state, None).await, Err(SocketError::InUse(_))));
    drop(stop);
    let other = tempfile::tempdir().expect("a folder");
    let missing = OperatorClient::connect(other.path()).await.expect_err("nobody is there");
    assert_eq!(missing.code, codes::NO_CONTROLLER);
    drop(OperatorSocket::open(other.path(), None).await.expect("opens"));
    assert!(other.path().join(SOCKET).exists(), "left behind, as by a crash");
    assert_eq!(OperatorClient::connect(other.path()).await.expect_err("nobody is there").code, codes::NO_CONTROLLER);
    OperatorSocket::open(other.path(), None).await.expect("is replaced");
}

const AS_OTHER: &str = "CAVALCADE_TEST_OPERATOR_STATE";

/// Run by the tests below as another user; prints what the controller knows about it.
#[tokio::test]
#[ignore = "a part of the tests below, run as another user"]
async fn as_another_user() {
    let state = PathBuf::from(std::env::var_os(AS_OTHER).expect("is set"));
    match OperatorClient::connect(&state).await {
        Ok(client) => println!("ANSWER {}", client.call(Method::Status, &Value::Null).await.expect("an answer")),
        Err(fault) => println!("FAULT {}", fault.code),
    }
}

/// The other user and its group.
const NOBODY: u32 = 65534;

/// What another user is answered; the folder of the socket is opened to everybody, the state folder in it is not.
async fn as_nobody(dir: &Path, state: &Path) -> String {
    // A copy in a place that the other user can reach.
    let program = dir.join("tests");
    let own = std::fs::read(std::env::current_exe().expect("a path")).expect("is read");
    crate::test_program::write(&program, &own).expect("is copied");
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let mut command = tokio::process::Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
    command.arg(&program).args(["--exact", "link::operator::as_another_user", "--ignored", "--nocapture"]).env(AS_OTHER, state);
    let output = soon(command.output()).await.expect("runs");
    [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat()
}

#[tokio::test]
async fn another_user_is_kept_out_by_the_modes() {
    if !nix::unistd::geteuid().is_root() {
        println!("not run: only root can become another user");
        return;
    }
    let (dir, state, _desk, _stop) = serve().await;
    let kept_out = as_nobody(dir.path(), &state).await;
    assert!(kept_out.contains(&format!("FAULT {}", codes::NO_CONTROLLER)), "{kept_out}");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).expect("mode");
    assert!(as_nobody(dir.path(), &state).await.contains("FAULT"), "the socket's own mode keeps it out too");
}

#[tokio::test]
async fn a_member_of_the_operators_group_is_known_by_the_kernel() {
    if !nix::unistd::geteuid().is_root() {
        println!("not run: only root can become another user");
        return;
    }
    let (dir, state, _desk, _stop) = serve_for(Some(Gid::from_raw(NOBODY))).await;
    assert_eq!((mode(&state), mode(&state.join(SOCKET))), (0o710, 0o660));
    let known = as_nobody(dir.path(), &state).await;
    let name = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(NOBODY)).expect("is read");
    let name = name.map_or_else(|| format!("uid {NOBODY}"), |user| user.name);
    assert!(known.contains(&format!("\"uid\":{NOBODY},\"name\":\"{name}\"")), "{known}");
}
