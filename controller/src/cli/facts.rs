//! Facts as the commands get them: from the agents, or from a file.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use cavalcade_common::codes::operator as codes;
use cavalcade_common::error::{Fault, Place};
use cavalcade_common::id::NodeId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::controller::Controller;
use super::failure::Failure;
use super::output::say;
use super::plan::Asked;
use super::progress::size;
use crate::fleet::Fleet;
use crate::operate::request::{FactsAnswer, FactsRequest};
use crate::resolve::NodeFacts;
use crate::rpc::method::Method;

/// Schema word of saved facts.
const SCHEMA: &str = "cavalcade.facts/1";

/// Largest file of facts, in bytes: as large as a plan may be. Facts of 500 nodes have about 30 MB.
const MOST: u64 = 512 << 20;

/// Facts, and the agents that gave none.
pub(super) struct Gathered {
    pub(super) facts: BTreeMap<NodeId, NodeFacts>,
    pub(super) faults: Vec<Fault>,
}

/// Saved facts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    schema: String,
    fleet: String,
    gathered_at: Timestamp,
    facts: BTreeMap<NodeId, Value>,
}

/// Asks the agents.
pub(super) async fn gather(controller: &Controller, asked: &Asked) -> Result<Gathered, Failure> {
    let answer = ask(controller, asked).await?;
    let facts = answer.facts.into_iter().map(|(node, value)| (node, NodeFacts { value, gathered_at: answer.at })).collect();
    Ok(Gathered { facts, faults: answer.faults })
}

async fn ask(controller: &Controller, asked: &Asked) -> Result<FactsAnswer, Failure> {
    let nodes: usize = asked.values().map(|host| host.nodes.len()).sum();
    say(&format!("Asking {} agents about {nodes} nodes ...", asked.len()));
    controller.ask(Method::Facts, &FactsRequest { wanted: asked.clone() }).await
}

/// Asks the agents, for a file.
pub(super) async fn to_save(controller: &Controller, fleet: &Fleet, asked: &Asked) -> Result<(Saved, Vec<Fault>), Failure> {
    let answer = ask(controller, asked).await?;
    let saved = Saved { schema: SCHEMA.to_owned(), fleet: fleet.name.clone(), gathered_at: answer.at, facts: answer.facts };
    Ok((saved, answer.faults))
}

/// Reads a file of facts; one that is too large is refused by name, never read in part.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let taken = std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    taken.map_err(|error| Failure::file(path, &error))?;
    if bytes.len() as u64 > most {
        return Err(Failure::usage(format!("{} is larger than {}: no saved facts are", path.display(), size(most))));
    }
    Ok(bytes)
}

/// Reads saved facts.
pub(super) fn load(path: &Path) -> Result<Gathered, Failure> {
    let bytes = read(path, MOST)?;
    let file = path.display().to_string();
    let saved: Saved = serde_json::from_slice(&bytes).map_err(|error| {
        let number = |n: usize| u32::try_from(n).unwrap_or(0);
        let place = Place { file: file.clone(), line: number(error.line()), column: number(error.column()), length: 0 };
        Failure::from(Fault::new(codes::USAGE, format!("the file holds no saved facts: {error}")).at(place))
    })?;
    if saved.schema != SCHEMA {
        return Err(Failure::usage(format!("{file} has not the schema {SCHEMA}")));
    }
    let at = saved.gathered_at;
    let facts = saved.facts.into_iter().map(|(node, value)| (node, NodeFacts { value, gathered_at: at })).collect();
    Ok(Gathered { facts, faults: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_facts_are_read_whole_or_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts.json");
        let fact = "x".repeat(5 << 20);
        let text = format!(
            r#"{{ "schema": "{SCHEMA}", "fleet": "f", "gathered_at": "2026-11-23T01:00:00Z", "facts": {{ "is-1": "{fact}" }} }}"#
        );
        std::fs::write(&path, &text).unwrap();
        let facts = load(&path).map(|gathered| gathered.facts.into_values().map(|f| f.value).collect::<Vec<_>>());
        assert_eq!(facts.ok(), Some(vec![Value::String(fact)]));
        assert!(read(&path, text.len() as u64).is_ok());
        let Err(Failure::Told(told)) = read(&path, text.len() as u64 - 1) else { panic!("is too large") };
        assert!(format!("{told:?}").contains("facts.json is larger than 5.0 MiB"), "{told:?}");
    }
}
