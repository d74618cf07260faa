//! One look at one node: everything that is read from its files and its kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cavalcade_common::codes::files::FACTS_UNREADABLE;
use cavalcade_common::error::Fault;
use cavalcade_common::facts::{Look, NodeWanted, TableWanted};
use cavalcade_common::plan::{PlanNode, Side};
use serde_json::{Map, Value, json};

use super::config::Config;
use super::hide::Hide;
use super::home::{product, running, version_in};
use super::keystores::Passwords;
use super::{CONFIG, VERSION, drivers, inventory, java, machine, settings, values};
use crate::host::autostart::{self, Entry, Off};
use crate::host::new_home::{self, There};
use crate::host::{Host, Process, disks, machine as host_machine, tree};

/// What the look gave, and what keystores need.
pub(super) struct Seen {
    pub(super) facts: Map<String, Value>,
    pub(super) problems: Vec<Fault>,
    /// Keystores by their path relative to the old home.
    pub(super) stores: BTreeMap<String, PathBuf>,
    /// Trust stores, likewise.
    pub(super) trust_stores: BTreeMap<String, PathBuf>,
    pub(super) passwords: Passwords,
    pub(super) java_home: Option<PathBuf>,
}

pub(super) struct Gatherer<'a> {
    host: &'a dyn Host,
    node: PlanNode,
    look: Look,
    hide: Hide,
    problems: Vec<Fault>,
}

impl<'a> Gatherer<'a> {
    pub(super) fn new(host: &'a dyn Host, wanted: NodeWanted, hide: &[String]) -> Self {
        let NodeWanted { node, look } = wanted;
        Self { host, node, look, hide: Hide::new(hide), problems: Vec::new() }
    }

    /// Looks. `paths`: where room is needed (homes, backups), for `disks`.
    pub(super) fn gather(mut self, paths: &[String]) -> Seen {
        if !self.hide.is_sound() {
            self.problem(Path::new("hide"), "a pattern is no regular expression, so every value is hidden");
        }
        let old = self.node.old.clone();
        let processes = old.as_ref().map(|side| self.processes(side)).unwrap_or_default();
        let pids: Vec<u32> = processes.iter().flatten().map(|p| p.id.pid).collect();
        let config = old.as_ref().and_then(|side| self.config(Path::new(&side.home)));
        let globs = [std::mem::take(&mut self.look.keystores), std::mem::take(&mut self.look.trust_stores)];
        let [stores, trust_stores] =
            globs.map(|globs| old.as_ref().map(|side| self.stores(Path::new(&side.home), &globs)).unwrap_or_default());
        let passwords = Passwords::of(config.as_ref(), &self.look.keystore_passwords);
        let user_store = config.as_ref().and_then(|c| c.text("user_store.type").map(str::to_owned));
        let java_home = java::home(self.node.runtime.java_home.as_deref(), &pids);
        let (java, unread) = java::facts(self.host, java_home.as_deref());
        let mut facts = Map::new();
        let mut add = |name: &str, value: Value| facts.insert(name.to_owned(), value);
        add("old", old.as_ref().map_or(Value::Null, |side| self.old(side, config.as_ref(), processes.as_deref())));
        add("new", self.new_side());
        add("user_store", json!({ "type": user_store }));
        add("java", java);
        add("limits", java::limits(&pids));
        let (new_ports, old_ports) = (self.look.ports.clone(), self.look.old_ports.clone());
        add("ports", self.ports(&new_ports));
        add("old_ports", self.ports(&old_ports));
        add("disks", paths.iter().filter_map(|path| self.disk(path)).collect());
        add("files", self.mounts());
        add("tmp_noexec", self.tmp_noexec());
        let mut unread: Vec<(PathBuf, String)> = unread.into_iter().collect();
        self.autostart(&mut facts);
        let mut add = |name: &str, value: Value| facts.insert(name.to_owned(), value);
        add("host", machine::facts(self.host, &mut unread));
        for (path, what) in unread {
            self.problem(&path, &what);
        }
        Seen { facts, problems: self.problems, stores, trust_stores, passwords, java_home }
    }

    fn problem(&mut self, path: &Path, what: &str) {
        let text = format!("{}: {what}", path.display());
        self.problems.push(Fault::new(FACTS_UNREADABLE, text).on(&self.node.id));
    }

    /// The value, or null and a problem.
    fn or_null<E: ToString>(&mut self, path: &Path, result: Result<Value, E>) -> Value {
        result.unwrap_or_else(|error| {
            self.problem(path, &error.to_string());
            Value::Null
        })
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

    fn config(&mut self, home: &Path) -> Option<Config> {
        let path = home.join(CONFIG);
        match Config::read(&self.bytes(&path)?) {
            Ok(config) => Some(config),
            Err(error) => {
                self.problem(&path, &error.to_string());
                None
            }
        }
    }

    fn processes(&mut self, side: &Side) -> Option<Vec<Process>> {
        let home = Path::new(&side.home);
        match self.host.processes_of(home) {
            Ok(processes) => Some(processes),
            Err(error) => {
                self.problem(home, &format!("its processes: {error}"));
                None
            }
        }
    }

    fn stores(&mut self, home: &Path, globs: &[String]) -> BTreeMap<String, PathBuf> {
        let found = inventory::matches(home, globs);
        found.unwrap_or_else(|error| {
            self.problem(home, &format!("keystores: {error}"));
            BTreeMap::new()
        })
    }

    /// Facts of the old home.
    fn old(&mut self, side: &Side, config: Option<&Config>, processes: Option<&[Process]>) -> Value {
        let home = Path::new(&side.home);
        let exists = self.exists(home);
        let mut old = Map::new();
        old.insert("exists".to_owned(), json!(exists));
        old.insert("home".to_owned(), json!(side.home));
        old.insert("running".to_owned(), processes.map_or(Value::Null, running));
        if !exists {
            return Value::Object(old);
        }
        let (named, version) = self.version(home);
        let kernel = self.text(&home.join("bin/wso2carbon-version.txt")).and_then(|t| version_in(&t));
        let profile = old.get("running").and_then(|r| r.get(0)?.get("profile")).cloned().unwrap_or_default();
        let mut add = |name: &str, value: Value| old.insert(name.to_owned(), value);
        add("owner", json!(self.owner(home)));
        add("version", json!(version));
        add("kernel", json!(kernel));
        add("product", json!(named.and_then(|n| product(&n, config))));
        add("profile", profile);
        if let Some(config) = config {
            add("offset", json!(config.offset()));
            add("hostname", json!(config.text("server.hostname")));
            add("server_role", json!(config.text("server.server_role")));
            add("databases", Value::Object(config.databases()));
        }
        self.asked(home, config, &mut old);
        Value::Object(old)
    }

    /// What the recipe asks for.
    fn asked(&mut self, home: &Path, config: Option<&Config>, old: &mut Map<String, Value>) {
        let look = std::mem::take(&mut self.look);
        let mut named = |gatherer: &mut Self, key: &str, all: Vec<(&String, Result<Value, String>)>| {
            let values = all.into_iter().map(|(name, result)| {
                let at = home.join(format!("({key} {name})"));
                (name.clone(), gatherer.or_null(&at, result))
            });
            let values: Map<String, Value> = values.collect();
            old.insert(key.to_owned(), Value::Object(values));
        };
        named(self, "files", look.files.iter().map(|(name, globs)| (name, inventory::files(home, globs))).collect());
        named(self, "folders", look.folders.iter().map(|(name, wanted)| (name, inventory::folders(home, wanted))).collect());
        named(self, "trees", look.trees.iter().map(|(name, globs)| (name, inventory::tree(home, globs))).collect());
        let found = look.values.iter().map(|(name, v)| (name, values::find(self.host, home, v).map(|text| json!(text))));
        let found = found.collect();
        named(self, "values", found);
        let found = look.tables.iter().map(|(name, wanted)| (name, self.table(wanted))).collect();
        named(self, "tables", found);
        let empty = Config::default();
        let conf =
            look.conf.iter().map(|(name, key)| (name.clone(), settings::wanted(config.unwrap_or(&empty), key, &self.hide)));
        let conf: Map<String, Value> = conf.collect();
        old.insert("conf".to_owned(), Value::Object(conf));
        let differ = config.map_or(Value::Null, |c| settings::differences(c, look.shipped.as_ref(), &self.hide));
        old.insert("settings".to_owned(), differ);
        let (classes, jars) = self.drivers(home, &look, config);
        old.extend([("driver_classes".to_owned(), classes), ("driver_jars".to_owned(), jars)]);
        self.look = look;
    }

    /// The keys of a table of another file; null where there is no such file.
    fn table(&self, wanted: &TableWanted) -> Result<Value, String> {
        let Some(bytes) = self.host.read(Path::new(&wanted.file)).map_err(|e| format!("{}: {e}", wanted.file))? else {
            return Ok(Value::Null);
        };
        let config = Config::read(&bytes).map_err(|e| format!("{}: {e}", wanted.file))?;
        Ok(settings::keys_in(&config, &wanted.table).into_iter().collect())
    }

    fn drivers(&mut self, home: &Path, look: &Look, config: Option<&Config>) -> (Value, Value) {
        let mut classes = look.driver_classes.clone();
        let databases = config.map(Config::databases).unwrap_or_default();
        classes.extend(databases.values().filter_map(|d| d.get("driver")?.as_str()).map(str::to_owned));
        classes.sort();
        classes.dedup();
        match drivers::find(home, &look.libraries, &classes, &look.default_drivers) {
            Ok(found) => {
                for what in found.unreadable {
                    self.problem(home, &what);
                }
                (found.classes, found.jars)
            }
            Err(error) => (self.or_null(home, Err(error)), Value::Null),
        }
    }

    fn new_side(&mut self) -> Value {
        let Some(side) = self.node.new.clone() else { return Value::Null };
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
        let running = self.processes(&side).map_or(Value::Null, |found| running(&found));
        json!({ "exists": exists, "home": side.home, "made_by_us": made_by_us, "version": version, "running": running })
    }

    /// Text and version number of a home's version.txt (`WSO2 Identity Server v5.10.0`).
    fn version(&mut self, home: &Path) -> (Option<String>, Option<String>) {
        let text = self.text(&home.join(VERSION));
        let version = text.as_deref().and_then(version_in);
        (text, version)
    }

    fn owner(&mut self, home: &Path) -> Option<String> {
        match host_machine::owner_name(home) {
            Ok(name) => Some(name),
            Err(error) => {
                self.problem(home, &error.to_string());
                None
            }
        }
    }

    /// What would start the homes, laid into `old` and `new`.
    fn autostart(&self, facts: &mut Map<String, Value>) {
        let mut unseen = BTreeSet::new();
        let root = self.look.autostart_root.as_deref().unwrap_or("/");
        for (name, side) in [("old", &self.node.old), ("new", &self.node.new)] {
            let (Some(side), Some(Value::Object(into))) = (side, facts.get_mut(name)) else { continue };
            let found = autostart::find(Path::new(root), Path::new(&side.home));
            into.insert("autostart".to_owned(), autostart_facts(&found.entries, &self.hide));
            unseen.extend(found.unseen);
        }
        facts.insert("autostart_unseen".to_owned(), json!(unseen));
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

    fn ports(&mut self, wanted: &[u16]) -> Value {
        let found = machine::ports(wanted);
        self.or_null(Path::new("/proc/net/tcp"), found)
    }

    fn mounts(&mut self) -> Value {
        let homes: Vec<String> = [&self.node.old, &self.node.new].into_iter().flatten().map(|side| side.home.clone()).collect();
        let homes: Vec<&str> = homes.iter().map(String::as_str).collect();
        let found = machine::mounts(&homes);
        self.or_null(Path::new("/proc/self/mountinfo"), found)
    }

    fn tmp_noexec(&mut self) -> Value {
        let found = machine::tmp_noexec().map(|noexec| json!(noexec));
        self.or_null(Path::new("/tmp"), found)
    }
}

/// `[ { kind, file, name, enabled, person, text } ]`.
fn autostart_facts(entries: &[Entry], hide: &Hide) -> Value {
    let one = |e: &Entry| {
        let person = match &e.off {
            Off::Person(why) => Some(why),
            Off::Changes(_) => None,
        };
        let text = hide.line(&e.text);
        json!({ "kind": e.kind, "file": e.file, "name": e.name, "enabled": e.enabled, "person": person, "text": text })
    };
    entries.iter().map(one).collect()
}
