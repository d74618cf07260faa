//! Whether a connection is direct: nothing here works through a pooler (promise 6).

use std::collections::BTreeSet;

use cavalcade_common::action::DbTarget;

use crate::database::error::DbError;
use crate::database::link::Link;

const WHAT: &str = "looking for a pooler";

/// True when two sessions of ours were seen to change places at the server, or a proxy names itself; false when the server
/// names a port of this very process as its client's; else nothing is known (a pooler that keeps sessions apart looks like
/// a translated address).
pub(super) async fn pooled(link: &mut Link, twin: &mut Link, target: &DbTarget) -> Result<Option<bool>, DbError> {
    if names_itself(link).await? {
        return Ok(Some(true));
    }
    let before = (link.id().await?, twin.id().await?);
    // A pooler gives the session that became free last to whoever asks next.
    for session in [&mut *link, &mut *twin] {
        session.run("BEGIN").await.map_err(DbError::query(WHAT))?;
        session.id().await?;
    }
    for session in [&mut *link, &mut *twin] {
        session.run("COMMIT").await.map_err(DbError::query(WHAT))?;
    }
    if (link.id().await?, twin.id().await?) != before {
        return Ok(Some(true));
    }
    if target.socket.is_some() {
        return Ok(None);
    }
    let sql = match link {
        Link::Mysql(_) => "SELECT SUBSTRING_INDEX(HOST, ':', -1) FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()",
        Link::Postgresql(_) => "SELECT pg_catalog.inet_client_port()",
    };
    let port = link.value(sql, WHAT).await?.and_then(|p| p.parse::<u16>().ok());
    let direct = port.is_some_and(|port| own_ports(target.port).contains(&port));
    Ok(direct.then_some(false))
}

async fn names_itself(link: &mut Link) -> Result<bool, DbError> {
    if matches!(link, Link::Postgresql(_)) {
        return Ok(false);
    }
    let said = link.row("SELECT @@version_comment, VERSION()", WHAT).await?;
    let said = said.into_iter().flatten().collect::<Vec<_>>().join(" ").to_lowercase();
    Ok(["proxysql", "maxscale"].iter().any(|name| said.contains(name)))
}

/// Local ports of this process's connections to a port. Empty where the kernel does not tell.
fn own_ports(to: u16) -> BTreeSet<u16> {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let inode = |link: &std::path::Path| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    let own: BTreeSet<String> = links.filter_map(|link| inode(&link)).collect();
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let connections = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(connection);
    connections.filter(|(_, remote, inode)| *remote == to && own.contains(*inode)).map(|(local, _, _)| local).collect()
}

/// Local port, remote port and inode in a line of the kernel's table.
fn connection(line: &str) -> Option<(u16, u16, &str)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let port = |field: &str| u16::from_str_radix(field.rsplit_once(':')?.1, 16).ok();
    Some((port(fields.get(1)?)?, port(fields.get(2)?)?, fields.get(9)?))
}

#[cfg(test)]
mod tests {
    use super::{connection, own_ports};

    #[test]
    fn own_connections_are_known_by_the_kernels_table() {
        let line = "   0: 0100007F:A3F2 0100007F:0CEA 01 00000000:00000000 00:00000000 00000000  1000        0 77123 1 0000 20";
        assert_eq!(connection(line), Some((0xa3f2, 3306, "77123")));
        assert_eq!(connection("  sl  local_address rem_address"), None);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap().port();
        let ours = std::net::TcpStream::connect(("127.0.0.1", to)).unwrap();
        assert_eq!(own_ports(to).into_iter().collect::<Vec<_>>(), [ours.local_addr().unwrap().port()]);
    }
}
