//! `exchange`: HTTP calls in order, with values that one hands on to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Cx;
use super::action::{database_at, within};
use super::edit::list;
use crate::action::{Call, Covers, EACH, Exchange, ExchangeQuery, HttpMethod, Part, is_capture_name, parts};
use crate::codes::written as codes;
use crate::written::{Content, Fields, FromNode, Mark, Node, Pattern, Reader, nearest};

/// How long the calls are tried where nothing says so.
const WITHIN: Duration = Duration::from_secs(120);

/// Headers that the client writes itself.
const OWN_HEADERS: [&str; 5] = ["content-length", "transfer-encoding", "connection", "upgrade", "expect"];

pub(super) fn exchange(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Option<Exchange> {
    let node = f.req_node("calls", r);
    let before = r.count();
    let placed = list(f, "calls", r, |node, r| Some((node.mark, call(node, r)?)));
    let mut calls: Vec<Call> = Vec::with_capacity(placed.len());
    let (mut captured, mut collected): (BTreeSet<String>, BTreeSet<String>) = Default::default();
    for (mark, call) in placed {
        if calls.iter().any(|c| c.name == call.name) && call.name != "open" {
            r.fault(codes::BAD_VALUE, mark, format!("two calls are named `{}`", call.name));
        }
        let own = (!call.each.is_empty()).then(|| EACH.to_owned());
        let known = captured.iter().cloned().chain(own).collect();
        for text in call.texts() {
            only_captured(text, &known, mark, r);
        }
        captured.extend(call.capture.keys().cloned());
        collected.extend(call.collect.keys().cloned());
        calls.push(call);
    }
    if let Some(node) = node.filter(|n| calls.is_empty() && !matches!(n.content, Content::Open))
        && r.count() == before
    {
        r.fault(codes::MISSING_KEY, node.mark, "`exchange` needs at least one element of `calls`");
    }
    let query = f.node("query").map(|n| query(n, &captured, cx, r));
    let covers = match f.node("covers") {
        Some(_) => list(f, "covers", r, |node, r| covers(node, &collected, r)),
        None => Vec::new(),
    };
    let within = within(f, WITHIN, r);
    let query = match query {
        Some(found) => Some(found?),
        None => None,
    };
    Some(Exchange { calls, query, covers, changes: false, within })
}

/// Every `$(NAME)` of a text is a value of an earlier call.
fn only_captured(text: &str, captured: &BTreeSet<String>, mark: Mark, r: &mut Reader) {
    for part in parts(text) {
        if let Part::Captured(name) = part
            && !captured.contains(name)
        {
            unknown("captures", name, captured, mark, r);
        }
    }
}

/// What a call takes from its answer: `captures` one value, `collects` all.
fn unknown(takes: &str, name: &str, captured: &BTreeSet<String>, mark: Mark, r: &mut Reader) {
    let known: Vec<&str> = captured.iter().map(String::as_str).collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("`{near}` exists"),
        None if known.is_empty() => format!("no call before {takes} anything"),
        None => format!("known: {}", known.join(", ")),
    };
    r.fault_with(codes::UNKNOWN_REFERENCE, mark, format!("no call before {takes} `{name}`"), Some(help));
}

fn call(node: &Node, r: &mut Reader) -> Option<Call> {
    let mut f = Fields::of(node, "a call", r)?;
    let name: Option<String> = f.req("name", r);
    let url_node = f.req_node("url", r);
    let url = url_node.and_then(|n| String::from_node(n, r));
    let open = url_node.is_none_or(|n| matches!(n.content, Content::Open));
    if let (Some(node), Some(url), false) = (url_node, &url, open)
        && !(url.starts_with("http://") || url.starts_with("https://"))
    {
        r.fault(codes::BAD_VALUE, node.mark, "a URL that begins with http:// or https:// is needed here");
    }
    let method = f.node("method").and_then(|n| method(n, r)).unwrap_or_default();
    let headers = f.node("headers").map(|n| headers(n, r)).unwrap_or_default();
    let basic = f.node("basic").and_then(|n| basic(n, r));
    let form_node = f.node("form");
    let form = form_node.and_then(|n| BTreeMap::from_node(n, r)).unwrap_or_default();
    let body_node = f.node("body");
    let body: Option<String> = body_node.and_then(|n| String::from_node(n, r));
    let status = f.node("status").map_or_else(|| Some(vec![200]), |n| status(n, r));
    let pattern = |found: Option<Pattern>| found.map(|p| p.0);
    let expect = pattern(f.opt("expect", r));
    let forbid = pattern(f.opt("forbid", r));
    let capture = f.node("capture").map(|n| taken(n, r)).unwrap_or_default();
    let collect = f.node("collect").map(|n| taken(n, r)).unwrap_or_default();
    let insecure = f.or("insecure", true, r);
    let each = each(&mut f, &capture, r);
    f.finish(r);
    if form_node.is_some() && body_node.is_some() {
        r.fault(codes::BAD_VALUE, node.mark, "`form` is the body of a call and excludes `body`");
    }
    if (form_node.is_some() || body_node.is_some()) && !method.has_body() {
        let message = format!("a {} has no body", method.as_str());
        r.fault_with(codes::BAD_VALUE, node.mark, message, Some("add `method: POST`".to_owned()));
    }
    if basic.is_some() && headers.keys().any(|h: &String| h.eq_ignore_ascii_case("authorization")) {
        r.fault(codes::BAD_VALUE, node.mark, "`basic` writes the header Authorization and excludes it");
    }
    let (name, url, status) = (name?, url?, status?);
    Some(Call { name, each, url, method, headers, basic, form, body, status, expect, forbid, capture, collect, insecure })
}

/// The texts that a call is made for. Where it is not filled yet, one stands for all of them.
fn each(f: &mut Fields<'_>, capture: &BTreeMap<String, String>, r: &mut Reader) -> Vec<String> {
    let Some(node) = f.node("each") else { return Vec::new() };
    if matches!(node.content, Content::Open) {
        return vec![String::new()];
    }
    let found: Vec<String> = Vec::from_node(node, r).unwrap_or_default();
    if found.is_empty() {
        r.fault(codes::BAD_VALUE, node.mark, "`each` needs at least one text");
    }
    if !capture.is_empty() {
        r.fault(codes::BAD_VALUE, node.mark, "a call for `each` collects; only one value could be captured");
    }
    found
}

fn method(node: &Node, r: &mut Reader) -> Option<HttpMethod> {
    let word = String::from_node(node, r)?;
    let found = HttpMethod::ALL.into_iter().find(|m| m.as_str() == word);
    if found.is_none() && !matches!(node.content, Content::Open) {
        let known: Vec<&str> = HttpMethod::ALL.iter().map(|m| m.as_str()).collect();
        r.fault(codes::BAD_VALUE, node.mark, format!("`method` is one of {}", known.join(", ")));
    }
    found
}

fn headers(node: &Node, r: &mut Reader) -> BTreeMap<String, String> {
    for entry in node.entries().unwrap_or_default() {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if entry.key.is_empty() || !entry.key.bytes().all(token) {
            r.fault(codes::BAD_VALUE, entry.mark, "this is no name of a header");
        } else if OWN_HEADERS.iter().any(|own| entry.key.eq_ignore_ascii_case(own)) {
            r.fault(codes::BAD_VALUE, entry.mark, format!("the header {} is written by the agent", entry.key));
        }
    }
    BTreeMap::from_node(node, r).unwrap_or_default()
}

/// `{ user, password }`, or one text `USER:PASSWORD`: as a rule a secret that holds both.
fn basic(node: &Node, r: &mut Reader) -> Option<String> {
    if node.entries().is_none() {
        return String::from_node(node, r);
    }
    let mut f = Fields::of(node, "`basic`", r)?;
    let user: Option<String> = f.req("user", r);
    let password: Option<String> = f.req("password", r);
    f.finish(r);
    let (user, password) = (user?, password?);
    if user.contains(':') && !user.contains("secret:") {
        r.fault(codes::BAD_VALUE, node.mark, "the user of basic authentication holds no colon");
    }
    Some(format!("{user}:{password}"))
}

/// One status, or a list.
fn status(node: &Node, r: &mut Reader) -> Option<Vec<u16>> {
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        Content::Scalar(_) | Content::Map(_) | Content::Open => std::slice::from_ref(node),
    };
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let status = u16::from_node(item, r)?;
        if !(100..=599).contains(&status) && !matches!(item.content, Content::Open) {
            r.fault(codes::BAD_VALUE, item.mark, "a status code is a number from 100 to 599");
        }
        found.push(status);
    }
    if found.is_empty() {
        r.fault(codes::BAD_VALUE, node.mark, "`status` must not be empty");
    }
    Some(found)
}

/// Patterns by name, each with a group that is the value.
fn taken(node: &Node, r: &mut Reader) -> BTreeMap<String, String> {
    let found: BTreeMap<String, Pattern> = BTreeMap::from_node(node, r).unwrap_or_default();
    for entry in node.entries().unwrap_or_default() {
        if !is_capture_name(&entry.key) || entry.key == EACH {
            r.fault(codes::BAD_VALUE, entry.mark, "the name of a value has letters, digits and `_`, and is not `each`");
        }
        let groups = found.get(&entry.key).and_then(|p| regex::Regex::new(&p.0).ok()).map(|p| p.captures_len());
        if groups == Some(1) && !matches!(entry.value.content, Content::Open) {
            r.fault(codes::BAD_VALUE, entry.value.mark, "the pattern needs a group `(...)`: what it matches is the value");
        }
    }
    found.into_iter().map(|(name, pattern)| (name, pattern.0)).collect()
}

fn query(node: &Node, captured: &BTreeSet<String>, cx: &Cx<'_>, r: &mut Reader) -> Option<ExchangeQuery> {
    let mut f = Fields::of(node, "`query`", r)?;
    let database = f.req_node("database", r).and_then(|n| database_at(n, cx, r));
    let select = f.req("select", r);
    let equals_node = f.req_node("equals", r);
    let equals = equals_node.and_then(|n| String::from_node(n, r));
    f.finish(r);
    if let (Some(node), Some(name)) = (equals_node, &equals)
        && !captured.contains(name)
        && !matches!(node.content, Content::Open)
    {
        unknown("captures", name, captured, node.mark, r);
    }
    Some(ExchangeQuery { database: database?, select: select?, equals: equals? })
}

fn covers(node: &Node, collected: &BTreeSet<String>, r: &mut Reader) -> Option<Covers> {
    let mut f = Fields::of(node, "an element of `covers`", r)?;
    let what = f.req("what", r);
    let [wanted, among] = ["wanted", "among"].map(|key| {
        let node = f.req_node(key, r)?;
        let name = String::from_node(node, r)?;
        if !collected.contains(&name) && !matches!(node.content, Content::Open) {
            unknown("collects", &name, collected, node.mark, r);
        }
        Some(name)
    });
    f.finish(r);
    Some(Covers { what: what?, wanted: wanted?, among: among? })
}
