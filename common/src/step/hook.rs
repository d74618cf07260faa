//! `hook: NAME`: at this place of the recipe the step does what the fleet file says for this node, or nothing.
//!
//! ```yaml
//! nodes:
//!   gw-1:
//!     hooks:
//!       drain: { exchange: { calls: [{ name: drain, url: "http://lb:8404/drain/{{ name }}", method: POST }] } }
//!       enrol: { command: { command: [/opt/lb/enrol, "{{ node.address }}"], cwd: /opt/lb } }
//! ```

use std::collections::BTreeMap;

use super::{Cx, Names, action};
use crate::action::{Action, Exchange};
use crate::codes::written as codes;
use crate::expression::Scope;
use crate::id::check_name;
use crate::template::{self, Reads};
use crate::written::{Content, Entry, Fields, Mark, Node, Reader};

/// The word of a step that does what the node's hook says.
pub const WORD: &str = "hook";
/// The words of actions that a hook may have.
pub const HOOK_ACTIONS: [&str; 2] = ["exchange", "command"];

/// A hook of a node as the fleet file has it, its templates not yet filled.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenHook {
    /// Where its name stands.
    pub mark: Mark,
    action: Entry,
}

impl WrittenHook {
    /// Reads a mapping of hooks by name. Their form is checked; names in templates are checked when they are filled.
    pub fn read_all(node: &Node, r: &mut Reader) -> BTreeMap<String, Self> {
        let mut found = BTreeMap::new();
        let Some(entries) = node.entries() else {
            r.fault(codes::WRONG_KIND, node.mark, format!("`hooks` is a mapping of hooks by name, this is {}", node.kind()));
            return found;
        };
        for entry in entries {
            if let Err(error) = check_name(&entry.key) {
                r.fault(codes::BAD_VALUE, entry.mark, error.to_string());
            } else if let Some(hook) = Self::read(entry, r) {
                found.insert(entry.key.clone(), hook);
            }
        }
        found
    }

    fn read(entry: &Entry, r: &mut Reader) -> Option<Self> {
        let mut f = Fields::of(&entry.value, format!("the hook `{}`", entry.key), r)?;
        let given: Vec<&Entry> = HOOK_ACTIONS.iter().filter_map(|word| f.entry(word)).collect();
        f.finish(r);
        let [action] = given[..] else {
            let help = Some(format!("actions of hooks: {}", HOOK_ACTIONS.join(", ")));
            r.fault_with(codes::ACTION_COUNT, entry.mark, format!("the hook `{}` needs one action", entry.key), help);
            return None;
        };
        let open = template::check(&action.value, &Scope::default(), &ROOTS, r);
        decode(action, &open, &Cx { names: None }, r);
        Some(Self { mark: entry.mark, action: action.clone() })
    }

    /// Its action on one node. Faults are noted; `None` means that there was one.
    pub fn resolve(&self, names: &Names, scope: &Scope, r: &mut Reader) -> Option<Action> {
        let before = r.count();
        let filled = template::fill(&self.action.value, scope, &mut Reads::new(), r);
        if r.count() > before {
            return None;
        }
        decode(&self.action, &filled, &Cx { names: Some(names) }, r).filter(|_| r.count() == before)
    }
}

/// Root names that a hook's templates may read: those that need no facts, so that what a hook does never depends on them.
const ROOTS: [&str; 9] =
    ["name", "node", "options", "fleet", "databases", "artifacts", "secrets", "identity_servers", "api_managers"];

/// A hook is made again whenever its end is not known, and in every run: a balancer that is told twice stays told.
fn decode(entry: &Entry, value: &Node, cx: &Cx<'_>, r: &mut Reader) -> Option<Action> {
    let own = value.entries().unwrap_or_default().iter().find(|e| matches!(e.key.as_str(), "effect" | "repeatable"));
    if let Some(own) = own {
        let help = Some("let the command do nothing where it was done before".to_owned());
        let message = format!("the command of a hook is always repeatable and has no `{}`", own.key);
        r.fault_with(codes::BAD_VALUE, own.mark, message, help);
        return None;
    }
    let mut action = action::decode(&entry.key, value, cx, r)?;
    match &mut action {
        Action::Command(command) => command.repeatable = true,
        // Whatever its methods: there are balancers that a GET changes.
        Action::Exchange(exchange) => {
            exchange.changes = true;
            known_peers(exchange, value);
        }
        _ => {}
    }
    Some(action)
}

/// A hook's calls carry a balancer's password: without a word of its own a call goes to a certificate that is known, only.
fn known_peers(exchange: &mut Exchange, value: &Node) {
    let Some(Content::List(calls)) = value.get("calls").map(|n| &n.content) else { return };
    for (call, written) in exchange.calls.iter_mut().zip(calls) {
        call.insecure = call.insecure && written.get("insecure").is_some();
    }
}

/// The name that a step's `hook` gives; anything but a plain name is a fault.
pub(super) fn name_of<'n>(node: &'n Node, r: &mut Reader) -> Option<&'n str> {
    let name = node.text().filter(|text| check_name(text).is_ok());
    if name.is_none() {
        r.fault(codes::BAD_VALUE, node.mark, "`hook` is the name of a hook: drain, enrol");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::written::read;

    fn hooks(text: &str) -> Result<BTreeMap<String, WrittenHook>, u16> {
        let mut r = Reader::new("fleet.yaml");
        let found = WrittenHook::read_all(&read(text.as_bytes(), "fleet.yaml").expect("is YAML").root, &mut r);
        match r.into_faults().0.first() {
            None => Ok(found),
            Some(fault) => Err(fault.code.0),
        }
    }

    #[test]
    fn a_hook_is_one_call_or_command() {
        let both = "drain: { exchange: { calls: [{ name: d, url: 'http://lb/{{ name }}' }] } }\nenrol: { command: { command: [/bin/x], cwd: /tmp } }";
        assert_eq!(hooks(both).expect("is sound").len(), 2);
        assert_eq!(hooks("drain: {}").expect_err("nothing"), codes::ACTION_COUNT.0);
        let call = |url: &str| format!("exchange: {{ calls: [{{ name: d, url: '{url}' }}] }}");
        let two = format!("drain: {{ {}, command: {{ command: [/bin/x], cwd: /tmp }} }}", call("http://lb"));
        assert_eq!(hooks(&two).expect_err("two"), codes::ACTION_COUNT.0);
        assert_eq!(hooks("drain: { remove: [/] }").expect_err("no such hook"), codes::UNKNOWN_KEY.0);
        assert_eq!(hooks("drain: { http: { url: 'http://lb' } }").expect_err("a gate does nothing"), codes::UNKNOWN_KEY.0);
        assert_eq!(hooks(&format!("drain: {{ {} }}", call("lb"))).expect_err("no URL"), codes::BAD_VALUE.0);
        assert_eq!(hooks(&format!("drain: {{ {} }}", call("http://{{ facts.x }}"))).expect_err("facts"), codes::UNKNOWN_NAME.0);
        let once = "drain: { command: { command: [/bin/x], cwd: /tmp, repeatable: false } }";
        assert_eq!(hooks(once).expect_err("only once"), codes::BAD_VALUE.0);
    }
}
