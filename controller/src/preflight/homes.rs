//! Homes: the old ones are what the fleet file says, the new ones are free.

use serde_json::Value;

use super::{Check, Input, Looks, with_facts};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "old-home",
        area: "homes",
        about: "The old home of every node is there.",
        remedy: "correct old.home in the fleet file",
        look: old_home,
    },
    Check {
        name: "old-offset",
        area: "homes",
        about: "The port offset of the old server in its deployment.toml is the one of the fleet file.",
        remedy: "correct the offset in the fleet file",
        look: offset,
    },
    Check {
        name: "old-profile",
        area: "homes",
        about: "An old server that runs has the profile of the fleet file on its command line.",
        remedy: "correct old.profile in the fleet file",
        look: profile,
    },
    Check {
        name: "old-user",
        area: "homes",
        about: "Old servers run as the owner of their home, and the new ones will: a server that runs as another user leaves \
                files that its owner cannot change.",
        remedy: "stop that server and start it as the home's owner, or set run_as in the fleet file",
        look: user,
    },
    Check {
        name: "new-home-free",
        area: "homes",
        about: "Nothing stands where the new home will be, unless Cavalcade has put it there.",
        remedy: "move it away, or name another new.home in the fleet file",
        look: new_home,
    },
];

fn old_home(input: &Input<'_>, looks: &mut Looks) {
    for (node, facts) in with_facts(input) {
        let Some(old) = &node.old else { continue };
        looks.expect(truth(facts, "/old/exists"), &node.id, || format!("there is no {}", old.home));
    }
}

fn offset(input: &Input<'_>, looks: &mut Looks) {
    for (node, facts) in with_facts(input).filter(|(node, _)| node.old.is_some()) {
        let Some(found) = facts.pointer("/old/offset").and_then(Value::as_i64) else { continue };
        let wanted = node.old_offset;
        looks.expect(found == i64::from(wanted), &node.id, || {
            format!("its deployment.toml has the offset {found}, the fleet file {wanted}")
        });
    }
}

fn profile(input: &Input<'_>, looks: &mut Looks) {
    for (node, facts) in with_facts(input) {
        let Some(wanted) = node.old.as_ref().and_then(|old| old.profile.as_deref()) else { continue };
        for process in running(facts) {
            let found = process.get("profile").and_then(Value::as_str).unwrap_or("default");
            looks.expect(found == wanted, &node.id, || {
                format!("the old server runs with the profile {found}, the fleet file says {wanted}")
            });
        }
    }
}

fn user(input: &Input<'_>, looks: &mut Looks) {
    for (node, facts) in with_facts(input) {
        let owner = facts.pointer("/old/owner").and_then(Value::as_str);
        let Some(wanted) = node.runtime.run_as.as_deref().or(owner) else { continue };
        for process in running(facts) {
            let Some(found) = process.get("user").and_then(Value::as_str) else { continue };
            looks.expect(found == wanted, &node.id, || format!("the old server runs as {found}, not as {wanted}"));
        }
        if let Some(owner) = owner {
            looks.expect(owner == wanted, &node.id, || format!("the old home belongs to {owner}, not to {wanted}"));
        }
    }
}

fn new_home(input: &Input<'_>, looks: &mut Looks) {
    for (node, facts) in with_facts(input) {
        let Some(new) = &node.new else { continue };
        let taken = truth(facts, "/new/exists") && !truth(facts, "/new/made_by_us");
        looks.expect(!taken, &node.id, || format!("{} is there already", new.home));
    }
}

fn running(facts: &Value) -> &[Value] {
    facts.pointer("/old/running").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn truth(facts: &Value, path: &str) -> bool {
    facts.pointer(path).and_then(Value::as_bool).unwrap_or(false)
}
