//! Room on the nodes, counted before the first server is stopped: packs, what they unpack to, backups.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::action::Action;
use cavalcade_common::codes::plan as codes;
use cavalcade_common::plan::{PlanStage, PlanStep};
use cavalcade_common::written::Mark;
use serde_json::Value;

use super::{Input, Readers};

/// An archive's content, in sizes of the archive; measured packs unpack to about twice their size.
const UNPACKED: u64 = 3;

/// Notes a fault for every file system with too little room; gives remarks for what could not be counted.
pub(super) fn check(input: &Input<'_>, stages: &[PlanStage], r: &mut Readers) -> Vec<String> {
    let mut needed: BTreeMap<(&str, String), u64> = BTreeMap::new();
    let mut free: BTreeMap<(&str, String), u64> = BTreeMap::new();
    let mut unknown: BTreeSet<&str> = BTreeSet::new();
    let mut unsized_backups: BTreeSet<&str> = BTreeSet::new();
    for step in stages.iter().flat_map(|s| &s.steps) {
        let Some(facts) = input.facts.get(&step.key.node).map(|f| &f.value) else { continue };
        let Some((path, bytes)) = room(step, facts, &mut unsized_backups) else { continue };
        let host = step.host.as_str();
        match disk_of(facts, path) {
            Some((mount, bytes_free)) => {
                let key = (host, mount.to_owned());
                *needed.entry(key.clone()).or_default() += bytes;
                let least = free.get(&key).map_or(bytes_free, |f| bytes_free.min(*f));
                free.insert(key, least);
            }
            None => {
                unknown.insert(host);
            }
        }
    }
    for ((host, mount), bytes) in &needed {
        let available = free.get(&(*host, mount.clone())).copied().unwrap_or(u64::MAX);
        if *bytes > available {
            let node = input.fleet.nodes.iter().find(|n| n.host.as_str() == *host);
            let mark = node.map_or(Mark::default(), |n| n.mark);
            let message = format!("{host} has {} free on {mount}, the plan needs about {}", size(available), size(*bytes));
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

/// Path and bytes that a step adds.
fn room<'s>(step: &'s PlanStep, facts: &Value, unsized_backups: &mut BTreeSet<&'s str>) -> Option<(&'s str, u64)> {
    match &step.action {
        // The pack itself lies in the agent's cache meanwhile.
        Action::Unpack(u) => Some((&u.to, u.artifact.size.saturating_mul(UNPACKED + 1))),
        Action::Artifact(a) => Some((&a.to, a.artifact.size.saturating_mul(2))),
        Action::Backup(b) => {
            let name = b.database.name.as_str();
            let bytes = facts.get("databases").and_then(|d| d.get(name)?.get("bytes")?.as_u64());
            if bytes.is_none() {
                unsized_backups.insert(name);
            }
            bytes.map(|n| (b.to.as_str(), n))
        }
        _ => None,
    }
}

/// The file system that holds a path, by its mount point: that of the measured path, or else the longest mount point, that
/// is its beginning.
fn disk_of<'f>(facts: &'f Value, path: &str) -> Option<(&'f str, u64)> {
    let disks = facts.get("disks")?.as_array()?;
    let holds = |folder: &str| {
        let rest = path.strip_prefix(folder.trim_end_matches('/'));
        rest.is_some_and(|r| r.is_empty() || r.starts_with('/'))
    };
    let known = disks.iter().filter_map(|d| {
        let measured = d.get("path")?.as_str()?;
        let mount = d.get("mount").and_then(Value::as_str).unwrap_or(measured);
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
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!([size(5), size(1536), size(3 << 30)], ["5 bytes", "1.5 KiB", "3.0 GiB"]);
    }
}
