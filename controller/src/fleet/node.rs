//! The nodes of a fleet file: ranges expanded, `{{ name }}` filled, defaults applied.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::action::Runtime;
use cavalcade_common::codes::written as codes;
use cavalcade_common::expression::Scope;
use cavalcade_common::id::{HostId, NodeId};
use cavalcade_common::plan::{Role, Side};
use cavalcade_common::step::WrittenHook;
use cavalcade_common::template::{self, Reads};
use cavalcade_common::written::{AbsolutePath, Content, Entry, Fields, FromNode, Mark, Node, Reader};
use serde_json::{Map, Value};

use super::FleetNode;
use super::range::{self, MAX_NODES, RangeError};

/// What nodes and databases take where they say nothing themselves.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    run_as: Option<String>,
    java_home: Option<String>,
    env: BTreeMap<String, String>,
    /// Parent folder of backups; each database gets a folder of its name in it.
    pub(super) backup_to: Option<String>,
}

impl Defaults {
    pub(super) fn read(node: &Node, r: &mut Reader) -> Option<Self> {
        let mut f = Fields::of(node, "`defaults`", r)?;
        let defaults = Self {
            run_as: f.opt("run_as", r),
            java_home: f.opt::<AbsolutePath>("java_home", r).map(|p| p.0),
            env: f.or("env", BTreeMap::new(), r),
            backup_to: f.opt::<AbsolutePath>("backup_to", r).map(|p| p.0),
        };
        f.finish(r);
        Some(defaults)
    }
}

/// All nodes in the order of the file.
pub(super) fn nodes(node: &Node, defaults: &Defaults, r: &mut Reader) -> Vec<FleetNode> {
    let Some(entries) = node.entries() else {
        r.fault(codes::WRONG_KIND, node.mark, format!("`nodes` is a mapping of nodes by name, this is {}", node.kind()));
        return Vec::new();
    };
    let mut found: Vec<FleetNode> = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in entries {
        let names = match range::expand(&entry.key) {
            Ok(names) if names.len() + seen.len() <= MAX_NODES => names,
            Ok(_) => {
                r.fault(codes::BAD_VALUE, entry.mark, RangeError::TooMany.to_string());
                return found;
            }
            Err(e) => {
                r.fault(codes::BAD_VALUE, entry.mark, e.to_string());
                continue;
            }
        };
        for name in names {
            let id = match NodeId::new(&name) {
                Ok(id) => id,
                Err(e) => {
                    r.fault(codes::BAD_VALUE, entry.mark, e.to_string());
                    continue;
                }
            };
            if !seen.insert(name) {
                r.fault(codes::DUPLICATE_KEY, entry.mark, format!("the node `{id}` is given twice"));
                continue;
            }
            found.extend(one(id, entry, defaults, r));
        }
    }
    found
}

fn one(id: NodeId, entry: &Entry, defaults: &Defaults, r: &mut Reader) -> Option<FleetNode> {
    let scope: Map<String, Value> = [("name".to_owned(), Value::String(id.to_string()))].into_iter().collect();
    let before = r.count();
    let (node, hooks) = without_hooks(&entry.value);
    let node = template::fill(&node, &Scope::new(scope), &mut Reads::new(), r);
    let hooks = hooks.map(|n| WrittenHook::read_all(&n, r)).unwrap_or_default();
    if r.count() > before {
        return None;
    }
    let mut f = Fields::of(&node, format!("the node `{id}`"), r)?;
    let role = f.req_node("role", r).and_then(|n| role(n, r));
    let host: Option<HostId> = match f.node("host") {
        Some(n) => HostId::from_node(n, r),
        None => HostId::new(id.as_str()).ok(),
    };
    let address = f.opt("address", r);
    let old_offset = f.or("old_offset", 0, r);
    let offset = f.or("offset", old_offset, r);
    let old = f.node("old").and_then(|n| side(n, "old", r));
    let new_entry = f.req_node("new", r);
    let new = new_entry.and_then(|n| if n.text() == Some("retired") { None } else { side(n, "new", r) });
    let mut env = defaults.env.clone();
    env.extend(f.or("env", BTreeMap::new(), r));
    let runtime = Runtime {
        run_as: f.opt("run_as", r).or_else(|| defaults.run_as.clone()),
        java_home: f.opt::<AbsolutePath>("java_home", r).map(|p| p.0).or_else(|| defaults.java_home.clone()),
        env,
    };
    let answers = f.opt("answers", r).unwrap_or_default();
    // Read above; a person who mistypes a key is told of it, too.
    f.node("hooks");
    let has_old = old.is_some();
    f.finish(r);
    new_entry?;
    if new.is_none() && !has_old && r.count() == before {
        r.fault(codes::BAD_VALUE, entry.mark, format!("the node `{id}` is retired and was nothing before; leave it out"));
    }
    let (role, host) = (role?, host?);
    let address = address.unwrap_or_else(|| host.to_string());
    let node = FleetNode { id, host, address, role, offset, old_offset, old, new, runtime, answers, hooks, mark: entry.mark };
    profile_of_role(&node, entry.mark, r);
    Some(node)
}

/// A node, and its hooks: their templates are filled with a plan's names, not with the node's name alone.
fn without_hooks(node: &Node) -> (Node, Option<Node>) {
    let (mut node, mut hooks) = (node.clone(), None);
    if let Content::Map(entries) = &mut node.content
        && let Some(at) = entries.iter().position(|e| e.key == "hooks")
    {
        hooks = Some(entries.remove(at).value);
    }
    (node, hooks)
}

fn profile_of_role(node: &FleetNode, mark: Mark, r: &mut Reader) {
    let profile = [&node.old, &node.new].into_iter().flatten().find_map(|s| s.profile.as_ref());
    if let (Role::IdentityServer, Some(profile)) = (node.role, profile) {
        r.fault(codes::BAD_VALUE, mark, format!("an identity server has no profiles; `{}` has `{profile}`", node.id));
    }
}

fn role(node: &Node, r: &mut Reader) -> Option<Role> {
    match String::from_node(node, r)?.as_str() {
        "identity-server" => Some(Role::IdentityServer),
        "api-manager" => Some(Role::ApiManager),
        _ => {
            r.fault(codes::BAD_VALUE, node.mark, "the role is `identity-server` or `api-manager`");
            None
        }
    }
}

fn side(node: &Node, what: &str, r: &mut Reader) -> Option<Side> {
    if node.entries().is_none() && what == "new" {
        let message = "`new` is a mapping with `home`, or the word `retired`";
        r.fault(codes::WRONG_KIND, node.mark, message);
        return None;
    }
    let mut f = Fields::of(node, format!("`{what}`"), r)?;
    let home = f.req::<AbsolutePath>("home", r).map(|p| p.0);
    let profile = f.opt("profile", r);
    let service = f.opt("service", r);
    f.finish(r);
    Some(Side { home: home?, profile, service })
}
