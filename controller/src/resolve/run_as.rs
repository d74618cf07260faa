//! As whom the servers, jobs and commands of a node run: never as root by accident (10, rule 14).

use cavalcade_common::action::Runtime;
use cavalcade_common::codes::plan as codes;
use cavalcade_common::plan::PlanStage;
use cavalcade_common::template::Reads;
use serde_json::Value;

use super::Readers;
use super::name::NodeNames;
use crate::fleet::FleetNode;

/// The user that only a person gives a server to.
const ROOT: &str = "root";

/// What the node runs with. Without a word of the fleet file it is the owner of the old home, unless that is root.
/// With the fact that was read for it.
pub(super) fn runtime(node: &FleetNode, facts: &Value) -> (Runtime, Reads) {
    let mut runtime = node.runtime.clone();
    let mut reads = Reads::new();
    if runtime.run_as.is_none()
        && let Some(owner) = facts.pointer("/old/owner")
    {
        runtime.run_as = owner.as_str().filter(|owner| *owner != ROOT).map(ToOwned::to_owned);
        reads.insert("facts.old.owner".to_owned(), owner.clone());
    }
    (runtime, reads)
}

/// Finds nodes on which something would start as root because the agent is root. Where the agent does not tell who it is, it
/// refuses by itself.
pub(super) fn check(nodes: &[NodeNames<'_>], stages: &[PlanStage], r: &mut Readers) {
    for names in nodes {
        let Some(facts) = names.scope.get("facts") else { continue };
        if facts.pointer("/host/agent_user").and_then(Value::as_str) != Some(ROOT) {
            continue;
        }
        let id = &names.node.id;
        let mut steps = stages.iter().flat_map(|stage| &stage.steps).filter(|step| step.key.node == *id);
        let unsaid = steps.find(|step| step.action.starts_with().is_some_and(|runtime| runtime.run_as.is_none()));
        let Some(step) = unsaid else { continue };
        let owner = match facts.pointer("/old/owner").and_then(Value::as_str) {
            Some(owner) => format!("its old home belongs to {owner}"),
            None => "it has no old home whose owner could be taken".to_owned(),
        };
        let message = format!(
            "`{id}` has no `run_as`, {owner}, and the agent of {} is root: `{}` would run as root",
            names.node.host, step.name
        );
        let help = "write `run_as` for it or in `defaults`; `run_as: root` where root is meant".to_owned();
        r.fleet.fault_with(codes::NO_RUN_AS, names.node.mark, message, Some(help));
    }
}
