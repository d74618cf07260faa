//! The controller as a process: how it ends, and what it does not start on.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::fake::{Said, cavalcade};

struct Serving {
    state: tempfile::TempDir,
}

impl Serving {
    fn new() -> Self {
        Self { state: tempfile::tempdir().expect("a folder") }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = cavalcade(args);
        command.env("CAVALCADE_STATE", self.state.path());
        command
    }

    fn serve(&self) -> Command {
        self.command(&["serve", "--agents", "127.0.0.1:0", "--enrol", "127.0.0.1:0", "--name", "localhost"])
    }

    /// Starts it and waits until it answers.
    fn up(&self) -> Child {
        let child = self.serve().spawn().expect("starts");
        let began = Instant::now();
        while Said::of(self.command(&["status"]).output().expect("runs")).code != Some(0) {
            assert!(began.elapsed() < Duration::from_secs(120), "the controller does not come up");
            std::thread::sleep(Duration::from_millis(100));
        }
        child
    }
}

fn term(child: &Child) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGTERM).expect("is sent");
}

#[test]
fn a_signal_ends_it_and_its_streams_within_seconds_and_it_starts_again() {
    let serving = Serving::new();
    for _ in 0..2 {
        let child = serving.up();
        let mut watch = serving.command(&["watch"]).spawn().expect("starts");
        let mut follow = serving.command(&["logs", "-f"]).spawn().expect("starts");
        std::thread::sleep(Duration::from_millis(500));
        let began = Instant::now();
        term(&child);
        let said = Said::of(child.wait_with_output().expect("ends"));
        assert!(began.elapsed() < Duration::from_secs(60), "it took {:?}", began.elapsed());
        said.ends(0).err_has(&["the controller has ended"]);
        for command in [&mut watch, &mut follow] {
            command.kill().expect("is ours");
            command.wait().expect("ends");
        }
    }
}

#[test]
fn a_host_that_nobody_knows_is_not_revoked() {
    let serving = Serving::new();
    let child = serving.up();
    let said = Said::of(serving.command(&["node", "revoke", "is-1", "--why", "x"]).output().expect("runs"));
    said.ends(2).err_has(&["no agent of `is-1` ever got a certificate"]);
    term(&child);
    Said::of(child.wait_with_output().expect("ends")).ends(0);
}

#[tokio::test]
async fn a_journal_whose_chain_is_broken_is_refused_by_its_code() {
    let serving = Serving::new();
    let child = serving.up();
    term(&child);
    Said::of(child.wait_with_output().expect("ends")).ends(0);
    let url = format!("sqlite://{}", serving.state.path().join("journal.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.expect("opens");
    let changed = sqlx::query("UPDATE entry SET body = replace(body, '1', '2') WHERE position = 1").execute(&pool).await;
    assert_eq!(changed.expect("is changed").rows_affected(), 1);
    pool.close().await;
    let said = Said::of(serving.serve().output().expect("runs"));
    assert_ne!(said.code, Some(0));
    said.err_has(&["CVL-5005", "The controller has ended."]);
}
