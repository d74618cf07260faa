//! Edits of text files.

use serde::{Deserialize, Serialize};

use super::one;

/// Edit of a text file. Line ends of each line stay as they are; new lines take the file's majority.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextEdit {
    /// Absolute path of the file.
    pub file: String,
    /// Literal replacements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<TextReplace>,
    /// Names of arguments to take out of the command lines of a script, with their values. One that is left in a form that is
    /// not known is an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_arguments: Vec<String>,
    /// Lines that must be there; each is appended where it is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// Whole lines to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_lines: Vec<String>,
    /// Whole content of the file; excludes the other operations. Creates the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// One literal replacement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextReplace {
    /// Text to find, literally.
    pub find: String,
    /// Text to put in its place.
    pub with: String,
    /// How often it must be found; another number is an error and changes nothing. 0 means any number.
    #[serde(default = "one")]
    pub count: u32,
}
