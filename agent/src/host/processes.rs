//! Processes as `/proc` shows them.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

use super::{Occupant, Process, ProcessId};

/// Clock ticks of `/proc` in a second: USER_HZ is 100 on every Linux that this program is built for.
const TICKS: u64 = 100;

/// What a server's command line says its home is.
const HOME_ARGUMENT: &[u8] = b"-Dcarbon.home=";

/// Something vanished while it was read: a process that ended.
fn gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // ESRCH comes from reading the files of a process that ends at this moment.
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(nix::libc::ESRCH) => Ok(None),
        Err(e) => Err(e),
    }
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy)]
struct Stat {
    parent: u32,
    start_ticks: u64,
}

fn stat(pid: u32) -> io::Result<Option<Stat>> {
    let Some(stat) = gone(fs::read(format!("/proc/{pid}/stat")))? else { return Ok(None) };
    let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat cannot be read"));
    // The second field is the program's name in parentheses and may hold blanks and parentheses itself.
    let after = stat.iter().rposition(|b| *b == b')').ok_or_else(bad)? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&stat[after..]).map_err(|_| bad())?.split_ascii_whitespace().collect();
    let field = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).ok_or_else(bad);
    let parent = u32::try_from(field(1)?).map_err(|_| bad())?;
    Ok(Some(Stat { parent, start_ticks: field(19)? }))
}

/// Start of a process in clock ticks since boot; `None` where there is no such process. A zombie counts as there.
///
/// # Errors
/// Those of reading `/proc`.
pub(crate) fn start_ticks(pid: u32) -> io::Result<Option<u64>> {
    Ok(stat(pid)?.map(|s| s.start_ticks))
}

/// Time since boot, suspend included.
///
/// # Errors
/// Those of reading `/proc`.
pub(crate) fn uptime() -> io::Result<std::time::Duration> {
    let text = fs::read_to_string("/proc/uptime")?;
    let seconds = text.split_ascii_whitespace().next().and_then(|f| f.parse::<f64>().ok());
    seconds
        .and_then(|s| std::time::Duration::try_from_secs_f64(s).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/uptime cannot be read"))
}

/// Which boot this is.
pub(crate) fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Resident memory of this process in KiB.
pub(crate) fn resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.split_ascii_whitespace().next()?.parse().ok()
}

fn started(ticks: u64, now: Timestamp, uptime: std::time::Duration) -> Timestamp {
    let age = uptime.saturating_sub(std::time::Duration::from_millis(ticks.saturating_mul(1000 / TICKS)));
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::ZERO);
    now.checked_sub(age).unwrap_or(now)
}

fn user_of(pid: u32) -> io::Result<Option<String>> {
    let Some(status) = gone(fs::read_to_string(format!("/proc/{pid}/status")))? else { return Ok(None) };
    let uid = status
        .lines()
        .find_map(|l| l.strip_prefix("Uid:"))
        .and_then(|l| l.split_ascii_whitespace().next())
        .and_then(|f| f.parse::<u32>().ok());
    let Some(uid) = uid else { return Ok(None) };
    let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|u| u.name);
    Ok(Some(name.unwrap_or_else(|| uid.to_string())))
}

/// A path without `.` and doubled or trailing slashes.
fn tidy(path: &Path) -> PathBuf {
    path.components().filter(|c| *c != Component::CurDir).collect()
}

/// Whether two names are the same folder: by their text, or by where their links lead.
fn same_folder(said: &Path, home: &Path, real_home: Option<&Path>) -> bool {
    tidy(said) == tidy(home) || real_home.is_some_and(|real| fs::canonicalize(said).is_ok_and(|s| s == real))
}

/// All live processes that name this home on their command line. A zombie has no command line and is none of them.
///
/// # Errors
/// Those of reading `/proc`.
pub(crate) fn processes_of(home: &Path, clock: impl FnOnce() -> Timestamp) -> io::Result<Vec<Process>> {
    let real_home = fs::canonicalize(home).ok();
    // The clock behind the uptime: where time passes between the two, no process seems older than it is.
    let uptime = uptime()?;
    let now = clock();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let Some(cmdline) = gone(fs::read(format!("/proc/{pid}/cmdline")))? else { continue };
        let names_home = cmdline.split(|b| *b == 0).any(|arg| {
            arg.strip_prefix(HOME_ARGUMENT)
                .is_some_and(|said| same_folder(Path::new(std::ffi::OsStr::from_bytes(said)), home, real_home.as_deref()))
        });
        if !names_home {
            continue;
        }
        let (Some(stat), Some(user)) = (stat(pid)?, user_of(pid)?) else { continue };
        let args = cmdline.strip_suffix(b"\0").unwrap_or(&cmdline).split(|b| *b == 0);
        let process = Process {
            id: ProcessId { pid, start_ticks: stat.start_ticks },
            args: args.map(|a| String::from_utf8_lossy(a).into_owned()).collect(),
            user,
            started: started(stat.start_ticks, now, uptime),
        };
        found.push((stat.parent, process));
    }
    Ok(without_forks(found))
}

/// What a process's command line says its home is; `None` where it says nothing or is gone.
pub(crate) fn home_of(pid: u32) -> Option<String> {
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let home = cmdline.split(|b| *b == 0).find_map(|arg| arg.strip_prefix(HOME_ARGUMENT))?;
    Some(String::from_utf8_lossy(home).into_owned())
}

/// The process of a number. A zombie holds its number and nothing else.
///
/// # Errors
/// Those of reading `/proc`.
pub(crate) fn occupant(pid: u32) -> io::Result<Option<Occupant>> {
    let Some(user) = user_of(pid)? else { return Ok(None) };
    Ok(Some(Occupant { pid: Some(pid), user: Some(user), home: home_of(pid) }))
}

/// Leaves out what was just forked and has not exec'ed: it still shows its parent's command line.
fn without_forks(found: Vec<(u32, Process)>) -> Vec<Process> {
    let is_fork = |parent: u32, args: &[String]| found.iter().any(|(_, p)| p.id.pid == parent && p.args == args);
    let mut servers: Vec<Process> =
        found.iter().filter(|(parent, p)| !is_fork(*parent, &p.args)).map(|(_, p)| p.clone()).collect();
    servers.sort_by(|a, b| a.id.cmp(&b.id));
    servers
}

/// Sends TERM if the process is still the same one.
///
/// # Errors
/// Those of the signal; a process that is gone is no error.
pub(crate) fn terminate(process: &ProcessId) -> io::Result<()> {
    if start_ticks(process.pid)? != Some(process.start_ticks) {
        return Ok(());
    }
    let pid = i32::try_from(process.pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    match kill(Pid::from_raw(pid), Signal::SIGTERM) {
        Ok(()) | Err(nix::Error::ESRCH) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use super::*;
    use crate::host::real::wall_clock;

    /// Ends with the test, whatever becomes of it.
    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn sleeper(home: &Path) -> Sleeper {
        let said = format!("-Dcarbon.home={}", home.display());
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do sleep 0.05; done", "server", &said]).stdout(Stdio::null());
        Sleeper(command.spawn().unwrap())
    }

    fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
        for _ in 0..12_000 {
            if holds() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("never came: {what}");
    }

    #[test]
    fn a_server_is_found_by_its_home_alone_through_links_too() {
        let dir = tempfile::tempdir().unwrap();
        let (home, other, link) = (dir.path().join("wso2is 5.11"), dir.path().join("wso2is"), dir.path().join("link"));
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::symlink(&home, &link).unwrap();
        let mut sleeper = sleeper(&home);
        let child = &mut sleeper.0;
        wait_until("the process", || !processes_of(&home, wall_clock).unwrap().is_empty());
        let now = wall_clock();
        let found = processes_of(&link.join("."), || now).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].id.pid, child.id());
        assert!(now.duration_since(found[0].started).abs() < SignedDuration::from_secs(60));
        assert!(processes_of(&other, || now).unwrap().is_empty());

        let stranger = ProcessId { pid: child.id(), start_ticks: found[0].id.start_ticks + 1 };
        terminate(&stranger).unwrap();
        assert_eq!(child.try_wait().unwrap(), None, "a process with another start was signalled");
        terminate(&found[0].id).unwrap();
        // Not reaped yet: a zombie keeps its number, and must not count as a server.
        wait_until("the zombie to be no server", || processes_of(&home, wall_clock).unwrap().is_empty());
        assert!(start_ticks(child.id()).unwrap().is_some());
        child.wait().unwrap();
        assert_eq!(start_ticks(child.id()).unwrap(), None);
        terminate(&found[0].id).unwrap();
    }
}
