//! Agents: enrolled, connected, of this version, with a right clock, able to read what they must.

use std::collections::BTreeSet;

use cavalcade_common::error::Fault;
use cavalcade_common::finding::Severity;

use super::{Check, Input, Looks, Seen};
use crate::view::document::HostStatus;

/// A clock that differs by more is worth a word, in milliseconds.
const SKEW: u64 = 2_000;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "agent-enrolled",
        area: "agents",
        severity: Severity::Error,
        about: "Every host of the fleet has an agent that was enrolled with this controller and has connected once.",
        remedy: "cavalcade token create --host HOST, then cavalcade-agent enroll on that host",
        look: enrolled,
    },
    Check {
        name: "agent-connected",
        area: "agents",
        severity: Severity::Error,
        about: "The agent of every host is connected now and answers.",
        remedy: "start cavalcade-agent there, and see whether it reaches the controller's port for agents",
        look: connected,
    },
    Check {
        name: "agent-version",
        area: "agents",
        severity: Severity::Warning,
        about: "The agents have the version of the controller. Others work as far as the link's protocol allows.",
        remedy: "install the controller's version of cavalcade-agent; a restart of the agent leaves servers and jobs alone",
        look: version,
    },
    Check {
        name: "agent-clock",
        area: "agents",
        severity: Severity::Warning,
        about: "The clocks of controller and hosts agree. No promise rests on them, but logs and reports show them.",
        remedy: "let the host's clock be set by NTP",
        look: clock,
    },
    Check {
        name: "facts-readable",
        area: "agents",
        severity: Severity::Warning,
        about: "The agent can read and understand every file that facts come from. What the plan itself needs and cannot \
                know keeps it from being made.",
        remedy: "let the agent read the file (it runs as root, or as the owner of the home), or correct the file",
        look: readable,
    },
];

fn hosts<'a>(input: &Input<'a>) -> impl Iterator<Item = (&'a str, Option<&'a HostStatus>)> {
    let names: BTreeSet<&str> = input.fleet.nodes.iter().map(|n| n.host.as_str()).collect();
    let known = input.hosts.unwrap_or_default();
    let asked = input.hosts.is_some();
    names.into_iter().filter(move |_| asked).map(move |name| (name, known.iter().find(|h| h.host == name)))
}

fn enrolled(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (host, known) in hosts(&seen.input) {
        looks.expect(known.is_some(), host, || "no agent of this host has ever connected".to_owned());
    }
}

fn connected(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let input = &seen.input;
    for (host, known) in hosts(input).filter_map(|(host, known)| Some((host, known?))) {
        let silent = input.unanswered.iter().find(|fault| fault.node.as_deref() == Some(host));
        match silent {
            Some(fault) if known.connected => looks.find(host, fault.message.clone()),
            _ => looks.expect(known.connected, host, || "its agent is not connected".to_owned()),
        }
    }
}

fn version(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let own = env!("CARGO_PKG_VERSION");
    for (host, known) in hosts(&seen.input).filter_map(|(host, known)| Some((host, known.filter(|k| k.connected)?))) {
        looks.expect(known.program == own, host, || format!("the agent has version {}, the controller {own}", known.program));
    }
}

fn clock(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (host, known) in hosts(&seen.input).filter_map(|(host, known)| Some((host, known.filter(|k| k.connected)?))) {
        looks.expect(known.skew_millis.unsigned_abs() <= SKEW, host, || {
            format!("the clock differs by {:+} ms from the controller's", known.skew_millis)
        });
    }
}

fn readable(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes() {
        let problems = facts.get("problems").cloned().unwrap_or_default();
        let problems: Vec<Fault> = serde_json::from_value(problems).unwrap_or_default();
        if problems.is_empty() {
            looks.ok();
        }
        for problem in problems {
            looks.find(&node.id, problem.message);
        }
    }
}
