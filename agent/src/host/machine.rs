//! The machine itself: processors, memory, zone, names of users.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::unistd::{Uid, User, geteuid};

/// Name of the user with the number 0.
const ROOT: &str = "root";

/// Processors that this process may use.
#[must_use]
pub fn cpus() -> Option<usize> {
    std::thread::available_parallelism().ok().map(usize::from)
}

/// The machine's memory in bytes; `None` where the system does not tell.
///
/// # Errors
/// Those of reading `/proc/meminfo`.
pub fn memory_bytes() -> io::Result<Option<u64>> {
    match std::fs::read_to_string("/proc/meminfo") {
        Ok(text) => Ok(total_of(&text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// `MemTotal:       24689424 kB`, in units of 1024 bytes (proc(5)).
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Seconds east of UTC in the machine's zone at a time.
#[must_use]
pub fn utc_offset_seconds(at: Timestamp) -> i32 {
    TimeZone::system().to_offset(at).seconds()
}

/// Name of the user that this process acts as; the number where it has no name.
#[must_use]
pub fn own_user() -> String {
    let uid = geteuid();
    let user = User::from_uid(uid).ok().flatten();
    // Rules ask for this name, and a system may have given number 0 a second one.
    if uid.is_root() { ROOT.to_owned() } else { user.map_or_else(|| uid.to_string(), |u| u.name) }
}

/// Name of a path's owner; the number where it has no name.
///
/// # Errors
/// Those of the file system and of the user database.
pub fn owner_name(path: &Path) -> io::Result<String> {
    let uid = std::fs::metadata(path)?.uid();
    if uid == 0 {
        return Ok(ROOT.to_owned());
    }
    let user = User::from_uid(Uid::from_raw(uid)).map_err(io::Error::from)?;
    Ok(user.map_or_else(|| uid.to_string(), |u| u.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        assert_eq!(total_of("MemFree: 1 kB\nMemTotal:       24689424 kB\n"), Some(24_689_424 * 1024));
        assert_eq!(total_of("MemTotal: much\n"), None);
        assert!(memory_bytes().expect("reads").is_some_and(|b| b > 1 << 20));
        assert!(cpus().is_some_and(|n| n > 0));
        let own = owner_name(Path::new("/proc/self")).expect("an owner");
        assert_eq!(own, User::from_uid(nix::unistd::geteuid()).expect("looks up").map_or_else(String::new, |u| u.name));
    }
}
