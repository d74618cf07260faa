//! Machines: a JDK with its tools, and a temporary folder from which libraries can be loaded.

use cavalcade_common::finding::Severity;

use super::{Check, Looks, Seen};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "java-home",
        area: "machines",
        severity: Severity::Error,
        about: "Every node names a JAVA_HOME and a JDK lies there: the products' scripts refuse to work without it.",
        remedy: "set java_home in the fleet file to a JDK's folder on that host",
        look: java,
    },
    Check {
        name: "keytool",
        area: "machines",
        severity: Severity::Warning,
        about: "The JDK has keytool, with which the sizes of the keys in keystores are measured.",
        remedy: "set java_home to a JDK that is whole",
        look: keytool,
    },
    Check {
        name: "tmp-noexec",
        area: "machines",
        severity: Severity::Warning,
        about: "Servers unpack native libraries into the temporary folder and load them from there.",
        remedy: "mount it without noexec, or set TMPDIR or -Djava.io.tmpdir in the node's `env`",
        look: temporary,
    },
];

fn java(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes().filter(|(node, _)| node.new.is_some()) {
        let Some(home) = node.runtime.java_home.as_deref() else {
            looks.find(&node.id, "no java_home is named");
            continue;
        };
        let version = facts.pointer("/java/version").is_some_and(|v| v.is_string());
        looks.expect(version, &node.id, || format!("{home} is no JDK: its file `release` names no JAVA_VERSION"));
    }
}

fn keytool(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes().filter(|(node, _)| node.runtime.java_home.is_some()) {
        let Some(there) = looks.see_truth(&node.id, facts, "/java/keytool") else { continue };
        looks.expect(there, &node.id, || "the JDK has no keytool: nobody sees how strong the old keys are".to_owned());
    }
}

fn temporary(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.nodes().filter(|(node, _)| node.new.is_some()) {
        let Some(noexec) = looks.see_truth(&node.id, facts, "/tmp_noexec") else { continue };
        looks.expect(!noexec, &node.id, || "/tmp is mounted with noexec".to_owned());
    }
}
