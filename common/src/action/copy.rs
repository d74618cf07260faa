//! Copies on the node.

use serde::{Deserialize, Serialize};

/// Copy on the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopyFiles {
    /// Absolute path or glob. A folder is copied with its content.
    pub from: String,
    /// Paths below the folder `from`: exactly these are copied, each of them must be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Absolute path of the folder that receives the matches under their own names; or, with `as_name`, that holds
    /// the copy.
    pub into: String,
    /// New name of the copy; `from` must then match exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_name: Option<String>,
    /// How many matches there must be; `None`: at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Globs, relative to `from`, of what stays out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Paths below the folder `from` that stay out, with what is in them. They are names, no globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Glob of other versions in `into` that must not stand beside the copy; they are removed (kept for undo).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}
