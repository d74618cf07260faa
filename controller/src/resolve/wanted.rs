//! What the recipe wants of the fleet file, before any node is looked at.

use cavalcade_common::codes::plan as codes;
use cavalcade_common::plan::{Role, Side};
use cavalcade_common::written::{Mark, nearest};
use serde_json::{Map, Value};

use super::{Input, Readers};

/// Options, artifacts, databases, profiles.
pub(super) fn check(input: &Input<'_>, r: &mut Readers) {
    options(input, r);
    let whole = Mark { line: 0, column: 0, length: 0 };
    for (name, needed) in input.recipe.artifacts.iter().filter(|(n, d)| !d.optional && !input.artifacts.contains_key(*n)) {
        let near = nearest(name, input.artifacts.keys().map(String::as_str).filter(|k| !input.recipe.artifacts.contains_key(*k)));
        let help = near.map_or_else(|| format!("it is {}", needed.doc), |n| format!("`{n}` is there; it is {}", needed.doc));
        let message = format!("the recipe needs the artifact `{name}`");
        r.fleet.fault_with(codes::NEEDED_BY_RECIPE, whole, message, Some(help));
    }
    let databases = &input.fleet.databases;
    for (name, needed) in input.recipe.databases.iter().filter(|(n, d)| !d.optional && !databases.contains_key(*n)) {
        let near = nearest(name, databases.keys().map(String::as_str).filter(|k| !input.recipe.databases.contains_key(*k)));
        let help = near.map_or_else(|| format!("it is {}", needed.doc), |n| format!("`{n}` is there; it is {}", needed.doc));
        let message = format!("the recipe needs the database `{name}`");
        r.fleet.fault_with(codes::NEEDED_BY_RECIPE, whole, message, Some(help));
    }
    profiles(input, r);
}

fn options(input: &Input<'_>, r: &mut Readers) {
    let declared = &input.recipe.options;
    for (name, (value, mark)) in &input.fleet.options {
        let Some(option) = declared.get(name) else {
            let help = match nearest(name, declared.keys().map(String::as_str)) {
                Some(near) => format!("`{near}` exists"),
                None => format!("it has: {}", declared.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            let message = format!("the recipe {} has no option `{name}`", input.recipe.name);
            r.fleet.fault_with(codes::UNKNOWN_OPTION, *mark, message, Some(help));
            continue;
        };
        if !option.one_of.is_empty() && !option.one_of.contains(value) {
            let known: Vec<String> = option.one_of.iter().map(plain).collect();
            let message = format!("the option `{name}` is one of: {}", known.join(", "));
            r.fleet.fault(cavalcade_common::codes::written::BAD_VALUE, *mark, message);
        }
    }
    for (name, option) in declared.iter().filter(|(n, o)| o.required && !input.fleet.options.contains_key(*n)) {
        let message = format!("the recipe needs the option `{name}`: {}", option.doc);
        r.fleet.fault(codes::NEEDED_BY_RECIPE, Mark::default(), message);
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The options with the values that count.
pub(super) fn option_values(input: &Input<'_>) -> Map<String, Value> {
    let value = |name: &String, default: &Value| input.fleet.options.get(name).map_or_else(|| default.clone(), |o| o.0.clone());
    input.recipe.options.iter().map(|(name, o)| (name.clone(), value(name, &o.default))).collect()
}

fn profiles(input: &Input<'_>, r: &mut Readers) {
    let known = &input.recipe.profiles;
    for node in input.fleet.nodes.iter().filter(|n| n.role == Role::ApiManager) {
        let mut look = |side: &Option<Side>, what: &str, list: &[String]| {
            let Some(profile) = side.as_ref().and_then(|s| s.profile.as_ref()) else { return };
            if list.is_empty() || list.contains(profile) {
                return;
            }
            let near = nearest(profile, list.iter().map(String::as_str));
            let help = near.map_or_else(|| format!("known: {}", list.join(", ")), |n| format!("`{n}` exists"));
            let message = format!("the {what} version has no profile `{profile}`");
            r.fleet.node = Some(node.id.to_string());
            r.fleet.fault_with(codes::UNKNOWN_PROFILE, node.mark, message, Some(help));
            r.fleet.node = None;
        };
        look(&node.old, "old", &known.old);
        look(&node.new, "new", &known.new);
    }
}
