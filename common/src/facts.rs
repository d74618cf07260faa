//! What agents are asked to find out. Everything that knows a product stands in the recipe's `facts`; this is the resolved
//! form of it for one host. `docs/recipes.md` describes the answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::DbTarget;
use crate::id::{Digest, NodeId};
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
    /// Accounts of the servers whose login is tried from this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<LoginWanted>,
    /// Where the secrets are found that databases and logins name.
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
    /// By name: folders that are compared as a whole, each by one digest of its files (`facts.old.folders.NAME`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub folders: BTreeMap<String, FoldersWanted>,
    /// By name: globs of files and folders of which only number and size are told (`facts.old.trees.NAME`).
    #[serde(default)]
    pub trees: BTreeMap<String, Vec<String>>,
    /// Globs of keystores whose keys are measured by the node's own keytool (`facts.old.keystores`).
    #[serde(default)]
    pub keystores: Vec<String>,
    /// Passwords that the vendor ships keystores with, tried behind those of the old deployment.toml.
    #[serde(default)]
    pub keystore_passwords: Vec<String>,
    /// Globs of trust stores: whose certificates the node's servers trust (`facts.trust`, `facts.reach`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trust_stores: Vec<String>,
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
    /// Ports that the old server listens on (`facts.old_ports`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub old_ports: Vec<u16>,
    /// Folder that holds `etc`, `var` and `usr`, where autostart is looked for: `/` where nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autostart_root: Option<String>,
    /// `host:port` of servers that it must reach with TLS (`facts.reach`).
    #[serde(default)]
    pub reach: Vec<String>,
    /// JDBC driver classes that are looked for in the JARs of `libraries` (`facts.old.driver_classes`).
    #[serde(default)]
    pub driver_classes: Vec<String>,
    /// Driver classes that are taken where the old settings name none: JARs that hold one of these or of those above are told
    /// (`facts.old.driver_jars`), and that none does is no finding.
    #[serde(default)]
    pub default_drivers: Vec<String>,
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

/// Folders that are compared as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldersWanted {
    /// Globs of the folders; files that match are left out.
    pub globs: Vec<String>,
    /// Paths below each folder that do not count: what a server adds when it unpacks it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

impl FoldersWanted {
    /// One digest for the files of a folder, by their paths below it. Agents make it of what is on the disk, the controller of
    /// what a pack shipped.
    #[must_use]
    pub fn digest<'f>(&self, files: impl IntoIterator<Item = (&'f str, &'f Digest)>) -> Digest {
        let counted = files.into_iter().filter(|(path, _)| !self.without.iter().any(|left_out| left_out == path));
        let lines: BTreeMap<&str, &str> = counted.map(|(path, digest)| (path, digest.as_str())).collect();
        let text: String = lines.into_iter().map(|(path, digest)| format!("{path}\0{digest}\n")).collect();
        Digest::of(text.as_bytes())
    }
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

/// A servers' account on a database, tried from a host where new servers will use it (`facts.logins.NAME` of these nodes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginWanted {
    /// The nodes of the host that will use it.
    pub nodes: Vec<NodeId>,
    /// The database as these servers reach it, with their account.
    pub target: DbTarget,
    /// The account that scripts run with: what they make must be of use to the servers.
    pub scripts: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_files_and_nothing_else() {
        let wanted = FoldersWanted { globs: Vec::new(), without: vec!["META-INF/war-tracker".to_owned()] };
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let of = |files: &[(&'static str, &'static str)]| {
            let files: Vec<(&str, Digest)> = files.iter().map(|(path, text)| (*path, Digest::of(text.as_bytes()))).collect();
            wanted.digest(files.iter().map(|(path, digest)| (*path, digest)))
        };
        let known = wanted.digest([("a.jsp", &one), ("b.jsp", &two)]);
        assert_eq!(of(&[("b.jsp", "2"), ("a.jsp", "1")]), known, "in any order");
        assert_eq!(of(&[("a.jsp", "1"), ("META-INF/war-tracker", "x"), ("b.jsp", "2")]), known);
        for other in [of(&[("a.jsp", "1")]), of(&[("a.jsp", "1"), ("b.jsp", "3")]), of(&[("a.jsp", "1"), ("c.jsp", "2")])] {
            assert_ne!(other, known);
        }
    }
}
