//! Real shims with real children. The test binary is the shim: it starts itself again with one test chosen.

use std::time::Instant;

use cavalcade_common::action::Runtime;

use super::*;
use crate::host::test_program::program;

/// The shim of the other tests.
#[test]
#[ignore = "runs as the shim of the other tests, with a folder as its last argument"]
#[expect(clippy::disallowed_methods, reason = "this test is the main of another process")]
fn shim_entry() {
    let Some(dir) = std::env::args_os().next_back().map(PathBuf::from) else { return };
    if dir.join(record::SPEC).exists() || dir.join(record::LOCK).exists() {
        std::process::exit(crate::shim::run(&dir, crate::shim::Home::Agent));
    }
}

pub(crate) fn test_shim() -> ShimProgram {
    let args = ["--exact", "host::held::tests::shim_entry", "--ignored", "--test-threads=1"];
    ShimProgram { program: PathBuf::from("/proc/self/exe"), args: args.map(str::to_owned).to_vec() }
}

fn spec(dir: &Path, script: &str) -> HeldSpec {
    HeldSpec {
        dir: dir.to_owned(),
        command: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()],
        cwd: PathBuf::from("/"),
        runtime: Runtime::default(),
        one_launch: false,
        outlives_agent: false,
    }
}

#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(300) {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never came: {what}");
}

#[track_caller]
fn ended_state(dir: &Path) -> HeldState {
    until("the end", || match state(dir, false).unwrap() {
        Some(HeldState::Alive { .. }) | None => None,
        Some(other) => Some(other),
    })
}

fn text(dir: &Path) -> String {
    String::from_utf8(output(dir, 0).unwrap().0).unwrap()
}

fn spawned_pid(dir: &Path) -> u32 {
    until("SPAWNED", || Records::read(dir).unwrap().spawned).0
}

/// The shim is the parent of the direct child.
fn shim_pid(dir: &Path) -> i32 {
    let status = fs::read_to_string(format!("/proc/{}/status", spawned_pid(dir))).unwrap();
    status.lines().find_map(|l| l.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

fn signal(pid: i32, signal: Signal) {
    nix::sys::signal::kill(Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn output_goes_to_the_file_and_the_exit_code_to_its_record() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("attempt");
    assert_eq!(state(&dir, false).unwrap(), None);
    hold(&test_shim(), &spec(&dir, "echo out; echo err >&2; exit 7")).unwrap();
    assert_eq!(ended_state(&dir), HeldState::Ended { exit: 7, relaunch_refused: false });
    assert_eq!(text(&dir), "out\nerr\n");
    assert_eq!(output(&dir, 4).unwrap(), (b"err\n".to_vec(), 8));
    assert_eq!(output(&dir, 8).unwrap(), (Vec::new(), 8));
    // A second call for the same folder does nothing, whatever it is asked.
    hold(&test_shim(), &spec(&dir, "echo again")).unwrap();
    assert_eq!(state(&dir, true).unwrap(), Some(HeldState::Ended { exit: 7, relaunch_refused: false }));
    assert_eq!(text(&dir), "out\nerr\n");
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    until("the spec to go", || (!dir.join(record::SPEC).exists()).then_some(()));
}

#[test]
fn the_environment_is_clean_and_stdin_is_empty() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("attempt");
    let mut spec = spec(&dir, "cat; env | sort");
    spec.runtime.java_home = Some("/opt/java".to_owned());
    spec.runtime.env =
        [("CARBON_HOME", "/else"), ("JVM_MEM_OPTS", "-Xmx1g"), ("LANG", "C")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    hold(&test_shim(), &spec).unwrap();
    ended_state(&dir);
    let own_home = RunAs::look_up(None).unwrap().home;
    // PWD is the shell's own.
    let want = format!(
        "HOME={}\nJAVA_HOME=/opt/java\nJVM_MEM_OPTS=-Xmx1g\nLANG=C\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\n",
        own_home.display()
    );
    let got: String =
        text(&dir).lines().filter(|l| !l.starts_with("_=") && !l.starts_with("SHLVL=")).map(|l| format!("{l}\n")).collect();
    assert_eq!(got, want);
}

#[test]
fn a_grandchild_keeps_the_lock_after_shim_and_child_ended() {
    let home = tempfile::tempdir().unwrap();
    let (dir, stop) = (home.path().join("attempt"), home.path().join("stop"));
    let script = format!("(while [ ! -e '{}' ]; do sleep 0.02; done) & exit 0", stop.display());
    hold(&test_shim(), &spec(&dir, &script)).unwrap();
    until("the child's end with the server alive", || {
        (state(&dir, false).unwrap() == Some(HeldState::Alive { exit: Some(0) })).then_some(())
    });
    assert_eq!(state(&dir, true).unwrap(), Some(HeldState::Alive { exit: Some(0) }));
    fs::write(&stop, "").unwrap();
    assert_eq!(ended_state(&dir), HeldState::Ended { exit: 0, relaunch_refused: false });
}

#[test]
fn a_killed_shim_leaves_its_child_alone_and_the_end_is_vanished() {
    let home = tempfile::tempdir().unwrap();
    let (dir, stop) = (home.path().join("attempt"), home.path().join("stop"));
    let script = format!("echo up; while [ ! -e '{}' ]; do sleep 0.02; done; echo done; exit 0", stop.display());
    hold(&test_shim(), &spec(&dir, &script)).unwrap();
    until("the child to run", || (text(&dir) == "up\n").then_some(()));
    let shim = shim_pid(&dir);
    for harmless in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        signal(shim, harmless);
    }
    assert_eq!(state(&dir, false).unwrap(), Some(HeldState::Alive { exit: None }));
    signal(shim, Signal::SIGKILL);
    until("the shim's end", || processes::start_ticks(u32::try_from(shim).unwrap()).unwrap().is_none().then_some(()));
    assert_eq!(state(&dir, true).unwrap(), Some(HeldState::Alive { exit: None }));
    fs::write(&stop, "").unwrap();
    assert_eq!(ended_state(&dir), HeldState::Vanished);
    assert_eq!(text(&dir), "up\ndone\n");
}

#[test]
fn a_child_that_a_signal_ended_has_128_and_its_number() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("attempt");
    hold(&test_shim(), &spec(&dir, "kill -9 $$")).unwrap();
    assert_eq!(ended_state(&dir), HeldState::Ended { exit: 137, relaunch_refused: false });
}

#[test]
fn signals_reach_the_child_although_the_shim_ignores_them() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("attempt");
    hold(&test_shim(), &spec(&dir, "echo up; while :; do sleep 0.02; done")).unwrap();
    until("the child to run", || (text(&dir) == "up\n").then_some(()));
    signal(i32::try_from(spawned_pid(&dir)).unwrap(), Signal::SIGTERM);
    assert_eq!(ended_state(&dir), HeldState::Ended { exit: 143, relaunch_refused: false });
}

#[test]
fn a_command_can_be_killed_with_everything_that_it_started() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("attempt");
    hold(&test_shim(), &spec(&dir, "sleep 1000 & echo up; sleep 1000")).unwrap();
    until("the child to run", || (text(&dir) == "up\n").then_some(()));
    kill(&dir).unwrap();
    assert_eq!(ended_state(&dir), HeldState::Ended { exit: 137, relaunch_refused: false });
    kill(&dir).unwrap();
}

#[test]
fn what_cannot_run_says_so_and_is_no_success() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("attempt");
    let mut missing = spec(&dir, "");
    missing.command = vec!["/no/such/program".to_owned()];
    hold(&test_shim(), &missing).unwrap();
    assert_eq!(ended_state(&dir), HeldState::Ended { exit: 127, relaunch_refused: false });
    assert!(text(&dir).contains("/no/such/program could not be run"), "{}", text(&dir));

    let other = home.path().join("other");
    let mut nameless = spec(&other, "");
    nameless.command = vec!["no-such-program-in-path".to_owned()];
    hold(&test_shim(), &nameless).unwrap();
    assert_eq!(ended_state(&other), HeldState::NeverBegan);
    assert!(text(&other).contains("nothing was started"), "{}", text(&other));

    let mut stranger = spec(&home.path().join("third"), "true");
    stranger.runtime.run_as = Some("no-such-user-here".to_owned());
    assert_eq!(hold(&test_shim(), &stranger).unwrap_err().kind(), io::ErrorKind::NotFound);
    let mut nowhere = spec(&home.path().join("fourth"), "true");
    nowhere.cwd = home.path().join("missing");
    assert!(hold(&test_shim(), &nowhere).is_err());
    assert_eq!(state(&home.path().join("fourth"), false).unwrap(), None);
}

/// Root only: the child's user cannot touch the records, and the gate still works for it.
#[test]
fn the_child_runs_as_its_user_out_of_reach_of_its_records() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("attempt");
    let mut spec = spec(&dir, "id -un; id -Gn; id -u; \"$JAVACMD\" -version; ls \"$0\" 2>&1");
    spec.command.push(dir.display().to_string());
    spec.runtime.run_as = Some("nobody".to_owned());
    spec.runtime.env.insert("JAVACMD".to_owned(), "/bin/echo".to_owned());
    spec.one_launch = true;
    hold(&test_shim(), &spec).unwrap();
    let end = ended_state(&dir);
    let said = text(&dir);
    assert!(matches!(end, HeldState::Ended { exit: 2, .. }), "{end:?} {said}");
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("nobody"));
    assert_eq!(lines.next(), Some("nogroup"));
    assert_eq!(lines.next(), Some("65534"));
    assert_eq!(lines.next(), Some("-version"));
    assert!(lines.next().unwrap().contains("Permission denied"), "{said}");
}

/// The loop of the products' start scripts (wso2server.sh, K286 to K328).
const RELAUNCHING: &str = r#"
    [ -x "$JAVACMD" ] || exit 1
    v=$("$JAVACMD" -version 2>&1); "$JAVACMD" -version
    status=121
    while [ "$status" = 121 ]; do
        $JAVACMD -Dcarbon.home=/nowhere -Dmigrate
        status=$?
    done
    echo "loop ended with $status"
    exit $status
"#;

fn java(home: &Path, body: &str) {
    fs::create_dir_all(home.join("bin")).unwrap();
    program(&home.join("bin/java"), format!("#!/bin/sh\n[ \"$1\" = -version ] && exit 0\n{body}\n"));
}

#[test]
fn a_second_launch_is_refused_and_recorded_by_name() {
    let home = tempfile::tempdir().unwrap();
    let (dir, java_home) = (home.path().join("attempt"), home.path().join("jdk 11"));
    java(&java_home, "echo \"launched with $* as $$\"; ls /proc/$$/fd | tr '\\n' ' '; exit 121");
    let mut spec = spec(&dir, RELAUNCHING);
    spec.runtime.java_home = Some(java_home.display().to_string());
    spec.one_launch = true;
    hold(&test_shim(), &spec).unwrap();
    assert_eq!(ended_state(&dir), HeldState::Ended { exit: 97, relaunch_refused: true });
    let said = text(&dir);
    assert_eq!(said.matches("launched with -Dcarbon.home=/nowhere -Dmigrate").count(), 1, "{said}");
    assert!(said.contains("loop ended with 97"), "{said}");
    let launches = fs::read_to_string(dir.join(record::LAUNCHES)).unwrap();
    let launched = launches.lines().next().unwrap().strip_prefix("launched ").unwrap();
    assert!(said.contains(&format!("as {launched}\n")), "the gate's pid is not java's: {said} {launches}");
    let open = said.lines().find(|l| l.starts_with("0 1 ")).unwrap();
    assert!(!open.split(' ').any(|fd| ["7", "8", "9"].contains(&fd)), "java got the gate's descriptors: {open}");
}

#[test]
fn one_launch_that_ends_otherwise_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let (dir, java_home) = (home.path().join("attempt"), home.path().join("jdk"));
    java(&java_home, "exit 143");
    let mut spec = spec(&dir, RELAUNCHING);
    spec.runtime.java_home = Some(java_home.display().to_string());
    spec.one_launch = true;
    hold(&test_shim(), &spec).unwrap();
    assert_eq!(ended_state(&dir), HeldState::Ended { exit: 143, relaunch_refused: false });
    spec.runtime.java_home = None;
    spec.dir = home.path().join("other");
    assert_eq!(hold(&test_shim(), &spec).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_claim_keeps_a_late_shim_from_beginning() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("attempt");
    assert_eq!(state(&dir, true).unwrap(), Some(HeldState::NeverBegan));
    // A shim that was started before the claim and comes late.
    write_spec(&spec(&dir, "echo began")).unwrap();
    start(&test_shim(), &dir).unwrap();
    hold(&test_shim(), &spec(&dir, "echo began")).unwrap();
    let free = || matches!(try_lock(&dir, true).unwrap(), Lock::Free(_));
    until("the late shim's end", || free().then_some(()));
    assert_eq!(state(&dir, false).unwrap(), Some(HeldState::NeverBegan));
    assert_eq!(text(&dir), "");
}

/// How long an undisturbed start takes until SPAWNED is on disk: what a claim must hit to be a race. The shortest of
/// three, and not for ever: the machine may stand still in any of them, and later rounds go further anyway.
fn undisturbed_start(home: &Path) -> Duration {
    let starts = ["one", "two", "three"].map(|name| {
        let dir = home.join(name);
        let begun = Instant::now();
        hold(&test_shim(), &spec(&dir, "exit 0")).unwrap();
        spawned_pid(&dir);
        let took = begun.elapsed();
        ended_state(&dir);
        took
    });
    starts.into_iter().fold(Duration::from_millis(200), Duration::min)
}

/// One round of the race, each claim later by `delay` than the one before: whether a shim began. Both sides agree.
fn race(home: &Path, round: u32, delay: Duration) -> bool {
    let dir = home.join(format!("attempt-{round}"));
    let witness = home.join(format!("witness-{round}"));
    let spec = spec(&dir, &format!("echo began >> '{}'", witness.display()));
    make_dir(&dir).unwrap();
    write_spec(&spec).unwrap();
    let states = std::thread::scope(|scope| {
        let shims = [(); 2].map(|()| scope.spawn(|| start(&test_shim(), &dir).unwrap()));
        let claims = [1, 2, 3].map(|n| {
            let dir = &dir;
            scope.spawn(move || {
                std::thread::sleep(delay * n);
                state(dir, true).unwrap().unwrap()
            })
        });
        shims.into_iter().for_each(|s| s.join().unwrap());
        claims.map(|c| c.join().unwrap())
    });
    let end = ended_state(&dir);
    let witnessed = fs::read_to_string(&witness).unwrap_or_default();
    if end == HeldState::NeverBegan {
        assert_eq!(witnessed, "", "round {round}: began after it was proved not begun; {states:?}");
        return false;
    }
    assert_eq!(end, HeldState::Ended { exit: 0, relaunch_refused: false }, "round {round}");
    assert_eq!(witnessed, "began\n", "round {round}: {states:?}");
    assert!(!states.contains(&HeldState::NeverBegan), "round {round}: {states:?}");
    true
}

/// Rule 8's race: in every folder either one shim begins or the claim wins.
#[test]
fn claim_and_shims_race_and_one_wins() {
    let home = tempfile::tempdir().unwrap();
    let unit = undisturbed_start(home.path());
    let (mut began, mut never) = (0, 0);
    // From claims at once to claims that come late; on a machine that stalls, until both ends were seen.
    for round in 0..500 {
        let late = if round < 50 || began == 0 { round } else { 0 };
        if race(home.path(), round, unit * late / 25) {
            began += 1;
        } else {
            never += 1;
        }
        if round >= 49 && began > 0 && never > 0 {
            return;
        }
    }
    panic!("the race was none: {began} began, {never} did not");
}

#[test]
fn a_hundred_claims_agree() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("attempt");
    // While the first one writes ABANDONED, the others may only say that somebody is there.
    let agreed = || match state(&dir, true).unwrap().unwrap() {
        HeldState::Alive { exit: None } => None,
        other => Some(other),
    };
    let all = std::thread::scope(|scope| {
        let claims: Vec<_> = (0..100).map(|_| scope.spawn(|| until("an answer", agreed))).collect();
        claims.into_iter().map(|c| c.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(all.iter().all(|s| *s == HeldState::NeverBegan), "{all:?}");
}

#[test]
fn what_must_outlive_the_agent_is_refused_where_it_would_not() {
    let home = tempfile::tempdir().unwrap();
    let would_end = || Some("cavalcade-agent.service has KillMode=control-group".to_owned());
    let mut server = spec(&home.path().join("server"), "exit 0");
    server.outlives_agent = true;
    let refused = hold_where(&test_shim(), &server, would_end).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    assert!(refused.to_string().contains("KillMode"), "{refused}");
    assert!(!server.dir.exists());
    hold_where(&test_shim(), &server, || None).unwrap();
    assert_eq!(ended_state(&server.dir), HeldState::Ended { exit: 0, relaunch_refused: false });

    let short = spec(&home.path().join("short"), "exit 0");
    hold_where(&test_shim(), &short, would_end).unwrap();
    assert_eq!(ended_state(&short.dir), HeldState::Ended { exit: 0, relaunch_refused: false });
}
