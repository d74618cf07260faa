//! The recipe: what is done, in which order, for any fleet. All knowledge of products and versions stands there.

mod check;
mod facts;
pub mod known_facts;
pub mod lint;
mod order;
mod read;
pub mod schema;
mod settings;
mod stage;
mod uses;

use std::collections::BTreeMap;
use std::path::Path;

use cavalcade_common::codes::plan as codes;
use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::expression::Condition;
use cavalcade_common::id::{Digest, StageId};
use cavalcade_common::plan::{Role, Undo};
use cavalcade_common::step::WrittenStep;
use cavalcade_common::written::{Mark, Node, nearest};
use serde_json::Value;

pub use check::{CheckWritten, Must, Which};
pub use facts::FactsWritten;
pub use order::order;
pub(crate) use read::items;
pub use read::{RECIPE_SCHEMA, read};
pub use settings::SettingRule;
pub(crate) use settings::setting;

/// A recipe.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The file as the person named it, or the built-in's name.
    pub file: String,
    /// Its text, for snippets.
    pub text: String,
    /// Digest of its text.
    pub sha256: Digest,
    /// Its name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Options that a fleet file may set.
    pub options: BTreeMap<String, OptionDeclared>,
    /// Artifacts that it uses.
    pub artifacts: BTreeMap<String, Needed>,
    /// Databases that it uses.
    pub databases: BTreeMap<String, Needed>,
    /// What the products make of a database whose settings name neither URL nor driver, by the engine in the fleet file.
    pub jdbc: BTreeMap<String, JdbcWritten>,
    /// Ports without offset by role and name.
    pub ports: BTreeMap<Role, BTreeMap<String, u16>>,
    /// Profiles of the old and of the new version; empty: any.
    pub profiles: Profiles,
    /// Where agents look on the old servers.
    pub facts: Vec<FactsWritten>,
    /// What becomes of old settings; the first rule that matches decides.
    pub settings: Vec<SettingRule>,
    /// What every node sees of the facts of several nodes, by name.
    pub across: BTreeMap<String, AcrossWritten>,
    /// Values by name, each an expression over the names of a node and the values before it.
    pub values: Vec<(String, Node)>,
    /// How new servers are seen ready; the first whose condition holds counts.
    pub probes: Vec<ProbeWritten>,
    /// What the words of `needs` stand for.
    pub needs: BTreeMap<String, NeedWritten>,
    /// What must hold of the nodes, else there is no plan.
    pub require: Vec<Requirement>,
    /// Remarks for the reader of the plan.
    pub remarks: Vec<Remark>,
    /// What is looked at before the work.
    pub checks: Vec<CheckWritten>,
    /// Key patterns whose values are hidden in diffs.
    pub hide: Vec<String>,
    /// Stages in the order of the file.
    pub stages: Vec<Stage>,
}

/// An option.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionDeclared {
    /// What it is without a word of the fleet file; null: nothing.
    pub default: Value,
    /// What it is for.
    pub doc: String,
    /// Whether the fleet file must set it.
    pub required: bool,
    /// Allowed values; empty: any.
    pub one_of: Vec<Value>,
    /// Where it is declared.
    pub mark: Mark,
}

/// An artifact or a database that the recipe uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// What it is.
    pub doc: String,
    /// Whether a fleet may lack it.
    pub optional: bool,
    /// For a database: where old servers name it (`apim_db` for `facts.old.databases.apim_db`).
    pub fact: Option<String>,
    /// For a database: SELECTs by name, asked with the facts (`facts.databases.NAME.asked`).
    pub asks: BTreeMap<String, String>,
    /// Where it is declared.
    pub mark: Mark,
}

/// What the products take as URL and driver of an engine's databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JdbcWritten {
    /// With `<hostname>`, `<port>` and `<name>` of the database's table in the old configuration.
    pub url: String,
    /// The class of the driver.
    pub driver: String,
}

/// Profiles of API Managers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profiles {
    /// Of the old version.
    pub old: Vec<String>,
    /// Of the new version.
    pub new: Vec<String>,
}

/// A list over several nodes: the value of an expression on each of them.
#[derive(Debug, Clone)]
pub struct AcrossWritten {
    /// Which nodes; `None`: all.
    pub nodes: Option<Condition>,
    /// An expression over that node's own names; databases are as in the fleet file, values and settings are not there.
    pub value: Node,
    /// Where it is declared.
    pub mark: Mark,
}

/// How a kind of new server is seen ready, templates not yet filled.
#[derive(Debug, Clone)]
pub struct ProbeWritten {
    /// Which nodes.
    pub nodes: Condition,
    /// Start script, relative to the home.
    pub script: String,
    /// Arguments that no such process has on its command line.
    pub forbid_args: Vec<String>,
    /// The evidence.
    pub ready: Node,
}

/// What a word of `needs` stands for.
#[derive(Debug, Clone)]
pub struct NeedWritten {
    /// What must be shown.
    pub kind: NeedKind,
    /// Where it stands.
    pub mark: Mark,
}

/// What a need asks for.
#[derive(Debug, Clone)]
pub enum NeedKind {
    /// The new servers of nodes are ready.
    Ready {
        /// Which nodes.
        nodes: Condition,
        /// Checks from the node that launches.
        via: Option<Node>,
    },
    /// The old servers of nodes are down.
    Down {
        /// Which nodes.
        nodes: Condition,
    },
    /// Nobody else is in any database of the fleet: `{}`, or `{ but_from: [...] }`.
    Alone(Node),
}

impl NeedKind {
    /// Which nodes it is about.
    #[must_use]
    pub fn nodes(&self) -> Option<&Condition> {
        match self {
            Self::Ready { nodes, .. } | Self::Down { nodes } => Some(nodes),
            Self::Alone(_) => None,
        }
    }

    /// Its template, which each node fills.
    #[must_use]
    pub fn template(&self) -> Option<&Node> {
        match self {
            Self::Ready { via, .. } => via.as_ref(),
            Self::Down { .. } => None,
            Self::Alone(node) => Some(node),
        }
    }
}

/// A condition that the nodes must fulfil.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// Which nodes; `None`: all.
    pub nodes: Option<Condition>,
    /// What must hold.
    pub that: Condition,
    /// What to say if it does not.
    pub says: Node,
}

/// A remark for the plan's reader.
#[derive(Debug, Clone)]
pub struct Remark {
    /// The nodes that it is about; `None`: the fleet.
    pub nodes: Option<Condition>,
    /// The remark.
    pub says: Node,
}

/// A stage.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name.
    pub id: StageId,
    /// One line for people.
    pub title: String,
    /// Where its name stands.
    pub mark: Mark,
    /// Which nodes it runs on.
    pub nodes: Option<Condition>,
    /// An expression that names its node or nodes instead.
    pub on: Option<Node>,
    /// Whether only the first matching node runs it.
    pub once: bool,
    /// Stages before it; `None`: the one above it in the file.
    pub after: Option<Vec<(StageId, Mark)>>,
    /// Approval.
    pub approval: Option<ApprovalWritten>,
    /// Batches.
    pub batch: BatchWritten,
    /// How it is undone.
    pub undo: Undo,
    /// Whether a way back from here loses new data.
    pub point_of_no_return: bool,
    /// Whether its steps only look, so that they may run alone at any time.
    pub verify: bool,
    /// Whether a fleet may have no node for it.
    pub may_be_empty: bool,
    /// What each of its steps that launches something or changes a database needs.
    pub needs: Vec<(String, Mark)>,
    /// Its steps.
    pub steps: Vec<WrittenStep>,
}

/// An approval, its option not yet filled in.
#[derive(Debug, Clone)]
pub struct ApprovalWritten {
    /// Whose word is needed.
    pub by: String,
    /// What is approved.
    pub says: String,
    /// Whether somebody else must give it than who opened the run: a boolean, or a template of one.
    pub second_person: Option<Node>,
}

/// How many nodes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// All of them.
    All,
    /// This many.
    Count(u32),
    /// This part of the stage's nodes, rounded up.
    Percent(u32),
}

/// Batches, the size not yet resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchWritten {
    /// Nodes at a time.
    pub size: Size,
    /// Nodes that go alone first.
    pub canary: u32,
    /// Failed nodes that do not yet stop the stage.
    pub failure_budget: u32,
}

/// Built-in recipes: name and text.
pub const BUILT_IN: [(&str, &str); 2] = [
    ("wso2-is-km-5.10.0-to-5.11.0", include_str!("builtin/wso2-is-km-5.10.0-to-5.11.0.yaml")),
    ("wso2-is-5.10.0-to-5.11.0", include_str!("builtin/wso2-is-5.10.0-to-5.11.0.yaml")),
];

/// Finds and reads the recipe that a fleet file names: a built-in, or a path relative to `folder`.
///
/// # Errors
/// The faults of the recipe, or one that it does not exist.
pub fn load(name: &str, folder: &Path) -> Result<Recipe, Faults> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(n, _)| *n == name) {
        return read(text.as_bytes(), &format!("{name} (built in)"));
    }
    let path = folder.join(name);
    if !path.exists() {
        let message = format!("there is no built-in recipe `{name}` and no file {}", path.display());
        let mut fault = Fault::new(codes::UNKNOWN_RECIPE, message);
        fault.help = nearest(name, BUILT_IN.iter().map(|(n, _)| *n)).map(|n| format!("`{n}` is built in"));
        return Err(fault.into());
    }
    read(&cavalcade_common::written::read_limited(&path)?, &path.display().to_string())
}

#[cfg(test)]
mod tests;
