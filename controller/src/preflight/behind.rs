//! The facts behind findings: `apply` looks again at those of a finding that a person lets pass. A waiver is for what was
//! found, not for whatever stands there later.

use std::collections::BTreeSet;

use cavalcade_common::facts::at_rest;
use cavalcade_common::finding::{Finding, Severity};
use cavalcade_common::id::NodeId;
use cavalcade_common::plan::{Decided, FINDING_OF};
use cavalcade_common::template::Reads;

use super::Seen;
use crate::fleet::FleetNode;
use crate::resolve;

/// What the checks that are code look at, as dotted paths. Those that are not here look at no fact of one node: at the
/// controller's own knowledge, at files, at the plan. Checks of a recipe tell it themselves.
const FACTS: &[(&str, &[&str])] = &[
    ("facts-readable", &["problems"]),
    ("old-home", &["old.exists"]),
    ("old-offset", &["old.offset"]),
    ("old-profile", &["old.running"]),
    ("old-user", &["old.owner", "old.running"]),
    ("old-server", &["old_ports", "old.running"]),
    ("old-running", &["old.running"]),
    ("new-user", &["new.running"]),
    ("old-driver-class", &["old.driver_classes"]),
    ("new-home-free", &["new.exists", "new.made_by_us"]),
    ("java-home", &["java.home", "java.version"]),
    ("keytool", &["java.keytool"]),
    ("tmp-noexec", &["tmp_noexec"]),
    ("disk-writable", &["disks"]),
    ("disk-free", &["disks", "state_disk"]),
    ("disk-noexec", &["disks"]),
    ("disk-network", &["disks"]),
    ("selinux", &["files.selinux"]),
    ("port-free", &["ports"]),
    ("peer-reached", &["reach"]),
    ("peer-certificate-name", &["reach"]),
    ("peer-certificate-time", &["reach"]),
    ("peer-certificate-trusted", &["reach"]),
    ("server-login", &["logins"]),
    ("server-rights", &["logins"]),
    ("autostart-unseen", &["autostart_unseen"]),
    ("autostart", &["old.autostart", "new.autostart"]),
    ("keystores-readable", &["old.keystores"]),
    ("weak-key", &["old.keystores"]),
    ("certificate-expired", &["old.keystores"]),
];

/// Whether a check of this name looks at the facts of databases.
fn of_databases(check: &str) -> bool {
    check.starts_with("database-")
}

/// The facts behind the findings of a check that is code.
pub(super) fn of_code(check: &str, findings: &[Finding], seen: &Seen<'_>) -> Vec<Decided> {
    let paths = FACTS.iter().find(|(name, _)| *name == check).map_or(&[][..], |(_, paths)| *paths);
    let paths: Vec<&str> = if of_databases(check) { vec!["databases"] } else { paths.to_vec() };
    let mut behind = Vec::new();
    for node in on(findings, seen) {
        behind.extend(paths.iter().filter_map(|path| told(check, node.as_str(), path, seen)));
    }
    behind
}

/// The facts behind the findings of a check of the recipe: what its condition read, where it found something.
pub(super) fn of_recipe(check: &str, read: &[(String, Reads)], seen: &Seen<'_>) -> Vec<Decided> {
    let mut behind = Vec::new();
    for (name, reads) in read {
        let Some(node) = seen.input.fleet.nodes.iter().find(|n| n.id.as_str() == name) else { continue };
        let facts = resolve::facts_behind(&seen.wanted(), node, reads).into_iter().filter(|d| !d.answered);
        behind.extend(facts.filter_map(|d| told(check, d.node.as_str(), d.path.strip_prefix("facts.")?, seen)));
    }
    behind
}

/// The nodes of findings, or of the hosts that they name. What nobody looked at decided nothing.
fn on<'s>(findings: &[Finding], seen: &Seen<'s>) -> BTreeSet<&'s NodeId> {
    let found = findings.iter().filter(|f| f.severity != Severity::Unseen);
    let names: BTreeSet<&str> = found.flat_map(|f| f.nodes.iter().map(String::as_str)).collect();
    let meant = |n: &&FleetNode| names.contains(n.id.as_str()) || names.contains(n.host.as_str());
    seen.input.fleet.nodes.iter().filter(meant).map(|n| &n.id).collect()
}

/// A fact as the agent told it, at rest. What an answer of the fleet file says is no fact.
fn told(check: &str, node: &str, path: &str, seen: &Seen<'_>) -> Option<Decided> {
    let (node, facts) = seen.input.facts.get_key_value(&NodeId::new(node).ok()?)?;
    let value = path.split('.').try_fold(&facts.value, |value, key| value.get(key))?;
    let decides = vec![format!("{FINDING_OF}{check}")];
    Some(Decided { node: node.clone(), path: format!("facts.{path}"), value: at_rest(value), answered: false, decides })
}
