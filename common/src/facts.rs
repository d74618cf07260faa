//! What agents are asked to find out. Everything that knows a product stands in the recipe's `facts`; this is the resolved
//! form of it for one host. `docs/recipes.md` describes the answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::DbTarget;
use crate::id::NodeId;
use crate::plan::PlanNode;
use crate::secret::SecretRef;

/// What one host is asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactsWanted {
    /// The nodes that the host serves.
    pub nodes: Vec<NodeWanted>,
    /// Paths whose file system is measured (new homes, backup targets).
    #[serde(default)]
    pub paths: Vec<String>,
    /// Databases whose steps run from this host.
    #[serde(default)]
    pub databases: Vec<DatabaseWanted>,
    /// Where the secrets are found that the databases name.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretRef>,
    /// Key patterns whose values are never told.
    #[serde(default)]
    pub hide: Vec<String>,
}

/// What is asked of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeWanted {
    /// The node.
    pub node: PlanNode,
    /// Where to look.
    #[serde(default)]
    pub look: Look,
}

/// Where to look on a node. Paths are relative to the old home.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// By name: globs of files whose digests are told, each by its path (`facts.old.files.NAME`).
    #[serde(default)]
    pub files: BTreeMap<String, Vec<String>>,
    /// By name: globs of files and folders of which only number and size are told (`facts.old.trees.NAME`).
    #[serde(default)]
    pub trees: BTreeMap<String, Vec<String>>,
    /// Globs of keystores whose keys are measured by the node's own keytool (`facts.old.keystores`).
    #[serde(default)]
    pub keystores: Vec<String>,
    /// Passwords that the vendor ships keystores with, tried behind those of the old deployment.toml.
    #[serde(default)]
    pub keystore_passwords: Vec<String>,
    /// By name: values found in files by a pattern (`facts.old.values.NAME`).
    #[serde(default)]
    pub values: BTreeMap<String, ValueWanted>,
    /// By name: dotted keys of the old deployment.toml whose value is told (`facts.old.conf.NAME`): null where it is not
    /// there, `true` for a value that is hidden, the list of its keys for a table.
    #[serde(default)]
    pub conf: BTreeMap<String, String>,
    /// By name: tables of other TOML files whose keys are told (`facts.old.tables.NAME`).
    #[serde(default)]
    pub tables: BTreeMap<String, TableWanted>,
    /// Settings that the old pack shipped, by dotted key: only what differs is told (`facts.old.settings`). `None`: they are
    /// not known, and every setting counts as added.
    #[serde(default)]
    pub shipped: Option<BTreeMap<String, Value>>,
    /// Ports that the new server will listen on (`facts.ports`).
    #[serde(default)]
    pub ports: Vec<u16>,
    /// `host:port` of servers that it must reach with TLS (`facts.reach`).
    #[serde(default)]
    pub reach: Vec<String>,
    /// JDBC driver classes that are looked for in the JARs of `libraries` (`facts.old.driver_classes`).
    #[serde(default)]
    pub driver_classes: Vec<String>,
    /// Globs, relative to the old home, of the JARs that are opened for `driver_classes`.
    #[serde(default)]
    pub libraries: Vec<String>,
}

/// A table of a TOML file, whose keys are told and no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableWanted {
    /// Absolute path of the file.
    pub file: String,
    /// Dotted path of the table.
    pub table: String,
}

/// A value in a file, found by a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueWanted {
    /// The file.
    pub file: String,
    /// Regular expression; the first group of its first match is the value.
    pub pattern: String,
    /// The value where the file or the match is missing; without it that is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
}

/// A database that is looked at from the node where its steps run (`facts.databases.NAME`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseWanted {
    /// The node.
    pub node: NodeId,
    /// The database.
    pub target: DbTarget,
    /// By name: a SELECT whose first column of its first row is told as text (`facts.databases.NAME.asked`).
    #[serde(default)]
    pub asks: BTreeMap<String, String>,
}

/// Keys of facts whose values change by themselves: they decide nothing, and nobody is told that they changed.
const RESTLESS: [&str; 8] = ["count", "expires_in", "free_bytes", "long_transactions", "memory_bytes", "now", "pid", "sessions"];

/// A fact without what changes by itself: what `plan` keeps of it, and `apply` compares.
#[must_use]
pub fn at_rest(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !RESTLESS.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key.clone(), at_rest(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(at_rest).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
