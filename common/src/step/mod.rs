//! Reader of one step: YAML in, a resolved action out. Controller (recipes) and agent (`step run`) use the same one.
//!
//! ```yaml
//! - step: user-store-jdbc
//!   row: C2
//!   when: { user_store.type: jdbc }
//!   toml:
//!     file: "{{ node.new.home }}/repository/conf/deployment.toml"
//!     set: { user_store.type: database }
//! ```
//!
//! Templates are filled only where the condition holds; the form of a step is checked in any case ([`WrittenStep::check`]).

mod action;
mod edit;
mod exchange;
mod hook;
mod list;
mod names;
mod work;

use std::time::Duration;

use serde_json::Value;

use crate::action::{Action, DbTarget, ServerOp};
use crate::codes::written as codes;
use crate::expression::{self, Condition, Scope};
use crate::id::{EffectKey, StepKey, StepName};
use crate::plan::{Need, PlanStep, Retry};
use crate::template::{self, Reads};
use crate::written::{Content, Entry, Fields, FromNode, Mark, Node, Reader, nearest};

pub use hook::{HOOK_ACTIONS, WORD as HOOK, WrittenHook};
pub use list::{LeftOut, StepList, read_steps};
pub use names::{HomeNames, Names, secret_values};
pub use work::no_sessions;

/// The words that say what a step does: actions, and `hook`.
pub const ACTIONS: [&str; 20] = [
    "toml",
    "yaml",
    "text",
    "artifact",
    "unpack",
    "copy",
    "remove",
    "server",
    "job",
    "command",
    "sql",
    "query",
    "backup",
    "restore",
    "http",
    "tcp",
    "log",
    "exchange",
    "autostart",
    hook::WORD,
];

/// A step as it is written, its templates not yet filled.
#[derive(Debug, Clone)]
pub struct WrittenStep {
    /// Its name.
    pub name: StepName,
    /// The guide's row.
    pub row: Option<String>,
    /// Where its name stands.
    pub mark: Mark,
    note: Option<Node>,
    when: Option<Condition>,
    skip: Option<Node>,
    each: Option<Node>,
    needs: Vec<(String, Mark)>,
    retry: Retry,
    timeout: Option<Duration>,
    action: Option<Entry>,
}

/// What became of a step on one node (or of one turn of its `for`).
#[derive(Debug, Clone, PartialEq)]
pub enum ReadStep {
    /// It runs.
    Run(Box<StepBody>),
    /// The recipe leaves it out on purpose.
    OnPurpose {
        /// Its name.
        name: StepName,
        /// Why.
        reason: String,
    },
    /// Its condition does not hold.
    Condition {
        /// Its name.
        name: StepName,
        /// The names that decided, with their values.
        reason: String,
        /// What the condition read.
        reads: Reads,
    },
}

/// A step whose values are all known; only its place in a plan is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct StepBody {
    /// Its name.
    pub name: StepName,
    /// The guide's row.
    pub row: Option<String>,
    /// A note for the reader.
    pub note: Option<String>,
    /// What it does.
    pub action: Action,
    /// What must be shown when it launches.
    pub needs: Vec<Need>,
    /// Identity of its effect.
    pub effect: Option<EffectKey>,
    /// Automatic repeats.
    pub retry: Retry,
    /// How long it may take.
    pub timeout: Duration,
    /// The names that it was made from, with their values.
    pub reads: Reads,
}

impl StepBody {
    /// The step at its place.
    #[must_use]
    pub fn at(self, key: StepKey, host: crate::id::HostId) -> PlanStep {
        PlanStep {
            key,
            host,
            name: self.name,
            row: self.row,
            note: self.note,
            action: self.action,
            needs: self.needs,
            effect: self.effect,
            retry: self.retry,
            timeout: self.timeout,
        }
    }
}

/// What decoding an action needs.
struct Cx<'a> {
    /// `None`: only the form is looked at; artifacts, databases and homes are not known.
    names: Option<&'a Names>,
}

impl WrittenStep {
    /// Reads the frame of a step.
    pub fn read(node: &Node, r: &mut Reader) -> Option<Self> {
        let mut f = Fields::of(node, "a step", r)?;
        let entry = f.entry("step");
        let mark = entry.map_or(f.mark(), |e| e.value.mark);
        let name: Option<StepName> = f.req("step", r);
        r.step = name.as_ref().map(ToString::to_string);
        let step = Self {
            name: name.clone().or_else(|| StepName::new("unnamed").ok())?,
            row: f.opt("row", r),
            mark,
            note: f.node("note").cloned(),
            when: f.node("when").and_then(|n| Condition::of(n, r)),
            skip: f.node("skip").cloned(),
            each: f.node("for").cloned(),
            needs: f.node("needs").map(|n| needs(n, r)).unwrap_or_default(),
            retry: f.node("retry").and_then(|n| retry(n, r)).unwrap_or_default(),
            timeout: f.opt("timeout", r),
            action: action_of(node, mark, r).cloned(),
        };
        f.also(&ACTIONS);
        f.finish(r);
        if step.action.is_none() && step.skip.is_none() {
            let message = "this step does nothing; it needs one action, or `skip` with a reason";
            r.fault_with(codes::ACTION_COUNT, mark, message, Some(format!("actions: {}", ACTIONS.join(", "))));
        }
        r.step = None;
        name.map(|_| step)
    }

    /// The word of its action.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.action.as_ref().map(|a| a.key.as_str())
    }

    /// The node's hook that it stands for.
    #[must_use]
    pub fn hook(&self) -> Option<&str> {
        self.action.as_ref().filter(|e| e.key == hook::WORD)?.value.text()
    }

    /// The words of its own `needs`.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        self.needs.iter().map(|(word, _)| word.as_str())
    }

    /// Whether the recipe leaves it out on purpose.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        self.skip.is_some()
    }

    /// Checks its form and the names that are known without a node, whether or not its condition will hold.
    pub fn check(&self, scope: &Scope, later: &[&str], r: &mut Reader) {
        r.step = Some(self.name.to_string());
        if let Some(when) = &self.when {
            when.check(scope, later, r);
        }
        if let Some((each, source)) = self.each.as_ref().and_then(|n| Some((n, n.text()?)))
            && let Err(error) = expression::check(source, scope, later)
        {
            expression::note(each, &error, r);
        }
        for text in [&self.note, &self.skip].into_iter().flatten() {
            template::check(text, scope, later, r);
        }
        if let Some(entry) = self.action.as_ref().filter(|e| e.key == hook::WORD) {
            hook::name_of(&entry.value, r);
        } else if let Some(entry) = &self.action {
            let open = template::check(&entry.value, scope, later, r);
            action::decode(&entry.key, &open, &Cx { names: None }, r);
        }
        r.step = None;
    }

    /// Decides, fills and decodes it for one node. Faults are noted; `None` means that there was one.
    pub fn resolve(&self, names: &Names, scope: &Scope, r: &mut Reader) -> Option<Vec<ReadStep>> {
        r.step = Some(self.name.to_string());
        let result = self.turns(names, scope, r);
        r.step = None;
        result
    }

    fn turns(&self, names: &Names, scope: &Scope, r: &mut Reader) -> Option<Vec<ReadStep>> {
        if let Some(skip) = &self.skip {
            let reason = fill_text(skip, scope, &mut Reads::new(), r)?;
            return Some(vec![ReadStep::OnPurpose { name: self.name.clone(), reason }]);
        }
        let mut reads = Reads::new();
        if let Some(when) = &self.when {
            let verdict = when.decide(scope, r)?;
            if !verdict.holds {
                let reason = verdict.because();
                return Some(vec![ReadStep::Condition { name: self.name.clone(), reason, reads: verdict.reads }]);
            }
            reads.extend(verdict.reads);
        }
        if let Some(name) = self.hook().filter(|name| !names.hooks.contains_key(*name)) {
            let reason = format!("the fleet file has no hook `{name}` for this node");
            return Some(vec![ReadStep::Condition { name: self.name.clone(), reason, reads }]);
        }
        let Some(each) = &self.each else {
            return Some(vec![self.run(self.name.clone(), names, scope, reads, r)?]);
        };
        let items = items_of(each, scope, &mut reads, r)?;
        if items.is_empty() {
            let reason = format!("`{}` is empty", each.text().unwrap_or("for"));
            return Some(vec![ReadStep::Condition { name: self.name.clone(), reason, reads }]);
        }
        let mut steps = Vec::new();
        for item in items {
            let label = label(&item);
            let name = match StepName::new(format!("{}-{label}", self.name)) {
                Ok(name) => name,
                Err(e) => {
                    r.fault(codes::BAD_VALUE, each.mark, format!("an item of `for` makes no step name: {e}"));
                    return None;
                }
            };
            steps.push(self.run(name, names, &scope.with("item", item), reads.clone(), r)?);
        }
        Some(steps)
    }

    fn run(&self, name: StepName, names: &Names, scope: &Scope, mut reads: Reads, r: &mut Reader) -> Option<ReadStep> {
        let entry = self.action.as_ref()?;
        let before = r.count();
        let filled = template::fill(&entry.value, scope, &mut reads, r);
        if r.count() > before {
            return None;
        }
        let note = match &self.note {
            Some(note) => Some(fill_text(note, scope, &mut reads, r)?),
            None => None,
        };
        let action = match self.hook() {
            Some(name) => names.hooks.get(name).cloned(),
            None => action::decode(&entry.key, &filled, &Cx { names: Some(names) }, r),
        };
        let needs = self.needs_of(names, r);
        let (action, needs) = (action?, needs?);
        if r.count() > before {
            return None;
        }
        let effect = effect_of(&action, &name, names);
        let timeout = self.timeout.unwrap_or_else(|| default_timeout(&action));
        let (row, retry) = (self.row.clone(), self.retry.clone());
        Some(ReadStep::Run(Box::new(StepBody { name, row, note, action, needs, effect, retry, timeout, reads })))
    }

    fn needs_of(&self, names: &Names, r: &mut Reader) -> Option<Vec<Need>> {
        let mut found = Vec::new();
        let mut sound = true;
        for (word, mark) in &self.needs {
            match names.needs.get(word) {
                Some(need) => found.push(need.clone()),
                None => {
                    sound = false;
                    unknown_reference("need", word, *mark, names.needs.keys(), r);
                }
            }
        }
        sound.then_some(found)
    }
}

/// Notes a reference to something that is not defined.
fn unknown_reference<'k>(what: &str, name: &str, mark: Mark, known: impl Iterator<Item = &'k String>, r: &mut Reader) {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("`{near}` exists"),
        None if known.is_empty() => format!("no {what} is defined"),
        None => format!("known: {}", known.join(", ")),
    };
    let shown: String = name.chars().take(60).collect();
    r.fault_with(codes::UNKNOWN_REFERENCE, mark, format!("no {what} is called `{shown}`"), Some(help));
}

fn needs(node: &Node, r: &mut Reader) -> Vec<(String, Mark)> {
    let Content::List(items) = &node.content else {
        r.fault(codes::WRONG_KIND, node.mark, format!("`needs` is a list, this is {}", node.kind()));
        return Vec::new();
    };
    items.iter().filter_map(|n| Some((String::from_node(n, r)?, n.mark))).collect()
}

fn retry(node: &Node, r: &mut Reader) -> Option<Retry> {
    let mut f = Fields::of(node, "`retry`", r)?;
    let times: Option<u32> = f.req("times", r);
    let wait = f.or("wait", Duration::from_secs(10), r);
    f.finish(r);
    Some(Retry { times: times?, wait })
}

/// The one action of a step; several are a fault.
fn action_of<'n>(node: &'n Node, mark: Mark, r: &mut Reader) -> Option<&'n Entry> {
    let mut found = node.entries()?.iter().filter(|e| ACTIONS.contains(&e.key.as_str()));
    let first = found.next();
    for other in found {
        let one = first.map_or("", |e| e.key.as_str());
        let message = format!("this step has the actions `{one}` and `{}`; a step does one thing", other.key);
        r.fault(codes::ACTION_COUNT, if other.mark.line > 0 { other.mark } else { mark }, message);
    }
    first
}

/// What an item adds to the step's name: itself, or the `id` of an object.
fn label(item: &Value) -> String {
    let named = item.get("id").unwrap_or(item);
    named.as_str().map_or_else(|| named.to_string(), ToOwned::to_owned)
}

fn items_of(each: &Node, scope: &Scope, reads: &mut Reads, r: &mut Reader) -> Option<Vec<Value>> {
    let value = match each.text() {
        Some(source) => match expression::evaluate(source, scope) {
            Ok(done) => {
                reads.extend(done.reads);
                done.value
            }
            Err(e) => {
                expression::note(each, &e, r);
                return None;
            }
        },
        None => each.to_value(),
    };
    match value {
        Value::Array(items) if items.iter().all(|i| i.is_string() || i.is_number() || i.get("id").is_some()) => Some(items),
        _ => {
            r.fault(codes::WRONG_KIND, each.mark, "`for` needs a list of texts or numbers");
            None
        }
    }
}

fn fill_text(node: &Node, scope: &Scope, reads: &mut Reads, r: &mut Reader) -> Option<String> {
    String::from_node(&template::fill(node, scope, reads, r), r).filter(|_| !matches!(node.content, Content::Open))
}

/// Identity of an effect: the recipe's stable name for it, the databases and the home that it changes. Incarnations of
/// databases are not known when a plan is made; the run adds them.
fn effect_of(action: &Action, name: &StepName, names: &Names) -> Option<EffectKey> {
    let key = |effect: &str, databases: &[String], home: Option<&str>| {
        Some(EffectKey::new(effect, databases, home.map(|path| (&names.host, path))))
    };
    match action {
        Action::Sql(s) => key(&s.effect, &[identity(&s.database)], None),
        Action::Restore(s) => key(&s.effect, &[identity(&s.database)], None),
        Action::Job(j) => {
            let databases: Vec<String> = j.databases.iter().filter_map(|d| names.databases.get(d)).map(identity).collect();
            key(&j.effect, &databases, Some(&j.home))
        }
        Action::Command(c) if !c.repeatable => key(c.effect.as_deref().unwrap_or(name.as_str()), &[], Some(&c.cwd)),
        _ => None,
    }
}

/// What a database is, whatever the fleet file calls it.
fn identity(database: &DbTarget) -> String {
    match &database.socket {
        Some(socket) => format!("db:{socket}/{}", database.database),
        None => format!("db:{}:{}/{}", database.host, database.port, database.database),
    }
}

fn default_timeout(action: &Action) -> Duration {
    let minutes = |n: u64| Duration::from_secs(n * 60);
    match action {
        Action::Toml(_) | Action::Yaml(_) | Action::Text(_) | Action::Query(_) | Action::Autostart(_) => minutes(5),
        Action::Remove(_) => minutes(15),
        Action::Undo(_) => minutes(60),
        Action::Artifact(_) | Action::Unpack(_) | Action::Copy(_) => minutes(30),
        Action::Server(s) => match s.op {
            ServerOp::Down => s.within + s.apart + minutes(1),
            ServerOp::Start | ServerOp::Stop | ServerOp::Wait => s.within + minutes(1),
        },
        Action::Job(j) => j.alarm_after,
        Action::Command(c) => c.within + minutes(1),
        Action::Sql(_) | Action::Backup(_) | Action::Restore(_) => minutes(12 * 60),
        Action::Http(g) => g.within + minutes(1),
        Action::Tcp(g) => g.within + minutes(1),
        Action::Log(g) => g.within + minutes(1),
        Action::Exchange(e) => e.within + minutes(1),
    }
}

#[cfg(test)]
mod tests;
