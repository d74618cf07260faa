//! Machines: a JDK, file systems that can be written.

use serde_json::Value;

use super::{Check, Input, Looks, with_facts};

/// Free room below which a file system is worth a word, whatever the plan needs, in bytes.
const LITTLE: u64 = 1 << 30;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "java-home",
        area: "machines",
        about: "Every node names a JAVA_HOME and a JDK lies there: the products' scripts refuse to work without it.",
        remedy: "set java_home in the fleet file to a JDK's folder on that host",
        look: java,
    },
    Check {
        name: "disk-writable",
        area: "machines",
        about: "The file systems of new homes and backups can be written.",
        remedy: "mount it for writing, or name another folder in the fleet file",
        look: writable,
    },
    Check {
        name: "disk-free",
        area: "machines",
        about: "The file systems of new homes and backups have at least 1 GiB free. What the plan needs is counted apart.",
        remedy: "make room",
        look: free,
    },
];

fn java(input: &Input<'_>, looks: &mut Looks) {
    for (node, facts) in with_facts(input).filter(|(node, _)| node.new.is_some()) {
        let Some(home) = node.runtime.java_home.as_deref() else {
            looks.error(&node.id, "no java_home is named");
            continue;
        };
        let version = facts.pointer("/java/version").and_then(Value::as_str);
        looks.expect(version.is_some(), &node.id, || format!("{home} is no JDK: its file `release` names no JAVA_VERSION"));
    }
}

fn disks(facts: &Value) -> &[Value] {
    facts.get("disks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn named(disk: &Value) -> &str {
    let text = |key: &str| disk.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("mount").or(text("path")).unwrap_or("a file system")
}

fn writable(input: &Input<'_>, looks: &mut Looks) {
    for (node, facts) in with_facts(input) {
        for disk in disks(facts) {
            let read_only = disk.get("read_only").and_then(Value::as_bool).unwrap_or(false);
            looks.expect(!read_only, &node.host, || format!("{} is mounted read-only", named(disk)));
        }
    }
}

fn free(input: &Input<'_>, looks: &mut Looks) {
    for (node, facts) in with_facts(input) {
        for disk in disks(facts) {
            let Some(bytes) = disk.get("free_bytes").and_then(Value::as_u64) else { continue };
            match bytes >= LITTLE {
                true => looks.ok(),
                false => looks.warning(&node.host, format!("{} has only {} MiB free", named(disk), bytes >> 20)),
            }
        }
    }
}
