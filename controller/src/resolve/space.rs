//! Room on the nodes, counted before the first server is stopped: packs, what they unpack to, copies of the old home, backups.
//! Not counted, since nobody can tell beforehand: what servers write, what a step takes away and keeps for its undo, and the
//! proof of a backup, which is on the database's own machine.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::action::{Action, ArtifactRef, CopyFiles};
use cavalcade_common::codes::plan as codes;
use cavalcade_common::id::Digest;
use cavalcade_common::plan::{PlanStage, PlanStep};
use cavalcade_common::written::Mark;
use serde_json::Value;

use super::{Input, Readers};

/// An archive's content, in sizes of the archive; measured packs unpack to about twice their size.
const UNPACKED: u64 = 3;
/// A dump, in sizes of the database: binary columns are written as hexadecimal text.
const DUMPED: u64 = 2;

/// Notes a fault for every file system with too little room; gives remarks for what could not be counted.
pub(super) fn check(input: &Input<'_>, stages: &[PlanStage], r: &mut Readers) -> Vec<String> {
    let mut rooms = Rooms::default();
    let mut unknown: BTreeSet<&str> = BTreeSet::new();
    let mut unsized_backups: BTreeSet<&str> = BTreeSet::new();
    let mut cached: BTreeSet<(&str, &Digest)> = BTreeSet::new();
    for step in stages.iter().flat_map(|s| &s.steps) {
        let Some(facts) = input.facts.get(&step.key.node).map(|f| &f.value) else { continue };
        let host = step.host.as_str();
        let mut needs: Vec<(&str, u64)> = room(step, facts, &mut unsized_backups).into_iter().collect();
        // A host fetches an artifact once, and keeps it in the agent's folder for all its nodes.
        if let Some(artifact) = artifact(step).filter(|artifact| cached.insert((host, &artifact.sha256))) {
            let beside = needs.first().map_or("/", |(path, _)| *path);
            needs.push((state_folder(facts).unwrap_or(beside), artifact.size));
        }
        for (path, bytes) in needs {
            if !rooms.add(host, facts, path, bytes) {
                unknown.insert(host);
            }
        }
    }
    for ((host, mount), Room { needed, free }) in &rooms.0 {
        if needed > free {
            let node = input.fleet.nodes.iter().find(|n| n.host.as_str() == *host);
            let mark = node.map_or(Mark::default(), |n| n.mark);
            let message = format!("{host} has {} free on {mount}, the plan needs about {}", size(*free), size(*needed));
            r.fleet.fault(codes::NOT_ENOUGH_SPACE, mark, message);
        }
    }
    let mut remarks = Vec::new();
    if !unknown.is_empty() {
        let hosts = unknown.into_iter().collect::<Vec<_>>().join(", ");
        remarks.push(format!("Free space was not compared, since it is not known there: {hosts}."));
    }
    if !unsized_backups.is_empty() {
        let names = unsized_backups.into_iter().collect::<Vec<_>>().join(", ");
        remarks.push(format!("Room for backups was not compared, since the size of the database is not known: {names}."));
    }
    remarks
}

/// One file system: what the plan needs on it, and what is free, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Room {
    needed: u64,
    free: u64,
}

/// File systems by host and mount point: paths that share one share its free space.
#[derive(Default)]
struct Rooms<'h>(BTreeMap<(&'h str, String), Room>);

impl<'h> Rooms<'h> {
    /// Adds what a path needs; false where its file system is not known.
    fn add(&mut self, host: &'h str, facts: &Value, path: &str, bytes: u64) -> bool {
        let Some((mount, free)) = disk_of(facts, path) else { return false };
        let room = self.0.entry((host, mount.to_owned())).or_insert(Room { needed: 0, free });
        room.needed = room.needed.saturating_add(bytes);
        // Nodes of one host are asked one after the other.
        room.free = room.free.min(free);
        true
    }
}

/// Path and bytes that a step adds.
fn room<'s>(step: &'s PlanStep, facts: &Value, unsized_backups: &mut BTreeSet<&'s str>) -> Option<(&'s str, u64)> {
    match &step.action {
        Action::Unpack(u) => Some((&u.to, u.artifact.size.saturating_mul(UNPACKED))),
        Action::Artifact(a) => Some((&a.to, a.artifact.size)),
        Action::Backup(b) => {
            let name = b.database.name.as_str();
            let bytes = facts.get("databases").and_then(|d| d.get(name)?.get("bytes")?.as_u64());
            if bytes.is_none() {
                unsized_backups.insert(name);
            }
            bytes.map(|n| (b.to.as_str(), n.saturating_mul(DUMPED)))
        }
        Action::Copy(c) => Some((&c.into, copied(c, facts)?)),
        Action::Toml(_)
        | Action::Yaml(_)
        | Action::Text(_)
        | Action::Remove(_)
        | Action::Command(_)
        | Action::Server(_)
        | Action::Job(_)
        | Action::Sql(_)
        | Action::Query(_)
        | Action::Restore(_)
        | Action::Http(_)
        | Action::Tcp(_)
        | Action::Log(_)
        | Action::Exchange(_)
        | Action::Autostart(_)
        | Action::Undo(_) => None,
    }
}

/// The artifact that a step takes from the agent's folder.
fn artifact(step: &PlanStep) -> Option<&ArtifactRef> {
    if let Action::Unpack(unpack) = &step.action {
        return Some(&unpack.artifact);
    }
    if let Action::Artifact(placed) = &step.action { Some(&placed.artifact) } else { None }
}

/// The agent's own folder, where its file system is known.
fn state_folder(facts: &Value) -> Option<&str> {
    facts.get("state_disk")?.get("path")?.as_str()
}

/// What is known of the bytes below the old home that a step copies: files by their list, trees by their sum.
fn copied(copy: &CopyFiles, facts: &Value) -> Option<u64> {
    let old = facts.get("old")?;
    let from = copy.from.strip_prefix(old.get("home")?.as_str()?)?;
    let from = if from.is_empty() { from } else { from.strip_prefix('/')? };
    let folder =
        from.find(['*', '?', '[', '{']).map_or(from, |glob| from[..glob].rsplit_once('/').map_or("", |(above, _)| above));
    // The path itself, or what is in it.
    let within = |path: &str, above: &str| {
        let rest = path.strip_prefix(above);
        above.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let below = |path: &str| within(path, folder);
    let among = |list: &[String], path: &str| {
        let path = path.strip_prefix(folder).map(|rest| rest.trim_start_matches('/'));
        path.is_some_and(|path| list.iter().any(|named| within(path, named)))
    };
    let named = |path: &str| (copy.paths.is_empty() || among(&copy.paths, path)) && !among(&copy.without, path);
    let all = |kind: &str| old.get(kind).and_then(Value::as_object).into_iter().flatten().map(|(_, found)| found);
    let files = all("files").filter_map(Value::as_array).flatten();
    let files = files.filter(|file| file["path"].as_str().is_some_and(|path| below(path) && named(path)));
    // One file may be in several lists.
    let files: BTreeMap<&str, u64> = files.filter_map(|file| Some((file["path"].as_str()?, file["bytes"].as_u64()?))).collect();
    let in_folder = |tree: &&Value| {
        let names = tree["names"].as_array().map(Vec::as_slice).unwrap_or_default();
        !names.is_empty() && names.iter().all(|name| name.as_str().is_some_and(below))
    };
    let trees = all("trees").filter(in_folder).filter(|_| copy.paths.is_empty()).filter_map(|tree| tree["bytes"].as_u64());
    Some(files.values().sum::<u64>().saturating_add(trees.sum()))
}

/// The file system that holds a path, by its mount point: that of the measured path, or else the longest mount point, that
/// is its beginning.
fn disk_of<'f>(facts: &'f Value, path: &str) -> Option<(&'f str, u64)> {
    let disks = facts.get("disks")?.as_array()?.iter().chain(facts.get("state_disk").filter(|disk| !disk.is_null()));
    let holds = |folder: &str| {
        let rest = path.strip_prefix(folder.trim_end_matches('/'));
        rest.is_some_and(|r| r.is_empty() || r.starts_with('/'))
    };
    let known = disks.filter_map(|d| {
        let measured = d.get("path")?.as_str()?;
        // Empty where the system does not tell.
        let mount = d.get("mount").and_then(Value::as_str).filter(|m| !m.is_empty()).unwrap_or(measured);
        let longest = [measured, mount].into_iter().filter(|f| holds(f)).map(str::len).max()?;
        Some((longest, mount, d.get("free_bytes")?.as_u64()?))
    });
    known.max_by_key(|(longest, _, _)| *longest).map(|(_, mount, free)| (mount, free))
}

fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, word)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*unit);
            format!("{}.{} {word}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_mount_point_counts() {
        let facts = json!({ "disks": [
            { "path": "/", "free_bytes": 1 }, { "path": "/opt", "free_bytes": 2 }, { "path": "/opt/wso2", "free_bytes": 3 },
        ] });
        assert_eq!(disk_of(&facts, "/opt/wso2/is"), Some(("/opt/wso2", 3)));
        assert_eq!(disk_of(&facts, "/opt/wso22/is"), Some(("/opt", 2)));
        assert_eq!(disk_of(&facts, "/var"), Some(("/", 1)));
        assert_eq!(disk_of(&json!({}), "/var"), None);
        let measured = json!({ "disks": [
            { "path": "/opt/wso2/is", "mount": "/opt", "free_bytes": 4 }, { "path": "/var/backups", "mount": "/", "free_bytes": 5 },
        ] });
        assert_eq!(disk_of(&measured, "/opt/wso2/is/lib"), Some(("/opt", 4)));
        assert_eq!(disk_of(&measured, "/opt/wso2/is.cavalcade/x"), Some(("/opt", 4)));
        assert_eq!(disk_of(&measured, "/var/backups/am_db"), Some(("/", 5)));
        let mut with_state = measured;
        with_state["state_disk"] = json!({ "path": "/var/lib/cavalcade", "mount": "/var", "free_bytes": 6 });
        assert_eq!(disk_of(&with_state, state_folder(&with_state).unwrap()), Some(("/var", 6)));
        assert_eq!(disk_of(&with_state, "/opt/wso2/is/lib"), Some(("/opt", 4)));
    }

    #[test]
    fn paths_that_share_a_mount_share_its_room() {
        let disk = |path: &str, mount: &str, free: u64| json!({ "path": path, "mount": mount, "free_bytes": free });
        let one = json!({ "disks": [disk("/opt/is", "/opt", 10), disk("/opt/backups", "/opt", 10), disk("/var/b", "/", 7)] });
        let later = json!({ "disks": [disk("/opt/am", "/opt", 9)] });
        let mut rooms = Rooms::default();
        assert!(rooms.add("h-1", &one, "/opt/is", 6) && rooms.add("h-1", &one, "/opt/backups/am_db", 6));
        assert!(rooms.add("h-1", &later, "/opt/am", 1) && rooms.add("h-1", &one, "/var/b", 2));
        assert!(rooms.add("h-2", &one, "/opt/is", 6) && !rooms.add("h-2", &json!({}), "/opt/is", 6));
        let found: Vec<_> = rooms.0.iter().map(|((host, mount), room)| (*host, mount.as_str(), room.needed, room.free)).collect();
        assert_eq!(found, [("h-1", "/", 2, 7), ("h-1", "/opt", 13, 9), ("h-2", "/opt", 6, 10)]);
        let untold = json!({ "disks": [disk("/a", "", 1), disk("/b", "", 2)] });
        assert_eq!(
            (disk_of(&untold, "/a/x"), disk_of(&untold, "/b/x"), disk_of(&untold, "/c")),
            (Some(("/a", 1)), Some(("/b", 2)), None)
        );
    }

    #[test]
    fn copies_of_the_old_home_are_counted_as_far_as_they_are_known() {
        let facts = json!({ "old": {
            "home": "/opt/old",
            "files": {
                "bundles": [{ "path": "dropins/a.jar", "bytes": 5 }, { "path": "dropins/b.jar", "bytes": 7 }],
                "again": [{ "path": "dropins/a.jar", "bytes": 5 }],
            },
            "trees": { "tenants": { "bytes": 100, "names": ["tenants/1", "tenants/2"] }, "none": { "bytes": 0, "names": [] } },
        } });
        let copy = |from: &str, paths: &[&str]| {
            let copy = json!({ "from": from, "paths": paths, "into": "/opt/new/x" });
            copied(&serde_json::from_value(copy).expect("a copy"), &facts)
        };
        assert_eq!(copy("/opt/old/dropins/*.jar", &[]), Some(12), "a file is counted once");
        assert_eq!(copy("/opt/old/dropins", &["b.jar"]), Some(7));
        assert_eq!((copy("/opt/old", &["dropins/b.jar"]), copy("/opt/old", &["dropins"])), (Some(7), Some(12)));
        let rest = json!({ "from": "/opt/old", "paths": ["dropins"], "without": ["dropins/a.jar"], "into": "/opt/new" });
        assert_eq!(copied(&serde_json::from_value(rest).expect("a copy"), &facts), Some(7));
        assert_eq!((copy("/opt/old/tenants", &[]), copy("/opt/old/tenants/*", &[])), (Some(100), Some(100)));
        assert_eq!(copy("/opt/old/tenant", &[]), Some(0), "the beginning of a name is no folder");
        assert_eq!(copy("/opt/older/dropins", &[]), None);
        assert_eq!(copy("/srv/x", &[]), None);
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!([size(5), size(1536), size(3 << 30)], ["5 bytes", "1.5 KiB", "3.0 GiB"]);
    }
}
