//! The gatherer of facts: what a node is before anything is changed. Reads only.
//!
//! A file that is missing is a fact (`exists: false`, `null`); one that is there and cannot be read or understood is a
//! fault in `problems`, and its facts are missing, never guessed. No password is told.

mod config;
mod drivers;
mod hide;
mod home;
mod inventory;
mod java;
mod keystores;
mod look;
mod machine;
mod reach;
mod settings;
mod trust;
mod values;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cavalcade_common::codes::files::FACTS_UNREADABLE;
use cavalcade_common::error::Fault;
use cavalcade_common::facts::{FactsWanted, NodeWanted};
use cavalcade_common::id::NodeId;
use serde_json::{Value, json};

use crate::host::{Host, disks};

pub(crate) use home::product_at;

/// Configuration of a home, relative to it.
const CONFIG: &str = "repository/conf/deployment.toml";
/// Name and version of a product, relative to its home.
const VERSION: &str = "bin/version.txt";

/// Facts of every node that was asked for, as `docs/recipes.md` describes them, except those of databases.
pub async fn gather(host: &Arc<dyn Host>, wanted: &FactsWanted) -> BTreeMap<NodeId, Value> {
    let mut all = BTreeMap::new();
    for node in &wanted.nodes {
        all.insert(node.node.id.clone(), of_node(host, wanted, node).await);
    }
    all
}

/// Adds the file system of the agent's own folder, where packs and undo copies lie, to the facts of each node.
pub async fn state_disk(host: &Arc<dyn Host>, folder: &Path, all: &mut BTreeMap<NodeId, Value>) {
    let path = folder.to_owned();
    let disk = aside(host.as_ref(), move || disks::of(&path).ok()).await.flatten();
    // Null where it cannot be told: packs then count where they are put.
    let disk = disk.and_then(|disk| serde_json::to_value(disk).ok()).unwrap_or_default();
    for facts in all.values_mut() {
        facts["state_disk"] = disk.clone();
    }
}

async fn of_node(host: &Arc<dyn Host>, wanted: &FactsWanted, node: &NodeWanted) -> Value {
    let (inside, asked) = (host.clone(), node.clone());
    let (paths, hide) = (wanted.paths.clone(), wanted.hide.clone());
    let seen = aside(host.as_ref(), move || look::Gatherer::new(inside.as_ref(), asked, &hide).gather(&paths));
    let Some(seen) = seen.await else {
        let fault = Fault::new(FACTS_UNREADABLE, "the look at this node ended without a result").on(&node.node.id);
        return json!({ "problems": [fault] });
    };
    let look::Seen { mut facts, mut problems, stores, trust_stores, passwords, java_home } = seen;
    let home = node.node.old.as_ref().map(|side| Path::new(&side.home));
    let anchors = match home {
        Some(home) => trust::anchors(host.as_ref(), home, java_home.as_deref(), &trust_stores, &passwords).await,
        None => Err("there is no old home".to_owned()),
    };
    facts.insert(
        "trust".to_owned(),
        json!({ "certificates": anchors.as_ref().ok().map(Vec::len), "problem": anchors.as_ref().err() }),
    );
    facts.insert("reach".to_owned(), reach::gather(&node.look.reach, anchors.ok().as_deref()).await);
    if let (Some(old), Some(side)) = (facts.get_mut("old").and_then(Value::as_object_mut), &node.node.old) {
        let home = Path::new(&side.home);
        let told = keystores::gather(host.as_ref(), home, java_home.as_deref(), &stores, &passwords).await;
        old.insert("keystores".to_owned(), told.keystores);
        old.insert("weak_key".to_owned(), json!(told.weak_key));
        problems.extend(told.problems.into_iter().map(|text| Fault::new(FACTS_UNREADABLE, text).on(&node.node.id)));
    }
    facts.insert("problems".to_owned(), json!(problems));
    Value::Object(facts)
}

/// Runs blocking work through the host; `None` where it ended without a result.
async fn aside<T: Send + 'static>(host: &dyn Host, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let slot = Arc::new(Mutex::new(None));
    let inside = slot.clone();
    let work = Box::new(move || {
        let result = work();
        *inside.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    });
    host.blocking(work).await;
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests;
