//! The agent's side of a held child: start its shim, read the state of its folder, read its output (10, rule 8).

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{HeldSpec, HeldState, ProcessId, cgroup, processes};
use crate::shim::record::{self, Records};
use crate::shim::user::RunAs;

/// Most bytes of output that one call returns.
const OUTPUT_PART: u64 = 256 << 10;
/// How often, at 5 ms, a claim is tried while somebody holds the lock and nothing is spawned: another look of an agent
/// holds it for moments, a shim until SPAWNED is on disk.
const CLAIM_TRIES: u32 = 100;

/// How a shim is started: the program and the arguments before the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimProgram {
    /// Program.
    pub program: PathBuf,
    /// Arguments; the attempt's folder comes after them.
    pub args: Vec<String>,
}

impl Default for ShimProgram {
    /// This very program, also where its file was replaced by a newer one in the meantime.
    fn default() -> Self {
        Self { program: PathBuf::from("/proc/self/exe"), args: vec!["shim".to_owned()] }
    }
}

/// Starts the shim for a spec; does nothing where something was started or abandoned before.
///
/// # Errors
/// `Unsupported` where the agent's own end would be the child's end (10, rule 10); those of the user, the folder and of
/// starting the shim. Only the folder tells whether it began: systemd may start the unit and its answer be lost.
pub(crate) fn hold(shim: &ShimProgram, spec: &HeldSpec) -> io::Result<()> {
    hold_where(shim, spec, cgroup::end_of_agent_ends_child)
}

/// `ends_child`: why the agent's end would be the child's end, if it would.
fn hold_where(shim: &ShimProgram, spec: &HeldSpec, ends_child: impl FnOnce() -> Option<String>) -> io::Result<()> {
    if spec.outlives_agent
        && let Some(why) = ends_child()
    {
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    check(spec)?;
    let dir = &spec.dir;
    make_dir(dir)?;
    let known = Records::read(dir)?;
    if known.abandoned.is_some() || known.spawned.is_some() {
        return Ok(());
    }
    write_spec(spec)?;
    if cgroup::runs_systemd() && nix::unistd::geteuid().is_root() { start_in_unit(shim, dir) } else { start(shim, dir) }
}

/// What the shim would stumble over later, where the agent can still say so.
fn check(spec: &HeldSpec) -> io::Result<()> {
    RunAs::look_up(spec.runtime.run_as.as_deref())?;
    if spec.one_launch {
        crate::shim::real_java(&spec.runtime)?;
    }
    if !spec.cwd.is_absolute() || !spec.dir.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "working folder and attempt folder must be absolute"));
    }
    let cwd = fs::metadata(&spec.cwd).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", spec.cwd.display())))?;
    if cwd.is_dir() { Ok(()) } else { Err(io::Error::new(io::ErrorKind::NotADirectory, spec.cwd.display().to_string())) }
}

/// The folder, for the agent's user alone.
fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    match dir.parent() {
        Some(parent) => super::files::sync_dir(parent),
        None => Ok(()),
    }
}

fn write_spec(spec: &HeldSpec) -> io::Result<()> {
    let temp = spec.dir.join("spec.tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
    file.write_all(&serde_json::to_vec(spec)?)?;
    drop(file);
    fs::rename(&temp, spec.dir.join(record::SPEC))
}

/// The shim leaves the agent's session and process tree by itself; what is waited for here is its first process, which
/// ends at once.
fn start(shim: &ShimProgram, dir: &Path) -> io::Result<()> {
    let mut command = Command::new(&shim.program);
    command.args(&shim.args).arg(dir).env_clear().current_dir("/");
    finish(command)
}

/// In a transient unit of its own the shim survives a restart of the agent's unit whatever its KillMode says, and the
/// agent's memory limit is not the child's. KillMode=process: a start script's server stays when the shim has ended.
fn start_in_unit(shim: &ShimProgram, dir: &Path) -> io::Result<()> {
    let mut program = fs::read_link(&shim.program).unwrap_or_else(|_| shim.program.clone());
    if let Some(name) = program.to_str().and_then(|p| p.strip_suffix(" (deleted)")) {
        program = PathBuf::from(name);
    }
    let mut command = Command::new("systemd-run");
    command.arg(format!("--unit={}", unit_name(dir))).args(["--quiet", "--collect"]);
    for property in ["KillMode=process", "SendSIGKILL=no", "OOMPolicy=continue", "TasksMax=infinity"] {
        command.arg(format!("--property={property}"));
    }
    command.arg("--").arg(program).args(&shim.args).arg("--unit").arg(dir);
    finish(command)
}

/// Name of the unit of an attempt's folder.
fn unit_name(dir: &Path) -> String {
    let digest = cavalcade_common::id::Digest::of(dir.as_os_str().as_encoded_bytes());
    format!("cavalcade-{}.service", &digest.as_str()[..24])
}

fn finish(mut command: Command) -> io::Result<()> {
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said: String = said.chars().take(400).collect();
    Err(io::Error::other(format!("the shim could not be started ({}): {}", done.status, said.trim())))
}

/// Who holds the lock.
enum Lock {
    /// Somebody.
    Held,
    /// Nobody; the caller does for as long as this value lives.
    Free(File),
    /// There is no lock file: no shim was ever here.
    Missing,
}

/// Tries the lock. A look takes it shared, so that looks do not disturb each other.
fn try_lock(dir: &Path, exclusive: bool) -> io::Result<Lock> {
    let opened =
        OpenOptions::new().read(true).write(true).create(exclusive).truncate(false).mode(0o600).open(dir.join(record::LOCK));
    let file = match opened {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Lock::Missing),
        other => other?,
    };
    match if exclusive { file.try_lock() } else { file.try_lock_shared() } {
        Ok(()) => Ok(Lock::Free(file)),
        Err(TryLockError::WouldBlock) => Ok(Lock::Held),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Reads the state of a folder; see [`super::Host::held`].
///
/// # Errors
/// Those of the file system; `InvalidData` for a damaged record.
pub(crate) fn state(dir: &Path, claim: bool) -> io::Result<Option<HeldState>> {
    let known = Records::read(dir)?;
    if known.abandoned.is_some() {
        return Ok(Some(HeldState::NeverBegan));
    }
    if known.spawned.is_some() {
        return spawned_state(dir).map(Some);
    }
    if !claim {
        return match try_lock(dir, false)? {
            Lock::Held => again_or_alive(dir).map(Some),
            Lock::Missing => Ok(None),
            Lock::Free(_) => {
                let known = Records::read(dir)?;
                if known.spawned.is_some() { spawned_state(dir).map(Some) } else { Ok(None) }
            }
        };
    }
    make_dir(dir)?;
    for _ in 0..CLAIM_TRIES {
        match try_lock(dir, true)? {
            // `create` was asked for, so the file cannot be missing; somebody cleared the folder: try again.
            Lock::Held | Lock::Missing => {
                let known = Records::read(dir)?;
                if known.spawned.is_some() {
                    return spawned_state(dir).map(Some);
                }
                if known.abandoned.is_some() {
                    return Ok(Some(HeldState::NeverBegan));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Lock::Free(lock) => return claimed(dir, &lock).map(Some),
        }
    }
    Ok(Some(HeldState::Alive { exit: None }))
}

/// With the lock in hand: what is recorded now is final, and where nothing is, ABANDONED is written.
fn claimed(dir: &Path, lock: &File) -> io::Result<HeldState> {
    let known = Records::read(dir)?;
    if known.abandoned.is_some() {
        return Ok(HeldState::NeverBegan);
    }
    if known.spawned.is_some() {
        return Ok(ended(&known));
    }
    record::write_abandoned(dir, "claimed by the agent: no shim had begun")?;
    let _ = fs::remove_file(dir.join(record::SPEC));
    // Before the file closes: a child that another thread starts at this moment may hold a copy of it until its exec.
    lock.unlock()?;
    Ok(HeldState::NeverBegan)
}

fn again_or_alive(dir: &Path) -> io::Result<HeldState> {
    let known = Records::read(dir)?;
    if known.abandoned.is_some() { Ok(HeldState::NeverBegan) } else { Ok(HeldState::Alive { exit: known.exit }) }
}

fn spawned_state(dir: &Path) -> io::Result<HeldState> {
    match try_lock(dir, false)? {
        Lock::Held => again_or_alive(dir),
        // The records are read again behind the lock: the shim writes the exit record before it lets go.
        Lock::Free(_) | Lock::Missing => Ok(ended(&Records::read(dir)?)),
    }
}

fn ended(known: &Records) -> HeldState {
    match known.exit {
        _ if known.abandoned.is_some() => HeldState::NeverBegan,
        Some(exit) => HeldState::Ended { exit, relaunch_refused: known.relaunch_refused },
        None => HeldState::Vanished,
    }
}

/// The recorded direct child.
///
/// # Errors
/// Those of the file system; `InvalidData` for a damaged record.
pub(crate) fn process(dir: &Path) -> io::Result<Option<ProcessId>> {
    Ok(Records::read(dir)?.spawned.map(|(pid, start_ticks)| ProcessId { pid, start_ticks }))
}

/// New output from an offset on.
///
/// # Errors
/// Those of the file system.
pub(crate) fn output(dir: &Path, from: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut file = match File::open(dir.join(record::OUTPUT)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), from)),
        other => other?,
    };
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(OUTPUT_PART).read_to_end(&mut bytes)?;
    let next = from + bytes.len() as u64;
    Ok((bytes, next))
}

/// Kills a held child with its process group: for short commands alone, whose time is up.
///
/// # Errors
/// Those of the signal; a child that is gone is no error.
pub(crate) fn kill(dir: &Path) -> io::Result<()> {
    let Some((pid, ticks)) = Records::read(dir)?.spawned else { return Ok(()) };
    // The group keeps the number from being used again while the lock is held, so only a stranger has other ticks.
    if !matches!(try_lock(dir, false)?, Lock::Held) || processes::start_ticks(pid)?.is_some_and(|now| now != ticks) {
        return Ok(());
    }
    // 0 and 1 mean "my own group" and "everybody" to the system call.
    let group = i32::try_from(pid).ok().filter(|g| *g > 1).ok_or(io::ErrorKind::InvalidData)?;
    match killpg(Pid::from_raw(group), Signal::SIGKILL) {
        Ok(()) | Err(nix::Error::ESRCH) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
#[path = "held_tests.rs"]
pub(crate) mod tests;
