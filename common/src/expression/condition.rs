//! Conditions: an expression that must give true or false, or a mapping of facts to values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::token::{Kind, Token};
use super::{ExpressionError, Scope, check, check_form, evaluate};
use crate::codes::written as codes;
use crate::written::{Content, Mark, Node, Reader};

/// A condition as a person wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    node: Node,
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether it holds.
    pub holds: bool,
    /// Every name that it reads, with its value.
    pub reads: BTreeMap<String, Value>,
    /// Those of the names that made it false; empty where that is told by all of them.
    deciding: BTreeSet<String>,
}

impl Verdict {
    /// The names that decided, as `facts.user_store.type = ldap`.
    #[must_use]
    pub fn because(&self) -> String {
        let decided = |name: &str| self.deciding.is_empty() || self.deciding.contains(name);
        let reads: Vec<_> = self.reads.iter().filter(|(name, _)| decided(name)).collect();
        let facts: Vec<_> = reads.iter().copied().filter(|(n, _)| n.starts_with("facts.")).collect();
        let shown = if facts.is_empty() { reads } else { facts };
        let parts: Vec<String> = shown.iter().map(|(name, value)| format!("{name} = {}", brief(value))).collect();
        if parts.is_empty() { "its condition is false".to_owned() } else { parts.join(", ") }
    }
}

/// A value on one short line.
fn brief(value: &Value) -> String {
    match value {
        Value::String(s) => cut(s),
        Value::Object(map) => format!("{{{}}}", map.keys().take(8).cloned().collect::<Vec<_>>().join(", ")),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { short + "..." } else { short }
}

impl Condition {
    /// Reads the form of a condition: a text, true or false, or a mapping.
    pub fn of(node: &Node, r: &mut Reader) -> Option<Self> {
        match &node.content {
            Content::Scalar(Value::String(_) | Value::Bool(_)) | Content::Map(_) => Some(Self { node: node.clone() }),
            _ => {
                let message = format!("a condition is an expression or a mapping of facts, this is {}", node.kind());
                r.fault(codes::WRONG_KIND, node.mark, message);
                None
            }
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.node.mark
    }

    /// As it is written.
    #[must_use]
    pub fn written(&self) -> String {
        self.node.text().map_or_else(|| self.node.to_value().to_string(), ToOwned::to_owned)
    }

    /// Its expression, where it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.node.text()
    }

    /// Decides it. `None` means that a fault was noted.
    pub fn decide(&self, scope: &Scope, r: &mut Reader) -> Option<Verdict> {
        match &self.node.content {
            Content::Scalar(Value::Bool(holds)) => {
                Some(Verdict { holds: *holds, reads: BTreeMap::new(), deciding: BTreeSet::new() })
            }
            Content::Scalar(Value::String(source)) => match boolean(source, scope) {
                Ok(verdict) => Some(verdict),
                Err(error) => {
                    note(&self.node, &error, r);
                    None
                }
            },
            Content::Map(entries) => {
                let mut verdict = Verdict { holds: true, reads: BTreeMap::new(), deciding: BTreeSet::new() };
                let before = r.count();
                for entry in entries {
                    let name = format!("facts.{}", entry.key);
                    let Some(value) = scope.get(&name) else {
                        let message = format!("no fact is called `{name}`");
                        r.fault_with(codes::UNKNOWN_NAME, entry.mark, message, scope.suggest(&name));
                        continue;
                    };
                    let wanted = entry.value.to_value();
                    let agrees = match &wanted {
                        Value::Array(any) => any.contains(value),
                        one => one == value,
                    };
                    verdict.holds &= agrees;
                    verdict.deciding.extend((!agrees).then(|| name.clone()));
                    verdict.reads.insert(name, value.clone());
                }
                (r.count() == before).then_some(verdict)
            }
            Content::Scalar(_) | Content::List(_) | Content::Open => None,
        }
    }

    /// Checks its form, and the names that are known without a node.
    pub fn check(&self, scope: &Scope, later: &[&str], r: &mut Reader) {
        if let Some(Err(error)) = self.node.text().map(|source| check(source, scope, later)) {
            note(&self.node, &error, r);
        }
    }
}

/// Evaluates to true or false.
pub(super) fn boolean(source: &str, scope: &Scope) -> Result<Verdict, ExpressionError> {
    let evaluated = evaluate(source, scope)?;
    let tokens = check_form(source)?;
    alone(source, &tokens, scope)?;
    match evaluated.value {
        Value::Bool(holds) => {
            let deciding = if holds { BTreeSet::new() } else { false_parts(source, &tokens, scope) };
            Ok(Verdict { holds, reads: evaluated.reads, deciding })
        }
        other => Err(ExpressionError::NotBoolean { what: format!("this one gives {}", kind(&other)), range: None }),
    }
}

/// The names in those parts of `a and b and c` that are false by themselves.
fn false_parts(source: &str, tokens: &[Token], scope: &Scope) -> BTreeSet<String> {
    let parts = conjuncts(source, tokens).into_iter().filter_map(|part| evaluate(part, scope).ok());
    parts.filter(|part| part.value == Value::Bool(false)).flat_map(|part| part.reads.into_keys()).collect()
}

/// The parts between the outermost `and`; the whole where something else binds them.
fn conjuncts<'s>(source: &'s str, tokens: &[Token]) -> Vec<&'s str> {
    let (mut parts, mut depth, mut begins) = (Vec::new(), 0_usize, 0);
    for token in tokens {
        match &source[token.range.clone()] {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "or" | "if" | "else" if depth == 0 => return vec![source],
            "and" if depth == 0 => {
                parts.push(&source[begins..token.range.start]);
                begins = token.range.end;
            }
            _ => {}
        }
    }
    parts.push(&source[begins..]);
    parts
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// A name that stands alone between `and`, `or`, `not` must be a boolean itself: the text 'false' would count as true.
fn alone(source: &str, tokens: &[Token], scope: &Scope) -> Result<(), ExpressionError> {
    let is_word = |i: Option<usize>, words: &[&str]| {
        i.and_then(|i| tokens.get(i)).is_none_or(|t| words.contains(&&source[t.range.clone()]))
    };
    for (i, token) in tokens.iter().enumerate().filter(|(_, t)| t.kind == Kind::Name) {
        // What stands in the parentheses of a filter or test is its argument, which need not be a boolean.
        if i >= 2 && tokens[i - 1].kind == Kind::Open && tokens[i - 2].kind == Kind::Callee {
            continue;
        }
        let after_not = i > 0 && &source[tokens[i - 1].range.clone()] == "not";
        let begins = after_not || is_word(i.checked_sub(1), &["and", "or", "("]);
        let ends = is_word(Some(i + 1), &["and", "or", ")"]);
        let name = &source[token.range.clone()];
        match scope.get(name) {
            Some(value) if begins && ends && !value.is_boolean() => {
                let what = format!("`{name}` is {}", kind(value));
                return Err(ExpressionError::NotBoolean { what, range: Some(token.range.clone()) });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Notes an expression's error at its place inside the scalar that holds it.
pub fn note(node: &Node, error: &ExpressionError, r: &mut Reader) {
    let mark = match (node.text(), error.range()) {
        (Some(text), Some(range)) => inside(node.mark, text, range, 0),
        _ => node.mark,
    };
    r.fault_with(error.code(), mark, error.to_string(), error.help());
}

/// The place of a byte range of a scalar's text, where the text stands on one line as it was written; else the scalar's.
/// `shift` is the offset of the range's origin in the text.
pub(crate) fn inside(mark: Mark, text: &str, range: std::ops::Range<usize>, shift: usize) -> Mark {
    let length = text.chars().count();
    let quotes = match usize::try_from(mark.length) {
        Ok(n) if n == length => 0,
        Ok(n) if n == length + 2 => 1,
        _ => return mark,
    };
    let (from, to) = (range.start + shift, range.end + shift);
    let (Some(before), Some(marked)) = (text.get(..from), text.get(from..to)) else { return mark };
    if text.contains('\n') {
        return mark;
    }
    let count = |s: &str| u32::try_from(s.chars().count()).unwrap_or(0);
    Mark { line: mark.line, column: mark.column + quotes + count(before), length: count(marked).max(1) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::written::read;

    fn scope() -> Scope {
        match json!({ "facts": { "user_store": { "type": "jdbc" }, "on": true, "text": "false", "list": ["jdbc"] }, "node": { "id": "a" } })
        {
            Value::Object(map) => Scope::new(map),
            _ => panic!("is a mapping"),
        }
    }

    type Refused = (u16, u32, u32, Option<String>);

    fn decide(line: &str) -> Result<(bool, String), Refused> {
        let doc = read(format!("when: {line}\n").as_bytes(), "f.yaml").expect("is valid");
        let mut r = Reader::new("f.yaml");
        let node = doc.root.get("when").expect("is there");
        let verdict = Condition::of(node, &mut r).and_then(|c| c.decide(&scope(), &mut r));
        match verdict {
            Some(v) => Ok((v.holds, v.because())),
            None => {
                let f = r.into_faults().0.remove(0);
                let p = f.place.expect("has a place");
                Err((f.code.0, p.column, p.length, f.help))
            }
        }
    }

    #[test]
    fn both_forms_decide_and_say_why() {
        assert_eq!(decide("{ user_store.type: jdbc }"), Ok((true, "facts.user_store.type = jdbc".to_owned())));
        assert_eq!(decide("{ user_store.type: [ldap, jdbc], on: false }").map(|v| v.0), Ok(false));
        assert_eq!(decide("\"facts.user_store.type == 'ldap'\"").map(|v| v.0), Ok(false));
        assert_eq!(decide("facts.on and not (facts.on)").map(|v| v.0), Ok(false));
        assert_eq!(decide("true").map(|v| v.0), Ok(true));
        let argument = "\"['jdbc', 'ldap'] | without(facts.list) | length == 1\"";
        assert_eq!(decide(argument).map(|v| v.0), Ok(true), "a filter's argument is no condition");
    }

    #[test]
    fn only_what_is_false_is_the_reason() {
        let because = |line: &str| decide(line).map(|verdict| verdict.1);
        let both = "facts.on = true, facts.user_store.type = jdbc";
        for (line, wanted) in [
            ("\"facts.on and facts.user_store.type == 'ldap'\"", "facts.user_store.type = jdbc"),
            ("\"node.id == 'b' and facts.on and facts.user_store.type == 'jdbc'\"", "node.id = a"),
            ("\"not facts.on and (facts.user_store.type == 'ldap' or facts.on)\"", "facts.on = true"),
            ("\"facts.on and facts.user_store.type == 'ldap' or node.id == 'b'\"", both),
            ("\"'and' == facts.user_store.type and facts.on\"", "facts.user_store.type = jdbc"),
            ("{ user_store.type: ldap, on: true }", "facts.user_store.type = jdbc"),
            ("{ user_store.type: jdbc, on: true }", both),
        ] {
            assert_eq!(because(line).as_deref(), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn braces_are_refused_with_the_corrected_line() {
        let wanted = Some("write: \"facts.user_store.type == 'jdbc'\"".to_owned());
        assert_eq!(decide("\"{{ facts.user_store.type == 'jdbc' }}\""), Err((1111, 7, 39, wanted)));
    }

    #[test]
    fn only_booleans_decide() {
        assert_eq!(decide("facts.text").map_err(|e| (e.0, e.1, e.2)), Err((1113, 7, 10)));
        assert_eq!(decide("facts.on and facts.text").map_err(|e| (e.0, e.1, e.2)), Err((1113, 20, 10)));
        assert_eq!(decide("not facts.text").map_err(|e| (e.0, e.1, e.2)), Err((1113, 11, 10)));
        assert_eq!(decide("\"'yes'\"").map_err(|e| e.0), Err(1113));
        assert_eq!(decide("\"'{{ facts.text }}' == 'x'\"").map_err(|e| e.0), Err(1111));
        assert_eq!(decide("3").map_err(|e| e.0), Err(1109));
    }

    #[test]
    fn an_unknown_name_is_marked_in_the_line() {
        let found = decide("\"facts.user_stor.type == 'jdbc'\"");
        assert_eq!(found, Err((1107, 8, 20, Some("`facts.user_store.type` exists".to_owned()))));
        assert_eq!(decide("{ user_stor.type: x }").map_err(|e| (e.0, e.1)), Err((1107, 9)));
    }
}
