//! Decoding of the tree: collects every fault, remembers the keys that were asked for, reports those that were not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::tree::{Content, Entry, Mark, Node};
use crate::codes::written as codes;
use crate::error::{Code, Fault, Faults};
use crate::id::{Digest, HostId, NodeId, StageId, StepName};

/// Collects the faults of one file.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The file as the person named it.
    pub file: Arc<str>,
    /// The node that the reader is at, for messages.
    pub node: Option<String>,
    /// The step that the reader is at, for messages.
    pub step: Option<String>,
    faults: Faults,
}

impl Reader {
    /// A reader of this file without faults.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self { file: Arc::from(file), node: None, step: None, faults: Faults::default() }
    }

    /// Notes a fault at a place of the file.
    pub fn fault(&mut self, code: Code, mark: Mark, message: impl Into<String>) {
        self.note(Fault::new(code, message).at(mark.in_file(&self.file)));
    }

    /// Notes a fault with a hint.
    pub fn fault_with(&mut self, code: Code, mark: Mark, message: impl Into<String>, help: Option<String>) {
        let mut fault = Fault::new(code, message).at(mark.in_file(&self.file));
        fault.help = help;
        self.note(fault);
    }

    /// Notes a fault that already has its place. The same fault over several nodes is noted once.
    pub fn note(&mut self, mut fault: Fault) {
        fault.node = fault.node.or_else(|| self.node.clone());
        fault.step = fault.step.or_else(|| self.step.clone());
        let same = |f: &Fault| f.code == fault.code && f.message == fault.message && f.place == fault.place;
        if !self.faults.0.iter().any(same) {
            self.faults.push(fault);
        }
    }

    /// How many faults there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.faults.0.len()
    }

    /// All faults.
    #[must_use]
    pub fn into_faults(self) -> Faults {
        self.faults
    }

    /// The value, if nothing was noted.
    ///
    /// # Errors
    /// All faults that were noted; a missing value without one cannot be told from success and gives one too.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Faults> {
        match value {
            Some(value) => self.faults.into_result(value),
            None if self.faults.is_empty() => {
                Err(Fault::new(codes::WRONG_KIND, format!("{} could not be read", self.file)).into())
            }
            None => Err(self.faults),
        }
    }
}

/// The name in `known` that is nearest to `name`, if one is near.
#[must_use]
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let limit = 1 + name.chars().count() / 3;
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, k)| k)
}

/// The lines of one mapping while they are asked for.
#[derive(Debug)]
pub struct Fields<'n> {
    what: String,
    mark: Mark,
    entries: &'n [Entry],
    known: Vec<&'static str>,
    open: bool,
}

impl<'n> Fields<'n> {
    /// Begins; `what` names the thing in messages ("a step"). Anything but a mapping is a fault.
    pub fn of(node: &'n Node, what: impl Into<String>, r: &mut Reader) -> Option<Self> {
        let what = what.into();
        let (entries, open): (&[Entry], bool) = match &node.content {
            Content::Map(entries) => (entries, false),
            Content::Open => (&[], true),
            _ => {
                r.fault(codes::WRONG_KIND, node.mark, format!("{what} is a mapping, this is {}", node.kind()));
                return None;
            }
        };
        let mark = entries.first().map_or(node.mark, |e| e.mark);
        Some(Self { what, mark, entries, known: Vec::new(), open })
    }

    /// Place of the first key.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The line of a key, null counted as absent.
    pub fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.known.push(key);
        self.entries.iter().find(|e| e.key == key && !e.value.is_null())
    }

    /// The node of a key, null counted as absent.
    pub fn node(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|e| &e.value)
    }

    /// The value of a key that may be absent. A value that cannot be read is a fault and gives `None`.
    pub fn opt<T: FromNode>(&mut self, key: &'static str, r: &mut Reader) -> Option<T> {
        self.node(key).and_then(|n| T::from_node(n, r))
    }

    /// The value of a key that may be absent, or a default.
    pub fn or<T: FromNode>(&mut self, key: &'static str, default: T, r: &mut Reader) -> T {
        self.opt(key, r).unwrap_or(default)
    }

    /// The value of a key that must be there.
    pub fn req<T: FromNode>(&mut self, key: &'static str, r: &mut Reader) -> Option<T> {
        self.req_node(key, r).and_then(|n| T::from_node(n, r))
    }

    /// The node of a key that must be there.
    pub fn req_node(&mut self, key: &'static str, r: &mut Reader) -> Option<&'n Node> {
        let found = self.node(key);
        if found.is_none() && !self.open {
            r.fault(codes::MISSING_KEY, self.mark, format!("{} needs the key `{key}`", self.what));
        }
        found
    }

    /// Counts keys as known that someone else reads.
    pub fn also(&mut self, keys: &[&'static str]) {
        self.known.extend_from_slice(keys);
    }

    /// The known keys, each once: some are asked for again.
    fn once(&self) -> Vec<&'static str> {
        let mut seen = BTreeSet::new();
        self.known.iter().copied().filter(|key| seen.insert(*key)).collect()
    }

    /// Reports every key that was not asked for.
    pub fn finish(self, r: &mut Reader) {
        for entry in self.entries {
            if self.known.contains(&entry.key.as_str()) {
                continue;
            }
            let help = match nearest(&entry.key, self.known.iter().copied()) {
                Some(near) => format!("`{near}` exists"),
                None => format!("it has: {}", self.once().join(", ")),
            };
            let message = format!("{} has no key `{}`", self.what, shown(&entry.key));
            r.fault_with(codes::UNKNOWN_KEY, entry.mark, message, Some(help));
        }
    }
}

fn shown(key: &str) -> String {
    key.chars().take(60).collect()
}

/// A value that can be read from a node. `None` means that a fault was noted.
pub trait FromNode: Sized {
    /// Reads it.
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self>;
}

fn wrong<T>(node: &Node, wanted: &str, r: &mut Reader) -> Option<T> {
    r.fault(codes::WRONG_KIND, node.mark, format!("{wanted} is needed here, this is {}", node.kind()));
    None
}

impl FromNode for String {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        match &node.content {
            Content::Open => Some("open".to_owned()),
            Content::Scalar(Value::String(s)) => Some(s.clone()),
            Content::Scalar(v @ (Value::Number(_) | Value::Bool(_))) if node.filled => Some(v.to_string()),
            Content::Scalar(Value::Number(_) | Value::Bool(_)) => {
                let message = format!("a text is needed here, this is {}", node.kind());
                r.fault_with(codes::WRONG_KIND, node.mark, message, Some("write it in quotes".to_owned()));
                None
            }
            _ => wrong(node, "a text", r),
        }
    }
}

impl FromNode for bool {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        match &node.content {
            Content::Open => Some(false),
            Content::Scalar(Value::Bool(b)) => Some(*b),
            _ => wrong(node, "true or false", r),
        }
    }
}

macro_rules! whole_number {
    ($($kind:ty),*) => {$(
        impl FromNode for $kind {
            fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
                let number = match &node.content {
                    Content::Open => return Some(1),
                    Content::Scalar(Value::Number(n)) => n,
                    _ => return wrong(node, "a whole number", r),
                };
                let read = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                let fits = read.and_then(|n| <$kind>::try_from(n).ok());
                if fits.is_none() {
                    let message = format!("a whole number from {} to {} is needed here", <$kind>::MIN, <$kind>::MAX);
                    r.fault(codes::BAD_VALUE, node.mark, message);
                }
                fits
            }
        }
    )*};
}
whole_number!(u16, u32, u64, i32);

impl FromNode for Duration {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        if matches!(node.content, Content::Open) {
            return Some(Duration::from_secs(1));
        }
        let text = match &node.content {
            Content::Scalar(Value::String(s)) => s.clone(),
            Content::Scalar(Value::Number(n)) => n.to_string(),
            _ => return wrong(node, "a duration such as 90s or 10min", r),
        };
        match crate::duration::parse(&text) {
            Ok(d) => Some(d),
            Err(e) => {
                r.fault(codes::BAD_VALUE, node.mark, e.to_string());
                None
            }
        }
    }
}

impl FromNode for Value {
    fn from_node(node: &Node, _: &mut Reader) -> Option<Self> {
        Some(node.to_value())
    }
}

impl FromNode for Map<String, Value> {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        match node.to_value() {
            Value::Object(map) => Some(map),
            _ if matches!(node.content, Content::Open) => Some(Map::new()),
            _ => wrong(node, "a mapping", r),
        }
    }
}

impl<T: FromNode> FromNode for Vec<T> {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        match &node.content {
            Content::Open => Some(Vec::new()),
            Content::List(items) => {
                let before = r.count();
                let read: Vec<T> = items.iter().filter_map(|n| T::from_node(n, r)).collect();
                (r.count() == before || read.len() == items.len()).then_some(read)
            }
            _ => wrong(node, "a list", r),
        }
    }
}

impl<T: FromNode> FromNode for BTreeMap<String, T> {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        match &node.content {
            Content::Open => Some(BTreeMap::new()),
            Content::Map(entries) => {
                Some(entries.iter().filter_map(|e| Some((e.key.clone(), T::from_node(&e.value, r)?))).collect())
            }
            _ => wrong(node, "a mapping", r),
        }
    }
}

/// A regular expression whose syntax was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub String);

impl FromNode for Pattern {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        let text = String::from_node(node, r)?;
        match regex::Regex::new(&text) {
            Ok(_) => Some(Self(text)),
            Err(e) => {
                let last = e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                r.fault(codes::BAD_VALUE, node.mark, format!("this is no regular expression: {last}"));
                None
            }
        }
    }
}

/// An absolute path without `..` parts and without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsolutePath(pub String);

impl FromNode for AbsolutePath {
    fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
        let text = String::from_node(node, r)?;
        if matches!(node.content, Content::Open) {
            return Some(Self("/open/open".to_owned()));
        }
        let sound = text.starts_with('/') && !text.split('/').any(|part| part == ".." || part == ".");
        if !sound {
            let message = format!("an absolute path without `.` and `..` is needed here, this is {:?}", shown(&text));
            r.fault(codes::BAD_VALUE, node.mark, message);
            return None;
        }
        let mut clean = String::with_capacity(text.len());
        for part in text.split('/').filter(|p| !p.is_empty()) {
            clean.push('/');
            clean.push_str(part);
        }
        Some(Self(if clean.is_empty() { "/".to_owned() } else { clean }))
    }
}

macro_rules! parsed {
    ($($kind:ty => $open:expr),*) => {$(
        impl FromNode for $kind {
            fn from_node(node: &Node, r: &mut Reader) -> Option<Self> {
                if matches!(node.content, Content::Open) {
                    return <$kind>::new($open).ok();
                }
                let text = String::from_node(node, r)?;
                match <$kind>::new(&text) {
                    Ok(value) => Some(value),
                    Err(e) => {
                        r.fault(codes::BAD_VALUE, node.mark, e.to_string());
                        None
                    }
                }
            }
        }
    )*};
}
const OPEN_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
parsed!(NodeId => "open", HostId => "open", StageId => "open", StepName => "open", Digest => OPEN_DIGEST);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::written::read;

    #[test]
    fn all_faults_are_found_at_once() {
        let text = b"name: ../x\nsize: big\nwait: 10\nnode: is-1\ncuont: 3\nport: 70000\npattern: '('\npath: a/b\nid: 7\n";
        let doc = read(text, "f.yaml").expect("is valid");
        let mut r = Reader::new("f.yaml");
        let mut f = Fields::of(&doc.root, "a thing", &mut r).expect("is a mapping");
        assert_eq!(f.req::<StepName>("name", &mut r), None);
        assert_eq!(f.opt::<u64>("size", &mut r), None);
        assert_eq!(f.opt::<Duration>("wait", &mut r), None);
        assert_eq!(f.opt::<NodeId>("node", &mut r).map(|n| n.to_string()), Some("is-1".to_owned()));
        assert_eq!(f.opt::<u32>("count", &mut r), None);
        assert_eq!(f.opt::<u16>("port", &mut r), None);
        assert_eq!(f.opt::<Pattern>("pattern", &mut r), None);
        assert_eq!(f.opt::<AbsolutePath>("path", &mut r), None);
        assert_eq!(f.opt::<String>("id", &mut r), None);
        assert_eq!(f.req::<String>("needed", &mut r), None);
        f.finish(&mut r);
        let faults = r.into_faults().0;
        let seen: Vec<(u16, u32)> = faults.iter().map(|f| (f.code.0, f.place.as_ref().expect("placed").line)).collect();
        let wanted = [(1110, 1), (1109, 2), (1110, 3), (1110, 6), (1110, 7), (1110, 8), (1109, 9), (1108, 1), (1106, 5)];
        assert_eq!(seen, wanted);
        assert_eq!(faults.last().and_then(|f| f.help.as_deref()), Some("`count` exists"));
    }

    #[test]
    fn a_key_that_is_asked_for_twice_is_told_once() {
        let doc = read(b"something: 1\n", "f.yaml").expect("is valid");
        let mut r = Reader::new("f.yaml");
        let mut f = Fields::of(&doc.root, "a thing", &mut r).expect("is a mapping");
        for key in ["name", "size", "name"] {
            assert!(f.node(key).is_none());
        }
        f.finish(&mut r);
        assert_eq!(r.into_faults().0[0].help.as_deref(), Some("it has: name, size"));
    }

    #[test]
    fn paths_are_made_plain() {
        let doc = read(b"/opt//wso2/is/", "f.yaml").expect("is valid");
        let mut r = Reader::new("f.yaml");
        assert_eq!(AbsolutePath::from_node(&doc.root, &mut r), Some(AbsolutePath("/opt/wso2/is".to_owned())));
    }
}
