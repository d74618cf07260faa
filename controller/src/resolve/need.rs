//! What the words of `needs` stand for on each node, and what the recipe requires of the nodes.

use cavalcade_common::action::HttpCheck;
use cavalcade_common::codes::plan as codes;
use cavalcade_common::id::NodeId;
use cavalcade_common::plan::Need;
use cavalcade_common::template::{self, Reads};
use cavalcade_common::written::{FromNode, Reader};

use super::name::NodeNames;
use super::{Input, Readers};
use crate::recipe::NeedWritten;

/// Fills in the needs of every node.
pub(super) fn all(input: &Input<'_>, nodes: &mut [NodeNames<'_>], r: &mut Readers) {
    for (word, written) in &input.recipe.needs {
        let members: Vec<NodeId> = members(written, nodes, r);
        if r.count() > 0 {
            continue;
        }
        if written.ready {
            without_probe(nodes, &members, written, r);
        }
        for node in nodes.iter_mut() {
            r.recipe.node = Some(node.node.id.to_string());
            let need = if written.ready {
                let mut reads = Reads::new();
                let via = via(written, node, &mut reads, &mut r.recipe);
                node.read_for.push(("how other servers are seen from it", reads));
                via.map(|via| Need::Ready { nodes: members.clone(), via })
            } else {
                Some(Need::Down { nodes: members.clone() })
            };
            r.recipe.node = None;
            if let Some(need) = need {
                node.names.needs.insert(word.clone(), need);
            }
        }
    }
}

fn members(written: &NeedWritten, nodes: &mut [NodeNames<'_>], r: &mut Readers) -> Vec<NodeId> {
    let mut found = Vec::new();
    for node in nodes {
        r.recipe.node = Some(node.node.id.to_string());
        let verdict = written.nodes.decide(&node.scope, &mut r.recipe);
        r.recipe.node = None;
        let Some(verdict) = verdict else { continue };
        node.read_for.push(("which servers others wait for", verdict.reads));
        if verdict.holds {
            found.push(node.node.id.clone());
        }
    }
    found
}

fn without_probe(nodes: &[NodeNames<'_>], members: &[NodeId], written: &NeedWritten, r: &mut Readers) {
    for node in nodes.iter().filter(|n| members.contains(&n.node.id)) {
        let evidence = node.probe.as_ref().is_some_and(|p| p.ready.started.is_some() || !p.ready.http.is_empty());
        if !evidence {
            let message = format!("others need `{}` ready, and nothing says how its new server is seen ready", node.node.id);
            r.recipe.fault(codes::NO_PROBE, written.mark, message);
        }
    }
}

fn via(written: &NeedWritten, node: &NodeNames<'_>, reads: &mut Reads, r: &mut Reader) -> Option<Vec<HttpCheck>> {
    let Some(via) = &written.via else { return Some(Vec::new()) };
    let before = r.count();
    let filled = template::fill(via, &node.scope, reads, r);
    if r.count() > before { None } else { Vec::from_node(&filled, r) }
}

/// Checks what the recipe requires of the nodes.
pub(super) fn requirements(input: &Input<'_>, nodes: &mut [NodeNames<'_>], r: &mut Readers) {
    for requirement in &input.recipe.require {
        for node in nodes.iter_mut() {
            r.recipe.node = Some(node.node.id.to_string());
            let mut reads = Reads::new();
            requirement_on(requirement, node, &mut reads, &mut r.recipe);
            node.read_for.push(("what the recipe requires of it", reads));
            r.recipe.node = None;
        }
    }
}

fn requirement_on(requirement: &crate::recipe::Requirement, node: &NodeNames<'_>, reads: &mut Reads, r: &mut Reader) {
    if let Some(nodes) = &requirement.nodes {
        let Some(verdict) = nodes.decide(&node.scope, r) else { return };
        reads.extend(verdict.reads);
        if !verdict.holds {
            return;
        }
    }
    let Some(verdict) = requirement.that.decide(&node.scope, r) else { return };
    reads.extend(verdict.reads.clone());
    if verdict.holds {
        return;
    }
    let says = template::fill(&requirement.says, &node.scope, &mut Reads::new(), r);
    if let Some(says) = says.text() {
        let message = format!("`{}`: {says}", node.node.id);
        r.fault_with(codes::REQUIREMENT, requirement.that.mark(), message, Some(verdict.because()));
    }
}
