//! The servers' own account: it logs in from every node that will use it, and the migration clients may work with it.

use std::collections::BTreeSet;

use cavalcade_common::action::{Action, Job};
use cavalcade_common::finding::Severity;
use cavalcade_common::id::NodeId;
use cavalcade_common::secret::{SecretRef, markers};
use serde_json::Value;

use super::{Check, Looks, Seen};
use crate::fleet::{Database, FleetNode};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "server-login",
        area: "databases",
        severity: Severity::Error,
        about: "The servers' account of each database logs in from every node that will have a new server, at the address that \
                the server will use. An account may be allowed from some hosts only.",
        remedy: "correct the account of `server`, its secret on that host or the host that it is allowed from, or let the \
                 firewall pass it",
        look: login,
    },
    Check {
        name: "server-rights",
        area: "databases",
        severity: Severity::Error,
        about: "Migration clients work on the schema with the servers' account, not with the one for scripts: on the nodes that \
                run them it may create, change, index, fill and drop tables of their databases; on PostgreSQL also use those that the account \
                for scripts makes. Without a plan every node is looked at.",
        remedy: "grant what is missing to the account of `server`, for the host that the migration client runs on; it can be \
                 taken back when the run is over",
        look: rights,
    },
];

/// Each login that a node with a new server will need, with what became of it there.
fn each(seen: &Seen<'_>, looks: &mut Looks<'_>, mut say: impl FnMut(&str, &FleetNode, &Value, &mut Looks<'_>)) {
    for (node, facts) in seen.nodes().filter(|(node, _)| node.new.is_some()) {
        for (name, database) in &seen.input.fleet.databases {
            if database.server.is_none() {
                continue;
            }
            match facts.pointer(&format!("/logins/{name}")) {
                Some(found) => say(name, node, found, looks),
                None => looks.unseen(&node.id, unasked(seen, name, database)),
            }
        }
    }
}

/// What to say where nobody tried.
fn unasked(seen: &Seen<'_>, name: &str, database: &Database) -> String {
    let password = database.server.as_ref().map_or("", |server| &server.password);
    let brought = |secret: &&str| seen.input.fleet.secrets.get(*secret).is_some_and(SecretRef::is_brought);
    match markers(password).into_iter().find(brought) {
        Some(secret) => format!("the servers' login at {name}: only the controller will have the secret {secret}"),
        None if database.as_servers().is_none() => format!("the servers' login at {name}: the fleet file names no host for it"),
        None => format!("facts.logins.{name}"),
    }
}

fn login(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each(seen, looks, |name, node, found, looks| {
        let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or("?");
        match found.get("reached").and_then(Value::as_bool) {
            Some(reached) => looks.expect(reached, &node.id, || {
                format!("{} cannot log in at {} ({name}): {}", text("user"), text("at"), text("problem"))
            }),
            None => looks.unseen(&node.id, format!("the servers' login at {name}: {}", text("problem"))),
        }
    });
}

/// The nodes that run a migration client on a database, as the plan has them; `None` without a plan.
fn migrating<'p>(seen: &Seen<'p>, name: &str) -> Option<BTreeSet<&'p NodeId>> {
    let plan = seen.input.planned?.as_ref().ok()?;
    // A client that names no database may change any.
    let changes = |job: &Job| job.databases.is_empty() || job.databases.iter().any(|database| database == name);
    let works = |action: &Action| matches!(action, Action::Job(job) if changes(job));
    Some(plan.steps().filter(|(_, step)| works(&step.action)).map(|(_, step)| &step.key.node).collect())
}

fn rights(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each(seen, looks, |name, node, found, looks| {
        let concerned = migrating(seen, name).is_none_or(|nodes| nodes.contains(&node.id));
        // What cannot log in has a finding of its own.
        if !concerned || found.get("reached").and_then(Value::as_bool) != Some(true) {
            return;
        }
        let rights = found.get("rights").and_then(Value::as_object).filter(|rights| !rights.is_empty());
        let Some(rights) = rights else { return looks.unseen(&node.id, format!("facts.logins.{name}.rights")) };
        let user = found.get("user").and_then(Value::as_str).unwrap_or("?");
        let mut missing = Vec::new();
        for (right, may) in rights {
            match may.as_bool() {
                Some(true) => {}
                Some(false) => {
                    let why = found.pointer(&format!("/refused/{right}")).and_then(Value::as_str);
                    missing.push(why.map_or_else(|| right.clone(), |why| format!("{right} ({why})")));
                }
                None => looks.unseen(&node.id, format!("facts.logins.{name}.rights.{right}")),
            }
        }
        looks.expect(missing.is_empty(), &node.id, || {
            format!("on {name} the servers' account {user} may not: {}", missing.join(", "))
        });
    });
}
