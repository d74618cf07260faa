//! Steps take turns where they share something: a node with its ports, or what they write (11, nodes). Two nodes of one
//! host may edit the same file.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cavalcade_common::action::{Action, ServerOp};
use cavalcade_common::id::NodeId;
use cavalcade_common::message::Offer;
use tokio::sync::Notify;

use crate::action::own_ports;
use crate::host::glob::Glob;
use crate::host::tree;

/// Something that one step at a time works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shared {
    /// A node: its home.
    Node(NodeId),
    /// A port that a server of this host listens at: one node's server may begin where another's ends.
    Port(u16),
    /// A file, or a folder with everything in it.
    Path(PathBuf),
    /// What starts by itself on this host: units, tables of cron and the like belong to no node.
    Autostart,
}

impl Shared {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Node(a), Self::Node(b)) => a == b,
            (Self::Path(a), Self::Path(b)) => a.starts_with(b) || b.starts_with(a),
            (Self::Port(a), Self::Port(b)) => a == b,
            (Self::Autostart, Self::Autostart) => true,
            (Self::Node(_) | Self::Port(_) | Self::Path(_) | Self::Autostart, _) => false,
        }
    }
}

/// What the step of an offer shares with others.
pub(super) fn shared(offer: &Offer) -> Vec<Shared> {
    let mut of = vec![Shared::Node(offer.attempt.step.node.clone())];
    let action = &offer.step.action;
    of.extend(written(action, offer.home.as_deref()).into_iter().map(|path| Shared::Path(one_name(&path))));
    match action {
        Action::Autostart(_) => of.push(Shared::Autostart),
        Action::Server(server) if matches!(server.op, ServerOp::Start | ServerOp::Stop) => {
            of.extend(own_ports(server).into_iter().map(Shared::Port));
        }
        _ => {}
    }
    of
}

/// One name for a path, however many symlinks lead to it.
fn one_name(path: &Path) -> PathBuf {
    tree::end_of(path).unwrap_or_else(|| tree::settled(path))
}

/// Files and folders that an action writes, as far as the action says. What a command writes nobody knows beforehand; it
/// has its home's lock.
fn written(action: &Action, home: Option<&str>) -> Vec<PathBuf> {
    let one = |path: &str| vec![PathBuf::from(path)];
    match action {
        Action::Toml(e) => one(&e.file),
        Action::Yaml(e) => one(&e.file),
        Action::Text(e) => one(&e.file),
        // Other versions beside it go.
        Action::Artifact(a) if a.only.is_some() => Path::new(&a.to).parent().map(Path::to_path_buf).into_iter().collect(),
        Action::Artifact(a) => one(&a.to),
        Action::Unpack(u) => one(&u.to),
        Action::Copy(c) => one(&c.into),
        Action::Remove(r) => r.paths.iter().map(|path| Glob::firm(path)).collect(),
        Action::Job(j) => one(&j.home),
        Action::Server(s) => match s.op {
            ServerOp::Start | ServerOp::Stop => one(&s.home),
            ServerOp::Wait | ServerOp::Down => Vec::new(),
        },
        Action::Undo(_) => home.map(PathBuf::from).into_iter().collect(),
        Action::Command(_)
        | Action::Sql(_)
        | Action::Query(_)
        | Action::Backup(_)
        | Action::Restore(_)
        | Action::Http(_)
        | Action::Tcp(_)
        | Action::Log(_)
        | Action::Exchange(_)
        | Action::Autostart(_) => Vec::new(),
    }
}

/// The turns of one agent: whoever came first goes first, and only who shares something with it waits.
#[derive(Default)]
pub struct Turns {
    queue: Mutex<Queue>,
    left: Notify,
}

#[derive(Default)]
struct Queue {
    last: u64,
    /// In the order of their coming, those whose turn it is among them.
    all: Vec<(u64, Vec<Shared>)>,
}

impl Queue {
    fn may_go(&self, number: u64) -> bool {
        let Some(at) = self.all.iter().position(|(n, _)| *n == number) else { return false };
        let (before, from_here) = self.all.split_at(at);
        let own = from_here.first().map_or(&[][..], |(_, of)| of);
        !before.iter().any(|(_, of)| of.iter().any(|theirs| own.iter().any(|ours| ours.meets(theirs))))
    }
}

/// A place in the queue, and a turn once it is first. It ends when it is dropped.
pub struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().all.retain(|(number, _)| *number != self.number);
        self.turns.left.notify_waiters();
    }
}

impl Turns {
    /// Waits until nothing that came before shares anything with this.
    pub async fn take(&self, of: Vec<Shared>) -> Turn<'_> {
        let turn = Turn { turns: self, number: self.enter(of) };
        loop {
            // Listening before the look: what leaves in between is heard.
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            if self.lock().may_go(turn.number) {
                return turn;
            }
            left.await;
        }
    }

    fn enter(&self, of: Vec<Shared>) -> u64 {
        let mut queue = self.lock();
        queue.last += 1;
        let number = queue.last;
        queue.all.push((number, of));
        number
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cavalcade_common::action::TextEdit;
    use cavalcade_common::given::GivenSecrets;
    use cavalcade_common::id::{AttemptId, Epoch, Generation, RunId};
    use cavalcade_common::plan::PlanStep;
    use futures_util::FutureExt;
    use serde_json::{Value, json};

    use super::*;

    fn step(node: &str, paths: &[&Path]) -> Vec<Shared> {
        let node = Shared::Node(NodeId::new(node).unwrap());
        std::iter::once(node).chain(paths.iter().map(|p| Shared::Path(one_name(p)))).collect()
    }

    #[tokio::test]
    async fn nodes_that_write_one_file_take_turns_and_others_do_not_wait() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("shared")).unwrap();
        std::os::unix::fs::symlink("shared", dir.path().join("link")).unwrap();
        let (file, same) = (dir.path().join("shared/a.toml"), dir.path().join("link/a.toml"));
        let turns = Turns::default();
        let first = turns.take(step("am-1", &[&file])).await;
        let mut second = std::pin::pin!(turns.take(step("am-2", &[&same])));
        assert!(second.as_mut().now_or_never().is_none(), "the same file by another name");
        let mut folder = std::pin::pin!(turns.take(step("am-3", &[dir.path()])));
        assert!(folder.as_mut().now_or_never().is_none(), "the file is in the folder");
        let other = turns.take(step("am-4", &[Path::new("/elsewhere/b.toml")])).now_or_never();
        assert!(other.is_some(), "another file");
        assert!(turns.take(step("am-1", &[])).now_or_never().is_none(), "the same node");
        drop(first);
        assert!(folder.as_mut().now_or_never().is_none(), "the second came before");
        drop(second.await);
        drop(folder.await);
        drop(other);
        assert!(turns.lock().all.is_empty());
    }

    /// The offer of a server's step of a node with these places in its readiness.
    fn server(node: &str, op: &str, tcp: &[&str], urls: &[&str]) -> Offer {
        let http: Vec<Value> = urls.iter().map(|url| json!({ "url": url })).collect();
        let server = json!({ "server": { "op": op, "home": format!("/opt/{node}"), "script": "bin/x", "within": "1min",
            "ready": { "tcp": tcp, "http": http } } });
        let step = json!({ "key": format!("1.1@{node}"), "host": "h-1", "name": "s", "action": server, "timeout": "60s" });
        let step: PlanStep = serde_json::from_value(step).unwrap();
        Offer {
            attempt: AttemptId { run: RunId::new("r1").unwrap(), step: step.key.clone(), number: 1 },
            epoch: Epoch(1),
            generation: Generation(0),
            step,
            home: None,
            incarnations: BTreeMap::new(),
            secrets: BTreeMap::new(),
            also_hide: BTreeMap::new(),
            given: GivenSecrets::default(),
            hide: Vec::new(),
            approved: None,
            decision: None,
        }
    }

    /// 11, nodes: two nodes of one host, one after the other at one port.
    #[tokio::test]
    async fn servers_of_one_port_take_turns() {
        let turns = Turns::default();
        let stop = turns.take(shared(&server("is-old", "stop", &["localhost:9443"], &[]))).await;
        let own_url = server("is-new", "start", &[], &["https://localhost:9443/health"]);
        let mut start = std::pin::pin!(turns.take(shared(&own_url)));
        assert!(start.as_mut().now_or_never().is_none(), "the port is the other's until that is down");
        for free in [
            server("am-1", "start", &["localhost:9444"], &[]),
            server("am-2", "start", &[], &["https://gateway.example:9443/health"]),
            server("am-3", "wait", &["localhost:9443"], &[]),
            server("am-4", "down", &["localhost:9443"], &[]),
        ] {
            assert!(turns.take(shared(&free)).now_or_never().is_some(), "{}", free.attempt);
        }
        drop(stop);
        drop(start.await);
    }

    #[test]
    fn actions_share_what_they_write() {
        let text: TextEdit = serde_json::from_str(r#"{"file":"/etc/hosts"}"#).unwrap();
        assert_eq!(written(&Action::Text(text), None), [PathBuf::from("/etc/hosts")]);
        let remove = serde_json::from_str(r#"{"remove":{"paths":["/opt/wso2/*/tmp","/opt/a/b"]}}"#).unwrap();
        assert_eq!(written(&remove, None), ["/opt/wso2", "/opt/a/b"].map(PathBuf::from));
    }
}
