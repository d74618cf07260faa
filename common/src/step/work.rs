//! Actions on servers, databases and gates.

use std::time::Duration;

use super::Cx;
use super::action::{artifact_ref, database_at, path, patterns, runtime, within, words};
use super::edit::list;
use crate::action::{
    Assert, Autostart, AutostartOp, Backup, CommandLine, Evidence, HttpCheck, HttpGate, Job, LogGate, NoSessions,
    ProgressPattern, Query, Ready, Restore, Sequence, Server, ServerOp, SqlScript, TcpGate,
};
use crate::codes::written as codes;
use crate::secret::markers;
use crate::written::{AbsolutePath, Content, Fields, FromNode, Node, Pattern, Reader};

const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn server(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Option<Server> {
    let mark = f.mark();
    let verbs = [("start", ServerOp::Start), ("stop", ServerOp::Stop), ("wait", ServerOp::Wait), ("down", ServerOp::Down)];
    let mut given = Vec::new();
    for (word, op) in verbs {
        if let Some(node) = f.node(word) {
            given.push((op, node));
        }
    }
    let home = match &given[..] {
        [(op, node)] => AbsolutePath::from_node(node, r).map(|home| (*op, home.0)),
        _ => {
            r.fault(codes::BAD_VALUE, mark, "`server` needs one of `start`, `stop`, `wait`, `down`, with the home");
            None
        }
    };
    let known = home.as_ref().and_then(|(_, home)| cx.names?.home(home));
    let script: Option<String> = f.opt("script", r);
    let args = match f.node("args") {
        Some(node) => no_secrets(f.or("args", Vec::new(), r), node, r),
        None => Vec::new(),
    };
    let service = f.opt("service", r).or_else(|| known.and_then(|k| k.service.clone()));
    let ready = f.node("ready").and_then(|n| Ready::from_node(n, r));
    let runtime = runtime(f, cx, r);
    let op = home.as_ref().map(|(op, _)| *op);
    let within = within(f, if op == Some(ServerOp::Stop) { 5 * MINUTE } else { 10 * MINUTE }, r);
    let apart = f.or("apart", if op == Some(ServerOp::Down) { MINUTE / 2 } else { Duration::ZERO }, r);
    let (op, home) = home?;
    let script = script.or_else(|| known.and_then(|k| k.script.clone()));
    if script.is_none() && cx.names.is_some() && op != ServerOp::Down {
        let message = format!("the start script of {home} is not known");
        r.fault_with(codes::MISSING_KEY, mark, message, Some("add `script: bin/wso2server.sh`".to_owned()));
    }
    let ready = ready.or_else(|| known.map(|k| k.ready.clone())).unwrap_or_default();
    let gates = matches!(op, ServerOp::Start | ServerOp::Wait) && cx.names.is_some();
    if gates && ready.started.is_none() && ready.http.is_empty() && ready.tcp.is_empty() {
        let message = format!("nothing says when {home} is ready");
        r.fault_with(codes::MISSING_KEY, mark, message, Some("add `ready` with `log` and `started`, or `http`".to_owned()));
    }
    Some(Server { op, home, script: script.unwrap_or_default(), args, service, runtime, ready, within, apart })
}

impl FromNode for Ready {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        let mut f = Fields::of(node, "`ready`", r)?;
        let started = f.entry("started");
        let ready = Ready {
            log: f.opt("log", r),
            started: started.and_then(|e| Pattern::from_node(&e.value, r)).map(|p| p.0),
            failed: patterns(&mut f, "failed", r),
            http: f.or("http", Vec::new(), r),
            tcp: f.opt::<Vec<HostPort>>("tcp", r).unwrap_or_default().into_iter().map(|a| a.0).collect(),
        };
        if let Some(entry) = started.filter(|_| ready.log.is_none()) {
            r.fault(codes::MISSING_KEY, entry.mark, "`started` needs `log`, the file that holds the line");
        }
        f.finish(r);
        Some(ready)
    }
}

/// `host:port`.
struct HostPort(String);

impl FromNode for HostPort {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        let text = String::from_node(node, r)?;
        if matches!(node.content, Content::Open) {
            return Some(Self(text));
        }
        let sound =
            text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0));
        if !sound {
            r.fault(codes::BAD_VALUE, node.mark, "HOST:PORT is needed here");
        }
        sound.then_some(Self(text))
    }
}

impl FromNode for HttpCheck {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        let mut f = Fields::of(node, "an http check", r)?;
        let check = http_check(&mut f, r);
        f.finish(r);
        check
    }
}

fn http_check(f: &mut Fields<'_>, r: &mut Reader) -> Option<HttpCheck> {
    let node = f.req_node("url", r);
    let url = node.and_then(|n| String::from_node(n, r));
    if let (Some(node), Some(url)) = (node, &url) {
        let known = url.starts_with("http://") || url.starts_with("https://");
        if !known && !matches!(node.content, Content::Open) {
            r.fault(codes::BAD_VALUE, node.mark, "a URL that begins with http:// or https:// is needed here");
        }
    }
    let status = f.or("status", vec![200], r);
    let body = f.opt::<Pattern>("body", r).map(|p| p.0);
    let insecure = f.or("insecure", true, r);
    Some(HttpCheck { url: url?, status, body, insecure })
}

pub(super) fn job(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Option<Job> {
    let mark = f.mark();
    let effect = f.req("effect", r);
    let home = path(f, "home", r);
    let command = arguments(f, r);
    let runtime = runtime(f, cx, r);
    let databases = match f.node("databases") {
        Some(Node { content: Content::List(items), .. }) => {
            items.iter().filter_map(|n| database_at(n, cx, r)).map(|d| d.name).collect()
        }
        Some(node) => Vec::from_node(node, r).unwrap_or_default(),
        None => Vec::new(),
    };
    let log = f.opt("log", r);
    let ends = patterns(f, "ends", r);
    let evidence = f.req_node("evidence", r).and_then(|n| evidence(n, r));
    let progress = f.node("progress").and_then(|n| progress(n, r));
    let alarm_after = f.or("alarm_after", 6 * 60 * MINUTE, r);
    let evidence = evidence?;
    if evidence.require.is_empty() && evidence.sequence.is_none() {
        r.fault(codes::MISSING_KEY, mark, "a job needs evidence of success: `require` or `sequence`");
    }
    Some(Job { effect: effect?, home: home?, command: command?, runtime, databases, log, ends, evidence, progress, alarm_after })
}

/// A program and its arguments. Every user of the host sees them in /proc, so that no secret may be among them.
fn arguments(f: &mut Fields<'_>, r: &mut Reader) -> Option<Vec<String>> {
    let node = f.req_node("command", r)?;
    let words = words(f, "command", r)?;
    Some(no_secrets(words, node, r))
}

/// The words as they are; a fault for each that holds a secret.
fn no_secrets(words: Vec<String>, node: &Node, r: &mut Reader) -> Vec<String> {
    for (at, word) in words.iter().enumerate() {
        if let Some(name) = markers(word).first() {
            let item = if let Content::List(items) = &node.content { items.get(at) } else { None };
            let what = format!("the secret `{name}` stands in an argument, which every user of the host can read");
            let help = format!("give it in the environment: env: {{ NAME: \"{{{{ secrets.{name} }}}}\" }}");
            r.fault_with(codes::SECRET_ARGUMENT, item.unwrap_or(node).mark, what, Some(help));
        }
    }
    words
}

fn evidence(node: &Node, r: &mut Reader) -> Option<Evidence> {
    let mut f = Fields::of(node, "`evidence`", r)?;
    let evidence = Evidence {
        require: patterns(&mut f, "require", r),
        forbid: patterns(&mut f, "forbid", r),
        sequence: f.node("sequence").and_then(|n| sequence(n, r)),
    };
    f.finish(r);
    Some(evidence)
}

fn sequence(node: &Node, r: &mut Reader) -> Option<Sequence> {
    let mut f = Fields::of(node, "`sequence`", r)?;
    let pattern = f.req::<Pattern>("pattern", r);
    let (from, to) = (f.or("from", 1, r), f.req("to", r));
    f.finish(r);
    let (Pattern(pattern), to) = (pattern?, to?);
    if from > to {
        r.fault(codes::BAD_VALUE, node.mark, "`from` is larger than `to`");
    }
    Some(Sequence { pattern, from, to })
}

fn progress(node: &Node, r: &mut Reader) -> Option<ProgressPattern> {
    let mut f = Fields::of(node, "`progress`", r)?;
    let pattern = f.req::<Pattern>("pattern", r);
    let total = f.req("total", r);
    f.finish(r);
    let Pattern(pattern) = pattern?;
    if !pattern.contains("?P<done>") && !pattern.contains("?<done>") && !matches!(node.content, Content::Open) {
        r.fault(codes::BAD_VALUE, node.mark, "the pattern of `progress` needs a group `(?P<done>...)`");
    }
    Some(ProgressPattern { pattern, total: total? })
}

pub(super) fn command(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Option<CommandLine> {
    let node = f.node("command");
    let command = arguments(f, r);
    let cwd = path(f, "cwd", r);
    let line = CommandLine {
        effect: f.opt("effect", r),
        runtime: runtime(f, cx, r),
        exit: f.or("exit", vec![0], r),
        repeatable: f.or("repeatable", false, r),
        present: f.or("present", Vec::new(), r),
        absent: f.or("absent", Vec::new(), r),
        forbid: patterns(f, "forbid", r),
        within: within(f, 10 * MINUTE, r),
        command: command?,
        cwd: cwd?,
    };
    if let Some(program) = line.command.first().filter(|p| !p.starts_with('/') && cx.names.is_some()) {
        let mark = node.map_or(f.mark(), |n| n.mark);
        r.fault(codes::BAD_VALUE, mark, format!("the program `{program}` needs an absolute path; no shell looks for it"));
    }
    Some(line)
}

pub(super) fn sql(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Option<SqlScript> {
    let effect = f.req("effect", r);
    let database = f.req_node("database", r).and_then(|n| database_at(n, cx, r));
    let but_from = but_from(f, r);
    let mark = f.mark();
    let given = [f.node("script"), f.node("statements")];
    let (script, statements) = match given {
        [Some(_), None] => (Some(artifact_ref(f, "script", cx, r)?), None),
        [None, Some(node)] => (None, Some(statements(node, r)?)),
        [_, _] => {
            r.fault(codes::BAD_VALUE, mark, "`sql` needs one of `script` (an artifact) and `statements` (a text)");
            return None;
        }
    };
    Some(SqlScript { effect: effect?, database: database?, script, statements, but_from })
}

/// SQL in the recipe itself. The script ledger keeps its digest in the database, so no secret may stand in it.
fn statements(node: &Node, r: &mut Reader) -> Option<String> {
    let text = String::from_node(node, r)?;
    if text.trim().is_empty() {
        r.fault(codes::BAD_VALUE, node.mark, "`statements` holds no statement");
        return None;
    }
    if !crate::secret::markers(&text).is_empty() {
        r.fault(codes::BAD_VALUE, node.mark, "a secret cannot stand in `statements`");
        return None;
    }
    Some(text)
}

pub(super) fn query(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Option<Query> {
    let mark = f.mark();
    let database = f.req_node("database", r).and_then(|n| database_at(n, cx, r));
    let before = r.count();
    let asserts = list(f, "asserts", r, assertion);
    if asserts.is_empty() && r.count() == before {
        r.fault(codes::MISSING_KEY, mark, "`query` needs at least one element of `asserts`");
    }
    Some(Query { database: database?, asserts })
}

fn assertion(node: &Node, r: &mut Reader) -> Option<Assert> {
    let mut f = Fields::of(node, "an assertion", r)?;
    let says = f.req("says", r);
    let column: Option<String> = f.opt("column", r);
    let table: Option<String> = f.opt("table", r);
    let select: Option<String> = f.opt("select", r);
    let equals: Option<String> = f.opt("equals", r);
    let no_sessions = f.node("no_sessions").and_then(|n| no_sessions(n, r));
    f.finish(r);
    let forms = [column.is_some(), table.is_some(), select.is_some(), no_sessions.is_some()];
    if forms.iter().filter(|b| **b).count() != 1 || select.is_some() != equals.is_some() {
        let message = "an assertion has one of `column`, `table`, `no_sessions`, or `select` with `equals`";
        r.fault(codes::BAD_VALUE, node.mark, message);
    }
    if column.as_ref().is_some_and(|c| c != "open" && c.split('.').count() != 2) {
        r.fault(codes::BAD_VALUE, node.mark, "`column` is TABLE.COLUMN");
    }
    Some(Assert { says: says?, column, table, select, equals, no_sessions })
}

/// `{}`, or `{ but_from: [...] }`.
pub fn no_sessions(node: &Node, r: &mut Reader) -> Option<NoSessions> {
    let mut f = Fields::of(node, "`no_sessions`", r)?;
    let but_from = but_from(&mut f, r);
    f.finish(r);
    Some(NoSessions { but_from })
}

/// Names, addresses, or servers as `identity_servers` lists them.
fn but_from(f: &mut Fields<'_>, r: &mut Reader) -> Vec<String> {
    list(f, "but_from", r, |item, r| match &item.content {
        Content::Map(_) => {
            let address = item.entries()?.iter().find(|e| e.key == "address");
            if address.is_none() {
                r.fault(codes::BAD_VALUE, item.mark, "a server with an `address`, or a name or address, is needed here");
            }
            address.and_then(|e| String::from_node(&e.value, r))
        }
        _ => String::from_node(item, r),
    })
}

pub(super) fn backup(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Option<Backup> {
    let node = f.req_node("database", r);
    let database = node.and_then(|n| database_at(n, cx, r));
    let to = f.opt::<AbsolutePath>("to", r).map(|p| p.0);
    let database = database?;
    let to = to.or_else(|| cx.names?.backup_to.get(&database.name).cloned());
    let mark = node.map_or(f.mark(), |n| n.mark);
    if to.is_none() {
        let message = format!("nothing says where the backup of `{}` goes", database.name);
        r.fault_with(codes::MISSING_KEY, mark, message, Some("give the database `backup_to` in the fleet file".to_owned()));
    }
    if database.scratch.is_none() {
        let message = format!("the database `{}` has no `scratch` database, so its backup cannot be proved", database.name);
        r.fault(codes::MISSING_KEY, mark, message);
    }
    Some(Backup { database, to: to? })
}

pub(super) fn restore(f: &mut Fields<'_>, cx: &Cx<'_>, r: &mut Reader) -> Option<Restore> {
    let effect = f.req("effect", r);
    let database = f.req_node("database", r).and_then(|n| database_at(n, cx, r));
    let from = path(f, "from", r);
    Some(Restore { effect: effect?, database: database?, from: from? })
}

pub(super) fn http(f: &mut Fields<'_>, r: &mut Reader) -> Option<HttpGate> {
    let check = http_check(f, r);
    let within = within(f, 5 * MINUTE, r);
    Some(HttpGate { check: check?, within })
}

pub(super) fn tcp(f: &mut Fields<'_>, r: &mut Reader) -> Option<TcpGate> {
    let address = f.req::<HostPort>("address", r);
    let within = within(f, 5 * MINUTE, r);
    Some(TcpGate { address: address?.0, within })
}

pub(super) fn log(f: &mut Fields<'_>, r: &mut Reader) -> Option<LogGate> {
    let file = path(f, "file", r);
    let pattern = f.req::<Pattern>("pattern", r);
    let failed = patterns(f, "failed", r);
    let within = within(f, 10 * MINUTE, r);
    Some(LogGate { file: file?, pattern: pattern?.0, failed, within })
}

/// `autostart: { disable: HOME }` or `{ enable: HOME }`.
pub(super) fn autostart(f: &mut Fields<'_>, r: &mut Reader) -> Option<Autostart> {
    let mark = f.mark();
    let given = [("disable", AutostartOp::Disable), ("enable", AutostartOp::Enable)];
    let given: Vec<_> = given.into_iter().filter_map(|(word, op)| Some((op, f.node(word)?))).collect();
    let under = f.opt::<AbsolutePath>("under", r).map_or_else(|| "/".to_owned(), |p| p.0);
    match given.as_slice() {
        [(op, node)] => AbsolutePath::from_node(node, r).map(|home| Autostart { op: *op, home: home.0, under }),
        _ => {
            r.fault(codes::BAD_VALUE, mark, "`autostart` needs one of `disable` and `enable`, with the home");
            None
        }
    }
}
