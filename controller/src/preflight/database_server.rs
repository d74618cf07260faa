//! Database servers: of a kind on which a script's work is safe and a session stays the same one.

use cavalcade_common::action::Engine;
use cavalcade_common::finding::Severity;
use serde_json::Value;

use super::databases::{each_reached, see};
use super::{Check, Looks, Seen};

const AREA: &str = "database servers";

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "database-read-only",
        area: AREA,
        severity: Severity::Error,
        about: "The server takes writes: it is no replica and not set to read-only.",
        remedy: "name the primary server in the fleet file",
        look: read_only,
    },
    Check {
        name: "database-galera",
        area: AREA,
        severity: Severity::Error,
        about: "A Galera cluster replicates DDL in its own order and has no named locks across its members: nobody could tell \
                whether a script still runs.",
        remedy: "name one member by its own address for all that connect, servers too, then let this pass",
        look: galera,
    },
    Check {
        name: "database-pooler",
        area: AREA,
        severity: Severity::Error,
        about: "Behind a pooler or a proxy one session is many: named locks and session variables get lost.",
        remedy: "name the server itself in the fleet file",
        look: pooler,
    },
    Check {
        name: "database-replicas",
        area: AREA,
        severity: Severity::Warning,
        about: "Replicas repeat every statement of the upgrade, each in its own time.",
        remedy: "tell those who read from the replicas, and see that they follow before the servers start",
        look: replicas,
    },
    Check {
        name: "database-durable",
        area: AREA,
        severity: Severity::Warning,
        about: "What the server has committed survives its crash: the ledger of statements rests on that.",
        remedy: "for the time of the upgrade set innodb_flush_log_at_trx_commit = 1 and sync_binlog = 1 (MySQL, MariaDB), \
                fsync and synchronous_commit on (PostgreSQL)",
        look: durable,
    },
    Check {
        name: "database-function-creators",
        area: AREA,
        severity: Severity::Warning,
        about: "With a binary log and without log_bin_trust_function_creators an ordinary account may create no functions \
                and no triggers.",
        remedy: "SET GLOBAL log_bin_trust_function_creators = 1 for the time of the upgrade",
        look: function_creators,
    },
    Check {
        name: "database-connection-check",
        area: AREA,
        severity: Severity::Warning,
        about: "PostgreSQL stops a statement whose client is gone when client_connection_check_interval is set. Scripts \
                switch it off in their session; a migration client does not.",
        remedy: "set client_connection_check_interval = 0 for the time of the upgrade",
        look: connection_check,
    },
];

/// A fact of each server that is a boolean and should be false.
fn never(seen: &Seen<'_>, looks: &mut Looks<'_>, key: &str, engine: Option<Engine>, says: &str) {
    each_reached(seen, looks, |name, database, node, found, looks| {
        if engine.is_some_and(|engine| engine != database.target.engine) {
            return;
        }
        let Some(set) = see(looks, node, name, found, key).and_then(Value::as_bool) else { return };
        looks.expect(!set, node, || format!("the server of {name} {says}"));
    });
}

fn read_only(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    never(seen, looks, "read_only", None, "takes no writes");
}

fn galera(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    never(seen, looks, "wsrep", Some(Engine::Mysql), "is a member of a Galera cluster");
}

fn pooler(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    never(seen, looks, "pooler", None, "is behind a pooler or a proxy");
}

fn replicas(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, _, node, found, looks| {
        let Some(count) = see(looks, node, name, found, "replicas").and_then(Value::as_u64) else { return };
        looks.expect(count == 0, node, || format!("the server of {name} has {count} replicas"));
    });
}

fn durable(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, _, node, found, looks| {
        let Some(durable) = see(looks, node, name, found, "durable").and_then(Value::as_bool) else { return };
        let text = |key: &str| found.get(key).map_or_else(|| "?".to_owned(), |v| v.to_string().replace('"', ""));
        looks.expect(durable, node, || format!("the server of {name} has flush = {}, sync = {}", text("flush"), text("sync")));
    });
}

fn function_creators(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, database, node, found, looks| {
        if database.target.engine != Engine::Mysql {
            return;
        }
        let log = see(looks, node, name, found, "log_bin").and_then(Value::as_bool);
        let trust = see(looks, node, name, found, "trust_function_creators").and_then(Value::as_bool);
        let (Some(log), Some(trust)) = (log, trust) else { return };
        let root = found.get("superuser") == Some(&Value::Bool(true));
        looks.expect(!log || trust || root, node, || format!("on the server of {name} log_bin_trust_function_creators is off"));
    });
}

fn connection_check(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    each_reached(seen, looks, |name, database, node, found, looks| {
        if database.target.engine != Engine::Postgresql {
            return;
        }
        let Some(value) = see(looks, node, name, found, "client_connection_check_interval") else { return };
        let off = value.as_u64() == Some(0) || value.as_str().is_some_and(|text| text == "0");
        looks.expect(off, node, || format!("the server of {name} has client_connection_check_interval = {value}"));
    });
}
