//! The gatherer of facts: what a node is before anything is changed. Reads only.
//!
//! A file that is missing is a fact (`exists: false`, `null`); one that is there and cannot be read or understood is a
//! fault in `problems`, and its facts are missing, never guessed. No password is read into a fact.

mod config;

use std::path::Path;

use cavalcade_common::codes::files::FACTS_UNREADABLE;
use cavalcade_common::error::Fault;
use cavalcade_common::plan::{PlanNode, Side};
use serde_json::{Map, Value, json};

use crate::host::new_home::{self, There};
use crate::host::{Host, disks, machine, tree};

/// Configuration of a home, relative to it.
const CONFIG: &str = "repository/conf/deployment.toml";

/// Facts of one node. `paths`: where room is needed (homes, backups), for `disks`.
///
/// ```text
/// old          { exists, owner, version, kernel, product, offset, hostname, server_role, profile, running: [...],
///                databases: { NAME: { type, url, username, driver } } }
/// new          { exists, made_by_us, version }
/// user_store   { type }                                   of the old home
/// java         { home, version }
/// disks        [ { path, free_bytes, total_bytes, fs, mount, read_only } ]
/// host         { cpus, memory_bytes, utc_offset_seconds, now }
/// problems     [ Fault ]
/// ```
#[must_use]
pub fn gather(host: &dyn Host, node: &PlanNode, paths: &[String]) -> Value {
    let mut gatherer = Gatherer { host, node, problems: Vec::new() };
    let (old, user_store) = gatherer.old();
    let new = gatherer.new_side();
    let java = gatherer.java();
    let disks: Vec<Value> = paths.iter().filter_map(|path| gatherer.disk(path)).collect();
    let now = host.now();
    let machine = json!({
        "cpus": machine::cpus(),
        "memory_bytes": gatherer.memory(),
        "utc_offset_seconds": machine::utc_offset_seconds(now),
        "now": now,
    });
    json!({
        "old": old,
        "new": new,
        "user_store": { "type": user_store },
        "java": java,
        "disks": disks,
        "host": machine,
        "problems": gatherer.problems,
    })
}

struct Gatherer<'a> {
    host: &'a dyn Host,
    node: &'a PlanNode,
    problems: Vec<Fault>,
}

impl Gatherer<'_> {
    fn problem(&mut self, path: &Path, what: &str) {
        let text = format!("{}: {what}", path.display());
        self.problems.push(Fault::new(FACTS_UNREADABLE, text).on(&self.node.id));
    }

    /// A file's text; `None` where it is missing or a problem.
    fn text(&mut self, path: &Path) -> Option<String> {
        let bytes = self.bytes(path)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn bytes(&mut self, path: &Path) -> Option<Vec<u8>> {
        match self.host.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problem(path, &error.to_string());
                None
            }
        }
    }

    fn exists(&mut self, home: &Path) -> bool {
        match tree::at(home) {
            Ok(meta) => meta.is_some(),
            Err(error) => {
                self.problem(home, &error.to_string());
                false
            }
        }
    }

    /// Facts of the old home, and its user store's type.
    fn old(&mut self) -> (Value, Value) {
        let node = self.node;
        let Some(side) = &node.old else { return (Value::Null, Value::Null) };
        let home = Path::new(&side.home);
        let exists = self.exists(home);
        let mut old = Map::new();
        old.insert("exists".to_owned(), json!(exists));
        old.insert("home".to_owned(), json!(side.home));
        let running = self.running(side);
        if !exists {
            old.insert("running".to_owned(), running);
            return (Value::Object(old), Value::Null);
        }
        let (named, version) = self.version(home);
        let path = home.join(CONFIG);
        let config = match self.bytes(&path).map(|bytes| config::read(&bytes)) {
            Some(Ok(config)) => Some(config),
            Some(Err(error)) => {
                self.problem(&path, &error.to_string());
                None
            }
            None => None,
        };
        let kernel = self.text(&home.join("bin/wso2carbon-version.txt")).and_then(|t| version_in(&t));
        let profile = running.get(0).and_then(|p| p.get("profile")).cloned().unwrap_or_default();
        old.insert("owner".to_owned(), json!(self.owner(home)));
        old.insert("version".to_owned(), json!(version));
        old.insert("kernel".to_owned(), json!(kernel));
        old.insert("product".to_owned(), json!(named.and_then(|n| product(&n, config.as_ref()))));
        old.insert("running".to_owned(), running);
        old.insert("profile".to_owned(), profile);
        let user_store = config.as_ref().map_or(Value::Null, |c| json!(c.user_store_type));
        if let Some(config) = config {
            old.insert("offset".to_owned(), json!(config.offset));
            old.insert("hostname".to_owned(), json!(config.hostname));
            old.insert("server_role".to_owned(), json!(config.server_role));
            old.insert("databases".to_owned(), Value::Object(config.databases));
        }
        (Value::Object(old), user_store)
    }

    fn new_side(&mut self) -> Value {
        let node = self.node;
        let Some(side) = &node.new else { return Value::Null };
        let home = Path::new(&side.home);
        let made_by_us = match new_home::there(home) {
            Ok(there) => matches!(there, There::Made(_)),
            Err(error) => {
                self.problem(home, &error.to_string());
                false
            }
        };
        let exists = self.exists(home);
        let version = if exists { self.version(home).1 } else { None };
        json!({ "exists": exists, "home": side.home, "made_by_us": made_by_us, "version": version })
    }

    /// Text and version number of a home's version.txt (`WSO2 Identity Server v5.10.0`).
    fn version(&mut self, home: &Path) -> (Option<String>, Option<String>) {
        let text = self.text(&home.join("bin/version.txt"));
        let version = text.as_deref().and_then(version_in);
        (text, version)
    }

    fn running(&mut self, side: &Side) -> Value {
        let home = Path::new(&side.home);
        match self.host.processes_of(home) {
            Ok(processes) => processes
                .iter()
                .map(|p| {
                    // A server started without a profile has no such argument: what the product calls default.
                    let profile = p.args.iter().find_map(|a| a.strip_prefix("-Dprofile="));
                    json!({ "pid": p.id.pid, "user": p.user, "profile": profile, "started": p.started })
                })
                .collect(),
            Err(error) => {
                self.problem(home, &format!("its processes: {error}"));
                Value::Null
            }
        }
    }

    fn owner(&mut self, home: &Path) -> Option<String> {
        match machine::owner_name(home) {
            Ok(name) => Some(name),
            Err(error) => {
                self.problem(home, &error.to_string());
                None
            }
        }
    }

    fn java(&mut self) -> Value {
        let Some(home) = &self.node.runtime.java_home else { return json!({ "home": null, "version": null }) };
        // The file `release` of every JDK since 7: JAVA_VERSION="11.0.20".
        let release = self.text(&Path::new(home).join("release"));
        let version = release.as_deref().and_then(|text| {
            text.lines().find_map(|l| l.strip_prefix("JAVA_VERSION=")).map(|v| v.trim().trim_matches('"').to_owned())
        });
        json!({ "home": home, "version": version })
    }

    fn disk(&mut self, path: &str) -> Option<Value> {
        match disks::of(Path::new(path)).map(|disk| serde_json::to_value(disk).ok()) {
            Ok(disk) => disk,
            Err(error) => {
                self.problem(Path::new(path), &error.to_string());
                None
            }
        }
    }

    fn memory(&mut self) -> Option<u64> {
        match machine::memory_bytes() {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problem(Path::new("/proc/meminfo"), &error.to_string());
                None
            }
        }
    }
}

/// The first word that is a `v` and a number: `v5.10.0`.
fn version_in(text: &str) -> Option<String> {
    let numbers = text.split_whitespace().filter_map(|w| w.strip_prefix('v'));
    numbers.into_iter().find(|w| w.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

/// The product, by its name in version.txt. An IS-KM calls itself Identity Server there; its toml tells it apart, so
/// without a toml nothing is said.
fn product(named: &str, config: Option<&config::Config>) -> Option<&'static str> {
    if named.contains("API Manager") {
        return Some("wso2am");
    }
    if !named.contains("Identity Server") {
        return None;
    }
    config.map(|c| if c.speaks_of_apim { "wso2is-km" } else { "wso2is" })
}

#[cfg(test)]
mod tests;
