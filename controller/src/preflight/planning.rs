//! Planning: artifacts are what was pinned, and a plan can be made: versions as the recipe expects, room, order.

use cavalcade_common::finding::Severity;

use super::{Check, Looks, Seen};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "artifacts",
        area: "plan",
        severity: Severity::Error,
        about: "Every artifact of the fleet file can be read and has the digest that the file pins.",
        remedy: "correct the file or its sha256 in the fleet file",
        look: artifacts,
    },
    Check {
        name: "artifact-pinned",
        area: "plan",
        severity: Severity::Warning,
        about: "The fleet file pins the digest of every artifact: without it a plan takes whatever lies there.",
        remedy: "write the sha256 that the vendor publishes into the fleet file",
        look: pinned,
    },
    Check {
        name: "plan",
        area: "plan",
        severity: Severity::Error,
        about: "A plan can be made of the fleet, its recipe and the facts: versions are those that the recipe expects, the \
                room on the file systems is enough, every condition can be decided.",
        remedy: "see `cavalcade explain` for the code",
        look: plan,
    },
];

fn artifacts(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    match seen.input.artifacts {
        Ok(pinned) => (0..pinned.len()).for_each(|_| looks.ok()),
        Err(faults) => {
            for fault in &faults.0 {
                looks.note(None, fault.message.clone(), fault.help.clone());
            }
        }
    }
}

fn pinned(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let all = &seen.input.fleet.artifacts;
    let without: Vec<&str> = all.iter().filter(|(_, a)| a.sha256.is_none()).map(|(name, _)| name.as_str()).collect();
    (without.len()..all.len()).for_each(|_| looks.ok());
    if !without.is_empty() {
        looks.note(None, format!("no sha256 is pinned for {}", without.join(", ")), None);
    }
}

fn plan(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    match seen.input.planned {
        None => {}
        Some(Ok(plan)) => (0..plan.nodes.len()).for_each(|_| looks.ok()),
        Some(Err(faults)) => {
            for fault in &faults.0 {
                let remedy = fault.help.clone().unwrap_or_else(|| format!("cavalcade explain {}", fault.code));
                looks.note(fault.node.clone(), format!("{}: {}", fault.code, fault.message), Some(remedy));
            }
        }
    }
}
