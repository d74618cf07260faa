//! Edits of files: pure functions from bytes to bytes that keep the format of everything else.
//!
//! None of this reads or writes a file or a clock. Values in an edit may be revealed secrets, so no error holds a value.

mod arguments;
mod diff;
mod diff_secret;
mod error;
#[cfg(test)]
mod fixture;
mod path;
mod span;
mod text;
mod toml;
mod toml_carry;
mod toml_inline;
mod toml_intended;
mod toml_layout;
#[cfg(test)]
mod toml_property_tests;
mod toml_render;
mod toml_text;
mod toml_tree;
#[cfg(test)]
mod toml_wso2_tests;
mod yaml;
mod yaml_find;
mod yaml_items;
#[cfg(test)]
mod yaml_property_tests;
mod yaml_scalar;
mod yaml_tree;
#[cfg(test)]
mod yaml_wso2_tests;

pub use diff::{Diff, DiffLine, Hunk, LineKind, diff};
pub use diff_secret::SecretPattern;
pub use error::{At, EditError};
pub use text::text;
pub use toml::toml;
pub use toml_carry::carried;
pub use yaml::yaml;
