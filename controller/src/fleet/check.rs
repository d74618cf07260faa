//! What must hold between the parts of a fleet file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use cavalcade_common::codes::plan as codes;
use cavalcade_common::codes::written;
use cavalcade_common::written::{Reader, nearest};

use super::{Database, Fleet, FleetNode};

/// Checks nodes against each other and databases against nodes.
pub(super) fn check(fleet: &Fleet, r: &mut Reader) {
    if fleet.nodes.is_empty() && r.count() == 0 {
        r.fault(written::MISSING_KEY, cavalcade_common::written::Mark { line: 1, column: 1, length: 1 }, "the fleet has no node");
    }
    for (name, database) in &fleet.databases {
        if fleet.node(database.from.as_str()).is_none() {
            let known: Vec<&str> = fleet.nodes.iter().map(|n| n.id.as_str()).collect();
            let help = nearest(database.from.as_str(), known.iter().copied()).map(|n| format!("`{n}` exists"));
            let message =
                format!("the steps of the database `{name}` run from `{}`, which is no node of the fleet", database.from);
            r.fault_with(codes::UNKNOWN_NODE, database.mark, message, help);
        }
    }
    databases(fleet, r);
    let mut hosts: BTreeMap<&str, Vec<&FleetNode>> = BTreeMap::new();
    for node in &fleet.nodes {
        hosts.entry(node.host.as_str()).or_default().push(node);
    }
    for nodes in hosts.values() {
        one_host(nodes, r);
    }
}

/// What each database needs for itself: its content, its scratch database, the folder of its backups. Where two shared one,
/// the steps of both would change it, or one's backup would stand in the other's place.
fn databases(fleet: &Fleet, r: &mut Reader) {
    let mut contents: BTreeMap<(String, &str), (&str, &str)> = BTreeMap::new();
    let mut folders: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (name, database) in &fleet.databases {
        let host = fleet.node(database.from.as_str()).map_or("", |n| n.host.as_str());
        let server = server(database, host);
        let scratch = database.target.scratch.as_deref().map(|scratch| (scratch, "the scratch database"));
        for (content, what) in [(database.target.database.as_str(), "the database")].into_iter().chain(scratch) {
            if let Some((other, theirs)) = contents.insert((server.clone(), content), (name, what))
                && other != name
            {
                let message = format!("{content} on {server} is {theirs} of `{other}` and {what} of `{name}`");
                let help = "each database has one name in the fleet, and a scratch database of its own";
                r.fault_with(codes::SHARED_DATABASE, database.mark, message, Some(help.to_owned()));
            }
        }
        let folder = database.backup_to.as_deref().map(|to| to.trim_end_matches('/'));
        if let Some(folder) = folder
            && let Some(other) = folders.insert((host, folder), name)
        {
            let message = format!("the backups of `{other}` and `{name}` go to one folder, {folder} on {host}");
            let help = "give one of them another `backup_to`";
            r.fault_with(codes::SHARED_DATABASE, database.mark, message, Some(help.to_owned()));
        }
    }
}

/// Where a database's server is. A socket, or an address of the machine itself, means another one on each host.
fn server(database: &Database, host: &str) -> String {
    let target = &database.target;
    let address = target.host.to_lowercase();
    let local = address == "localhost" || address.parse::<IpAddr>().is_ok_and(|a| a.is_loopback());
    match &target.socket {
        Some(socket) => format!("{socket} of {host}"),
        None if local => format!("port {} of {host}", target.port),
        None => format!("{address}:{}", target.port),
    }
}

fn one_host(nodes: &[&FleetNode], r: &mut Reader) {
    let mut homes: BTreeMap<&str, &FleetNode> = BTreeMap::new();
    let (mut old_offsets, mut new_offsets) = (BTreeMap::new(), BTreeMap::new());
    for node in nodes {
        for side in [&node.old, &node.new].into_iter().flatten() {
            if let Some(other) = homes.insert(&side.home, node) {
                let message = format!("the home {} on {} belongs to `{}` and to `{}`", side.home, node.host, other.id, node.id);
                let help =
                    if other.id == node.id { "the new home stands beside the old one" } else { "every server has its own" };
                r.fault_with(codes::SHARED_HOME, node.mark, message, Some(help.to_owned()));
            }
        }
        let sides = [
            (node.old.is_some(), &mut old_offsets, node.old_offset, "old_offset"),
            (node.new.is_some(), &mut new_offsets, node.offset, "offset"),
        ];
        for (exists, taken, offset, key) in sides {
            if !exists {
                continue;
            }
            if let Some(other) = taken.insert(offset, &node.id) {
                let message = format!("`{other}` and `{}` on {} have the same {key}, {offset}", node.id, node.host);
                let help = Some(format!("servers bind all interfaces: give one of them another `{key}`"));
                r.fault_with(codes::SAME_OFFSET, node.mark, message, help);
            }
        }
    }
}
