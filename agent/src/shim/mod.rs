//! The shim: a small process that holds one child, so that the child outlives the agent (10, rules 8 to 12 and 14).
//!
//! ```text
//! lock -> ABANDONED or SPAWNED there? end -> fork (the child waits) -> SPAWNED synced -> the child execs
//!      -> wait -> exit record synced and renamed -> end
//! ```
//!
//! The lock on `DIR/lock` is one open file description that shim and child share: it is free only when both are gone,
//! and everything that the child started with it. The shim reads no clock for decisions, opens no network, and has one
//! thread.

mod child;
mod gate;
pub(crate) mod record;
pub(crate) mod user;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cavalcade_common::action::Runtime;
use nix::sys::signal::{SigHandler, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, setsid};

use crate::host::real::wall_clock;
use crate::host::{HeldSpec, processes};
use child::{Prepared, fork_waiting, on_signals};
use gate::Gate;
use record::{ExitRoom, Record, Records};
use user::RunAs;

/// Search path of children.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How often, at 10 ms, the lock is tried: longer than the agent ever holds it to look.
const LOCK_TRIES: u32 = 500;
/// How often, at 1 s, the exit record is tried.
const EXIT_TRIES: u32 = 600;

/// How the shim was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// By the agent: it leaves the agent's session and process tree.
    Agent,
    /// As the main process of a transient systemd unit.
    Unit,
}

/// Runs the shim for the attempt's folder and returns its exit code: 0, or 1 where it could not do its work. What a
/// person needs to know stands in the folder: the shim has no terminal.
#[must_use]
pub fn run(dir: &Path, home: Home) -> i32 {
    if home == Home::Agent {
        match child::detach() {
            Ok(true) => {}
            Ok(false) => return 0,
            Err(_) => return 1,
        }
        // The agent reads this process's standard error to its end, to see that it was started.
        if child::without_terminal().is_err() {
            return 1;
        }
    }
    match hold(dir) {
        Ok(()) => 0,
        Err(e) => {
            note(dir, &e.to_string());
            1
        }
    }
}

/// Leaves a word in the child's output, where a person looks.
fn note(dir: &Path, text: &str) {
    if let Ok(mut file) = output(dir) {
        let _ = writeln!(file, "cavalcade: {text}");
    }
}

fn output(dir: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(dir.join(record::OUTPUT))
}

fn hold(dir: &Path) -> io::Result<()> {
    on_signals(&[Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT], SigHandler::SigIgn)?;
    // EPERM: systemd made this process a session leader already.
    let _ = setsid();
    child::oom_score(-900);
    std::env::set_current_dir("/")?;
    let Some(lock) = take_lock(dir)? else { return Ok(()) };
    let known = Records::read(dir)?;
    if known.abandoned.is_some() || known.spawned.is_some() {
        return Ok(());
    }
    // Kept to the very end: between the child's end and the exit record nobody else may find the lock free.
    let lock_of_child = File::from(child::out_of_the_way(&lock)?);
    let spec_path = dir.join(record::SPEC);
    let prepared = read_spec(&spec_path).and_then(|spec| prepare(dir, &spec, lock_of_child));
    let begun = prepared.and_then(|prepared| begin(dir, &prepared));
    // The spec's environment may hold secrets; nobody reads it again.
    let _ = std::fs::remove_file(&spec_path);
    let done = match begun {
        Ok((pid, room)) => wait_for(pid).and_then(|exit| write_exit(&room, exit)),
        Err(e) => {
            // The child was never let go: that is certain here, so it is proved not begun.
            note(dir, &format!("nothing was started: {e}"));
            record::write_abandoned(dir, &e.to_string())
        }
    };
    drop(lock);
    done
}

/// The lock, or `None` where another shim has it. A look by the agent holds it for a moment only.
fn take_lock(dir: &Path) -> io::Result<Option<File>> {
    let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(dir.join(record::LOCK))?;
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(Some(File::from(child::out_of_the_way(&lock)?))),
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(std::fs::TryLockError::Error(e)) => return Err(e),
        }
    }
    Ok(None)
}

fn read_spec(path: &Path) -> io::Result<HeldSpec> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

fn prepare(dir: &Path, spec: &HeldSpec, lock: File) -> io::Result<Prepared> {
    let user = RunAs::look_up(spec.runtime.run_as.as_deref())?;
    let mut env = environment(&spec.runtime, &user.home);
    let gate = if spec.one_launch {
        let gate = Gate::make(dir, &real_java(&spec.runtime)?)?;
        env.insert("JAVACMD".to_owned(), Gate::javacmd());
        Some(Gate {
            script: File::from(child::out_of_the_way(&gate.script)?),
            launches: File::from(child::out_of_the_way(&gate.launches)?),
            token: child::out_of_the_way(&gate.token)?,
        })
    } else {
        None
    };
    let program = find_program(spec, env.get("PATH").map_or(PATH, String::as_str))?;
    Ok(Prepared {
        program: CString::new(program.into_os_string().into_encoded_bytes())?,
        args: spec.command.iter().map(|a| CString::new(a.as_str())).collect::<Result<_, _>>()?,
        env: env.iter().map(|(k, v)| CString::new(format!("{k}={v}"))).collect::<Result<_, _>>()?,
        cwd: spec.cwd.clone(),
        user,
        output: File::from(child::out_of_the_way(output(dir)?)?),
        lock,
        gate,
    })
}

/// The whole environment of a child. CARBON_HOME never: it wins over the start script's own place (09).
fn environment(runtime: &Runtime, home: &Path) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOME".to_owned(), home.to_string_lossy().into_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ]);
    if let Some(java_home) = &runtime.java_home {
        env.insert("JAVA_HOME".to_owned(), java_home.clone());
    }
    env.extend(runtime.env.clone());
    env.remove("CARBON_HOME");
    env
}

/// The program that the start script would run without the gate.
///
/// # Errors
/// `InvalidInput` where neither JAVACMD nor JAVA_HOME is set.
pub(crate) fn real_java(runtime: &Runtime) -> io::Result<String> {
    if let Some(java) = runtime.env.get("JAVACMD") {
        return Ok(java.clone());
    }
    let home = runtime.java_home.as_deref().or_else(|| runtime.env.get("JAVA_HOME").map(String::as_str));
    match home {
        Some(home) => Ok(Path::new(home).join("bin/java").to_string_lossy().into_owned()),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "one launch is asked for, and JAVA_HOME is not set")),
    }
}

/// A name with a slash is taken from the working folder, one without from the child's PATH.
fn find_program(spec: &HeldSpec, path: &str) -> io::Result<PathBuf> {
    let empty = || io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
    let name = spec.command.first().filter(|n| !n.is_empty()).ok_or_else(empty)?;
    if name.contains('/') {
        return Ok(spec.cwd.join(name));
    }
    let found = path.split(':').map(|folder| Path::new(folder).join(name)).find(|p| p.is_file());
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name:?} is in no folder of {path}")))
}

/// Forks the child, makes SPAWNED durable, lets the child go.
fn begin(dir: &Path, prepared: &Prepared) -> io::Result<(Pid, ExitRoom)> {
    let room = ExitRoom::allocate(dir)?;
    let waiting = fork_waiting(prepared)?;
    let pid = waiting.pid;
    let number = u32::try_from(pid.as_raw()).unwrap_or_default();
    let recorded = processes::start_ticks(number)
        .and_then(|ticks| ticks.ok_or_else(|| io::Error::other("the child ended before it was let go")))
        .and_then(|start_ticks| {
            let boot_id = processes::boot_id().unwrap_or_default();
            let record = Record::Spawned { pid: number, start_ticks, at: wall_clock(), boot_id };
            record::write_spawned(dir, &record)
        });
    match recorded {
        Ok(()) => {
            // A child that is gone already left an exit code: wait for it like for any other.
            let _ = waiting.release();
            Ok((pid, room))
        }
        Err(e) => {
            // Dropping the pipe ends the child before its exec.
            drop(waiting);
            let _ = wait_for(pid);
            Err(e)
        }
    }
}

fn wait_for(pid: Pid) -> io::Result<i32> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// A full or failing disk may heal; until then the lock stays held, and the agent sees a live attempt.
fn write_exit(room: &ExitRoom, exit: i32) -> io::Result<()> {
    let mut last = room.write(exit);
    for _ in 1..EXIT_TRIES {
        if last.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
        last = room.write(exit);
    }
    last
}
