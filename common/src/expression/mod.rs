//! Expressions: what `when`, `nodes`, `on` and `for` hold, and what stands between `{{` and `}}`.
//!
//! The grammar is minijinja's, with less in it: no subscripts, no statements, few filters, and every dotted name must
//! exist. A condition gives true or false, nothing that only counts as one.

mod condition;
mod token;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use minijinja::value::Rest;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value};

use crate::codes::written as codes;
use crate::error::Code;
use crate::written::nearest;

pub(crate) use condition::inside;
pub use condition::{Condition, Verdict, note};
use token::{Kind, Token};

/// Longest expression, in bytes. Longer ones can nest deeper than a stack allows.
pub const MAX_EXPRESSION: usize = 512;

const FUEL: u64 = 20_000;

/// Why an expression has no value. Ranges are bytes of the expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It stands in braces.
    #[error("an expression stands here without braces")]
    Braces {
        /// The same without them.
        corrected: String,
    },
    /// It is longer than [`MAX_EXPRESSION`].
    #[error("an expression has at most {MAX_EXPRESSION} bytes, this one has {0}")]
    TooLong(usize),
    /// It uses `a['b']`, which hides the name from the check.
    #[error("subscripts are not allowed: write `facts.name` instead of `facts['name']`")]
    Subscript(Range<usize>),
    /// It breaks the grammar.
    #[error("{says}")]
    Syntax {
        /// What is wrong.
        says: String,
        /// Where.
        range: Option<Range<usize>>,
    },
    /// A name does not exist.
    #[error("{what} is called `{name}`")]
    UnknownName {
        /// "no fact", "no name".
        what: &'static str,
        /// The dotted name.
        name: String,
        /// What exists instead.
        help: Option<String>,
        /// Where it stands.
        range: Option<Range<usize>>,
    },
    /// Its evaluation failed.
    #[error("the expression has no value: {says}")]
    Failed {
        /// What went wrong.
        says: String,
        /// Where.
        range: Option<Range<usize>>,
    },
    /// A condition gives something else than true or false.
    #[error("a condition gives true or false, {what}")]
    NotBoolean {
        /// What gives what instead.
        what: String,
        /// Where.
        range: Option<Range<usize>>,
    },
}

impl ExpressionError {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Braces { .. } => codes::EXPRESSION_BRACES,
            Self::TooLong(_) | Self::Subscript(_) | Self::Syntax { .. } => codes::EXPRESSION_SYNTAX,
            Self::UnknownName { .. } => codes::UNKNOWN_NAME,
            Self::Failed { .. } => codes::TEMPLATE,
            Self::NotBoolean { .. } => codes::NOT_BOOLEAN,
        }
    }

    /// Where in the expression, in bytes.
    #[must_use]
    pub fn range(&self) -> Option<Range<usize>> {
        match self {
            Self::Braces { .. } | Self::TooLong(_) => None,
            Self::Subscript(range) => Some(range.clone()),
            Self::Syntax { range, .. }
            | Self::UnknownName { range, .. }
            | Self::Failed { range, .. }
            | Self::NotBoolean { range, .. } => range.clone(),
        }
    }

    /// A hint for this very case.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Braces { corrected } => Some(format!("write: {corrected}")),
            Self::UnknownName { help, .. } => help.clone(),
            Self::NotBoolean { .. } => Some("compare it: `... == 'yes'`".to_owned()),
            Self::TooLong(_) | Self::Subscript(_) | Self::Syntax { .. } | Self::Failed { .. } => None,
        }
    }
}

/// The names that expressions and templates see. A clone, and a scope with one more name, share what they hold.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    roots: BTreeMap<String, Root>,
}

#[derive(Debug, Clone)]
struct Root {
    value: Arc<Value>,
    native: minijinja::Value,
}

impl Scope {
    /// A scope with these root names.
    #[must_use]
    pub fn new(values: Map<String, Value>) -> Self {
        values.into_iter().fold(Self::default(), |scope, (name, value)| scope.with(&name, value))
    }

    /// The same scope with one more name, or another value for it.
    #[must_use]
    pub fn with(&self, name: &str, value: Value) -> Self {
        let native = minijinja::Value::from(minijinja::value::Serde(&value));
        let mut roots = self.roots.clone();
        roots.insert(name.to_owned(), Root { value: Arc::new(value), native });
        Self { roots }
    }

    /// The value of a dotted name.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let mut value = self.roots.get(parts.next()?)?.value.as_ref();
        for part in parts {
            value = value.get(part)?;
        }
        Some(value)
    }

    /// All names with their values.
    #[must_use]
    pub fn to_values(&self) -> Map<String, Value> {
        self.roots.iter().map(|(name, root)| (name.clone(), root.value.as_ref().clone())).collect()
    }

    fn native(&self) -> minijinja::Value {
        minijinja::Value::from_pairs(self.roots.iter().map(|(name, root)| (name.clone(), root.native.clone())))
    }

    /// The names below a dotted name; the root names below an empty one.
    fn level(&self, path: &str) -> Vec<&str> {
        if path.is_empty() {
            return self.roots.keys().map(String::as_str).collect();
        }
        match self.get(path) {
            Some(Value::Object(map)) => map.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// A name that exists near one that does not, or the names that do exist at that place.
    #[must_use]
    pub fn suggest(&self, path: &str) -> Option<String> {
        let parts: Vec<&str> = path.split('.').collect();
        let missing = (1..=parts.len()).find(|n| self.get(&parts[..*n].join(".")).is_none())?;
        let before = parts[..missing - 1].join(".");
        let known = self.level(&before);
        let dotted = |name: &str| if before.is_empty() { name.to_owned() } else { format!("{before}.{name}") };
        if known.is_empty() {
            return Some(format!("`{before}` holds no further names"));
        }
        let Some(near) = nearest(parts[missing - 1], known.iter().copied()) else {
            return Some(format!("known here: {}", known.iter().take(12).copied().collect::<Vec<_>>().join(", ")));
        };
        let rest = parts[missing..].iter().map(|p| format!(".{p}")).collect::<String>();
        let whole = dotted(near) + &rest;
        let exists = if self.get(&whole).is_some() { whole } else { dotted(near) };
        Some(format!("`{exists}` exists"))
    }
}

/// A value with the names that it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The value.
    pub value: Value,
    /// Every dotted name that the expression reads, with its value.
    pub reads: BTreeMap<String, Value>,
}

/// Reads and evaluates an expression that stands alone, without braces.
///
/// # Errors
/// See [`ExpressionError`].
pub fn evaluate(source: &str, scope: &Scope) -> Result<Evaluated, ExpressionError> {
    token::refuse_braces(source)?;
    evaluate_inside(source, scope)
}

/// Reads and evaluates what stands between the braces of a template.
pub(crate) fn evaluate_inside(source: &str, scope: &Scope) -> Result<Evaluated, ExpressionError> {
    let tokens = check_form(source)?;
    let environment = environment();
    let expression = environment.compile_expression_owned(source.to_owned()).map_err(|e| syntax(&e))?;
    let reads = names(expression.undeclared_variables(true), &tokens, source, scope)?;
    let value = expression.eval(scope.native()).map_err(|e| failed(&e))?;
    if value.is_undefined() {
        return Err(ExpressionError::Failed { says: "a name in it does not exist".to_owned(), range: None });
    }
    let value = serde_json::to_value(&value)
        .map_err(|_| ExpressionError::Failed { says: "its value is no plain value".to_owned(), range: None })?;
    Ok(Evaluated { value, reads })
}

/// Checks an expression that stands alone without evaluating it; see [`check_inside`].
///
/// # Errors
/// See [`ExpressionError`].
pub fn check(source: &str, scope: &Scope, later: &[&str]) -> Result<(), ExpressionError> {
    token::refuse_braces(source)?;
    check_inside(source, scope, later)
}

/// Checks what stands between the braces of a template without evaluating it: its form, and that names of these roots exist; names of the roots in
/// `later` are known only with a node.
pub(crate) fn check_inside(source: &str, scope: &Scope, later: &[&str]) -> Result<(), ExpressionError> {
    let tokens = check_form(source)?;
    let expression = environment().compile_expression_owned(source.to_owned()).map_err(|e| syntax(&e))?;
    let names_now = expression.undeclared_variables(true).into_iter();
    let names_now = names_now.filter(|n| !later.contains(&n.split('.').next().unwrap_or_default())).collect();
    names(names_now, &tokens, source, scope).map(|_| ())
}

/// The dotted names that an expression reads, sorted; none where it is no expression.
#[must_use]
pub fn names_in(source: &str) -> Vec<String> {
    let compiled = check_form(source).ok().and_then(|_| environment().compile_expression_owned(source.to_owned()).ok());
    let mut found: Vec<String> = compiled.map(|e| e.undeclared_variables(true).into_iter().collect()).unwrap_or_default();
    found.sort();
    found
}

fn check_form(source: &str) -> Result<Vec<Token>, ExpressionError> {
    if source.len() > MAX_EXPRESSION {
        return Err(ExpressionError::TooLong(source.len()));
    }
    let tokens = token::scan(source)?;
    let mut before: Option<&Token> = None;
    for token in &tokens {
        let value_before = before.is_some_and(|b| matches!(b.kind, Kind::Name | Kind::Text | Kind::Close));
        if token.kind == Kind::OpenSquare && value_before {
            return Err(ExpressionError::Subscript(token.range.clone()));
        }
        before = Some(token);
    }
    Ok(tokens)
}

/// The dotted names read, each with its value; the first one that does not exist is the error.
fn names(
    found: std::collections::HashSet<String>,
    tokens: &[Token],
    source: &str,
    scope: &Scope,
) -> Result<BTreeMap<String, Value>, ExpressionError> {
    let sorted: std::collections::BTreeSet<String> = found.into_iter().collect();
    let mut reads = BTreeMap::new();
    for name in sorted {
        let Some(value) = scope.get(&name) else {
            let at = tokens.iter().find(|t| t.kind == Kind::Name && source[t.range.clone()].split('|').next() == Some(&name));
            let what = if name.starts_with("facts.") { "no fact" } else { "nothing" };
            let help = scope.suggest(&name);
            return Err(ExpressionError::UnknownName { what, name, help, range: at.map(|t| t.range.clone()) });
        };
        // A whole root (`api_managers`) is no fact and may be large.
        if name.contains('.') {
            reads.insert(name, value.clone());
        } else if let (SECRETS, Value::Object(secrets)) = (name.as_str(), value) {
            // Which there are is what a condition asks of them.
            reads.insert(name, Value::from(secrets.keys().cloned().collect::<Vec<_>>().join(", ")));
        }
    }
    Ok(reads)
}

/// The root name of the markers of secrets.
const SECRETS: &str = "secrets";

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut e = Environment::empty();
        e.set_undefined_behavior(UndefinedBehavior::Strict);
        e.set_fuel(Some(FUEL));
        e.set_debug(true);
        e.add_filter("lower", minijinja::filters::lower);
        e.add_filter("upper", minijinja::filters::upper);
        e.add_filter("trim", minijinja::filters::trim);
        e.add_filter("replace", minijinja::filters::replace);
        e.add_filter("length", minijinja::filters::length);
        e.add_filter("join", minijinja::filters::join);
        e.add_filter("first", minijinja::filters::first);
        e.add_filter("last", minijinja::filters::last);
        e.add_filter("int", minijinja::filters::int);
        e.add_filter("string", minijinja::filters::string);
        e.add_filter("where", with_value);
        e.add_filter("without", without);
        e.add_filter("each", each);
        e
    })
}

/// `list | where('profile', 'default', 'control-plane')`: the elements whose attribute is one of the values.
fn with_value(list: minijinja::Value, name: String, any: Rest<minijinja::Value>) -> Result<minijinja::Value, minijinja::Error> {
    let mut kept = Vec::new();
    for item in list.try_iter()? {
        let value = item.get_attr(&name)?;
        if value.is_undefined() {
            let detail = format!("an element of the list has no `{name}`");
            return Err(minijinja::Error::new(ErrorKind::InvalidOperation, detail));
        }
        if any.contains(&value) {
            kept.push(item);
        }
    }
    Ok(minijinja::Value::from(kept))
}

/// `list | without(other)`: the elements that the other list does not hold.
fn without(list: minijinja::Value, other: minijinja::Value) -> Result<minijinja::Value, minijinja::Error> {
    let other: Vec<minijinja::Value> = other.try_iter()?.collect();
    Ok(list.try_iter()?.filter(|item| !other.contains(item)).collect())
}

/// `list | each('tcp://<address>:<ports.jms>')`: for each element the text with its attributes in place of their names.
fn each(list: minijinja::Value, form: String) -> Result<minijinja::Value, minijinja::Error> {
    let mut texts = Vec::new();
    for item in list.try_iter()? {
        texts.push(filled(&form, &item)?);
    }
    Ok(minijinja::Value::from(texts))
}

fn filled(form: &str, item: &minijinja::Value) -> Result<String, minijinja::Error> {
    let mut text = String::new();
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('<') {
        let wrong = |detail| minijinja::Error::new(ErrorKind::InvalidOperation, detail);
        let (path, behind) = after.split_once('>').ok_or_else(|| wrong("`<` without `>`".to_owned()))?;
        let mut value = item.clone();
        for part in path.split('.') {
            value = value.get_attr(part)?;
        }
        if value.is_undefined() || value.is_none() {
            return Err(wrong(format!("an element of the list has no `{path}`")));
        }
        text.push_str(before);
        text.push_str(&value.to_string());
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}

fn syntax(error: &minijinja::Error) -> ExpressionError {
    ExpressionError::Syntax { says: says(error), range: error.range() }
}

fn failed(error: &minijinja::Error) -> ExpressionError {
    ExpressionError::Failed { says: says(error), range: error.range() }
}

/// The sentence of an error. Never its Debug form: that prints the values it saw.
fn says(error: &minijinja::Error) -> String {
    let kind = match error.kind() {
        ErrorKind::OutOfFuel => "it does too much work".to_owned(),
        ErrorKind::UndefinedError => "a name in it does not exist".to_owned(),
        ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest => {
            "it calls something that is not known; filters are lower, upper, trim, replace, length, join, first, last, int, \
             string, where, without, each"
                .to_owned()
        }
        other => other.to_string(),
    };
    match (error.kind(), error.detail()) {
        (ErrorKind::SyntaxError | ErrorKind::InvalidOperation | ErrorKind::BadEscape, Some(detail)) => {
            detail.chars().take(120).collect()
        }
        _ => kind,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        let values = json!({
            "node": { "role": "api-manager", "id": "am-1", "new": { "profile": null } },
            "facts": { "user_store": { "type": "jdbc" }, "count": 3, "text": "false", "old": { "databases": { "am": {} } } },
            "nodes": [{ "id": "is-1" }, { "id": "is-2" }],
        });
        match values {
            Value::Object(map) => Scope::new(map),
            _ => panic!("is a mapping"),
        }
    }

    fn value(source: &str) -> Value {
        evaluate(source, &scope()).expect("has a value").value
    }

    #[test]
    fn values_keep_their_types_and_reads_are_named() {
        assert_eq!(value("facts.count + 1"), json!(4));
        assert_eq!(value("(nodes | first).id"), json!("is-1"));
        assert_eq!(value("(nodes | where('id', 'is-2', 'x') | first).id"), json!("is-2"));
        assert_eq!(value("nodes | where('id', 'x') | length"), json!(0));
        assert_eq!(value("nodes | where('id', 'is-2') | each('tcp://<id>:1')"), json!(["tcp://is-2:1"]));
        assert_eq!(value("nodes | each('<id>') | without(['is-1', 'is-9'])"), json!(["is-2"]));
        assert_eq!(value("[] | without(['is-1'])"), json!([]));
        assert!(evaluate("nodes | without('is-1' == 'x')", &scope()).is_err());
        assert!(evaluate("nodes | each('<id>:<none>')", &scope()).is_err());
        assert!(evaluate("nodes | each('<id')", &scope()).is_err());
        assert_eq!(value("node.new.profile"), json!(null));
        assert_eq!(value("'am' in facts.old.databases"), json!(true));
        assert_eq!(value("facts.user_store.type in ['jdbc', 'database']"), json!(true));
        let e = evaluate("facts.user_store.type == 'x' and node.role == 'y'", &scope()).expect("has a value");
        assert_eq!(e.reads.keys().collect::<Vec<_>>(), ["facts.user_store.type", "node.role"]);
    }

    #[test]
    fn unknown_names_are_errors_with_the_nearest_one() {
        let source = "node.id == 'a' or facts.user_stor.type == 'jdbc'";
        let e = evaluate(source, &scope()).expect_err("is unknown");
        assert_eq!(e.to_string(), "no fact is called `facts.user_stor.type`");
        assert_eq!(e.help().as_deref(), Some("`facts.user_store.type` exists"));
        assert_eq!(&source[e.range().expect("has a place")], "facts.user_stor.type");
        for bad in
            ["nope", "facts.nope == 1", "facts.count.x == 1", "facts.user_store.type is defined and zzz", "nope is defined"]
        {
            let code = evaluate(bad, &scope()).expect_err(bad).code();
            assert_eq!(code, codes::UNKNOWN_NAME, "{bad}");
        }
    }

    #[test]
    fn what_hides_or_overflows_is_refused() {
        for (bad, code) in [
            ("facts['user_store']", 1112),
            ("nodes[0].id", 1112),
            ("(nodes)[0]", 1112),
            ("{{ facts.count == 3 }}", 1111),
            ("{'a': 1}", 1112),
            ("1 +", 1112),
            ("", 1112),
            ("'open", 1112),
            ("facts.count | nope", 1112),
            ("range(10)", 1107),
        ] {
            let error = evaluate(bad, &scope()).expect_err(bad);
            assert!(error.code().0 == code || (code == 1112 && error.code().0 == 1114), "{bad}: {error:?}");
        }
        let deep = "not ".repeat(10_000) + "true";
        assert_eq!(evaluate(&deep, &scope()), Err(ExpressionError::TooLong(deep.len())));
        for open in ["(", "not ", "-", "["] {
            let nested = open.repeat(MAX_EXPRESSION / open.len());
            assert!(evaluate(&nested, &scope()).is_err(), "{open}");
        }
        let _ = evaluate(&format!("{}1{}", "(".repeat(255), ")".repeat(255)), &scope());
    }

    #[test]
    fn work_is_bounded() {
        let e = evaluate("('x' * 100000000) | length", &scope());
        assert!(e.is_err(), "{e:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_source_panics(source in "[a-z0-9 .'()\\[\\]{}|=!<>+*/%,:~-]{0,80}") {
            let _ = evaluate(&source, &scope());
        }
    }
}
