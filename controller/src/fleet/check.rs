//! What must hold between the parts of a fleet file.

use std::collections::BTreeMap;

use cavalcade_common::codes::plan as codes;
use cavalcade_common::codes::written;
use cavalcade_common::written::{Reader, nearest};

use super::{Fleet, FleetNode};

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
    let mut hosts: BTreeMap<&str, Vec<&FleetNode>> = BTreeMap::new();
    for node in &fleet.nodes {
        hosts.entry(node.host.as_str()).or_default().push(node);
    }
    for nodes in hosts.values() {
        one_host(nodes, r);
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
