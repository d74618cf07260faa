//! File systems of new homes and backups: they can be written, scripts can be started there, and nobody shares them unseen.

use cavalcade_common::finding::Severity;
use std::collections::BTreeMap;

use serde_json::Value;

use super::{Check, Looks, Seen};
use crate::fleet::FleetNode;

/// Free room below which a file system is worth a word, whatever the plan needs, in bytes.
const LITTLE: u64 = 1 << 30;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "disk-writable",
        area: "file systems",
        severity: Severity::Error,
        about: "The file systems of new homes and backups can be written.",
        remedy: "mount it for writing, or name another folder in the fleet file",
        look: writable,
    },
    Check {
        name: "disk-free",
        area: "file systems",
        severity: Severity::Warning,
        about: "The file systems of new homes and backups have at least 1 GiB free. What the plan needs is counted apart.",
        remedy: "make room",
        look: free,
    },
    Check {
        name: "disk-noexec",
        area: "file systems",
        severity: Severity::Error,
        about: "Start scripts can be executed where the new homes will be.",
        remedy: "mount it without noexec, or name another new.home in the fleet file",
        look: noexec,
    },
    Check {
        name: "disk-network",
        area: "file systems",
        severity: Severity::Warning,
        about: "A home on a network file system may be shared by nodes, depends on root_squash, and is gone when the network is.",
        remedy: "use a local folder, or see that no other node writes there and that the agent's user may (root_squash)",
        look: network,
    },
    Check {
        name: "shared-home",
        area: "file systems",
        severity: Severity::Warning,
        about: "No two hosts put a new home into the same folder of one network file system.",
        remedy: "give each node a home of its own",
        look: shared,
    },
    Check {
        name: "selinux",
        area: "file systems",
        severity: Severity::Warning,
        about: "Where SELinux labels files, new ones get the labels that the policy gives their path.",
        remedy: "add a file context for the new home (semanage fcontext), as the old home has it",
        look: selinux,
    },
];

/// A value of each disk on which `wanted` says something, host by host.
fn each(seen: &Seen<'_>, looks: &mut Looks<'_>, key: &str, mut say: impl FnMut(&str, &str, &Value, &mut Looks<'_>)) {
    for (node, facts) in seen.nodes() {
        for disk in looks.see_list(&node.id, facts, "/disks").unwrap_or_default() {
            match disk.get(key).filter(|value| !value.is_null()) {
                Some(value) => say(node.host.as_str(), named(disk), value, looks),
                None => looks.unseen(&node.id, format!("facts.disks.{key}")),
            }
        }
    }
}

fn named(disk: &Value) -> &str {
    let text = |key: &str| disk.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("mount").or(text("path")).unwrap_or("a file system")
}

fn writable(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each(seen, looks, "read_only", |host, mount, value, looks| {
        looks.expect(value != &Value::Bool(true), host, || format!("{mount} is mounted read-only"));
    });
}

fn free(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each(seen, looks, "free_bytes", |host, mount, value, looks| {
        let bytes = value.as_u64().unwrap_or(0);
        looks.expect(bytes >= LITTLE, host, || format!("{mount} has only {} MiB free", bytes >> 20));
    });
}

fn noexec(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes() {
        let Some(noexec) = home_disk(node, facts).and_then(|disk| looks.see_truth(&node.id, disk, "/noexec")) else { continue };
        looks.expect(!noexec, &node.id, || "its new home will lie on a file system mounted with noexec".to_owned());
    }
}

/// The file system of the node's new home.
fn home_disk<'v>(node: &FleetNode, facts: &'v Value) -> Option<&'v Value> {
    let home = &node.new.as_ref()?.home;
    facts.get("disks")?.as_array()?.iter().find(|disk| disk.get("path").and_then(Value::as_str) == Some(home))
}

fn network(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each(seen, looks, "network", |host, mount, value, looks| {
        looks.expect(value != &Value::Bool(true), host, || format!("{mount} is a network file system"));
    });
}

/// New homes at one path, on network file systems of different hosts.
fn shared(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let mut homes: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (node, facts) in seen.nodes() {
        let Some(new) = &node.new else { continue };
        match home_disk(node, facts).and_then(|disk| looks.see_truth(&node.id, disk, "/network")) {
            Some(true) => homes.entry(&new.home).or_default().push((node.host.as_str(), node.id.as_str())),
            Some(false) => looks.ok(),
            None => {}
        }
    }
    for (home, nodes) in homes {
        let alone = nodes.iter().all(|(host, _)| nodes.first().is_some_and(|(first, _)| first == host));
        for (_, node) in nodes {
            looks.expect(alone, node, || format!("{home} lies on a network file system on several hosts: it may be one folder"));
        }
    }
}

fn selinux(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes().filter(|(node, _)| node.new.is_some()) {
        let Some(labels) = looks.see_truth(&node.id, facts, "/files/selinux") else { continue };
        looks.expect(!labels, &node.id, || "SELinux labels the files of the home".to_owned());
    }
}
