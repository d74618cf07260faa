//! Who listens on which TCP port of this machine, from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use super::processes;

/// The state LISTEN in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A port that somebody listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Who, where the kernel lets this user see it.
    pub(crate) pid: Option<u32>,
    /// The `carbon.home` on its command line.
    pub(crate) home: Option<String>,
}

/// Those of the ports that somebody listens on.
///
/// # Errors
/// Those of reading `/proc`.
pub(crate) fn listeners(ports: &[u16]) -> io::Result<BTreeMap<u16, Listener>> {
    let mut inodes: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read_to_string(table) {
            Ok(text) => {
                for (port, inode) in text.lines().filter_map(listening).filter(|(port, _)| ports.contains(port)) {
                    inodes.entry(port).or_default().insert(inode);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    let wanted: BTreeSet<u64> = inodes.values().flatten().copied().collect();
    let holders = if wanted.is_empty() { BTreeMap::new() } else { holders(&wanted)? };
    let listener = |inodes: BTreeSet<u64>| {
        let pid = inodes.iter().find_map(|inode| holders.get(inode)).copied();
        Listener { pid, home: pid.and_then(processes::home_of) }
    };
    Ok(inodes.into_iter().map(|(port, inodes)| (port, listener(inodes))).collect())
}

/// Port and inode of a listening socket: `0: 0100007F:1F90 00000000:0000 0A ... UID TIMEOUT INODE ...`.
fn listening(line: &str) -> Option<(u16, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if *words.get(3)? != LISTEN {
        return None;
    }
    let (_, port) = words.get(1)?.rsplit_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, words.get(9)?.parse().ok()?))
}

/// Which process has these sockets open. Processes that this user may not look into are left out.
fn holders(wanted: &BTreeSet<u64>) -> io::Result<BTreeMap<u64, u32>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for file in open.flatten() {
            let Ok(link) = fs::read_link(file.path()) else { continue };
            let inode = link.to_str().and_then(|l| l.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode.filter(|i| wanted.contains(i)) {
                found.entry(inode).or_insert(pid);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_with_its_process_and_a_free_port_is_free() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let six = std::net::TcpListener::bind("[::1]:0");
        let taken = listener.local_addr().expect("has one").port();
        // Bound, so that nobody else gets the port meanwhile, and not listening.
        let bound = tokio::net::TcpSocket::new_v4().expect("a socket");
        bound.bind("127.0.0.1:0".parse().expect("an address")).expect("binds");
        let free = bound.local_addr().expect("has one").port();
        let found = listeners(&[taken, free]).expect("reads");
        assert_eq!(found.get(&taken), Some(&Listener { pid: Some(std::process::id()), home: None }));
        assert_eq!(found.get(&free), None);
        // Not every machine speaks IPv6.
        if let Ok(six) = six {
            let port = six.local_addr().expect("has one").port();
            assert!(listeners(&[port]).expect("reads").contains_key(&port));
        }
    }

    #[test]
    fn lines_of_other_states_are_none() {
        let line = |state: &str| {
            format!("   1: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:0 0 1000 0 4711 1 0 100 0 0 10 0")
        };
        assert_eq!(listening(&line("0A")), Some((8080, 4711)));
        assert_eq!(listening(&line("01")), None);
        assert_eq!(listening("  sl  local_address rem_address   st"), None);
    }
}
