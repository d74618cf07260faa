//! The names that every node's expressions and templates see.

use std::collections::BTreeMap;
use std::sync::Arc;

use cavalcade_common::action::{Engine, Ready, Runtime};
use cavalcade_common::codes::plan as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::expression::{self, Scope};
use cavalcade_common::plan::{Decided, Probe, Role, Setting, Side};
use cavalcade_common::secret::SecretRef;
use cavalcade_common::step::{HomeNames, Names, secret_values};
use cavalcade_common::template::{self, Reads};
use cavalcade_common::written::{FromNode, Reader};
use serde_json::{Map, Value, json};

use super::across::Across;
use super::{Input, Readers, absent, custom, hook, jdbc, need, settings, wanted};
use crate::fleet::{Database, FleetNode};

/// What agents write where a JDBC URL holds a password.
pub(super) const HIDDEN: &str = "(secret)";

/// One node with its names.
pub(super) struct NodeNames<'a> {
    /// The node as the fleet file has it.
    pub(super) node: &'a FleetNode,
    /// What the step reader needs; its `values` stay empty, since `scope` holds them.
    pub(super) names: Names,
    /// The names.
    pub(super) scope: Scope,
    /// How its new server is seen ready.
    pub(super) probe: Option<Probe>,
    /// Names that were made from other names: `values.x`, `databases.y.url`.
    pub(super) made_from: BTreeMap<String, Reads>,
    /// What `across.x` was made from, on all nodes.
    pub(super) across: Arc<BTreeMap<String, Vec<Decided>>>,
    /// The answers that override its facts.
    pub(super) answers: Value,
    /// What becomes of its old settings.
    pub(super) settings: Vec<Setting>,
    /// What was read for more than steps, with what was made from it.
    pub(super) read_for: Vec<(&'static str, Reads)>,
}

/// The names of all nodes, in the order of the fleet file. Nodes whose names have faults are left out.
pub(super) fn nodes<'a>(input: &Input<'a>, r: &mut Readers) -> Vec<NodeNames<'a>> {
    jdbc::missing(input, r);
    let across = Across::of(input, r);
    let fleet = fleet_scope(input).with("across", across.value());
    let behind = Arc::new(across.into_behind());
    let mut found = Vec::new();
    for node in &input.fleet.nodes {
        let Some(facts) = input.facts.get(&node.id) else {
            let message = format!("there are no facts of `{}`; its agent on {} did not answer", node.id, node.host);
            r.fleet.fault(codes::NO_FACTS, node.mark, message);
            continue;
        };
        r.recipe.node = Some(node.id.to_string());
        found.extend(one(input, node, &facts.value, &fleet, &behind, r));
        r.recipe.node = None;
    }
    need::all(input, &mut found, r);
    found
}

/// The names without a node: for `on`.
pub(super) fn fleet_scope(input: &Input<'_>) -> Scope {
    let databases = input.fleet.databases.iter();
    let mut databases = databases.map(|(name, d)| (name.clone(), database_value(d))).collect::<Map<_, _>>();
    absent::named(&mut databases, input.recipe.databases.keys(), &DATABASE_KEYS);
    let artifacts = input.artifacts.iter();
    let artifacts = artifacts.map(|(n, a)| (n.clone(), json!({ "file": a.file, "sha256": a.sha256, "size": a.size })));
    let mut artifacts = artifacts.collect::<Map<_, _>>();
    absent::named(&mut artifacts, input.recipe.artifacts.keys(), &["file", "sha256", "size"]);
    let new = || input.fleet.nodes.iter().filter(|n| n.new.is_some());
    let of_role = |role: Role| new().filter(|n| n.role == role).map(|n| brief(input, n)).collect::<Vec<_>>();
    let mut profiles: Vec<&str> = new().filter_map(|n| profile(n, n.new.as_ref())).collect();
    profiles.sort_unstable();
    profiles.dedup();
    Scope::default()
        .with("options", Value::Object(wanted::option_values(input)))
        .with(
            "fleet",
            json!({
                "name": input.fleet.name,
                "nodes": input.fleet.nodes.len(),
                "profiles": profiles,
                "generated": generated(input),
            }),
        )
        .with("databases", Value::Object(databases))
        .with("artifacts", Value::Object(artifacts))
        .with("secrets", secret_values(input.fleet.secrets.keys().map(String::as_str)))
        .with("identity_servers", Value::Array(of_role(Role::IdentityServer)))
        .with("api_managers", Value::Array(of_role(Role::ApiManager)))
}

/// The secrets that are generated, with the length of their text: of others nobody knows it here.
fn generated(input: &Input<'_>) -> Vec<Value> {
    let made = input.fleet.secrets.iter().filter_map(|(name, found)| match found {
        SecretRef::Generate { bytes } => Some(json!({ "name": name, "length": bytes.saturating_mul(2) })),
        SecretRef::File(_) | SecretRef::Env(_) | SecretRef::Exec(_) | SecretRef::Prompt(_) => None,
    });
    made.collect()
}

/// The names of a node that are known before its facts.
pub(super) fn before_facts(input: &Input<'_>, node: &FleetNode) -> Scope {
    fleet_scope(input).with("name", Value::String(node.id.to_string())).with("node", node_value(input, node))
}

/// The names of a node as far as there are any.
pub(super) struct AsFar {
    pub(super) scope: Scope,
    /// Names that were made from other names.
    pub(super) made_from: BTreeMap<String, Reads>,
    /// The answers that override its facts.
    pub(super) answers: Value,
}

/// The names of a node as far as there are any: names that cannot be made are missing, and nothing is said of it.
pub(super) fn as_far(input: &Input<'_>, node: &FleetNode, facts: &Value, across: &Value) -> AsFar {
    let mut quiet = Readers::new(input);
    let (answers, facts) = answered(input, node, facts, &mut quiet);
    let mut made_from = custom::made_from(&facts);
    let databases = databases_of(input, &facts, &mut made_from, &mut quiet.recipe);
    let scope = before_facts(input, node).with("facts", facts).with("databases", databases).with("across", across.clone());
    let scope = add_values(input, scope, &mut made_from, &mut quiet.recipe);
    AsFar { scope, made_from, answers }
}

/// The recipe's `values` added, as far as they have one in this scope.
pub(super) fn with_values(input: &Input<'_>, scope: &Scope) -> Scope {
    let mut quiet = Reader::new(&input.recipe.file);
    add_values(input, scope.clone(), &mut BTreeMap::new(), &mut quiet)
}

fn one<'a>(
    input: &Input<'a>,
    node: &'a FleetNode,
    facts: &Value,
    fleet: &Scope,
    across: &Arc<BTreeMap<String, Vec<Decided>>>,
    all: &mut Readers,
) -> Option<NodeNames<'a>> {
    let before = all.count();
    let (answers, facts) = answered(input, node, facts, all);
    let r = &mut all.recipe;
    let mut made_from = custom::made_from(&facts);
    let mut databases = databases_of(input, &facts, &mut made_from, r);
    for (name, database) in &input.fleet.databases {
        if databases[name]["url"].is_null() && jdbc::is_missing(input, name, database) {
            // Said once for the fleet: there is no plan, and no step has to say it again.
            databases[name]["url"] = "".into();
        }
    }
    let scope = fleet
        .with("name", Value::String(node.id.to_string()))
        .with("node", node_value(input, node))
        .with("facts", facts.clone())
        .with("databases", databases);
    // Rules may ask for the recipe's values, but for those that are made from what becomes of settings.
    let mut of_settings = Reads::new();
    let settings = settings::of_node(input, node, &with_values(input, &scope), &facts, &mut of_settings, r);
    let pack = custom::pack(input, &scope, r);
    let scope = scope.with("settings", settings::names(&settings, pack));
    settings::made_from(&facts, &mut made_from);
    let scope = add_values(input, scope, &mut made_from, r);
    let (runtime, of_runtime) = runtime(node, &facts);
    let mut of_probe = Reads::new();
    let (probe, script) = match &node.new {
        Some(new) => probe(input, &runtime, new, &scope, &mut of_probe, r),
        None => (None, None),
    };
    let read_for = vec![
        ("what becomes of its old settings", of_settings),
        ("the user that its servers run as", of_runtime),
        ("how its new server is seen ready", of_probe),
    ];
    let mut names = names(input, node, runtime, probe.as_ref(), script);
    names.hooks = hook::of_node(input, node, &names, all);
    (all.count() == before).then_some(NodeNames {
        node,
        names,
        scope,
        probe,
        made_from,
        across: across.clone(),
        answers,
        settings,
        read_for,
    })
}

/// The answers for a node, and its facts with them and with what is known from elsewhere: old packs, other nodes.
pub(super) fn answered(input: &Input<'_>, node: &FleetNode, facts: &Value, r: &mut Readers) -> (Value, Value) {
    let mut answers = Value::Object(input.fleet.answers.clone());
    merge(&mut answers, &Value::Object(node.answers.clone()));
    let mut facts = facts.clone();
    custom::lay_under(&mut facts, "databases", databases_seen(input));
    merge(&mut facts, &answers);
    let known = before_facts(input, node);
    custom::add(input, node, &known, &mut facts, r);
    // Behind what is known: a name that is asked of another kind of node may be asked of this one too.
    absent::facts(input, node, &known, &mut facts, &mut r.recipe);
    (answers, facts)
}

/// What the nodes that work on databases found out about them: every node may ask for it.
fn databases_seen(input: &Input<'_>) -> Map<String, Value> {
    let seen = input.facts.values().filter_map(|f| f.value.get("databases")?.as_object());
    seen.flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What the node runs with. Without a word of the fleet file it is the owner of the old home, never the agent's own user by
/// accident (10, rule 14).
fn runtime(node: &FleetNode, facts: &Value) -> (Runtime, Reads) {
    let mut runtime = node.runtime.clone();
    let mut reads = Reads::new();
    if runtime.run_as.is_none()
        && let Some(owner) = facts.get("old").and_then(|old| old.get("owner"))
    {
        runtime.run_as = owner.as_str().map(ToOwned::to_owned);
        reads.insert("facts.old.owner".to_owned(), owner.clone());
    }
    (runtime, reads)
}

/// What the step reader needs; `values` stay empty.
fn names(input: &Input<'_>, node: &FleetNode, runtime: Runtime, probe: Option<&Probe>, script: Option<String>) -> Names {
    let side = |side: &Side, script: Option<String>, ready: Ready| HomeNames {
        home: side.home.clone(),
        service: side.service.clone(),
        script,
        ready,
    };
    let ready = probe.map(|p| p.ready.clone()).unwrap_or_default();
    // Old servers write their log where new ones do; when they are ready nobody asks.
    let of_old = Ready { log: ready.log.clone(), ..Ready::default() };
    let old = node.old.iter().map(|s| side(s, None, of_old.clone()));
    let homes = old.chain(node.new.iter().map(|s| side(s, script.clone(), ready.clone()))).collect();
    let databases = &input.fleet.databases;
    Names {
        node: node.id.clone(),
        host: node.host.clone(),
        values: Map::new(),
        homes,
        runtime,
        artifacts: input.artifacts.clone(),
        databases: databases.iter().map(|(n, d)| (n.clone(), d.target.clone())).collect(),
        backup_to: databases.iter().filter_map(|(n, d)| Some((n.clone(), d.backup_to.clone()?))).collect(),
        needs: BTreeMap::new(),
        hooks: BTreeMap::new(),
    }
}

fn add_values(input: &Input<'_>, mut scope: Scope, made_from: &mut BTreeMap<String, Reads>, r: &mut Reader) -> Scope {
    let mut values = Map::new();
    for (name, node) in &input.recipe.values {
        scope = scope.with("values", Value::Object(values.clone()));
        match expression::evaluate(node.text().unwrap_or_default(), &scope) {
            Ok(done) => {
                made_from.insert(format!("values.{name}"), done.reads);
                values.insert(name.clone(), done.value);
            }
            Err(error) => expression::note(node, &error, r),
        }
    }
    scope.with("values", Value::Object(values))
}

/// How the new server is seen ready, with its start script.
fn probe(
    input: &Input<'_>,
    runtime: &Runtime,
    new: &Side,
    scope: &Scope,
    reads: &mut Reads,
    r: &mut Reader,
) -> (Option<Probe>, Option<String>) {
    for written in &input.recipe.probes {
        let Some(verdict) = written.nodes.decide(scope, r) else { return (None, None) };
        reads.extend(verdict.reads);
        if !verdict.holds {
            continue;
        }
        let before = r.count();
        let filled = template::fill(&written.ready, scope, reads, r);
        if r.count() > before {
            return (None, None);
        }
        let probe = Ready::from_node(&filled, r).map(|ready| Probe {
            home: new.home.clone(),
            forbid_args: written.forbid_args.clone(),
            run_as: runtime.run_as.clone(),
            ready,
        });
        return (probe, Some(written.script.clone()));
    }
    (None, None)
}

/// The databases with what the old configuration of this node says of them; the fleet file wins.
fn databases_of(input: &Input<'_>, facts: &Value, made_from: &mut BTreeMap<String, Reads>, r: &mut Reader) -> Value {
    let mut all = Map::new();
    for (name, database) in &input.fleet.databases {
        let mut value = database_value(database);
        let fact = input.recipe.databases.get(name).and_then(|d| d.fact.as_ref());
        for key in ["url", "type", "driver", "password_reference"] {
            let path = fact.map(|f| format!("facts.old.databases.{f}.{key}"));
            let found = fact.and_then(|f| facts.get("old")?.get("databases")?.get(f)?.get(key));
            if key == "password_reference" && !same_account(database, fact, facts) {
                continue;
            }
            if let (Some(path), Some(found), true) = (path, found, value[key].is_null()) {
                if key == "url" && found.as_str().is_some_and(|url| url.contains(HIDDEN)) {
                    let message = format!("the JDBC URL of `{name}` in the old configuration holds a password, which is no fact");
                    let help = "give the database `jdbc_url` in the fleet file, with `{{ secrets.NAME }}` in it";
                    r.note(Fault::new(codes::NEEDED_BY_RECIPE, message).help(help));
                    continue;
                }
                value[key] = found.clone();
                made_from.insert(format!("databases.{name}.{key}"), Reads::from([(path, found.clone())]));
            }
            if let (Some(fact), true) = (fact, value[key].is_null()) {
                if let Some((text, reads)) = jdbc::derived(input, engine(database), fact, facts, key) {
                    value[key] = text.into();
                    made_from.insert(format!("databases.{name}.{key}"), reads);
                } else if ["url", "driver"].contains(&key) {
                    // Another node's reference would name an alias of its own vault.
                    value[key] = jdbc::of_another(input, engine(database), fact, key).into();
                }
            }
        }
        all.insert(name.clone(), value);
    }
    absent::named(&mut all, input.recipe.databases.keys(), &DATABASE_KEYS);
    Value::Object(all)
}

/// Whether the servers keep the account of the old configuration: another account has another password than the vault's.
fn same_account(database: &Database, fact: Option<&String>, facts: &Value) -> bool {
    let old = fact.and_then(|f| facts.get("old")?.get("databases")?.get(f)?.get("username")?.as_str());
    database.server.as_ref().is_none_or(|server| Some(server.user.as_str()) == old)
}

/// What steps may read of a database.
const DATABASE_KEYS: [&str; 11] =
    ["name", "engine", "host", "port", "from", "scratch", "backup_to", "url", "type", "driver", "password_reference"];

/// Its engine, as recipes name it.
pub(super) fn engine(database: &Database) -> &'static str {
    match database.target.engine {
        Engine::Mysql => "mysql",
        Engine::Postgresql => "postgresql",
    }
}

fn database_value(database: &Database) -> Value {
    let target = &database.target;
    let server = database.server.as_ref();
    json!({
        "name": target.database,
        "engine": engine(database),
        "host": target.host,
        "port": target.port,
        "from": database.from,
        "scratch": target.scratch,
        "backup_to": database.backup_to,
        "server": { "user": server.map(|s| &s.user), "password": server.map(|s| &s.password) },
        "url": database.jdbc_url,
        "type": null,
        "driver": null,
        "password_reference": null,
    })
}

fn node_value(input: &Input<'_>, node: &FleetNode) -> Value {
    let side = |side: Option<&Side>| {
        json!({
            "exists": side.is_some(),
            "home": side.map(|s| &s.home),
            "profile": profile(node, side),
            "service": side.and_then(|s| s.service.as_ref()),
        })
    };
    let from = input.fleet.databases.iter().filter(|(_, d)| d.from == node.id).map(|(n, _)| n.clone());
    json!({
        "id": node.id,
        "role": node.role,
        "host": node.host,
        "address": node.address,
        "offset": node.offset,
        "old_offset": node.old_offset,
        "ports": ports(input, node.role, node.offset),
        "old_ports": ports(input, node.role, node.old_offset),
        "old": side(node.old.as_ref()),
        "new": side(node.new.as_ref()),
        "run_as": node.runtime.run_as,
        "java_home": node.runtime.java_home,
        "databases": from.collect::<Vec<_>>(),
        "hooks": node.hooks.keys().collect::<Vec<_>>(),
    })
}

/// What other nodes see of a node.
fn brief(input: &Input<'_>, node: &FleetNode) -> Value {
    json!({
        "id": node.id,
        "address": node.address,
        "host": node.host,
        "offset": node.offset,
        "ports": ports(input, node.role, node.offset),
        "profile": profile(node, node.new.as_ref()),
        "home": node.new.as_ref().map(|s| &s.home),
    })
}

/// The profile; an API Manager without a word has the one that is called default.
fn profile<'n>(node: &FleetNode, side: Option<&'n Side>) -> Option<&'n str> {
    match (node.role, side) {
        (Role::ApiManager, Some(side)) => Some(side.profile.as_deref().unwrap_or("default")),
        _ => None,
    }
}

fn ports(input: &Input<'_>, role: Role, offset: u16) -> Value {
    let base = input.recipe.ports.get(&role);
    let shifted = base.into_iter().flatten().map(|(name, port)| (name.clone(), json!(u32::from(*port) + u32::from(offset))));
    Value::Object(shifted.collect())
}

/// Lays one tree over another.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}
