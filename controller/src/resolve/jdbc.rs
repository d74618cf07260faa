//! URL and driver of a database where a node's old settings name neither: as the products make them of other settings, or as
//! another node of the fleet has them.

use cavalcade_common::codes::plan as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::template::Reads;
use serde_json::Value;

use super::name::HIDDEN;
use super::{Input, Readers};
use crate::fleet::Database;

/// What the products make of a database's table in the old settings of one node, with the facts that it was made from.
pub(super) fn derived(input: &Input<'_>, engine: &str, fact: &str, facts: &Value, key: &str) -> Option<(String, Reads)> {
    let written = input.recipe.jdbc.get(engine)?;
    let table = facts.get("old")?.get("databases")?.get(fact)?;
    let mut reads = Reads::new();
    let text = match key {
        "url" => {
            let mut url = written.url.clone();
            for part in ["hostname", "port", "name"] {
                let value = table.get(part).filter(|value| value.is_string())?;
                url = url.replace(&format!("<{part}>"), value.as_str()?);
                reads.insert(format!("facts.old.databases.{fact}.{part}"), value.clone());
            }
            url
        }
        "driver" => {
            let path = format!("facts.old.databases.{fact}.driver");
            reads.insert(path, table.get("driver").cloned().unwrap_or_default());
            written.driver.clone()
        }
        _ => return None,
    };
    Some((text, reads))
}

/// What the first other node has that names it. That node's own steps have it decide for the plan.
pub(super) fn of_another(input: &Input<'_>, engine: &str, fact: &str, key: &str) -> Option<String> {
    let mut nodes = input.fleet.nodes.iter().filter_map(|node| input.facts.get(&node.id));
    let found = nodes.find_map(|facts| of_one(input, engine, fact, &facts.value, key));
    // Of a driver the products are sure without any old settings.
    found.or_else(|| input.recipe.jdbc.get(engine).filter(|_| key == "driver").map(|jdbc| jdbc.driver.clone()))
}

fn of_one(input: &Input<'_>, engine: &str, fact: &str, facts: &Value, key: &str) -> Option<String> {
    let own = facts.get("old")?.get("databases")?.get(fact)?.get(key).and_then(Value::as_str);
    let own = own.filter(|text| !text.contains(HIDDEN)).map(ToOwned::to_owned);
    own.or_else(|| derived(input, engine, fact, facts, key).map(|(text, _)| text))
}

/// One fault for each database that no old settings of the fleet lead to, in place of one for each step that needs its URL.
pub(super) fn missing(input: &Input<'_>, r: &mut Readers) {
    if input.fleet.nodes.iter().any(|node| !input.facts.contains_key(&node.id)) {
        return;
    }
    for (name, database) in &input.fleet.databases {
        if is_missing(input, name, database) {
            let message = format!("no old configuration of the fleet has a JDBC URL of `{name}`, nor host, port and name of it");
            let help = format!("give the database `{name}` its `jdbc_url` in the fleet file");
            r.fleet.note(Fault::new(codes::NEEDED_BY_RECIPE, message).help(help));
        }
    }
}

/// Whether nothing leads to a database that every fleet has.
pub(super) fn is_missing(input: &Input<'_>, name: &str, database: &Database) -> bool {
    let needed = input.recipe.databases.get(name).filter(|needed| !needed.optional);
    let Some(fact) = needed.and_then(|needed| needed.fact.as_ref()) else { return false };
    let hidden = |facts: &Value| {
        let url = facts.pointer(&format!("/old/databases/{fact}/url")).and_then(Value::as_str);
        url.is_some_and(|url| url.contains(HIDDEN))
    };
    database.jdbc_url.is_none()
        && of_another(input, super::name::engine(database), fact, "url").is_none()
        // That a URL holds a password is a fault of its own.
        && !input.facts.values().any(|facts| hidden(&facts.value))
}
