//! Databases as the steps will use them: reached from where they are worked on, with the rights that a script needs, and
//! nobody else in them.

use std::collections::BTreeSet;

use cavalcade_common::action::Engine;
use cavalcade_common::finding::Severity;
use serde_json::Value;

use super::{Check, Looks, Seen};
use crate::fleet::{Database, FleetNode};

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
        about: "The old servers' JDBC URLs lead to the database that the fleet file names.",
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

/// Host, port and name of a JDBC URL of the kind `jdbc:ENGINE://HOST:PORT/NAME?...`.
fn parts(url: &str) -> Option<(String, Option<u16>, String)> {
    let (_, rest) = url.strip_prefix("jdbc:")?.split_once("://")?;
    let (server, rest) = rest.split_once('/')?;
    let server = server.rsplit('@').next().unwrap_or(server);
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (server, None),
    };
    let name = rest.split(['?', ';', '&']).next().unwrap_or(rest);
    Some((host.to_lowercase(), port, name.to_owned()))
}

fn address(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (name, database) in &seen.input.fleet.databases {
        let Some(fact) = seen.input.recipe.databases.get(name).and_then(|d| d.fact.as_ref()) else { continue };
        let target = &database.target;
        for (node, facts) in seen.old() {
            let url = facts.pointer(&format!("/old/databases/{fact}/url")).and_then(Value::as_str);
            let Some((host, port, schema)) = url.and_then(parts) else { continue };
            let port = port.unwrap_or(match target.engine {
                Engine::Mysql => 3306,
                Engine::Postgresql => 5432,
            });
            let server = target.socket.is_some() || (target.host.eq_ignore_ascii_case(&host) && target.port == port);
            let same = server && target.database == schema;
            looks.expect(same, &node.id, || {
                let there = format!("{}:{}/{}", target.host, target.port, target.database);
                format!("its {fact} is {host}:{port}/{schema}, the fleet file's {name} is {there}")
            });
        }
    }
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
    fn urls_are_taken_apart() {
        let of = |host: &str, port, name: &str| Some((host.to_owned(), port, name.to_owned()));
        assert_eq!(parts("jdbc:mysql://DB:3307/am?autoReconnect=true&amp;useSSL=false"), of("db", Some(3307), "am"));
        assert_eq!(parts("jdbc:postgresql://u:(secret)@db/am"), of("db", None, "am"));
        assert_eq!(parts("jdbc:h2:./repository/database/X"), None);
    }

    #[test]
    fn versions_have_a_leading_number() {
        assert_eq!(major("mariadb-dump from 10.11.6-MariaDB"), Some(10));
        assert_eq!(major("pg_dump (PostgreSQL) 15.4"), Some(15));
        assert_eq!(major("?"), None);
    }
}
