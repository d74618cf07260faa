//! What a person sees and types at a terminal: a pair of pseudo-terminals in place of the pipes of the other tests.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use cavalcade_controller::rpc::method::Method;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::documents::{empty, plan, run, verb};
use super::fake::Session;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program at a terminal.
struct Terminal {
    child: Child,
    keyboard: File,
    /// The program's side: stays open, so that its modes can be looked at when the program is gone.
    line: OwnedFd,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    fn of(mut command: Command) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("a terminal");
        let end = || pty.slave.try_clone().expect("another end");
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().expect("starts");
        let keyboard = File::from(pty.master);
        let mut screen = keyboard.try_clone().expect("another end");
        let (send, shown) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = screen.read(&mut piece) {
                if send.send(piece[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, line: pty.slave, shown, text: String::new() }
    }

    /// Waits until the screen has shown this.
    #[track_caller]
    fn until(&mut self, words: &str) {
        let began = Instant::now();
        while !self.text.contains(words) {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let Ok(piece) = self.shown.recv_timeout(left) else { panic!("{words:?} never came: {:?}", self.text) };
            self.text.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("is typed");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), signal).expect("is sent");
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.line).expect("a terminal").local_flags.contains(LocalFlags::ECHO | LocalFlags::ICANON)
    }

    fn ends(&mut self) -> Option<i32> {
        self.child.wait().expect("ends").code()
    }
}

fn going() -> Session {
    Session::new(run(&plan(false), "going", ["running", "pending", "pending", "pending"], json!([])))
}

#[test]
fn a_signal_that_ends_watch_leaves_the_terminal_as_it_was() {
    let session = going();
    for (signal, code) in [(Signal::SIGTERM, 130), (Signal::SIGINT, 130)] {
        let mut watch = Terminal::of(session.command(["watch"]));
        watch.until("q leave");
        assert!(!watch.echoes(), "keys are read one by one while it runs");
        watch.signal(signal);
        assert_eq!(watch.ends(), Some(code), "{signal}");
        assert!(watch.echoes(), "{signal} left the terminal without echo");
        watch.until("Left; the run goes on.");
        let last = watch.text.rsplit("\u{1b}[J").next().expect("the last picture");
        assert!(last.contains("Running") && !last.contains("q leave"), "{last:?}");
    }
}

#[test]
fn a_word_about_the_controller_takes_the_place_of_the_picture() {
    let mut session = going();
    let mut watch = Terminal::of(session.command(["watch"]));
    watch.until("q leave");
    session.end();
    watch.until("The controller does not answer");
    let before = watch.text.split("The controller does not answer").next().expect("what came before");
    assert!(before.ends_with("\u{1b}[J"), "the picture is still there: {before:?}");
    watch.types("q");
    assert_eq!(watch.ends(), Some(130));
}

#[test]
fn a_no_changes_nothing_and_is_no_wrong_use() {
    let session = going();
    session.script.answer(Method::Restore, verb(&plan(false)));
    let mut restore = Terminal::of(session.command(["restore", "am_db"]));
    restore.until("[y/N]");
    restore.types("n\n");
    restore.until("Nothing was changed.");
    assert_eq!(restore.ends(), Some(9), "{}", restore.text);
    assert!(restore.text.contains("CVL-1003"), "{}", restore.text);
    assert_eq!(session.script.asked(Method::Restore), Vec::<Value>::new());
}

#[test]
fn verify_asks_for_what_the_controller_lacks() {
    let session = Session::new(empty());
    let asks = json!({
        "plan": "ab".repeat(32), "fleet": "test", "at": "2026-11-23T01:12:40Z", "items": [], "asks": { "am_db": "the DBA" },
    });
    session.script.answer(Method::Verify, asks);
    let mut verify = Terminal::of(session.command(["verify"]));
    verify.until("Secret am_db (the DBA):");
    assert!(!verify.echoes());
    let mut seen = json!({
        "step": "3.1@is-1", "name": "health", "row": null, "checked": { "Ok": { "holds": true, "evidence": [] } },
    });
    seen["checked"]["Ok"]["evidence"] = json!([{ "what": "GET", "found": "status 200", "holds": true }]);
    let answer = json!({ "plan": "ab".repeat(32), "fleet": "test", "at": "2026-11-23T01:12:40Z", "items": [seen] });
    session.script.answer(Method::Verify, answer);
    verify.types("hunter2-value\n");
    verify.until("1 of 1 steps hold");
    assert_eq!(verify.ends(), Some(0));
    assert!(!verify.text.contains("hunter2"), "{}", verify.text);
    let asked = session.script.asked(Method::Verify);
    assert_eq!((asked.len(), &asked[1]["secrets"]), (2, &json!({ "am_db": "hunter2-value" })));

    // Left at the question: the terminal echoes again. Where nobody can be asked, the secrets are named.
    let asks = json!({
        "plan": "ab".repeat(32), "fleet": "test", "at": "2026-11-23T01:12:40Z", "items": [], "asks": { "am_db": "the DBA" },
    });
    session.script.answer(Method::Verify, asks);
    let mut left = Terminal::of(session.command(["verify"]));
    left.until("Secret am_db (the DBA):");
    left.signal(Signal::SIGINT);
    assert_eq!(left.ends(), Some(130));
    assert!(left.echoes());
    session.run(["verify"]).ends(2).err_has(&["am_db", "Nothing was changed."]);
}
