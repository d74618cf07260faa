//! What a step reader knows about the node that it reads for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::action::{Action, ArtifactRef, DbTarget, Ready, Runtime};
use crate::expression::Scope;
use crate::id::{HostId, NodeId};
use crate::plan::Need;

/// The names of one node. `cavalcade names NODE` writes this form; `step run --node FILE` reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// The node.
    pub node: NodeId,
    /// The host whose agent serves it.
    pub host: HostId,
    /// Root names of expressions and templates: `name`, `node`, `facts`, `fleet`, `options`, `databases`, `artifacts`,
    /// `secrets`, `identity_servers`, `api_managers`.
    pub values: Map<String, Value>,
    /// What is known of homes: defaults of `server` steps.
    #[serde(default)]
    pub homes: Vec<HomeNames>,
    /// User, JAVA_HOME, environment of what the node runs.
    #[serde(default)]
    pub runtime: Runtime,
    /// Artifacts by name.
    #[serde(default)]
    pub artifacts: BTreeMap<String, ArtifactRef>,
    /// Databases by name.
    #[serde(default)]
    pub databases: BTreeMap<String, DbTarget>,
    /// Folder of each database's backup, on the node that its steps run from.
    #[serde(default)]
    pub backup_to: BTreeMap<String, String>,
    /// What the words of `needs` stand for on this node.
    #[serde(default)]
    pub needs: BTreeMap<String, Need>,
    /// What the node's hooks do, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<String, Action>,
}

/// What is known of one home.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeNames {
    /// Its folder.
    pub home: String,
    /// systemd unit that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Start script, relative to the home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// What ready means.
    #[serde(default)]
    pub ready: Ready,
}

impl Names {
    /// The scope for expressions and templates.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::new(self.values.clone())
    }

    /// What is known of a home.
    #[must_use]
    pub fn home(&self, home: &str) -> Option<&HomeNames> {
        self.homes.iter().find(|h| h.home == home)
    }
}

/// The value of the root name `secrets`: every name gives its marker, never a value.
#[must_use]
pub fn secret_values<'n>(names: impl Iterator<Item = &'n str>) -> Value {
    Value::Object(names.map(|n| (n.to_owned(), Value::String(crate::secret::marker(n)))).collect())
}
