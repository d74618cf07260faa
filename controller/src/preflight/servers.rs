//! Servers that run already where the new ones will be.

use cavalcade_common::finding::Severity;
use serde_json::Value;

use super::{Check, Looks, Seen};

pub(super) const CHECKS: &[Check] = &[Check {
    name: "new-user",
    area: "homes",
    severity: Severity::Error,
    about: "A server that runs from the new home already has the user of its node. Else its start is refused: the files \
            that it leaves would not be the next one's.",
    remedy: "stop that server and give its files to the node's user, or correct run_as in the fleet file",
    look: user,
}];

fn user(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes() {
        let Some(new) = &node.new else { continue };
        let owner = facts.pointer("/old/owner").and_then(Value::as_str).filter(|owner| *owner != "root");
        let Some(wanted) = node.runtime.run_as.as_deref().or(owner) else { continue };
        for process in looks.see_list(&node.id, facts, "/new/running").unwrap_or_default() {
            let Some(found) = looks.see_text(&node.id, process, "/user") else { continue };
            let pid = process.get("pid").map(ToString::to_string).unwrap_or_default();
            looks.expect(found == wanted, &node.id, || format!("process {pid} of {} runs as {found}, not as {wanted}", new.home));
        }
    }
}
