//! Files and folders of an old home against what its pack shipped: which are custom, which were changed.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::codes::plan as codes;
use cavalcade_common::expression::Scope;
use cavalcade_common::facts::FoldersWanted;
use cavalcade_common::id::Digest;
use cavalcade_common::template::Reads;
use cavalcade_common::written::Reader;
use serde_json::{Map, Value, json};

use super::{Input, Readers};
use crate::fleet::FleetNode;
use crate::pack::Shipped;

/// What is made of the files and folders of an old home and what its pack shipped.
pub(super) const KINDS: [&str; 3] = ["custom", "changed", "not_custom"];

/// Adds `custom`, `changed` and `not_custom` to the facts of a node: lists of paths by the names of `old.files` and
/// `old.folders`, null where nobody knows what the pack shipped. What an answer gives stands already and is left; what it does
/// not call custom is not.
///
/// Where the recipe copies custom files and nobody knows which they are, that is a fault that lists the candidates.
pub(super) fn add(input: &Input<'_>, node: &FleetNode, scope: &Scope, facts: &mut Value, r: &mut Readers) {
    let found = |kind: &str| facts.get("old")?.get(kind)?.as_object().cloned();
    let Some(files) = found("files") else { return };
    let folders = found("folders").unwrap_or_default();
    let (mut known, mut asked, mut pack) = (Known::default(), Vec::new(), None);
    for written in &input.recipe.facts {
        if written.nodes.decide(scope, &mut r.recipe).is_some_and(|v| v.holds) {
            let named = written.pack.as_ref().map(|(name, _)| name);
            known.shipped = known.shipped.or_else(|| named.and_then(|name| input.shipped.get(name)));
            known.templates = known.templates.or(written.templates.as_deref());
            known.folders.extend(&written.folders);
            pack = pack.or(named);
            asked.extend(&written.custom);
        }
    }
    let none = Vec::new();
    let drivers = facts.pointer("/old/driver_jars").and_then(Value::as_array).unwrap_or(&none);
    let made = made(input, scope, &files, r);
    let (mut custom, mut changed) = (Map::new(), Map::new());
    let names: BTreeSet<&String> = files.keys().chain(folders.keys()).collect();
    for name in &names {
        let unread = [&files, &folders].into_iter().any(|all| all.get(*name).is_some_and(Value::is_null));
        let (files, folders) = (list(&files, name), list(&folders, name));
        let (own, other) = match known.differences(name, &files, &folders).filter(|_| !unread) {
            Some((mut own, other)) => {
                // The JDBC driver comes as an artifact: an older one beside it would be a second version.
                own.retain(|path| !drivers.iter().chain(&made).any(|left_out| left_out == path));
                (json!(own), json!(other))
            }
            None if files.is_empty() && folders.is_empty() && !unread => (json!([]), json!([])),
            None => (Value::Null, Value::Null),
        };
        custom.insert((*name).clone(), own);
        changed.insert((*name).clone(), other);
    }
    lay_under(facts, "custom", custom);
    lay_under(facts, "changed", changed);
    let others = names.into_iter().map(|name| (name.clone(), others(&facts["custom"][name.as_str()], &files, &folders, name)));
    let others = others.collect();
    lay_under(facts, "not_custom", others);
    let unknown: Vec<&String> = asked.into_iter().filter(|name| facts["custom"][name.as_str()].is_null()).collect();
    if !unknown.is_empty() {
        ask(node, pack, &unknown, [&files, &folders], &mut r.fleet);
    }
}

/// What agents found under a name.
fn list(found: &Map<String, Value>, name: &str) -> Vec<Value> {
    found.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Paths of what was found and is not custom; null where that is not known.
fn others(custom: &Value, files: &Map<String, Value>, folders: &Map<String, Value>, name: &str) -> Value {
    let Some(custom) = custom.as_array() else { return Value::Null };
    if [files, folders].into_iter().any(|all| all.get(name).is_some_and(Value::is_null)) {
        return Value::Null;
    }
    let found = list(files, name).into_iter().chain(list(folders, name)).map(|found| found["path"].clone());
    found.filter(|path| !custom.contains(path)).collect()
}

/// Paths of what the old server itself made of other files: the new one makes its own, of what it has.
fn made(input: &Input<'_>, scope: &Scope, files: &Map<String, Value>, r: &mut Readers) -> Vec<Value> {
    let paths = |name: &str| files.get(name).and_then(Value::as_array).into_iter().flatten().map(|file| &file["path"]);
    let mut made = Vec::new();
    for written in &input.recipe.facts {
        if written.made.is_empty() || written.nodes.decide(scope, &mut r.recipe).is_none_or(|v| !v.holds) {
            continue;
        }
        for (name, how) in &written.made {
            let names: Vec<String> = paths(&how.of).filter_map(|path| Some(how.name_of(path.as_str()?))).collect();
            let is_made =
                |path: &&Value| path.as_str().and_then(|p| p.rsplit('/').next()).is_some_and(|p| names.iter().any(|n| n == p));
            made.extend(paths(name).filter(is_made).cloned());
        }
    }
    made
}

/// The facts behind `facts.custom.NAME` and its siblings: `apply` looks at those again.
pub(super) fn made_from(facts: &Value) -> BTreeMap<String, Reads> {
    let mut behind = BTreeMap::<String, Reads>::new();
    for kind in ["files", "folders"] {
        for (name, found) in facts["old"][kind].as_object().into_iter().flatten() {
            for made in KINDS {
                let reads = behind.entry(format!("facts.{made}.{name}")).or_default();
                reads.insert(format!("facts.old.{kind}.{name}"), found.clone());
            }
        }
    }
    behind
}

/// What the old pack of a node shipped, where that is known.
pub(super) fn pack<'a>(input: &Input<'a>, scope: &Scope, r: &mut Reader) -> Option<&'a Shipped> {
    input.recipe.facts.iter().find_map(|written| {
        let (name, _) = written.pack.as_ref()?;
        let meant = written.nodes.decide(scope, r).is_some_and(|v| v.holds);
        input.shipped.get(name).filter(|_| meant)
    })
}

/// What is known of the pack.
#[derive(Default)]
struct Known<'a> {
    shipped: Option<&'a Shipped>,
    /// Where it keeps the template of a file, `*` being the file's path.
    templates: Option<&'a str>,
    folders: BTreeMap<&'a String, &'a FoldersWanted>,
}

impl Known<'_> {
    /// Paths that the pack does not have, and those that it has with another content; `None` where nobody knows the pack.
    fn differences(&self, name: &str, files: &[Value], folders: &[Value]) -> Option<(Vec<String>, Vec<String>)> {
        let shipped = self.shipped?;
        let (mut custom, mut changed) = (Vec::new(), Vec::new());
        for (path, digest) in files.iter().filter_map(told) {
            match shipped.files.get(path) {
                _ if self.is_rendered(shipped, path) => {}
                None => custom.push(path.to_owned()),
                Some(known) if known.as_str() != digest => changed.push(path.to_owned()),
                Some(_) => {}
            }
        }
        let wanted = self.folders.iter().find(|(known, _)| known.as_str() == name).map(|(_, wanted)| *wanted);
        for (path, digest) in folders.iter().filter_map(told) {
            match wanted.map_or(Folder::Foreign, |wanted| folder(shipped, wanted, path, digest)) {
                Folder::Foreign => custom.push(path.to_owned()),
                Folder::Changed => changed.push(path.to_owned()),
                Folder::AsShipped => {}
            }
        }
        Some((custom, changed))
    }

    /// Whether a server writes the file anew from a template: then it never is what the pack shipped.
    fn is_rendered(&self, shipped: &Shipped, path: &str) -> bool {
        self.templates.is_some_and(|templates| shipped.files.contains_key(&templates.replace('*', path)))
    }
}

fn told(found: &Value) -> Option<(&str, &str)> {
    Some((found["path"].as_str()?, found["sha256"].as_str()?))
}

/// A folder against the pack.
enum Folder {
    /// Neither the folder nor an archive of its name is in the pack.
    Foreign,
    /// It is there, with other files.
    Changed,
    /// It is what the pack shipped, or what a server unpacks of it. Of an archive that an older list does not look into too.
    AsShipped,
}

fn folder(shipped: &Shipped, wanted: &FoldersWanted, path: &str, digest: &str) -> Folder {
    let inside = format!("{path}/");
    // Sorted: the files of the folder stand together.
    let files = shipped.files.range(inside.clone()..).take_while(|(file, _)| file.starts_with(&inside));
    let files: Vec<(&str, &Digest)> = files.filter_map(|(file, digest)| Some((file.strip_prefix(&inside)?, digest))).collect();
    let archives: Vec<&String> = shipped.files.keys().filter(|file| is_archive_of(file, path)).collect();
    if files.is_empty() && archives.is_empty() {
        return Folder::Foreign;
    }
    let mut same = !files.is_empty() && wanted.digest(files).as_str() == digest;
    for archive in archives {
        same |= shipped
            .archives
            .get(archive)
            .is_none_or(|inside| wanted.digest(inside.iter().map(|(file, digest)| (file.as_str(), digest))).as_str() == digest);
    }
    if same { Folder::AsShipped } else { Folder::Changed }
}

/// Whether a file is the archive that a folder is unpacked from: `shop.war` of `shop`.
fn is_archive_of(file: &str, folder: &str) -> bool {
    file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('.')).is_some_and(|extension| !extension.contains(['.', '/']))
}

/// Adds names to a mapping of facts without touching what an answer put there.
pub(super) fn lay_under(facts: &mut Value, key: &str, names: Map<String, Value>) {
    let Value::Object(facts) = facts else { return };
    let there = facts.entry(key.to_owned()).or_insert_with(|| json!({}));
    let Value::Object(there) = there else { return };
    for (name, value) in names {
        there.entry(name).or_insert(value);
    }
}

/// Says what a person has to tell.
fn ask(node: &FleetNode, pack: Option<&String>, unknown: &[&String], found: [&Map<String, Value>; 2], fleet: &mut Reader) {
    for name in unknown {
        let candidates = found.into_iter().filter_map(|all| all.get(name.as_str())?.as_array()).flatten();
        let list: Vec<&str> = candidates.filter_map(|found| found["path"].as_str()).collect();
        let message = format!("which of these did the old pack not ship? {}", list.join(", "));
        let pack = pack.map_or_else(String::new, |pack| {
            format!("give the old pack, or its list (cavalcade pack list), as the artifact `{pack}`; or ")
        });
        let help = format!("{pack}answer for the node: custom: {{ {name}: [PATH, ...] }}, an empty list for none");
        fleet.node = Some(node.id.to_string());
        fleet.fault_with(codes::NEEDED_BY_RECIPE, node.mark, message, Some(help));
        fleet.node = None;
    }
}

#[cfg(test)]
#[path = "custom_tests.rs"]
mod tests;
