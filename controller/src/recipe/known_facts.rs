//! The facts that agents deliver and that the controller adds, by their dotted paths, for recipes that are checked without
//! a fleet.

use super::{FactsWritten, Recipe};

/// Paths below `facts`. `NAME` stands for any name; what is below a path is its own matter.
pub const DELIVERED: [&str; 63] = [
    "old.exists",
    "old.home",
    "old.owner",
    "old.kernel",
    "old.profile",
    "old.server_role",
    "old.version",
    "old.product",
    "old.offset",
    "old.hostname",
    "old.running",
    "old.databases.NAME.type",
    "old.databases.NAME.url",
    "old.databases.NAME.username",
    "old.databases.NAME.hostname",
    "old.databases.NAME.port",
    "old.databases.NAME.name",
    "old.databases.NAME.driver",
    "old.databases.NAME.auto_commit",
    "old.databases.NAME.password_reference",
    "old.files.NAME",
    "old.folders.NAME",
    "old.trees.NAME.files",
    "old.trees.NAME.bytes",
    "old.trees.NAME.names",
    "old.keystores",
    "old.weak_key",
    "old.values.NAME",
    "old.conf.NAME",
    "old.tables.NAME",
    "old.settings",
    "old.driver_classes",
    "old.driver_jars",
    "old.autostart",
    "new.exists",
    "new.home",
    "new.made_by_us",
    "new.running",
    "new.version",
    "new.autostart",
    "user_store.type",
    "java.home",
    "java.version",
    "java.major",
    "java.keytool",
    "limits",
    "ports",
    "old_ports",
    "reach",
    "trust",
    "disks",
    "state_disk",
    "files",
    "autostart_unseen",
    "databases.NAME",
    "logins.NAME",
    "host.agent_user",
    "host.cpus",
    "host.memory_bytes",
    "host.now",
    "host.utc_offset_seconds",
    "problems",
    "tmp_noexec",
];

/// The beginning of a path, and the names that may follow it.
type Asked = (&'static str, fn(&FactsWritten) -> Vec<&String>);

/// Where a recipe's own names stand in a path: what must be asked for under `facts`.
const ASKED: [Asked; 9] = [
    ("old.files.", |f| f.files.keys().collect()),
    ("old.folders.", |f| f.folders.keys().collect()),
    ("old.trees.", |f| f.trees.keys().collect()),
    ("old.values.", |f| f.values.keys().collect()),
    ("old.conf.", |f| f.conf.keys().collect()),
    ("old.tables.", |f| f.tables.keys().collect()),
    ("custom.", |f| f.files.keys().chain(f.folders.keys()).collect()),
    ("changed.", |f| f.files.keys().chain(f.folders.keys()).collect()),
    ("not_custom.", |f| f.files.keys().chain(f.folders.keys()).collect()),
];

/// Whether something delivers the fact of this path (without `facts.`). A path that ends above facts counts.
#[must_use]
pub fn is_delivered(path: &str, recipe: &Recipe) -> bool {
    if let Some((name, names)) = ASKED.iter().find_map(|(prefix, names)| Some((path.strip_prefix(prefix)?, names))) {
        let name = name.split('.').next().unwrap_or(name);
        return recipe.facts.iter().flat_map(names).any(|n| n == name);
    }
    matches!(path, "custom" | "changed" | "not_custom") || DELIVERED.iter().any(|pattern| meets(pattern, path))
}

/// Whether a path is that of a pattern, or below it, or above it.
fn meets(pattern: &str, path: &str) -> bool {
    pattern.split('.').zip(path.split('.')).all(|(wanted, part)| wanted == "NAME" || wanted == part)
}

#[cfg(test)]
mod tests {
    use super::meets;

    #[test]
    fn a_path_meets_a_pattern_at_above_and_below_it() {
        for path in ["old", "old.databases", "old.databases.apim_db", "old.databases.apim_db.url", "old.databases.x.url.y"] {
            assert!(meets("old.databases.NAME.url", path), "{path}");
        }
        for path in ["new", "old.version", "old.databases.apim_db.uri"] {
            assert!(!meets("old.databases.NAME.url", path), "{path}");
        }
    }
}
