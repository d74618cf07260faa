//! Who listens on which TCP port of this machine, from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::{Occupant, processes};

/// The state LISTEN in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A listening socket: where, and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listening {
    at: IpAddr,
    port: u16,
    inode: u64,
}

/// Those of the ports that somebody listens on.
///
/// # Errors
/// Those of reading `/proc`.
pub(crate) fn listeners(ports: &[u16]) -> io::Result<BTreeMap<u16, Occupant>> {
    let mut inodes: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    for socket in table()?.into_iter().filter(|socket| ports.contains(&socket.port)) {
        inodes.entry(socket.port).or_default().insert(socket.inode);
    }
    let wanted: BTreeSet<u64> = inodes.values().flatten().copied().collect();
    let holders = if wanted.is_empty() { BTreeMap::new() } else { holders(&wanted)? };
    inodes.into_iter().map(|(port, inodes)| Ok((port, occupant(&inodes, &holders)?))).collect()
}

/// Who listens at `host:port` on this machine.
///
/// # Errors
/// Those of resolving the name and of reading `/proc`.
pub(crate) async fn listener_at(address: &str) -> io::Result<Option<Occupant>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host(address).await?.collect();
    let reached = |socket: &Listening| {
        found.iter().any(|to| {
            let here = socket.at == to.ip().to_canonical() || socket.at.is_unspecified() && is_own(to.ip());
            to.port() == socket.port && here
        })
    };
    let inodes: BTreeSet<u64> = table()?.iter().filter(|socket| reached(socket)).map(|socket| socket.inode).collect();
    if inodes.is_empty() {
        return Ok(None);
    }
    occupant(&inodes, &holders(&inodes)?).map(Some)
}

/// Whether an address is one of this machine: the kernel binds no other.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

fn occupant(inodes: &BTreeSet<u64>, holders: &BTreeMap<u64, u32>) -> io::Result<Occupant> {
    let pid = inodes.iter().find_map(|inode| holders.get(inode)).copied();
    let found = pid.map(processes::occupant).transpose()?.flatten();
    Ok(found.unwrap_or(Occupant { pid, user: None, home: None }))
}

/// Every listening socket.
fn table() -> io::Result<Vec<Listening>> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read_to_string(table) {
            Ok(text) => found.extend(text.lines().filter_map(listening)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// A listening socket: `0: 0100007F:1F90 00000000:0000 0A ... UID TIMEOUT INODE ...`.
fn listening(line: &str) -> Option<Listening> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if *words.get(3)? != LISTEN {
        return None;
    }
    let (at, port) = words.get(1)?.rsplit_once(':')?;
    let (at, port) = (ip(at)?, u16::from_str_radix(port, 16).ok()?);
    Some(Listening { at, port, inode: words.get(9)?.parse().ok()? })
}

/// The kernel writes an address as numbers of four bytes in the machine's own order.
fn ip(hex: &str) -> Option<IpAddr> {
    let part = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(IpAddr::from(part(0)?)),
        32 => {
            let parts = [part(0)?, part(8)?, part(16)?, part(24)?].concat();
            Some(IpAddr::from(<[u8; 16]>::try_from(parts).ok()?).to_canonical())
        }
        _ => None,
    }
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
        let own = Occupant { pid: Some(std::process::id()), user: Some(crate::host::machine::own_user()), home: None };
        assert_eq!(found.get(&taken), Some(&own));
        assert_eq!(found.get(&free), None);
        // Not every machine speaks IPv6.
        if let Ok(six) = six {
            let port = six.local_addr().expect("has one").port();
            assert!(listeners(&[port]).expect("reads").contains_key(&port));
        }
    }

    #[tokio::test]
    async fn a_listener_is_known_by_its_address_and_an_address_elsewhere_has_none() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("has one").port();
        let here = listener_at(&format!("127.0.0.1:{port}")).await.expect("looks");
        assert_eq!(here.and_then(|o| o.pid), Some(std::process::id()));
        // Another address of this machine, and one of the range that is kept for examples.
        for elsewhere in [format!("127.0.0.2:{port}"), format!("192.0.2.1:{port}")] {
            assert_eq!(listener_at(&elsewhere).await.expect("looks"), None, "{elsewhere}");
        }
        let everywhere = std::net::TcpListener::bind("0.0.0.0:0").expect("binds");
        let port = everywhere.local_addr().expect("has one").port();
        assert!(listener_at(&format!("127.0.0.2:{port}")).await.expect("looks").is_some());
        assert_eq!(listener_at(&format!("192.0.2.1:{port}")).await.expect("looks"), None);
    }

    #[test]
    fn lines_of_other_states_are_none() {
        let line = |state: &str| {
            format!("   1: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:0 0 1000 0 4711 1 0 100 0 0 10 0")
        };
        let at = "127.0.0.1".parse().expect("an address");
        assert_eq!(listening(&line("0A")), Some(Listening { at, port: 8080, inode: 4711 }));
        assert_eq!(listening(&line("01")), None);
        assert_eq!(listening("  sl  local_address rem_address   st"), None);
    }
}
