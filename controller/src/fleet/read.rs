//! The fleet file, read: every fault of it at once.

use std::collections::BTreeMap;

use cavalcade_common::action::{DbTarget, Engine};
use cavalcade_common::codes::written as codes;
use cavalcade_common::error::Faults;
use cavalcade_common::expression::Scope;
use cavalcade_common::id::{Digest, NodeId, check_name};
use cavalcade_common::secret::{SecretRef, marker};
use cavalcade_common::step::secret_values;
use cavalcade_common::template::{self, Reads};
use cavalcade_common::written::{AbsolutePath, Content, Fields, FromNode, Mark, Node, Reader, nearest, read as read_yaml};
use serde_json::Value;

use super::node::{Defaults, nodes};
use super::{Account, ArtifactFile, Database, Fleet, check, window};
use crate::recipe::{items, setting};

/// Schema word of a fleet file.
pub const FLEET_SCHEMA: &str = "cavalcade.fleet/1";

/// Reads a fleet file. `file` is its name for errors.
///
/// # Errors
/// Every fault that can be seen in the file alone.
pub fn read(bytes: &[u8], file: &str) -> Result<Fleet, Faults> {
    let document = read_yaml(bytes, file)?;
    let mut r = Reader::new(file);
    let fleet = fleet(&document.root, &mut r);
    if let Some(fleet) = &fleet {
        check::check(fleet, &mut r);
    }
    r.finish(fleet)
}

/// Checks the key `schema`.
pub(crate) fn schema_word(f: &mut Fields<'_>, wanted: &str, r: &mut Reader) {
    let entry = f.entry("schema");
    let mark = entry.map_or(f.mark(), |e| e.value.mark);
    if entry.and_then(|e| e.value.text()) != Some(wanted) {
        r.fault(codes::SCHEMA_WORD, mark, format!("this program reads `schema: {wanted}` here"));
    }
}

fn fleet(root: &Node, r: &mut Reader) -> Option<Fleet> {
    let mut f = Fields::of(root, "a fleet file", r)?;
    schema_word(&mut f, FLEET_SCHEMA, r);
    let name: Option<NodeId> = f.req("fleet", r);
    let recipe = f.req("recipe", r);
    let artifacts = named(f.node("artifacts"), "artifact", r, artifact);
    let secrets = named(f.node("secrets"), "secret", r, secret);
    let defaults = f.node("defaults").and_then(|n| Defaults::read(n, r)).unwrap_or_default();
    let databases = f.node("databases");
    let databases = named(databases, "database", r, |name, node, mark, r| database(name, node, mark, &secrets, &defaults, r));
    let nodes = f.req_node("nodes", r).map(|n| nodes(n, &defaults, r));
    let answers = f.opt("answers", r).unwrap_or_default();
    let window = f.node("window").and_then(|n| window::window(n, r));
    let expected = window::expected(f.node("expected"), r);
    let options = options(f.node("options"), r);
    let settings = items(f.node("settings"), "settings", r, setting);
    f.finish(r);
    Some(Fleet {
        file: r.file.to_string(),
        name: name?.to_string(),
        recipe: recipe?,
        artifacts,
        secrets,
        databases,
        nodes: nodes?,
        answers,
        settings,
        window,
        expected,
        options,
    })
}

/// A mapping of names to things.
fn named<T>(
    node: Option<&Node>,
    what: &str,
    r: &mut Reader,
    mut read: impl FnMut(&str, &Node, Mark, &mut Reader) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    let Some(node) = node else { return found };
    let Some(entries) = node.entries() else {
        r.fault(codes::WRONG_KIND, node.mark, format!("a mapping of {what}s by name is needed here, this is {}", node.kind()));
        return found;
    };
    for entry in entries {
        if let Err(e) = check_name(&entry.key) {
            r.fault(codes::BAD_VALUE, entry.mark, e.to_string());
        } else if entry.key.contains(['-', '.']) {
            let message = format!("the name of {} {what} has no `-` and no `.`, which expressions read otherwise", article(what));
            r.fault(codes::BAD_VALUE, entry.mark, message);
        } else if let Some(value) = read(&entry.key, &entry.value, entry.mark, r) {
            found.insert(entry.key.clone(), value);
        }
    }
    found
}

fn article(what: &str) -> &'static str {
    if what.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

fn artifact(name: &str, node: &Node, mark: Mark, r: &mut Reader) -> Option<ArtifactFile> {
    let mut f = Fields::of(node, format!("the artifact `{name}`"), r)?;
    let file: Option<String> = f.req("file", r);
    let sha256_mark = f.node("sha256").map_or(mark, |n| n.mark);
    let sha256: Option<Digest> = f.opt("sha256", r);
    f.finish(r);
    Some(ArtifactFile { file: file?, sha256, mark, sha256_mark })
}

/// A reference to a secret. A value here is an error whose place has no column, so that no snippet shows it.
fn secret(name: &str, node: &Node, mark: Mark, r: &mut Reader) -> Option<SecretRef> {
    let hidden = Mark { line: mark.line, column: 0, length: 0 };
    let Some(entries) = node.entries() else {
        let help = Some(format!("write: {name}: {{ file: /run/secrets/{name} }}, or env, exec, prompt, generate"));
        r.fault_with(codes::LITERAL_SECRET, hidden, format!("the secret `{name}` is no reference; its value stands here"), help);
        return None;
    };
    let mut f = Fields::of(node, format!("the secret `{name}`"), r)?;
    let file = f.opt::<AbsolutePath>("file", r).map(|p| SecretRef::File(p.0));
    let env = f.opt("env", r).map(SecretRef::Env);
    let exec = f.opt::<Vec<String>>("exec", r).map(SecretRef::Exec);
    let prompt = f.opt("prompt", r).map(SecretRef::Prompt);
    let generate = generated(&mut f, r);
    if let Some(entry) = entries.iter().find(|e| matches!(e.key.as_str(), "value" | "password" | "secret" | "plain")) {
        let hidden = Mark { line: entry.mark.line, column: 0, length: 0 };
        r.fault(codes::LITERAL_SECRET, hidden, format!("the secret `{name}` has its value in this file"));
        return None;
    }
    f.finish(r);
    let mut given: Vec<SecretRef> = [file, env, exec, prompt, generate].into_iter().flatten().collect();
    match given.pop() {
        Some(one) if given.is_empty() => {
            let empty = matches!(&one, SecretRef::Exec(words) if !words.first().is_some_and(|w| w.starts_with('/')));
            if empty {
                r.fault(codes::BAD_VALUE, node.mark, "`exec` is a list: an absolute program and its arguments");
            }
            Some(one)
        }
        _ => {
            r.fault(
                codes::BAD_VALUE,
                mark,
                format!("the secret `{name}` needs one of `file`, `env`, `exec`, `prompt`, `generate`"),
            );
            None
        }
    }
}

/// Bytes that a generated secret may have: fewer could be guessed, more are no better.
const GENERATED: std::ops::RangeInclusive<u32> = 16..=256;

fn generated(f: &mut Fields<'_>, r: &mut Reader) -> Option<SecretRef> {
    let mark = f.node("generate")?.mark;
    let bytes: u32 = f.opt("generate", r)?;
    if !GENERATED.contains(&bytes) {
        let what = format!("`generate` is the number of random bytes, {} to {}", GENERATED.start(), GENERATED.end());
        r.fault(codes::BAD_VALUE, mark, what);
    }
    Some(SecretRef::Generate { bytes })
}

fn database(
    name: &str,
    node: &Node,
    mark: Mark,
    secrets: &BTreeMap<String, SecretRef>,
    defaults: &Defaults,
    r: &mut Reader,
) -> Option<Database> {
    let mut f = Fields::of(node, format!("the database `{name}`"), r)?;
    let engine = f.req_node("engine", r).and_then(|n| engine(n, r));
    let socket = f.opt::<AbsolutePath>("socket", r).map(|p| p.0);
    let host: String = if socket.is_some() { f.or("host", String::new(), r) } else { f.req("host", r).unwrap_or_default() };
    let port = f.opt("port", r);
    let database = f.req("name", r);
    let from = f.req("from", r);
    let scratch: Option<String> = f.opt("scratch", r);
    let admin = f.req_node("admin", r).and_then(|n| account(n, "admin", secrets, r));
    let server = f.node("server").and_then(|n| account(n, "server", secrets, r));
    let jdbc_url = f.node("jdbc_url").and_then(|n| with_secrets(n, secrets, r));
    let tls = f.or("tls", false, r);
    let ca = f.opt::<AbsolutePath>("ca", r).map(|p| p.0);
    let client_bin = f.opt::<AbsolutePath>("client_bin", r).map(|p| p.0);
    let backup_to = f.opt::<AbsolutePath>("backup_to", r).map(|p| p.0);
    let backup_to = backup_to.or_else(|| defaults.backup_to.as_ref().map(|b| format!("{b}/{name}")));
    f.finish(r);
    let (engine, admin, database): (Engine, Account, String) = (engine?, admin?, database?);
    if scratch.as_ref() == Some(&database) {
        r.fault(codes::BAD_VALUE, mark, format!("the scratch database of `{name}` is the database itself"));
    }
    let port = port.unwrap_or(match engine {
        Engine::Mysql => 3306,
        Engine::Postgresql => 5432,
    });
    let target = DbTarget {
        name: name.to_owned(),
        engine,
        host,
        port,
        socket,
        database,
        scratch,
        user: admin.user,
        password: admin.password,
        server_accounts: server.iter().map(|s| s.user.clone()).collect(),
        tls,
        ca,
        client_bin,
    };
    Some(Database { target, from: from?, server, jdbc_url, backup_to, mark })
}

/// A text that may hold `{{ secrets.NAME }}`.
fn with_secrets(node: &Node, secrets: &BTreeMap<String, SecretRef>, r: &mut Reader) -> Option<String> {
    let scope = Scope::default().with("secrets", secret_values(secrets.keys().map(String::as_str)));
    let before = r.count();
    let filled = template::fill(node, &scope, &mut Reads::new(), r);
    if r.count() > before { None } else { String::from_node(&filled, r) }
}

fn engine(node: &Node, r: &mut Reader) -> Option<Engine> {
    match String::from_node(node, r)?.as_str() {
        "mysql" | "mariadb" => Some(Engine::Mysql),
        "postgresql" | "postgres" => Some(Engine::Postgresql),
        _ => {
            r.fault(codes::BAD_VALUE, node.mark, "the engine is `mysql`, `mariadb` or `postgresql`");
            None
        }
    }
}

/// An account; its password names a secret. What stands there is never shown: it may be a password.
fn account(node: &Node, what: &str, secrets: &BTreeMap<String, SecretRef>, r: &mut Reader) -> Option<Account> {
    let mut f = Fields::of(node, format!("`{what}`"), r)?;
    let user = f.req("user", r);
    let password = f.entry("password");
    f.finish(r);
    let password = match password {
        None => String::new(),
        Some(entry) => {
            let name = entry.value.text().unwrap_or_default();
            if !secrets.contains_key(name) {
                let hidden = Mark { line: entry.mark.line, column: 0, length: 0 };
                let near = nearest(name, secrets.keys().map(String::as_str)).map(|n| format!("`{n}` exists"));
                let help = near.or_else(|| Some("define it under `secrets` as a reference".to_owned()));
                r.fault_with(codes::UNKNOWN_REFERENCE, hidden, "`password` is no name of a secret", help);
                return None;
            }
            marker(name)
        }
    };
    Some(Account { user: user?, password })
}

fn options(node: Option<&Node>, r: &mut Reader) -> BTreeMap<String, (Value, Mark)> {
    match node.map(|n| (&n.content, n.mark)) {
        None => BTreeMap::new(),
        Some((Content::Map(entries), _)) => entries.iter().map(|e| (e.key.clone(), (e.value.to_value(), e.mark))).collect(),
        Some((_, mark)) => {
            r.fault(codes::WRONG_KIND, mark, "`options` is a mapping");
            BTreeMap::new()
        }
    }
}
