//! JDBC driver classes in the JARs of the old home.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::inventory::matches;
use crate::host::jar;

/// By class: the first JAR that holds it, relative to the home; null where none does. Beside it the JARs that cannot be
/// read.
///
/// # Errors
/// What is wrong with a glob, or a folder that cannot be read.
pub(super) fn find(home: &Path, libraries: &[String], classes: &[String]) -> Result<(Value, Vec<String>), String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut unreadable = Vec::new();
    for (relative, path) in matches(home, libraries)? {
        match jar::classes_in(&path, classes) {
            Ok(held) => held.into_iter().for_each(|class| {
                found.entry(class).or_insert_with(|| relative.clone());
            }),
            Err(error) => unreadable.push(format!("{relative}: {error}")),
        }
    }
    let told: Map<String, Value> = classes.iter().map(|class| (class.clone(), json!(found.get(class)))).collect();
    Ok((Value::Object(told), unreadable))
}
