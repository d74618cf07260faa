//! The host: processors, memory, clock, ports, file systems.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::host::disks::{self, Disk};
use crate::host::{Host, Occupant, machine, sockets};

/// `{ agent_user, cpus, memory_bytes, utc_offset_seconds, now }`.
pub(super) fn facts(host: &dyn Host, problems: &mut Vec<(PathBuf, String)>) -> Value {
    let now = host.now();
    let memory = machine::memory_bytes().unwrap_or_else(|error| {
        problems.push((PathBuf::from("/proc/meminfo"), error.to_string()));
        None
    });
    json!({
        "agent_user": machine::own_user(),
        "cpus": machine::cpus(),
        "memory_bytes": memory,
        "utc_offset_seconds": machine::utc_offset_seconds(now),
        "now": now,
    })
}

/// `[ { port, free, pid, user, home } ]` in the order asked.
///
/// # Errors
/// Those of reading `/proc`.
pub(super) fn ports(wanted: &[u16]) -> io::Result<Value> {
    let found = sockets::listeners(wanted)?;
    let one = |port: &u16| match found.get(port) {
        Some(Occupant { pid, user, home }) => json!({ "port": port, "free": false, "pid": pid, "user": user, "home": home }),
        None => json!({ "port": port, "free": true, "pid": null, "user": null, "home": null }),
    };
    Ok(wanted.iter().map(one).collect())
}

/// `{ read_only, network, noexec, selinux }`: whether it holds for the file system of one of the node's homes.
///
/// # Errors
/// Those of the file system.
pub(super) fn mounts(homes: &[&str]) -> io::Result<Value> {
    let found: Vec<Disk> = homes.iter().map(|home| disks::of(Path::new(home))).collect::<io::Result<_>>()?;
    Ok(json!({
        "read_only": found.iter().any(|d| d.read_only),
        "network": found.iter().any(|d| d.network),
        "noexec": found.iter().any(|d| d.noexec),
        "selinux": disks::selinux_enforces()?.unwrap_or(false),
    }))
}

/// Whether nothing below `/tmp` can be executed.
///
/// # Errors
/// Those of the file system.
pub(super) fn tmp_noexec() -> io::Result<bool> {
    Ok(disks::of(Path::new("/tmp"))?.noexec)
}
