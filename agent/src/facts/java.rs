//! The node's JDK, and the limit on open files that its servers get.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::host::{Host, process_detail, tree};

/// The JDK's folder: what the fleet file says, or else what the running old server runs from.
pub(super) fn home(named: Option<&str>, running: &[u32]) -> Option<PathBuf> {
    named.map(PathBuf::from).or_else(|| running.iter().find_map(|pid| process_detail::java_home(*pid)))
}

/// `{ home, version, major, keytool }`, and what cannot be read.
pub(super) fn facts(host: &dyn Host, home: Option<&Path>) -> (Value, Option<(PathBuf, String)>) {
    let Some(home) = home else {
        return (json!({ "home": null, "version": null, "major": null, "keytool": false }), None);
    };
    // The file `release` of every JDK since 7: JAVA_VERSION="11.0.20".
    let path = home.join("release");
    let (text, problem) = match host.read(&path) {
        Ok(bytes) => (bytes.map(|b| String::from_utf8_lossy(&b).into_owned()), None),
        Err(error) => (None, Some((path, error.to_string()))),
    };
    let version = text.as_deref().and_then(|text| {
        text.lines().find_map(|l| l.strip_prefix("JAVA_VERSION=")).map(|v| v.trim().trim_matches('"').to_owned())
    });
    let keytool = tree::at(&home.join("bin/keytool")).ok().flatten().is_some();
    let major = version.as_deref().and_then(major);
    (json!({ "home": home, "version": version, "major": major, "keytool": keytool }), problem)
}

/// 8 of `1.8.0_392`, 11 of `11.0.20`, 21 of `21-ea`.
fn major(version: &str) -> Option<u32> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().ok());
    match numbers.next()?? {
        1 => numbers.next()?,
        first => Some(first),
    }
}

/// `{ open_files }`: that of the running old server, or else the agent's own, which its children inherit.
pub(super) fn limits(running: &[u32]) -> Value {
    let servers = running.iter().find_map(|pid| process_detail::open_files(Some(*pid)));
    json!({ "open_files": servers.or_else(|| process_detail::open_files(None)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_in_both_forms() {
        let found = ["1.8.0_392", "11.0.20", "17", "21-ea", "9", "", "x"].map(major);
        assert_eq!(found, [Some(8), Some(11), Some(17), Some(21), Some(9), None, None]);
    }
}
