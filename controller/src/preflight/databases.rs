//! Databases as the steps will use them: reached from where they are worked on, with the rights that a script needs, and
//! nobody else in them.

use std::collections::BTreeSet;

use cavalcade_common::action::{DbTarget, Engine};
use cavalcade_common::finding::Severity;
use serde_json::Value;

use super::{Check, Looks, Seen};
use crate::fleet::{Database, FleetNode, JdbcAddress};

const AREA: &str = "databases";

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "database-reached",
        area: AREA,
        severity: Severity::Error,
        about: "Every database is reached, with the account for its steps, from the node where they will run.",
        remedy: "correct host, port, account or secret in the fleet file, or let the firewall pass it",
        look: reached,
    },
    Check {
        name: "database-engine",
        area: AREA,
        severity: Severity::Error,
        about: "The server is of the engine that the fleet file says.",
        remedy: "correct the engine in the fleet file",
        look: engine,
    },
    Check {
        name: "database-rights",
        area: AREA,
        severity: Severity::Error,
        about: "The account may do what the scripts will do. It is tried in the scratch database: a table is created, \
                altered, indexed and dropped; the named lock is taken; the account sees its own sessions.",
        remedy: "grant what is missing to the account of `admin`",
        look: rights,
    },
    Check {
        name: "database-scratch",
        area: AREA,
        severity: Severity::Error,
        about: "The scratch database of each database is there and empty: a backup is proved in it, while the servers are down. \
                What an interrupted proof of ours left in it counts as empty.",
        remedy: "create it, empty, for the account of `admin`, or name another `scratch`; nothing of others may be in it",
        look: scratch,
    },
    Check {
        name: "database-told",
        area: AREA,
        severity: Severity::Warning,
        about: "Everything that is asked of a database can be found out: what is not known cannot be checked.",
        remedy: "see what the server says; mostly a right to look is missing to the account of `admin`",
        look: told,
    },
    Check {
        name: "database-sees-others",
        area: AREA,
        severity: Severity::Warning,
        about: "The account sees sessions of others and may lock the servers' accounts: without that nobody can prove that \
                a database is at rest, and a restore cannot keep the servers out.",
        remedy: "grant PROCESS and the right to alter accounts (MySQL, MariaDB), or pg_monitor and CREATEROLE (PostgreSQL)",
        look: sees_others,
    },
    Check {
        name: "database-accounts-apart",
        area: AREA,
        severity: Severity::Warning,
        about: "The account for DDL is not that of the servers. Else sessions of the two could not be told apart, and what keeps \
                the servers out during a restore would keep the restore out.",
        remedy: "give the database an `admin` of its own in the fleet file",
        look: accounts_apart,
    },
    Check {
        name: "database-login",
        area: AREA,
        severity: Severity::Error,
        about: "An account with one of MySQL's SHA-2 plugins logs in over TLS only: without it the login works by chance, \
                as long as the server has its password in a cache.",
        remedy: "set `tls: true` and `ca` for the database in the fleet file",
        look: login,
    },
    Check {
        name: "database-dump-client",
        area: AREA,
        severity: Severity::Error,
        about: "The dump client is there and not older than the server: an older one leaves out what it does not know.",
        remedy: "install the server's client programs on the node, or name their folder in `client_bin`",
        look: dump_client,
    },
    Check {
        name: "database-address",
        area: AREA,
        severity: Severity::Warning,
        about: "The old servers' JDBC URLs, and the `jdbc_url` that new servers get instead, lead to the database that the fleet \
                file names: scripts and servers work on one database.",
        remedy: "correct host, port or name in the fleet file; where both name one server, let this pass",
        look: address,
    },
    Check {
        name: "database-sessions",
        area: AREA,
        severity: Severity::Warning,
        about: "Nobody but the servers is in the databases: other sessions can hold locks, and must be gone at the downtime.",
        remedy: "find out whose sessions these are, and have them closed before the downtime",
        look: sessions,
    },
    Check {
        name: "database-long-transactions",
        area: AREA,
        severity: Severity::Warning,
        about: "No transaction stands open for long: DDL would wait behind it.",
        remedy: "find its session and have it ended before the downtime",
        look: long_transactions,
    },
];

/// Each database with the node that it is worked on from, and what is known of it there.
pub(super) fn each(
    seen: &Seen<'_>,
    looks: &mut Looks<'_>,
    mut say: impl FnMut(&str, &Database, &FleetNode, &Value, &mut Looks<'_>),
) {
    for (name, database) in &seen.input.fleet.databases {
        let Some((node, facts)) = seen.nodes().find(|(node, _)| node.id == database.from) else { continue };
        let Some(found) = looks.see(&node.id, facts, &format!("/databases/{name}")) else { continue };
        say(name, database, node, found, looks);
    }
}

/// The same, without those that could not be reached: they have a finding of their own.
pub(super) fn each_reached(
    seen: &Seen<'_>,
    looks: &mut Looks<'_>,
    mut say: impl FnMut(&str, &Database, &str, &Value, &mut Looks<'_>),
) {
    each(seen, looks, |name, database, node, found, looks| {
        if found.get("reachable") != Some(&Value::Bool(false)) {
            say(name, database, node.id.as_str(), found, looks);
        }
    });
}

fn reached(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each(seen, looks, |name, _, node, found, looks| {
        let Some(reached) = see(looks, node.id.as_str(), name, found, "reachable").and_then(Value::as_bool) else { return };
        let problem = match found.get("problem") {
            Some(Value::String(text)) => text.as_str(),
            Some(fault) => fault.get("message").and_then(Value::as_str).unwrap_or("no reason is known"),
            None => "no reason is known",
        };
        looks.expect(reached, &node.id, || format!("{name} cannot be reached: {problem}"));
    });
}

fn accounts_apart(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, database, node, _, looks| {
        let same = database.server.as_ref().is_some_and(|server| server.user == database.target.user);
        looks.expect(!same, node, || format!("{name} has one account for scripts and servers, {}", database.target.user));
    });
}

/// A fact of a database; a missing one is noted.
pub(super) fn see<'v>(looks: &mut Looks<'_>, node: &str, name: &str, found: &'v Value, key: &str) -> Option<&'v Value> {
    let value = found.get(key).filter(|value| !value.is_null());
    if value.is_none() {
        looks.unseen(node, format!("facts.databases.{name}.{key}"));
    }
    value
}

/// The engine in the words of the fleet file, MariaDB being one of MySQL's kind.
fn word(engine: Engine) -> &'static str {
    match engine {
        Engine::Mysql => "mysql or mariadb",
        Engine::Postgresql => "postgresql",
    }
}

fn engine(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, database, node, found, looks| {
        let Some(engine) = see(looks, node, name, found, "engine").and_then(Value::as_str) else { return };
        let wanted = word(database.target.engine);
        let same = wanted.split(" or ").any(|word| word == engine);
        looks.expect(same, node, || format!("{name} is on {engine}, the fleet file says {wanted}"));
    });
}

/// Rights that only proofs and restores need.
const FURTHER: [&str; 2] = ["foreign_sessions", "lock_accounts"];

fn rights(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    missing(seen, looks, |right| !FURTHER.contains(&right));
}

fn sees_others(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    missing(seen, looks, |right| FURTHER.contains(&right));
}

fn missing(seen: &Seen<'_>, looks: &mut Looks<'_>, of: impl Fn(&str) -> bool) {
    each_reached(seen, looks, |name, _, node, found, looks| {
        let Some(rights) = see(looks, node, name, found, "rights").and_then(Value::as_object) else { return };
        let mut missing: Vec<String> = Vec::new();
        for (right, may) in rights.iter().filter(|(right, _)| of(right)) {
            let why = found.pointer(&format!("/refused/{right}")).and_then(Value::as_str);
            match (may.as_bool(), why) {
                (Some(true), _) => {}
                (Some(false), Some(why)) => missing.push(format!("{right} ({why})")),
                (Some(false), None) => missing.push(right.clone()),
                (None, _) => looks.unseen(node, format!("facts.databases.{name}.rights.{right}")),
            }
        }
        looks.expect(missing.is_empty(), node, || format!("on {name} the account may not: {}", missing.join(", ")));
    });
}

fn login(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, database, node, found, looks| {
        if database.target.engine != Engine::Mysql {
            return;
        }
        let plugin = see(looks, node, name, found, "login_plugin").and_then(Value::as_str);
        let tls = see(looks, node, name, found, "tls").and_then(Value::as_bool);
        let (Some(plugin), Some(tls)) = (plugin, tls) else { return };
        looks.expect(tls || !plugin.contains("sha2"), node, || format!("the account of {name} uses {plugin}, without TLS"));
    });
}

/// The leading number of a version.
fn major(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?.parse().ok()
}

fn dump_client(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, _, node, found, looks| {
        let Some(client) = found.get("dump_client") else {
            looks.unseen(node, format!("facts.databases.{name}.dump_client"));
            return;
        };
        let Some(path) = client.get("path").and_then(Value::as_str) else {
            looks.find(node, format!("there is no dump client for {name}"));
            return;
        };
        let server = see(looks, node, name, found, "version").and_then(Value::as_str);
        let (Some(own), Some(server)) = (client.get("version").and_then(Value::as_str), server) else {
            looks.unseen(node, format!("facts.databases.{name}.dump_client.version"));
            return;
        };
        // A client of MySQL and a server of MariaDB count differently; each other's dumps are read all the same.
        let mariadb = |text: &str| text.to_lowercase().contains("mariadb");
        let comparable = mariadb(own) == mariadb(server) || found.get("engine").and_then(Value::as_str) == Some("postgresql");
        let old = comparable && major(own) < major(server);
        looks.expect(!old, node, || format!("{path} has version {own}, older than the server of {name} ({server})"));
    });
}

/// `None` where a URL leads to the database, else where each of them leads.
fn elsewhere(url: &JdbcAddress, target: &DbTarget) -> Option<(String, String)> {
    let port = url.port(target.engine);
    let server = target.socket.is_some() || (target.host.eq_ignore_ascii_case(&url.host) && target.port == port);
    let there = || format!("{}:{}/{}", target.host, target.port, target.database);
    (!server || target.database != url.name).then(|| (format!("{}:{port}/{}", url.host, url.name), there()))
}

fn address(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (name, database) in &seen.input.fleet.databases {
        if let Some(url) = database.jdbc_url.as_deref().and_then(JdbcAddress::of) {
            match elsewhere(&url, &database.target) {
                None => looks.ok(),
                Some((url, there)) => {
                    looks.note(None, format!("the jdbc_url of {name} leads to {url}, the fleet file's {name} is {there}"), None);
                }
            }
        }
        let Some(fact) = seen.input.recipe.databases.get(name).and_then(|d| d.fact.as_ref()) else { continue };
        for (node, facts) in seen.old() {
            let url = facts.pointer(&format!("/old/databases/{fact}/url")).and_then(Value::as_str);
            let Some(url) = url.and_then(JdbcAddress::of) else { continue };
            match elsewhere(&url, &database.target) {
                None => looks.ok(),
                Some((url, there)) => looks.find(&node.id, format!("its {fact} is {url}, the fleet file's {name} is {there}")),
            }
        }
    }
}

fn scratch(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, database, node, found, looks| {
        if database.target.scratch.is_none() {
            return;
        }
        let Some(scratch) = see(looks, node, name, found, "scratch") else { return };
        let truth = |key: &str| scratch.get(key).and_then(Value::as_bool);
        let called = scratch.get("database").and_then(Value::as_str).unwrap_or("?");
        match (truth("exists"), truth("empty"), truth("ours")) {
            (Some(true), Some(true), _) | (Some(true), _, Some(true)) => looks.ok(),
            (Some(false), ..) => looks.find(node, format!("there is no scratch database {called} for {name}")),
            (Some(true), Some(false), _) => {
                let holds = scratch.get("holds").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
                let holds = holds.collect::<Vec<_>>().join(", ");
                looks.find(node, format!("the scratch database {called} of {name} is not empty: it holds {holds}"));
            }
            (None, ..) | (Some(true), None, _) => match scratch.get("problem").and_then(Value::as_str) {
                Some(why) => looks.find(node, format!("the scratch database {called} of {name} cannot be looked into: {why}")),
                None => looks.unseen(node, format!("facts.databases.{name}.scratch.empty")),
            },
        }
    });
}

fn told(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, _, node, found, looks| {
        let Some(problems) = see(looks, node, name, found, "problems").and_then(Value::as_array) else { return };
        let problems: Vec<&str> = problems.iter().filter_map(Value::as_str).collect();
        looks.expect(problems.is_empty(), node, || format!("{name}: {}", problems.join("; ")));
    });
}

fn sessions(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let fleet = seen.input.fleet;
    let known: BTreeSet<&str> = fleet
        .databases
        .values()
        .flat_map(|d| {
            let server = d.server.iter().map(|s| &s.user).chain(&d.target.server_accounts);
            server.chain([&d.target.user]).map(String::as_str)
        })
        .collect();
    each_reached(seen, looks, |name, _, node, found, looks| {
        let Some(sessions) = see(looks, node, name, found, "sessions").and_then(Value::as_array) else { return };
        let text = |session: &Value, key: &str| session.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
        let foreign = sessions.iter().filter(|s| !known.contains(text(s, "user").as_str()));
        let foreign: Vec<String> = foreign.map(|s| format!("{} from {}", text(s, "user"), text(s, "host"))).collect();
        looks.expect(foreign.is_empty(), node, || format!("in {name} are sessions of {}", foreign.join(", ")));
    });
}

fn long_transactions(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, _, node, found, looks| {
        let Some(count) = see(looks, node, name, found, "long_transactions").and_then(Value::as_u64) else { return };
        looks.expect(count == 0, node, || format!("{count} long transactions are open on the server of {name}"));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_a_leading_number() {
        assert_eq!(major("mariadb-dump from 10.11.6-MariaDB"), Some(10));
        assert_eq!(major("pg_dump (PostgreSQL) 15.4"), Some(15));
        assert_eq!(major("?"), None);
    }
}
