//! `facts`: where agents look on the old servers.

use std::collections::BTreeMap;

use cavalcade_common::codes::written as codes;
use cavalcade_common::expression::Condition;
use cavalcade_common::facts::{FoldersWanted, ValueWanted};
use cavalcade_common::written::{Fields, FromNode, Mark, Node, Pattern, Reader};

/// Where agents look on some nodes. Paths are relative to the old home.
#[derive(Debug, Clone)]
pub struct FactsWritten {
    /// Which nodes; facts are not known yet.
    pub nodes: Condition,
    /// The artifact that tells what the old pack shipped: the pack, or a list of its files.
    pub pack: Option<(String, Mark)>,
    /// By name: globs of files whose digests are told.
    pub files: BTreeMap<String, Vec<String>>,
    /// By name: folders that are compared as a whole with what the pack shipped, unpacked or as an archive.
    pub folders: BTreeMap<String, FoldersWanted>,
    /// Where the pack keeps the template of a file, `*` being the file's path: a server writes such a file anew.
    pub templates: Option<String>,
    /// Names of `files` whose custom ones are copied: what the pack shipped must be known then.
    pub custom: Vec<String>,
    /// By names of `files`: what the server itself makes of other files at each start. They are no custom ones.
    pub made: BTreeMap<String, MadeWritten>,
    /// By name: globs of which number and size are told.
    pub trees: BTreeMap<String, Vec<String>>,
    /// Globs of keystores.
    pub keystores: Vec<String>,
    /// Passwords that the vendor ships keystores with.
    pub keystore_passwords: Vec<String>,
    /// Globs of trust stores.
    pub trust_stores: Vec<String>,
    /// By name: values found in files by a pattern.
    pub values: BTreeMap<String, ValueWanted>,
    /// By name: dotted keys of the old deployment.toml whose value is told.
    pub conf: BTreeMap<String, String>,
    /// By name: tables of other TOML files whose keys are told.
    pub tables: BTreeMap<String, TableWritten>,
    /// Globs of the JARs that are opened for JDBC drivers.
    pub libraries: Vec<String>,
}

/// Files that the server makes of others.
#[derive(Debug, Clone)]
pub struct MadeWritten {
    /// The name in `files` of what they are made of.
    pub of: String,
    /// Their name, with `<name>` for that of the other file without its ending.
    pub name: String,
    /// What stands for what in that.
    pub replace: BTreeMap<String, String>,
}

impl MadeWritten {
    /// What the server makes of the file at this path is called so.
    #[must_use]
    pub fn name_of(&self, path: &str) -> String {
        let file = path.rsplit('/').next().unwrap_or(path);
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let stem = self.replace.iter().fold(stem.to_owned(), |name, (from, to)| name.replace(from, to));
        self.name.replace("<name>", &stem)
    }
}

/// A table of a TOML file.
#[derive(Debug, Clone)]
pub struct TableWritten {
    /// An expression that gives the absolute path of the file, or none.
    pub at: Node,
    /// Dotted path of the table.
    pub table: String,
}

pub(super) fn facts(node: &Node, r: &mut Reader) -> Option<FactsWritten> {
    let mut f = Fields::of(node, "an element of `facts`", r)?;
    let nodes = f.req_node("nodes", r).and_then(|n| Condition::of(n, r));
    let pack = f.node("pack").and_then(|n| Some((String::from_node(n, r)?, n.mark)));
    let written = FactsWritten {
        pack,
        files: f.or("files", BTreeMap::new(), r),
        folders: by_name("folders", &mut f, r, folders),
        templates: f.opt("templates", r),
        custom: f.or("custom", Vec::new(), r),
        made: by_name("made", &mut f, r, made),
        trees: f.or("trees", BTreeMap::new(), r),
        keystores: f.or("keystores", Vec::new(), r),
        keystore_passwords: f.or("keystore_passwords", Vec::new(), r),
        trust_stores: f.or("trust_stores", Vec::new(), r),
        values: by_name("values", &mut f, r, value),
        conf: f.or("conf", BTreeMap::new(), r),
        tables: by_name("tables", &mut f, r, table),
        libraries: f.or("libraries", Vec::new(), r),
        nodes: nodes?,
    };
    f.finish(r);
    Some(written)
}

/// A mapping by name whose values are read one by one.
fn by_name<T>(
    key: &'static str,
    f: &mut Fields<'_>,
    r: &mut Reader,
    one: impl Fn(&str, &Node, &mut Reader) -> Option<T>,
) -> BTreeMap<String, T> {
    let Some(node) = f.node(key) else { return BTreeMap::new() };
    let Some(entries) = node.entries() else {
        r.fault(codes::WRONG_KIND, node.mark, format!("`{key}` is a mapping by name, this is {}", node.kind()));
        return BTreeMap::new();
    };
    entries.iter().filter_map(|e| Some((e.key.clone(), one(&e.key, &e.value, r)?))).collect()
}

fn made(name: &str, node: &Node, r: &mut Reader) -> Option<MadeWritten> {
    let mut f = Fields::of(node, format!("what is made, `{name}`"), r)?;
    let (of, called) = (f.req("of", r), f.req("name", r));
    let replace = f.or("replace", BTreeMap::new(), r);
    f.finish(r);
    Some(MadeWritten { of: of?, name: called?, replace })
}

fn table(name: &str, node: &Node, r: &mut Reader) -> Option<TableWritten> {
    let mut f = Fields::of(node, format!("the table `{name}`"), r)?;
    let at = f.req_node("at", r).cloned();
    let table = f.req("table", r);
    f.finish(r);
    Some(TableWritten { at: at?, table: table? })
}

fn folders(name: &str, node: &Node, r: &mut Reader) -> Option<FoldersWanted> {
    let mut f = Fields::of(node, format!("the folders `{name}`"), r)?;
    let globs = f.req("globs", r);
    let without = f.or("without", Vec::new(), r);
    f.finish(r);
    Some(FoldersWanted { globs: globs?, without })
}

fn value(name: &str, node: &Node, r: &mut Reader) -> Option<ValueWanted> {
    let mut f = Fields::of(node, format!("the value `{name}`"), r)?;
    let file = f.req("file", r);
    let pattern = f.req::<Pattern>("pattern", r);
    let otherwise = f.opt("otherwise", r);
    f.finish(r);
    Some(ValueWanted { file: file?, pattern: pattern?.0, otherwise })
}
