//! Homes: the old ones are what the fleet file says, the new ones are free.

use cavalcade_common::finding::Severity;
use serde_json::Value;

use super::{Check, Looks, Seen};
use crate::fleet::FleetNode;
use crate::view::document::Upgraded;
use crate::view::report::instant;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "old-home",
        area: "homes",
        severity: Severity::Error,
        about: "The old home of every node is there.",
        remedy: "correct old.home in the fleet file",
        look: old_home,
    },
    Check {
        name: "old-offset",
        area: "homes",
        severity: Severity::Error,
        about: "The port offset of the old server in its deployment.toml is the one of the fleet file.",
        remedy: "correct the offset in the fleet file",
        look: offset,
    },
    Check {
        name: "old-profile",
        area: "homes",
        severity: Severity::Error,
        about: "An old server that runs has the profile of the fleet file on its command line.",
        remedy: "correct old.profile in the fleet file",
        look: profile,
    },
    Check {
        name: "old-user",
        area: "homes",
        severity: Severity::Error,
        about: "Old servers run as the owner of their home, and the new ones will: a server that runs as another user leaves \
                files that its owner cannot change.",
        remedy: "stop that server and start it as the home's owner, or set run_as in the fleet file",
        look: user,
    },
    Check {
        name: "old-server",
        area: "homes",
        severity: Severity::Error,
        about: "What listens on the ports of an old server runs from a home of the fleet file. A server of another home would \
                neither be stopped nor upgraded.",
        remedy: "correct old.home or the offset in the fleet file",
        look: server,
    },
    Check {
        name: "old-running",
        area: "homes",
        severity: Severity::Warning,
        about: "A server runs from every old home: one that does not cannot show that the fleet file means the right home.",
        remedy: "see whether old.home is the home of the server that is in use; where it is meant to be down, let this pass",
        look: running,
    },
    Check {
        name: "old-driver-class",
        area: "homes",
        severity: Severity::Warning,
        about: "The JDBC driver classes of the old configuration are in a JAR of the old libraries. The new servers get the \
                driver of the fleet file, whose class the recipe looks for.",
        remedy: "find out where the old server has its driver from, and correct `driver` if nobody uses that database",
        look: driver,
    },
    Check {
        name: "new-home-free",
        area: "homes",
        severity: Severity::Error,
        about: "Nothing stands where the new home will be, unless Cavalcade has put it there.",
        remedy: "move it away, or name another new.home in the fleet file",
        look: new_home,
    },
    Check {
        name: UPGRADED_BEFORE,
        area: "homes",
        severity: Severity::Warning,
        about: "No finished run has made these new homes: a fleet that was upgraded already has nothing left to do here.",
        remedy: "see what that run did (cavalcade report) and how the fleet stands now (cavalcade verify); for another upgrade \
                 name other homes in the fleet file",
        look: upgraded_before,
    },
];

/// The check that finds a fleet whose upgrade a run has finished.
pub const UPGRADED_BEFORE: &str = "upgraded-before";

fn upgraded_before(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, side) in seen.input.fleet.nodes.iter().filter_map(|n| Some((n, n.new.as_ref()?))) {
        let made = seen.input.upgraded.iter().find(|u| u.host == node.host.as_str() && u.home == side.home);
        match made {
            None => looks.ok(),
            Some(Upgraded { run, at, .. }) => {
                looks.find(&node.id, format!("run {run} finished this upgrade on {}", instant(*at)))
            }
        }
    }
}

fn old_home(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes() {
        let Some(old) = &node.old else { continue };
        let Some(exists) = looks.see_truth(&node.id, facts, "/old/exists") else { continue };
        looks.expect(exists, &node.id, || format!("there is no {}", old.home));
    }
}

fn offset(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.old() {
        let Some(found) = looks.see(&node.id, facts, "/old/offset").and_then(Value::as_i64) else { continue };
        let wanted = node.old_offset;
        looks.expect(found == i64::from(wanted), &node.id, || {
            format!("its deployment.toml has the offset {found}, the fleet file {wanted}")
        });
    }
}

fn profile(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.old() {
        let Some(wanted) = node.old.as_ref().and_then(|old| old.profile.as_deref()) else { continue };
        for process in looks.see_list(&node.id, facts, "/old/running").unwrap_or_default() {
            let found = process.get("profile").and_then(Value::as_str).unwrap_or("default");
            looks.expect(found == wanted, &node.id, || {
                format!("the old server runs with the profile {found}, the fleet file says {wanted}")
            });
        }
    }
}

fn user(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.old() {
        let Some(owner) = looks.see_text(&node.id, facts, "/old/owner") else { continue };
        let wanted = node.runtime.run_as.as_deref().unwrap_or(owner);
        for process in looks.see_list(&node.id, facts, "/old/running").unwrap_or_default() {
            let Some(found) = looks.see_text(&node.id, process, "/user") else { continue };
            looks.expect(found == wanted, &node.id, || format!("the old server runs as {found}, not as {wanted}"));
        }
        looks.expect(owner == wanted, &node.id, || format!("the old home belongs to {owner}, not to {wanted}"));
    }
}

/// Homes of the fleet file on a node's host.
fn homes_beside<'f>(seen: &'f Seen<'_>, node: &FleetNode) -> Vec<&'f str> {
    let here = seen.input.fleet.nodes.iter().filter(|other| other.host == node.host);
    here.flat_map(|n| n.old.iter().chain(&n.new)).map(|side| side.home.as_str()).collect()
}

fn server(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.old() {
        let homes = homes_beside(seen, node);
        // The home may stand on the command line by another name of the same folder: then its process is known all the same.
        let running = facts.pointer("/old/running").and_then(Value::as_array).into_iter().flatten();
        let pids: Vec<&Value> = running.filter_map(|process| process.get("pid")).collect();
        for port in looks.see_list(&node.id, facts, "/old_ports").unwrap_or_default() {
            let Some(home) = port.get("home").and_then(Value::as_str) else { continue };
            let known = homes.contains(&home.trim_end_matches('/')) || port.get("pid").is_some_and(|pid| pids.contains(&pid));
            looks.expect(known, &node.id, || {
                let number = port.get("port").and_then(Value::as_u64).unwrap_or_default();
                format!("the server that listens on port {number} runs from {home}")
            });
        }
    }
}

fn running(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.old() {
        let Some(running) = looks.see_list(&node.id, facts, "/old/running") else { continue };
        looks.expect(!running.is_empty(), &node.id, || "no server runs from old.home".to_owned());
    }
}

fn driver(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.old() {
        let classes = looks.see(&node.id, facts, "/old/driver_classes").and_then(Value::as_object);
        for (class, jar) in classes.into_iter().flatten() {
            looks.expect(jar.is_string(), &node.id, || format!("no JAR of the old libraries holds {class}"));
        }
    }
}

fn new_home(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes() {
        let Some(new) = &node.new else { continue };
        let Some(exists) = looks.see_truth(&node.id, facts, "/new/exists") else { continue };
        let made = exists && looks.see_truth(&node.id, facts, "/new/made_by_us").unwrap_or(false);
        looks.expect(!exists || made, &node.id, || format!("{} is there already", new.home));
    }
}
