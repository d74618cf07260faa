//! What would start a server behind the plan's back: found, and known to be of a kind that can be switched off.

use cavalcade_common::finding::Severity;
use serde_json::Value;

use super::{Check, Looks, Seen};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "autostart",
        area: "machines",
        severity: Severity::Error,
        about: "From the stop of the old servers to the end of the run nobody else may start them. Units, cron and init \
                entries are disabled by the plan and recorded; a supervisor or a configuration management must be stopped by \
                a person.",
        remedy: "switch it off for this host until the run is done, then let this pass with --waive",
        look: autostart,
    },
    Check {
        name: "autostart-unseen",
        area: "machines",
        severity: Severity::Warning,
        about: "The agent may read every place from which a server could be started. What it cannot read it cannot switch off.",
        remedy: "look into that place yourself, or run the agent as root",
        look: unseen,
    },
];

fn unseen(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes() {
        if let Some(places) = looks.see_list(&node.id, facts, "/autostart_unseen") {
            let named: Vec<&str> = places.iter().filter_map(Value::as_str).collect();
            looks.expect(named.is_empty(), &node.id, || format!("could not be read: {}", named.join("; ")));
        }
    }
}

fn autostart(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes() {
        let sides = [("/old/autostart", node.old.is_some()), ("/new/autostart", node.new.is_some())];
        for (path, _) in sides.into_iter().filter(|(_, there)| *there) {
            for entry in looks.see_list(&node.id, facts, path).unwrap_or_default() {
                let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or("?");
                let enabled = entry.get("enabled") != Some(&Value::Bool(false));
                // What the action `autostart` switches off says nothing of a person.
                let person = entry.get("person").is_some_and(Value::is_string);
                looks.expect(!(enabled && person), &node.id, || {
                    format!("{} would start it ({}): {}", text("kind"), text("file"), text("person"))
                });
            }
        }
    }
}
