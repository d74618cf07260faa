//! `settings`: what becomes of the settings of the old deployment.toml.

use cavalcade_common::codes::written as codes;
use cavalcade_common::expression::Condition;
use cavalcade_common::plan::Fate;
use cavalcade_common::written::{Content, Fields, FromNode, Mark, Node, Reader};
use serde_json::Value;

/// A rule of the table: the first whose condition holds and whose keys match decides.
#[derive(Debug, Clone)]
pub struct SettingRule {
    /// Which nodes; `None`: all.
    pub nodes: Option<Condition>,
    /// Dotted keys; one that ends with `.*` stands for all below it, `*` alone for every key.
    pub keys: Vec<String>,
    /// Only settings whose value, as JSON, holds this text; `None`: any value. A hidden value holds nothing.
    pub holding: Option<String>,
    /// What becomes of them.
    pub fate: Fate,
    /// The new key, for those that are renamed.
    pub to: Option<String>,
    /// Why, or where it is done.
    pub why: String,
    /// Where the rule stands.
    pub mark: Mark,
}

impl SettingRule {
    /// Whether it speaks of this key with this value.
    #[must_use]
    pub fn matches(&self, key: &str, value: Option<&Value>) -> bool {
        let holds = |text: &String| value.is_some_and(|v| v.to_string().contains(text.as_str()));
        self.holding.as_ref().is_none_or(holds) && self.names(key)
    }

    fn names(&self, key: &str) -> bool {
        self.keys.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix) || prefix.strip_suffix('.') == Some(key),
            None => pattern == key,
        })
    }
}

const WORDS: [(&str, Fate); 5] =
    [("carry", Fate::Carried), ("as", Fate::Renamed), ("drop", Fate::Dropped), ("done", Fate::Done), ("person", Fate::Person)];

pub(crate) fn setting(node: &Node, r: &mut Reader) -> Option<SettingRule> {
    let mut f = Fields::of(node, "an element of `settings`", r)?;
    let nodes = f.node("nodes").and_then(|n| Condition::of(n, r));
    let keys = f.req_node("key", r).and_then(|n| keys(n, r));
    let (holding, because) = (f.opt("holding", r), f.opt("why", r));
    let mut given = Vec::new();
    for (word, fate) in WORDS {
        if let Some(node) = f.node(word) {
            given.push((word, fate, node));
        }
    }
    f.finish(r);
    let [(word, fate, said)] = given.as_slice() else {
        let help = Some("carry: true, as: NEW.KEY, drop: WHY, done: WHERE, or person: WHY".to_owned());
        r.fault_with(codes::BAD_VALUE, node.mark, "a rule of `settings` says exactly one thing", help);
        return None;
    };
    let said = match word {
        &"carry" => bool::from_node(said, r).map(|_| String::new())?,
        _ => String::from_node(said, r)?,
    };
    let to = (*fate == Fate::Renamed).then(|| said.clone());
    let why: String = because.unwrap_or(if to.is_some() { String::new() } else { said });
    Some(SettingRule { nodes, keys: keys?, holding, fate: *fate, to, why, mark: node.mark })
}

/// One key or a list of keys.
fn keys(node: &Node, r: &mut Reader) -> Option<Vec<String>> {
    match &node.content {
        Content::List(_) => Vec::from_node(node, r),
        _ => String::from_node(node, r).map(|key| vec![key]),
    }
}
