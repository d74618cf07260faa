//! Planning: artifacts are what was pinned, and a plan can be made: versions as the recipe expects, room, order.

use super::{Check, Input, Looks, Severity};
use crate::resolve::{self, resolve};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "artifacts",
        area: "plan",
        about: "Every artifact of the fleet file can be read and has the digest that the file pins.",
        remedy: "correct the file or its sha256 in the fleet file",
        look: artifacts,
    },
    Check {
        name: "plan",
        area: "plan",
        about: "A plan can be made of the fleet, its recipe and the facts: versions are those that the recipe expects, the \
                room on the file systems is enough, every condition can be decided.",
        remedy: "see `cavalcade explain` for the code",
        look: plan,
    },
];

fn artifacts(input: &Input<'_>, looks: &mut Looks) {
    match input.artifacts {
        Ok(pinned) => looks.ok += pinned.len(),
        Err(faults) => {
            looks.found.extend(faults.0.iter().map(|f| (Severity::Error, None, f.message.clone(), f.help.clone())));
        }
    }
}

/// Makes a plan where all that it needs is there; what is missing has a finding of its own.
fn plan(input: &Input<'_>, looks: &mut Looks) {
    let Ok(artifacts) = input.artifacts else { return };
    if input.fleet.nodes.iter().any(|node| !input.facts.contains_key(&node.id)) {
        return;
    }
    let wanted = resolve::Input {
        fleet: input.fleet,
        recipe: input.recipe,
        facts: input.facts,
        asked: input.asked,
        shipped: input.shipped,
        artifacts,
        plan_id: "check",
        made_by: "check",
        now: input.now,
    };
    match resolve(&wanted) {
        Ok(plan) => looks.ok += plan.nodes.len(),
        Err(faults) => {
            for fault in faults.0 {
                let remedy = fault.help.clone().unwrap_or_else(|| format!("cavalcade explain {}", fault.code));
                looks.found.push((Severity::Error, fault.node, format!("{}: {}", fault.code, fault.message), Some(remedy)));
            }
        }
    }
}
