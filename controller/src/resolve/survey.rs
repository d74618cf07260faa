//! What each host is asked before a plan is made: the recipe's `facts`, on the nodes of a fleet.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::error::Faults;
use cavalcade_common::expression;
use cavalcade_common::facts::{DatabaseWanted, FactsWanted, LoginWanted, Look, NodeWanted, TableWanted};
use cavalcade_common::id::{HostId, NodeId};
use cavalcade_common::secret::{SecretRef, markers};
use cavalcade_common::written::Reader;
use serde_json::Value;

use super::{Input, name, wanted};
use crate::fleet::{Database, FleetNode};

/// What each host is asked. Facts of `input`, and what was asked for them, do not matter.
///
/// # Errors
/// Conditions of the recipe's `facts` that cannot be decided without facts.
pub fn survey(input: &Input<'_>) -> Result<BTreeMap<HostId, FactsWanted>, Faults> {
    let mut r = Reader::new(&input.recipe.file);
    let mut all: BTreeMap<HostId, FactsWanted> = BTreeMap::new();
    for node in &input.fleet.nodes {
        let look = look(input, node, &mut r);
        let wanted = all.entry(node.host.clone()).or_default();
        wanted.hide.clone_from(&input.recipe.hide);
        wanted.nodes.push(NodeWanted { node: node.to_plan_node(), look });
        wanted.paths.extend(node.new.iter().map(|side| side.home.clone()));
        for (name, database) in input.fleet.databases.iter().filter(|(_, d)| d.from == node.id) {
            wanted.paths.extend(database.backup_to.clone());
            let asks = input.recipe.databases.get(name).map(|d| d.asks.clone()).unwrap_or_default();
            let target = database.target.clone();
            wanted.databases.push(DatabaseWanted { node: node.id.clone(), target, asks });
        }
    }
    for (host, wanted) in &mut all {
        wanted.paths.sort();
        wanted.paths.dedup();
        wanted.logins = logins(input, host);
        let text = serde_json::to_string(&(&wanted.databases, &wanted.logins)).unwrap_or_default();
        let used = markers(&text).into_iter().filter_map(|n| Some((n.to_owned(), input.fleet.secrets.get(n)?.clone())));
        // What only the controller has is not needed for facts: nobody was asked yet, and nothing is made before a run.
        wanted.secrets = used.filter(|(_, place)| !place.is_brought()).collect();
    }
    r.finish(Some(all))
}

/// The servers' accounts on the databases, from a host that will have new servers. One whose password only the controller
/// will have cannot be tried before a run.
fn logins(input: &Input<'_>, host: &HostId) -> Vec<LoginWanted> {
    let here = input.fleet.nodes.iter().filter(|node| node.host == *host && node.new.is_some());
    let nodes: Vec<NodeId> = here.map(|node| node.id.clone()).collect();
    if nodes.is_empty() {
        return Vec::new();
    }
    let brought = |name: &&str| input.fleet.secrets.get(*name).is_some_and(SecretRef::is_brought);
    let login = |database: &Database| {
        let target = database.as_servers().filter(|target| !markers(&target.password).iter().any(brought))?;
        Some(LoginWanted { nodes: nodes.clone(), target, scripts: database.target.user.clone() })
    };
    input.fleet.databases.values().filter_map(login).collect()
}

fn look(input: &Input<'_>, node: &FleetNode, r: &mut Reader) -> Look {
    let scope = name::before_facts(input, node);
    let options = wanted::option_values(input);
    let mut look = Look {
        ports: node.new.iter().flat_map(|_| ports(input, node, node.offset)).collect(),
        old_ports: node.old.iter().flat_map(|_| ports(input, node, node.old_offset)).collect(),
        reach: reach(input, node),
        autostart_root: options.get("autostart_root").and_then(Value::as_str).map(str::to_owned),
        ..Look::default()
    };
    r.node = Some(node.id.to_string());
    for written in &input.recipe.facts {
        if written.nodes.decide(&scope, r).is_none_or(|v| !v.holds) {
            continue;
        }
        look.files.extend(written.files.clone());
        look.folders.extend(written.folders.clone());
        look.trees.extend(written.trees.clone());
        look.keystores.extend(written.keystores.clone());
        look.keystore_passwords.extend(written.keystore_passwords.clone());
        look.trust_stores.extend(written.trust_stores.clone());
        look.values.extend(written.values.clone());
        look.conf.extend(written.conf.clone());
        look.libraries.extend(written.libraries.clone());
        look.tables.extend(written.tables.iter().filter_map(|(name, table)| {
            let done = expression::evaluate(table.at.text().unwrap_or_default(), &scope);
            let at = done.map_err(|error| expression::note(&table.at, &error, r)).ok()?.value;
            let (file, table) = (at.as_str()?.to_owned(), table.table.clone());
            Some((name.clone(), TableWanted { file, table }))
        }));
        if let Some(pack) = written.pack.as_ref().and_then(|(name, _)| input.shipped.get(name)) {
            look.shipped = Some(pack.settings.clone());
        }
    }
    r.node = None;
    let classes = input.fleet.options.get("jdbc_driver_class").and_then(|(value, _)| value.as_str());
    look.driver_classes.extend(classes.map(str::to_owned));
    // Where the old settings name no driver the products take these.
    let engines: BTreeSet<&str> = input.fleet.databases.values().map(name::engine).collect();
    let drivers = engines.into_iter().filter_map(|engine| input.recipe.jdbc.get(engine));
    look.default_drivers.extend(drivers.map(|jdbc| jdbc.driver.clone()));
    look
}

/// Ports of a server of the node's kind.
fn ports(input: &Input<'_>, node: &FleetNode, offset: u16) -> Vec<u16> {
    let base = input.recipe.ports.get(&node.role).into_iter().flatten();
    base.filter_map(|(_, port)| port.checked_add(offset)).collect()
}

/// Where the old servers of the other nodes listen for https.
fn reach(input: &Input<'_>, node: &FleetNode) -> Vec<String> {
    let others = input.fleet.nodes.iter().filter(|n| n.id != node.id && n.old.is_some());
    let address = |other: &FleetNode| {
        let base = input.recipe.ports.get(&other.role)?.get("https")?;
        Some(format!("{}:{}", other.address, base.checked_add(other.old_offset)?))
    };
    let mut found: Vec<String> = others.filter_map(address).collect();
    found.sort();
    found.dedup();
    found
}
