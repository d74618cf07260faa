//! What the agents found on each node, on one line; all of it is in the JSON and in `fleet facts`.

use std::collections::BTreeMap;

use cavalcade_common::id::NodeId;
use serde_json::Value;

use super::table::table;

/// A line a node: the old server, what it runs as and from, and the conditions that most rows ask for.
#[must_use]
pub fn facts_table<'f>(facts: impl Iterator<Item = (&'f NodeId, &'f Value)>) -> String {
    let rows: Vec<Vec<String>> = facts.map(|(node, facts)| row(node, facts)).collect();
    table(&["NODE", "OLD SERVER", "PROFILE", "RUNS", "OFFSET", "USERS IN", "BESIDES"], &rows, &[4])
}

fn row(node: &NodeId, facts: &Value) -> Vec<String> {
    let at = |path: &str| facts.pointer(path).filter(|v| !v.is_null());
    let text = |path: &str| match at(path) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "-".to_owned(),
    };
    let exists = at("/old/exists") == Some(&Value::Bool(true));
    let server = if exists { format!("{} {}", text("/old/product"), text("/old/version")) } else { "none".to_owned() };
    let runs = match at("/old/running").and_then(Value::as_array) {
        Some(all) if all.is_empty() => "no".to_owned(),
        Some(all) => all.iter().filter_map(|p| p.get("user")?.as_str()).map(|user| format!("as {user}")).collect(),
        None => "?".to_owned(),
    };
    vec![node.to_string(), server, text("/old/profile"), runs, text("/old/offset"), text("/user_store/type"), besides(facts)]
}

/// What makes rows with a condition run.
fn besides(facts: &Value) -> String {
    let is = |path: &str| facts.pointer(path) == Some(&Value::Bool(true));
    let has = |path: &str| facts.pointer(path).is_some_and(|v| !v.is_null());
    let versioned = facts.pointer("/old/values").and_then(Value::as_object).is_some_and(|values| {
        values.iter().any(|(name, value)| name.starts_with("versioning_") && value.as_str() == Some("true"))
    });
    let tenants = facts.pointer("/old/trees/tenants/files").and_then(Value::as_u64).unwrap_or(0) > 0;
    let symmetric = facts.pointer("/old/conf/encryption_provider").and_then(Value::as_str);
    let all: BTreeMap<&str, bool> = BTreeMap::from([
        ("weak key", is("/old/weak_key")),
        ("user database", has("/old/databases/user")),
        ("configuration database", has("/old/databases/config")),
        ("registry versions", versioned),
        ("tenants", tenants),
        ("symmetric encryption", symmetric.is_some_and(|provider| provider.contains("SymmetricKey"))),
        ("secure vault", has("/old/conf/vault")),
    ]);
    let found: Vec<&str> = all.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect();
    if found.is_empty() { "-".to_owned() } else { found.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_one_row_and_what_nobody_knows_is_a_dash() {
        let nodes: Vec<NodeId> = ["gw-1", "is-1"].into_iter().map(|n| NodeId::new(n).expect("a name")).collect();
        let known = json!({
            "old": { "exists": true, "product": "wso2is-km", "version": "5.10.0", "offset": 0, "running": [{ "user": "wso2" }],
                "weak_key": true, "databases": { "user": {} }, "values": { "versioning_tags": "true" } },
            "user_store": { "type": "database" },
        });
        let shown = facts_table(nodes.iter().zip([&json!({}), &known]));
        let lines: Vec<&str> = shown.lines().collect();
        assert!(
            lines[1].trim_start().starts_with("gw-1") && lines[1].contains("none") && lines[1].trim_end().ends_with('-'),
            "{shown}"
        );
        let one = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        for says in ["wso2is-km", "5.10.0", "as wso2", "database", "weak key", "registry"] {
            assert!(one.contains(says), "{says}: {shown}");
        }
    }
}
