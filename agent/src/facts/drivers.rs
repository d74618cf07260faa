//! JDBC driver classes in the JARs of the old home.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::inventory::matches;
use crate::host::jar;

/// What the JARs hold.
pub(super) struct Drivers {
    /// By class: the first JAR that holds it, relative to the home; null where none does.
    pub(super) classes: Value,
    /// Every JAR that holds one of these classes or of the others.
    pub(super) jars: Value,
    /// The JARs that cannot be read.
    pub(super) unreadable: Vec<String>,
}

/// # Errors
/// What is wrong with a glob, or a folder that cannot be read.
pub(super) fn find(home: &Path, libraries: &[String], classes: &[String], others: &[String]) -> Result<Drivers, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let (mut jars, mut unreadable) = (BTreeSet::new(), Vec::new());
    let all: BTreeSet<String> = classes.iter().chain(others).cloned().collect();
    let all: Vec<String> = all.into_iter().collect();
    for (relative, path) in matches(home, libraries)? {
        match jar::classes_in(&path, &all) {
            Ok(held) => held.into_iter().for_each(|class| {
                jars.insert(relative.clone());
                found.entry(class).or_insert_with(|| relative.clone());
            }),
            Err(error) => unreadable.push(format!("{relative}: {error}")),
        }
    }
    let told: Map<String, Value> = classes.iter().map(|class| (class.clone(), json!(found.get(class)))).collect();
    Ok(Drivers { classes: Value::Object(told), jars: json!(jars), unreadable })
}
