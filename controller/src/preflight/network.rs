//! Network: ports that the new servers listen on, and the servers that a node must reach with TLS.

use std::collections::BTreeMap;

use cavalcade_common::finding::Severity;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Check, Looks, Seen};
use crate::fleet::FleetNode;

/// A certificate that expires sooner is worth a word.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "port-free",
        area: "network",
        severity: Severity::Error,
        about: "Nobody but servers of this fleet listens on the ports of the new servers.",
        remedy: "stop what listens there, or give the node another offset",
        look: ports,
    },
    Check {
        name: "ports-apart",
        area: "network",
        severity: Severity::Error,
        about: "No two new servers of one host want the same port: servers bind all interfaces, and the ports of a kind lie so \
                that offsets which differ can still meet. Ports that a profile leaves closed count too.",
        remedy: "give one of the nodes another offset; where its profile opens no such port, let this pass",
        look: apart,
    },
    Check {
        name: "peer-reached",
        area: "network",
        severity: Severity::Warning,
        about: "Every node reaches the https port of every other old server, as the new ones must reach each other.",
        remedy: "let the firewall pass it; where that server is meant to be down, let this pass",
        look: reached,
    },
    Check {
        name: "peer-certificate-name",
        area: "network",
        severity: Severity::Warning,
        about: "The certificate of each peer names the address under which others call it. Else new servers stop with \
                `doesn't match any of the subject alternative names`.",
        remedy: "issue a certificate with that name, or correct the node's `address`",
        look: names,
    },
    Check {
        name: "peer-certificate-time",
        area: "network",
        severity: Severity::Warning,
        about: "The certificates of peers are valid, and for 30 days more.",
        remedy: "renew the certificate before the upgrade, and import it where it is trusted",
        look: times,
    },
    Check {
        name: "peer-certificate-trusted",
        area: "network",
        severity: Severity::Warning,
        about: "The certificate of each peer leads to one in the node's trust store. Else new servers stop with `PKIX path \
                building failed`. Names and keys are compared; a signature that is wrong is not seen.",
        remedy: "import the peer's certificate, or that of its authority, into the trust store of the old home, from which the new \
                 one gets it; where this node never calls that peer, let this pass",
        look: trusted,
    },
];

fn ports(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes().filter(|(node, _)| node.new.is_some()) {
        let here = || seen.input.fleet.nodes.iter().filter(|other| other.host == node.host);
        let homes: Vec<&str> = here().flat_map(|n| n.old.iter().chain(&n.new)).map(|side| side.home.as_str()).collect();
        for port in looks.see_list(&node.id, facts, "/ports").unwrap_or_default() {
            let (Some(number), Some(free)) = (port.get("port"), looks.see_truth(&node.id, port, "/free")) else { continue };
            let holder = port.get("home").and_then(Value::as_str);
            let ours = holder.is_some_and(|home| homes.contains(&home));
            let who = match (holder, port.get("pid").and_then(Value::as_i64)) {
                (Some(home), Some(pid)) => {
                    let user = port.get("user").and_then(Value::as_str).map(|user| format!(" of {user}"));
                    format!("the server of {home} (process {pid}{})", user.unwrap_or_default())
                }
                (Some(home), None) => format!("the server of {home}"),
                (None, Some(pid)) => format!("the process {pid}"),
                (None, None) => "a process that the agent cannot see".to_owned(),
            };
            looks.expect(free || ours, &node.id, || format!("{who} listens on port {number}"));
        }
    }
}

fn apart(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let new: Vec<&FleetNode> = seen.input.fleet.nodes.iter().filter(|node| node.new.is_some()).collect();
    let ports = |node: &FleetNode| -> BTreeMap<u16, &str> {
        let base = seen.input.recipe.ports.get(&node.role).into_iter().flatten();
        base.filter_map(|(name, port)| Some((port.checked_add(node.offset)?, name.as_str()))).collect()
    };
    for (at, node) in new.iter().enumerate() {
        let own = ports(node);
        // Equal offsets are refused with the fleet file.
        let beside = new[at + 1..].iter().filter(|other| other.host == node.host && other.offset != node.offset);
        for other in beside {
            let others = ports(other);
            let shared: Vec<String> = own
                .iter()
                .filter_map(|(port, name)| Some(format!("{port} ({name} of {}, {} of {})", node.id, others.get(port)?, other.id)))
                .collect();
            if shared.is_empty() {
                looks.ok();
            }
            for port in shared {
                [node, other]
                    .into_iter()
                    .for_each(|n| looks.find(&n.id, format!("two new servers of one host want the port {port}")));
            }
        }
    }
}

/// Each peer of each node that answered, with its address.
fn peers(seen: &Seen<'_>, looks: &mut Looks<'_>, mut say: impl FnMut(&str, &str, &Value, &mut Looks<'_>)) {
    for (node, facts) in seen.nodes() {
        for peer in looks.see_list(&node.id, facts, "/reach").unwrap_or_default() {
            let address = peer.get("address").and_then(Value::as_str).unwrap_or("a peer");
            say(node.id.as_str(), address, peer, looks);
        }
    }
}

fn reached(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    peers(seen, looks, |node, address, peer, looks| {
        let Some(connected) = looks.see_truth(node, peer, "/connected") else { return };
        let problem = peer.get("problem").and_then(Value::as_str);
        let how = if connected { "answers, but not with TLS" } else { "cannot be reached" };
        looks.expect(connected && problem.is_none(), node, || {
            format!("{address} {how}: {}", problem.unwrap_or("no reason is known"))
        });
    });
}

/// Whether a handshake showed a certificate.
fn shown(peer: &Value) -> bool {
    peer.get("names").and_then(Value::as_array).is_some_and(|names| !names.is_empty())
}

fn names(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    peers(seen, looks, |node, address, peer, looks| {
        if !shown(peer) {
            return;
        }
        let Some(matches) = looks.see_truth(node, peer, "/matches") else { return };
        let names = peer.get("names").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<&str> = names.take(6).collect();
        looks.expect(matches, node, || format!("the certificate of {address} names {}", names.join(", ")));
    });
}

fn times(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let now = seen.input.now;
    peers(seen, looks, |node, address, peer, looks| {
        if !shown(peer) {
            return;
        }
        let expires = looks.see_text(node, peer, "/expires").and_then(|text| text.parse::<Timestamp>().ok());
        let Some(expires) = expires else { return };
        looks.expect(expires.duration_since(now) > SOON, node, || format!("the certificate of {address} expires at {expires}"));
    });
}

fn trusted(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    peers(seen, looks, |node, address, peer, looks| {
        if !shown(peer) {
            return;
        }
        let Some(trusted) = looks.see_truth(node, peer, "/trusted") else { return };
        looks.expect(trusted, node, || format!("nothing in its trust store leads to the certificate of {address}"));
    });
}
