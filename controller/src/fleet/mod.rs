//! The fleet file: what exists. No order, no secret.
//!
//! Reading it gives every node with every default applied; what a plan needs beyond it are facts, which agents gather.

mod artifact;
mod check;
mod jdbc;
mod node;
mod range;
mod read;
pub mod schema;
mod window;

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::action::{DbTarget, Runtime};
use cavalcade_common::id::{Digest, HostId, NodeId};
use cavalcade_common::plan::{PlanNode, Role, Side, Window};
use cavalcade_common::secret::SecretRef;
use cavalcade_common::step::WrittenHook;
use cavalcade_common::written::Mark;
use serde_json::{Map, Value};

use crate::recipe::SettingRule;

pub(crate) use artifact::digest_of;
pub use artifact::{contents, pin};
pub use jdbc::JdbcAddress;
pub(crate) use read::schema_word;
pub use read::{FLEET_SCHEMA, read};

/// A fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The file as the person named it.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Name of a built-in recipe, or a path relative to the fleet file.
    pub recipe: String,
    /// Artifacts by name.
    pub artifacts: BTreeMap<String, ArtifactFile>,
    /// Where each secret is found.
    pub secrets: BTreeMap<String, SecretRef>,
    /// Databases by name.
    pub databases: BTreeMap<String, Database>,
    /// Nodes in the order of the file, ranges expanded.
    pub nodes: Vec<FleetNode>,
    /// Answers that override facts on every node.
    pub answers: Map<String, Value>,
    /// The fleet's own words on old settings, before those of the recipe.
    pub settings: Vec<SettingRule>,
    /// The maintenance window.
    pub window: Option<Window>,
    /// How long steps take, by `STAGE.STEP` or by the name of an effect, with the places of the names.
    pub expected: BTreeMap<String, (Duration, Mark)>,
    /// Options of the recipe, with the places of their keys.
    pub options: BTreeMap<String, (Value, Mark)>,
}

/// An artifact as the fleet file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Path of the file, relative to the fleet file.
    pub file: String,
    /// Its pinned digest; `None`: computed when the plan is made.
    pub sha256: Option<Digest>,
    /// Where it is named.
    pub mark: Mark,
    /// Where the digest stands.
    pub sha256_mark: Mark,
}

/// An account of a database. The password is a secret's marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User.
    pub user: String,
    /// Marker of the secret with its password; empty for none.
    pub password: String,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// How steps reach it, with the account for DDL.
    pub target: DbTarget,
    /// The node that its steps run on.
    pub from: NodeId,
    /// Account of the servers.
    pub server: Option<Account>,
    /// JDBC URL that servers get instead of the one in the old configuration; may hold secret markers.
    pub jdbc_url: Option<String>,
    /// Folder for its backup on that node.
    pub backup_to: Option<String>,
    /// Where it is named.
    pub mark: Mark,
}

/// One server of the fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetNode {
    /// Its id.
    pub id: NodeId,
    /// The host whose agent serves it.
    pub host: HostId,
    /// Name or address under which other nodes reach it.
    pub address: String,
    /// Role.
    pub role: Role,
    /// Port offset of the new server.
    pub offset: u16,
    /// Port offset of the old server.
    pub old_offset: u16,
    /// What was.
    pub old: Option<Side>,
    /// What will be; `None`: retired.
    pub new: Option<Side>,
    /// User, JAVA_HOME, environment.
    pub runtime: Runtime,
    /// Answers that override its facts.
    pub answers: Map<String, Value>,
    /// What is done on it at the places that the recipe names: drained, enrolled.
    pub hooks: BTreeMap<String, WrittenHook>,
    /// Where it is named.
    pub mark: Mark,
}

impl Fleet {
    /// One node.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&FleetNode> {
        self.nodes.iter().find(|n| n.id.as_str() == id)
    }

    /// The nodes in the form that agents know, without probes: to gather facts before there is a plan.
    #[must_use]
    pub fn plan_nodes(&self) -> Vec<PlanNode> {
        self.nodes.iter().map(FleetNode::to_plan_node).collect()
    }
}

impl FleetNode {
    /// The form that a plan holds, without its probe.
    #[must_use]
    pub fn to_plan_node(&self) -> PlanNode {
        PlanNode {
            id: self.id.clone(),
            host: self.host.clone(),
            role: self.role,
            old: self.old.clone(),
            new: self.new.clone(),
            runtime: self.runtime.clone(),
            probe: None,
        }
    }
}

#[cfg(test)]
mod tests;
