//! `recipe lint` knows every fact that a real agent delivers.

use std::fs;
use std::sync::Arc;

use cavalcade_agent::facts::gather;
use cavalcade_agent::host::Host;
use cavalcade_agent::host::real::RealHost;
use cavalcade_common::facts::{FactsWanted, Look, NodeWanted};
use cavalcade_controller::recipe::known_facts::is_delivered;
use cavalcade_controller::recipe::{BUILT_IN, read};
use serde_json::{Value, json};

/// Dotted paths of the first two levels; what is below a list or a name is its own matter.
fn paths(facts: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (top, value) in facts.as_object().expect("a mapping") {
        match value.as_object().filter(|inner| !inner.is_empty()) {
            Some(inner) => found.extend(inner.keys().map(|key| format!("{top}.{key}"))),
            None => found.push(top.clone()),
        }
    }
    found
}

#[tokio::test]
async fn every_fact_of_a_real_agent_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("wso2is-5.10.0");
    for part in ["bin", "repository/conf", "repository/components/lib"] {
        fs::create_dir_all(home.join(part)).expect("is made");
    }
    fs::write(home.join("bin/version.txt"), "WSO2 Identity Server v5.10.0\n").expect("is written");
    let toml = "[user_store]\ntype = \"database\"\n[database.identity_db]\ntype = \"mysql\"\nurl = \"jdbc:mysql://db/i\"\n";
    fs::write(home.join("repository/conf/deployment.toml"), toml).expect("is written");
    let node = json!({
        "id": "is-1", "host": "h-1", "role": "identity-server", "old": { "home": home },
        "new": { "home": folder.path().join("wso2is-5.11.0") },
    });
    let node = NodeWanted { node: serde_json::from_value(node).expect("is a node"), look: Look::default() };
    let wanted = FactsWanted { nodes: vec![node], ..FactsWanted::default() };
    let host: Arc<dyn Host> = Arc::new(RealHost::default());
    let facts = gather(&host, &wanted).await.into_values().next().expect("facts of the node");
    let recipe = read(BUILT_IN[0].1.as_bytes(), BUILT_IN[0].0).expect("has no faults");
    let paths = paths(&facts);
    assert!(paths.contains(&"old.version".to_owned()) && paths.len() > 15, "{paths:?}");
    let unknown: Vec<&String> = paths.iter().filter(|path| !is_delivered(path, &recipe)).collect();
    assert!(unknown.is_empty(), "add them to controller/src/recipe/known_facts.rs: {unknown:?}");
}
