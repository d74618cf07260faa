//! The child between fork and exec.
//!
//! The shim has one thread, so the child may do ordinary work after the fork. It waits for one byte before it execs: the
//! shim sends it when SPAWNED is on disk, and where the shim dies before that the child finds the pipe closed and ends
//! without having run anything.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, Pid, chdir, dup2_raw, dup2_stderr, dup2_stdin, dup2_stdout, execve, fork, pipe2};
use nix::unistd::{setgid, setgroups, setpgid, setuid};

use super::gate::{Gate, LAUNCHES_FD, SCRIPT_FD, TOKEN_FD};
use super::user::RunAs;

/// The child could not change to its user, folder or descriptors.
const EXIT_NOT_PREPARED: i32 = 126;
/// The program could not be run.
const EXIT_NOT_RUN: i32 = 127;
/// The shim died before it let the child go.
const EXIT_NOT_RELEASED: i32 = 125;
/// Descriptors from here on are in nobody's way.
const FREE_FROM: i32 = 20;

/// Everything that the child needs, made ready before the fork.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) program: CString,
    pub(super) args: Vec<CString>,
    pub(super) env: Vec<CString>,
    pub(super) cwd: PathBuf,
    pub(super) user: RunAs,
    pub(super) output: File,
    pub(super) lock: File,
    pub(super) gate: Option<Gate>,
}

/// A child that waits to be let go.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) pid: Pid,
    go: File,
}

impl Waiting {
    /// Lets the child exec.
    ///
    /// # Errors
    /// The child is gone already.
    pub(super) fn release(mut self) -> io::Result<()> {
        self.go.write_all(b"g")
    }
}

/// Sets what a signal does. Ignored signals stay ignored through exec, so the child sets them back.
pub(super) fn on_signals(signals: &[Signal], handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    for signal in signals {
        #[expect(unsafe_code, reason = "no handler function is installed, only the default or ignore")]
        // SAFETY: SIG_IGN and SIG_DFL run no code of ours.
        unsafe { sigaction(*signal, &action) }?;
    }
    Ok(())
}

/// Moves a descriptor out of the way of the fixed ones.
pub(super) fn out_of_the_way(fd: impl AsFd) -> io::Result<OwnedFd> {
    let raw = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(FREE_FROM))?;
    #[expect(unsafe_code, reason = "the call hands out a number, which is wrapped once, here")]
    // SAFETY: the descriptor was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Puts a descriptor at a fixed number, open across exec.
fn place(fd: &impl AsFd, number: i32) -> io::Result<()> {
    #[expect(unsafe_code, reason = "fixed descriptor numbers are the gate's contract with its script")]
    // SAFETY: everything that the shim has open was moved above `FREE_FROM`, so nobody owns the number.
    let placed = unsafe { dup2_raw(fd.as_fd(), number) }?;
    let _ = placed.into_raw_fd();
    Ok(())
}

/// Forks the child. It waits.
pub(super) fn fork_waiting(prepared: &Prepared) -> io::Result<Waiting> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let (reader, writer) = (out_of_the_way(reader)?, out_of_the_way(writer)?);
    #[expect(unsafe_code, reason = "the child must wait between fork and exec, which std's Command cannot do")]
    // SAFETY: the shim has one thread; no lock can be held by another one at the fork.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Waiting { pid: child, go: File::from(writer) }),
        ForkResult::Child => {
            drop(writer);
            exit_now(run(prepared, File::from(reader)))
        }
    }
}

/// Forks once more and lets the first process end, so that the second belongs to init and the agent has nothing to reap.
/// True in the process that goes on.
pub(super) fn detach() -> io::Result<bool> {
    #[expect(unsafe_code, reason = "a process that belongs to init needs a second fork")]
    // SAFETY: as in `fork_waiting`.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(false),
        ForkResult::Child => Ok(true),
    }
}

/// Takes standard input, output and error away from wherever they led.
pub(super) fn without_terminal() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// Ends this process without running anything of the parent's.
fn exit_now(code: i32) -> ! {
    #[expect(unsafe_code, reason = "exit handlers belong to the parent")]
    // SAFETY: `_exit` only ends the process.
    unsafe {
        nix::libc::_exit(code)
    }
}

fn run(prepared: &Prepared, go: File) -> i32 {
    if let Err(e) = descriptors(prepared) {
        let _ = writeln!(&prepared.output, "cavalcade: the child could not be prepared: {e}");
        return EXIT_NOT_PREPARED;
    }
    if let Err(e) = become_child(prepared) {
        say(&format!("the child could not be prepared: {e}"));
        return EXIT_NOT_PREPARED;
    }
    let mut go = go;
    let mut byte = [0_u8; 1];
    match go.read(&mut byte) {
        Ok(1) => {}
        Ok(_) | Err(_) => return EXIT_NOT_RELEASED,
    }
    let args: Vec<&CStr> = prepared.args.iter().map(CString::as_c_str).collect();
    let env: Vec<&CStr> = prepared.env.iter().map(CString::as_c_str).collect();
    let Err(e) = execve(&prepared.program, &args, &env);
    say(&format!("{} could not be run: {e}", prepared.program.to_string_lossy()));
    EXIT_NOT_RUN
}

/// Says something on standard error, which leads to the output file by now.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "cavalcade: {text}");
}

fn descriptors(prepared: &Prepared) -> io::Result<()> {
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(&prepared.output)?;
    dup2_stderr(&prepared.output)?;
    if let Some(gate) = &prepared.gate {
        place(&gate.script, SCRIPT_FD)?;
        place(&gate.launches, LAUNCHES_FD)?;
        place(&gate.token, TOKEN_FD)?;
    }
    // From here on the lock lives as long as any descendant that keeps the descriptor.
    fcntl(prepared.lock.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

fn become_child(prepared: &Prepared) -> io::Result<()> {
    // A group of its own: a script that signals its group does not reach the shim.
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    on_signals(&[Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGPIPE], SigHandler::SigDfl)?;
    SigSet::empty().thread_set_mask()?;
    oom_score(0);
    umask(Mode::from_bits_truncate(0o022));
    if let Some((uid, gid, groups)) = &prepared.user.switch {
        setgroups(groups)?;
        setgid(*gid)?;
        setuid(*uid)?;
    }
    chdir(&prepared.cwd).map_err(|e| named(e, &prepared.cwd))?;
    Ok(())
}

fn named(e: nix::Error, path: &Path) -> io::Error {
    let e = io::Error::from(e);
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

/// Sets how likely the OOM killer takes this process. Not permitted is no error: the default stays.
pub(super) fn oom_score(score: i32) {
    let _ = std::fs::write("/proc/self/oom_score_adj", score.to_string());
}
