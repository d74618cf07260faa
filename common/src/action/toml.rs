//! Edits of TOML files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Table;

/// Edit of a TOML file. The operations run in the order of the fields. Tables and keys are dotted paths in TOML's own
/// key syntax (`event_listener.properties.'header.X-WSO2-KEY-MANAGER'`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TomlEdit {
    /// Absolute path of the file.
    pub file: String,
    /// Tables to comment out whole, sub-tables too. A table that already holds exactly what this edit sets is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comment_out: Vec<String>,
    /// Keys or tables to remove. What is not there counts as removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// Tables to merge: every key given is set, others stay. Nested objects are sub-tables.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub merge: Table,
    /// Single keys to set, by dotted path.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Table,
    /// Elements to add to arrays of tables, unless an equal one is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub append: Vec<TomlAppend>,
    /// Values that must be there already, by dotted path: else nothing is changed.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub expect: Table,
    /// Values that must not be there afterwards, by dotted path, each a list: else nothing is changed.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub refuse: Table,
    /// How many bytes a text may have afterwards, by dotted path, each a list of numbers: else nothing is changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lengths: BTreeMap<String, Vec<u32>>,
    /// Settings of another TOML file on the node, set or added like `set` and `append`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry: Option<TomlCarry>,
    /// The product copies these values into XML as they are: `&`, `<` and `>` of a secret are written as XML has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub xml: bool,
}

/// Settings that come from another TOML file: values that nobody but the node has to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TomlCarry {
    /// Absolute path of the file that they come from.
    pub from: String,
    /// Which.
    pub keys: Vec<TomlCarryKey>,
}

/// One setting that is carried.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TomlCarryKey {
    /// Its dotted key in the file that it comes from.
    pub from: String,
    /// Its dotted key in the edited file.
    pub to: String,
    /// Elements of an array of tables that stay behind: those that an old pack shipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<Value>,
}

/// One element for an array of tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TomlAppend {
    /// Dotted path of the array (`event_listener`, `resource.access_control`).
    pub table: String,
    /// Keys that identify an element: one that agrees in all of them is updated to `values` instead of added a second
    /// time. Empty: an element equal in all of `values` counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<String>,
    /// The element; nested objects become sub-tables.
    pub values: Table,
}
