//! Questions that look at a real machine.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use cavalcade_common::secret::{SecretBook, SecretValue};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::action::real_kit::{Machine, health};

fn step(key: &str, name: &str, action: Value) -> PlanStep {
    serde_json::from_value(json!({ "key": key, "host": "h-1", "name": name, "action": action, "timeout": "60s" })).unwrap()
}

fn previewer(machine: &Machine) -> Previewer {
    let mut secrets = SecretBook::default();
    secrets.insert("pw", SecretValue::new("p4ssw0rd".to_owned()));
    Previewer {
        host: machine.host.clone(),
        state_dir: machine.at("state"),
        artifacts: machine.context(1, false).artifacts.clone(),
        secrets: Arc::new(secrets),
        hide: Arc::from(Vec::new()),
    }
}

/// Names of all files, with their content.
fn files(machine: &Machine) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(machine.dir.path()).sort_by_file_name().into_iter().map(Result::unwrap);
    entries.filter(|e| e.file_type().is_file()).map(|e| (e.path().to_owned(), std::fs::read(e.path()).unwrap())).collect()
}

#[tokio::test]
async fn looking_steps_see_what_is_there_and_leave_nothing_behind() {
    let machine = Machine::new("");
    let log = machine.at("home/repository/logs/wso2carbon.log");
    std::fs::write(&log, "connected with p4ssw0rd\n").unwrap();
    let url = health("{\"health\":[]}").await.url;
    let http = |url: &str| json!({ "http": { "url": url, "within": "1ms" } });
    let steps = [
        step("9.1@is-1", "health", http(&url)),
        step("9.2@is-1", "nobody", http("http://127.0.0.1:1/")),
        step("9.3@is-1", "after-a-failure", http(&url)),
        step("9.1@is-2", "log", json!({ "log": { "file": log, "pattern": "connected", "within": "1ms" } })),
        step(
            "9.2@is-2",
            "down",
            json!({ "server": { "op": "down", "home": machine.home(), "script": "", "within": "1s", "apart": "10ms" } }),
        ),
        step(
            "9.3@is-2",
            "wait",
            json!({ "server": {
            "op": "wait", "home": machine.home(), "script": "bin/wso2server.sh", "within": "1ms",
            "ready": { "log": "repository/logs/wso2carbon.log", "started": "started in" } } }),
        ),
    ];
    assert_eq!(refused(&steps), None);
    let before = files(&machine);
    let seen = all(&previewer(&machine), &steps).await;
    assert_eq!(files(&machine), before, "a question leaves nothing behind");
    assert_eq!(seen.iter().map(|c| c.holds).collect::<Vec<_>>(), [true, false, true, true, true, false], "{seen:?}");
    assert!(seen[1].fault.is_some() && seen[0].fault.is_none());
    assert!(seen[3].evidence[0].found.contains("connected with (secret)"), "{:?}", seen[3]);
}

/// A server that answers nobody before it was asked for eight different paths: its address.
async fn answers_eight_at_once() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(watch::Sender::new(BTreeSet::new()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                let _ = stream.read_line(&mut line).await;
                asked.send_modify(|paths| {
                    paths.insert(line);
                });
                let all = asked.subscribe().wait_for(|paths| paths.len() == 8).await.is_ok();
                assert!(all, "the sender is here");
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            });
        }
    });
    address
}

#[tokio::test]
async fn nodes_are_looked_at_at_once() {
    let machine = Machine::new("");
    let address = answers_eight_at_once().await;
    let http = |n| json!({ "http": { "url": format!("http://{address}/{n}"), "within": "60s" } });
    let steps: Vec<PlanStep> = (1..=8).map(|n| step(&format!("1.1@is-{n}"), "slow", http(n))).collect();
    let seen = all(&previewer(&machine), &steps).await;
    assert!(seen.len() == 8 && seen.iter().all(|c| c.holds), "one after the other none is answered: {seen:?}");
}

#[test]
fn what_would_change_something_is_refused_by_its_name() {
    let acting = [
        json!({ "remove": { "paths": ["/opt/x/y"] } }),
        json!({ "toml": { "file": "/opt/x" } }),
        json!({ "server": { "op": "stop", "home": "/opt/x", "script": "bin/x.sh", "within": "1s" } }),
        json!({ "server": { "op": "start", "home": "/opt/x", "script": "bin/x.sh", "within": "1s" } }),
        json!({ "command": { "command": ["/bin/true"], "cwd": "/opt", "repeatable": true, "within": "1s" } }),
    ];
    for action in acting {
        let look = step("1.1@is-1", "look", json!({ "tcp": { "address": "h:1", "within": "1s" } }));
        let why = refused(&[look, step("1.2@is-1", "acting", action.clone())]).unwrap_or_else(|| panic!("{action}"));
        assert!(why.starts_with("acting (1.2@is-1) would change something"), "{why}");
    }
}
