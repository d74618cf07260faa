//! A recipe file, read: every fault of it at once.

use std::collections::BTreeMap;

use cavalcade_common::codes::written as codes;
use cavalcade_common::error::Faults;
use cavalcade_common::expression::{self, Condition, Scope};
use cavalcade_common::id::{Digest, NodeId, check_name};
use cavalcade_common::plan::Role;
use cavalcade_common::written::{Content, Fields, FromNode, Mark, Node, Pattern, Reader, read as read_yaml};
use serde_json::{Map, Value};

use super::settings::setting;
use super::stage::stages;
use super::{
    AcrossWritten, JdbcWritten, NeedKind, NeedWritten, Needed, OptionDeclared, ProbeWritten, Profiles, Recipe, Remark,
    Requirement,
};
use super::{check, facts};
use crate::fleet::schema_word;

/// Schema word of a recipe.
pub const RECIPE_SCHEMA: &str = "cavalcade.recipe/1";

/// Root names that are known only with a fleet.
const LATER: [&str; 13] = [
    "name",
    "node",
    "facts",
    "fleet",
    "databases",
    "artifacts",
    "secrets",
    "identity_servers",
    "api_managers",
    "item",
    "values",
    "settings",
    "across",
];

/// Reads a recipe. `file` is its name for errors.
///
/// # Errors
/// Every fault that can be seen in the recipe alone.
pub fn read(bytes: &[u8], file: &str) -> Result<Recipe, Faults> {
    let document = read_yaml(bytes, file)?;
    let mut r = Reader::new(file);
    let recipe = recipe(&document.root, bytes, &mut r);
    if let Some(recipe) = &recipe {
        check_forms(recipe, &mut r);
    }
    r.finish(recipe)
}

fn recipe(root: &Node, bytes: &[u8], r: &mut Reader) -> Option<Recipe> {
    let mut f = Fields::of(root, "a recipe", r)?;
    schema_word(&mut f, RECIPE_SCHEMA, r);
    let name: Option<NodeId> = f.req("recipe", r);
    let title = f.req("title", r);
    let options = declared(f.node("options"), "option", r, option);
    let artifacts = declared(f.node("artifacts"), "artifact", r, needed);
    let databases = declared(f.node("databases"), "database", r, needed);
    let jdbc = declared(f.node("jdbc"), "engine", r, jdbc);
    let ports = f.node("ports").map(|n| ports(n, r)).unwrap_or_default();
    let profiles = f.node("profiles").and_then(|n| profiles(n, r)).unwrap_or_default();
    let facts = items(f.node("facts"), "facts", r, facts::facts);
    let settings = items(f.node("settings"), "settings", r, setting);
    let across = declared(f.node("across"), "list", r, across);
    let values = f.node("values").map(|n| values(n, r)).unwrap_or_default();
    let probes = items(f.node("probes"), "probes", r, probe);
    let needs = declared(f.node("needs"), "need", r, need);
    let require = items(f.node("require"), "require", r, requirement);
    let remarks = items(f.node("remarks"), "remarks", r, remark);
    let checks = items(f.node("checks"), "checks", r, check::check);
    let hide = f.opt::<Vec<Pattern>>("hide", r).unwrap_or_default().into_iter().map(|p| p.0).collect();
    let stages = f.req_node("stages", r).map(|n| stages(n, r));
    f.finish(r);
    Some(Recipe {
        file: r.file.to_string(),
        text: String::from_utf8_lossy(bytes).into_owned(),
        sha256: Digest::of(bytes),
        name: name?.to_string(),
        title: title?,
        options,
        artifacts,
        databases,
        jdbc,
        ports,
        profiles,
        facts,
        settings,
        across,
        values,
        probes,
        needs,
        require,
        remarks,
        checks,
        hide,
        stages: stages?,
    })
}

fn declared<T>(
    node: Option<&Node>,
    what: &str,
    r: &mut Reader,
    read: impl Fn(&str, &Node, Mark, &mut Reader) -> Option<T>,
) -> BTreeMap<String, T> {
    let Some(node) = node else { return BTreeMap::new() };
    let Some(entries) = node.entries() else {
        r.fault(codes::WRONG_KIND, node.mark, format!("a mapping of {what}s by name is needed here, this is {}", node.kind()));
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        if let Err(e) = check_name(&entry.key) {
            r.fault(codes::BAD_VALUE, entry.mark, e.to_string());
        } else if let Some(value) = read(&entry.key, &entry.value, entry.mark, r) {
            found.insert(entry.key.clone(), value);
        }
    }
    found
}

pub(crate) fn items<T>(node: Option<&Node>, key: &str, r: &mut Reader, read: impl Fn(&Node, &mut Reader) -> Option<T>) -> Vec<T> {
    match node.map(|n| (&n.content, n)) {
        None => Vec::new(),
        Some((Content::List(items), _)) => items.iter().filter_map(|n| read(n, r)).collect(),
        Some((_, node)) => {
            r.fault(codes::WRONG_KIND, node.mark, format!("`{key}` is a list, this is {}", node.kind()));
            Vec::new()
        }
    }
}

fn option(name: &str, node: &Node, mark: Mark, r: &mut Reader) -> Option<OptionDeclared> {
    let mut f = Fields::of(node, format!("the option `{name}`"), r)?;
    let default = f.node("default").map_or(Value::Null, Node::to_value);
    let doc = f.req("doc", r);
    let required = f.or("required", false, r);
    let one_of = f.opt::<Vec<Value>>("one_of", r).unwrap_or_default();
    f.finish(r);
    Some(OptionDeclared { default, doc: doc?, required, one_of, mark })
}

fn needed(name: &str, node: &Node, mark: Mark, r: &mut Reader) -> Option<Needed> {
    let mut f = Fields::of(node, format!("`{name}`"), r)?;
    let doc = f.req("doc", r);
    let optional = f.or("optional", false, r);
    let fact = f.opt("fact", r);
    let asks = f.or("asks", BTreeMap::new(), r);
    f.finish(r);
    Some(Needed { doc: doc?, optional, fact, asks, mark })
}

fn jdbc(name: &str, node: &Node, mark: Mark, r: &mut Reader) -> Option<JdbcWritten> {
    if !["mysql", "postgresql"].contains(&name) {
        r.fault(codes::BAD_VALUE, mark, "the engines are `mysql`, for MariaDB too, and `postgresql`");
    }
    let mut f = Fields::of(node, format!("`{name}`"), r)?;
    let (url, driver) = (f.req("url", r), f.req("driver", r));
    f.finish(r);
    Some(JdbcWritten { url: url?, driver: driver? })
}

fn ports(node: &Node, r: &mut Reader) -> BTreeMap<Role, BTreeMap<String, u16>> {
    let Some(mut f) = Fields::of(node, "`ports`", r) else { return BTreeMap::new() };
    let is = f.or("identity-server", BTreeMap::new(), r);
    let am = f.or("api-manager", BTreeMap::new(), r);
    f.finish(r);
    BTreeMap::from([(Role::IdentityServer, is), (Role::ApiManager, am)])
}

fn profiles(node: &Node, r: &mut Reader) -> Option<Profiles> {
    let mut f = Fields::of(node, "`profiles`", r)?;
    let (old, new) = (f.req("old", r), f.req("new", r));
    f.finish(r);
    Some(Profiles { old: old?, new: new? })
}

fn across(name: &str, node: &Node, mark: Mark, r: &mut Reader) -> Option<AcrossWritten> {
    let mut f = Fields::of(node, format!("the list `{name}`"), r)?;
    let nodes = f.node("nodes").and_then(|n| Condition::of(n, r));
    let value = f.req_node("value", r).cloned();
    f.finish(r);
    let value = value?;
    if value.text().is_none() {
        r.fault(codes::WRONG_KIND, value.mark, format!("an expression is needed here, this is {}", value.kind()));
    }
    Some(AcrossWritten { nodes, value, mark })
}

fn values(node: &Node, r: &mut Reader) -> Vec<(String, Node)> {
    let Some(entries) = node.entries() else {
        r.fault(codes::WRONG_KIND, node.mark, format!("`values` is a mapping of expressions, this is {}", node.kind()));
        return Vec::new();
    };
    for entry in entries.iter().filter(|e| e.value.text().is_none()) {
        r.fault(codes::WRONG_KIND, entry.value.mark, format!("an expression is needed here, this is {}", entry.value.kind()));
    }
    entries.iter().map(|e| (e.key.clone(), e.value.clone())).collect()
}

fn probe(node: &Node, r: &mut Reader) -> Option<ProbeWritten> {
    let mut f = Fields::of(node, "a probe", r)?;
    let nodes = f.req_node("nodes", r).and_then(|n| Condition::of(n, r));
    let script = f.req("script", r);
    let forbid_args = f.or("forbid_args", Vec::new(), r);
    let ready = f.req_node("ready", r).cloned();
    f.finish(r);
    Some(ProbeWritten { nodes: nodes?, script: script?, forbid_args, ready: ready? })
}

fn need(name: &str, node: &Node, mark: Mark, r: &mut Reader) -> Option<NeedWritten> {
    let mut f = Fields::of(node, format!("the need `{name}`"), r)?;
    let ready = f.node("ready").and_then(|n| Condition::of(n, r));
    let down = f.node("down").and_then(|n| Condition::of(n, r));
    let via = f.node("via").cloned();
    let alone = f.node("alone").cloned();
    f.finish(r);
    let kind = match (ready, down, alone) {
        (Some(nodes), None, None) => NeedKind::Ready { nodes, via },
        (None, Some(nodes), None) => NeedKind::Down { nodes },
        (None, None, Some(node)) => NeedKind::Alone(node),
        _ => {
            let message = format!("the need `{name}` has one of `ready` and `down` with an expression, and `alone`");
            r.fault(codes::BAD_VALUE, mark, message);
            return None;
        }
    };
    Some(NeedWritten { kind, mark })
}

fn requirement(node: &Node, r: &mut Reader) -> Option<Requirement> {
    let mut f = Fields::of(node, "an element of `require`", r)?;
    let nodes = f.node("nodes").and_then(|n| Condition::of(n, r));
    let that = f.req_node("that", r).and_then(|n| Condition::of(n, r));
    let says = f.req_node("says", r).cloned();
    f.finish(r);
    Some(Requirement { nodes, that: that?, says: says? })
}

fn remark(node: &Node, r: &mut Reader) -> Option<Remark> {
    let mut f = Fields::of(node, "a remark", r)?;
    let nodes = f.node("nodes").and_then(|n| Condition::of(n, r));
    let says = f.req_node("says", r).cloned();
    f.finish(r);
    Some(Remark { nodes, says: says? })
}

/// Checks every expression, template and action of a recipe without a fleet: its form, and names of options.
fn check_forms(recipe: &Recipe, r: &mut Reader) {
    let options: Map<String, Value> = recipe.options.iter().map(|(n, o)| (n.clone(), o.default.clone())).collect();
    let roots: Map<String, Value> = [("options".to_owned(), Value::Object(options))].into_iter().collect();
    let scope = Scope::new(roots);
    let conditions = recipe.probes.iter().map(|p| &p.nodes).chain(recipe.needs.values().filter_map(|n| n.kind.nodes()));
    let conditions = conditions.chain(recipe.require.iter().flat_map(|q| q.nodes.iter().chain([&q.that])));
    let conditions = conditions.chain(recipe.across.values().filter_map(|a| a.nodes.as_ref()));
    let conditions = conditions.chain(recipe.remarks.iter().filter_map(|m| m.nodes.as_ref()));
    for condition in conditions.chain(recipe.stages.iter().filter_map(|s| s.nodes.as_ref())) {
        condition.check(&scope, &LATER, r);
    }
    let texts = recipe.probes.iter().map(|p| &p.ready).chain(recipe.needs.values().filter_map(|n| n.kind.template()));
    let texts = texts.chain(recipe.require.iter().map(|q| &q.says)).chain(recipe.remarks.iter().map(|m| &m.says));
    for node in texts {
        cavalcade_common::template::check(node, &scope, &LATER, r);
    }
    let lists = recipe.across.values().map(|a| &a.value);
    let tables = recipe.facts.iter().flat_map(|f| f.tables.values()).map(|t| &t.at);
    for node in recipe.values.iter().map(|(_, node)| node).chain(lists).chain(tables) {
        if let Some(Err(error)) = node.text().map(|source| expression::check(source, &scope, &LATER)) {
            expression::note(node, &error, r);
        }
    }
    check::check_forms(recipe, &scope, &LATER, r);
    for probe in &recipe.probes {
        let open = cavalcade_common::template::check(&probe.ready, &scope, &LATER, r);
        let _form: Option<cavalcade_common::action::Ready> = FromNode::from_node(&open, r);
    }
    for need in recipe.needs.values() {
        if let NeedKind::Alone(node) = &need.kind {
            let open = cavalcade_common::template::check(node, &scope, &LATER, &mut Reader::new(&recipe.file));
            let _form = cavalcade_common::step::no_sessions(&open, r);
        }
    }
    for stage in &recipe.stages {
        for (word, mark) in &stage.needs {
            known_need(recipe, word, *mark, r);
        }
        for step in &stage.steps {
            step.check(&scope, &LATER, r);
        }
    }
}

fn known_need(recipe: &Recipe, word: &str, mark: Mark, r: &mut Reader) {
    if !recipe.needs.contains_key(word) {
        let near = cavalcade_common::written::nearest(word, recipe.needs.keys().map(String::as_str));
        let help = near.map(|n| format!("`{n}` exists"));
        r.fault_with(codes::UNKNOWN_REFERENCE, mark, format!("the recipe has no need `{word}`"), help);
    }
}
