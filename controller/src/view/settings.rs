//! What becomes of old settings, as a person reads it. Nothing is lost silently: what nobody carries is named with its reason.

use std::collections::BTreeMap;

use cavalcade_common::plan::{Fate, Plan, Setting};

use super::table::WIDTH;
use super::text::{ranges, wrap};

/// The word for a fate.
fn word(setting: &Setting) -> String {
    match (setting.fate, &setting.to) {
        (Fate::Renamed, Some(to)) => format!("renamed {to}"),
        (Fate::Carried | Fate::Renamed, _) => "carried".to_owned(),
        (Fate::Dropped, _) => "left out".to_owned(),
        (Fate::Done, _) => "set anew".to_owned(),
        (Fate::Person, _) => "FOR A PERSON".to_owned(),
    }
}

/// Settings that share everything but their node, in the order of their keys.
fn grouped<'p>(settings: impl Iterator<Item = &'p Setting>) -> Vec<(&'p Setting, Vec<&'p str>)> {
    let mut groups: BTreeMap<(&str, Fate, &str), (&Setting, Vec<&str>)> = BTreeMap::new();
    for setting in settings {
        let key = (setting.key.as_str(), setting.fate, setting.why.as_str());
        groups.entry(key).or_insert((setting, Vec::new())).1.push(setting.node.as_str());
    }
    groups.into_values().collect()
}

/// Key, what becomes of it, why, and the nodes: rows for a table of any form.
#[must_use]
pub fn rows(plan: &Plan) -> Vec<Vec<String>> {
    let row =
        |(setting, nodes): (&Setting, Vec<&str>)| vec![setting.key.clone(), word(setting), setting.why.clone(), ranges(nodes)];
    grouped(plan.settings.iter()).into_iter().map(row).collect()
}

/// All of them in 80 columns, those that share fate, reason and nodes together; empty where there is nothing to say. What a
/// person has to look at stands first.
#[must_use]
pub fn settings(plan: &Plan) -> String {
    let mut blocks: BTreeMap<(u8, &str, &str, String), Vec<String>> = BTreeMap::new();
    for (setting, nodes) in grouped(plan.settings.iter()) {
        let (rank, word) = match setting.fate {
            Fate::Person => (0, "FOR A PERSON"),
            Fate::Dropped => (1, "left out"),
            Fate::Carried | Fate::Renamed => (2, "carried"),
            Fate::Done => (3, "set anew"),
        };
        let key = match &setting.to {
            Some(to) if setting.fate == Fate::Renamed => format!("{} as {to}", setting.key),
            _ => setting.key.clone(),
        };
        blocks.entry((rank, word, &setting.why, ranges(nodes))).or_default().push(key);
    }
    if blocks.is_empty() {
        return String::new();
    }
    let width = usize::from(WIDTH);
    let block = |((_, word, why, nodes), keys): ((u8, &str, &str, String), Vec<String>)| {
        let why = if why.is_empty() { String::new() } else { format!("   {why}") };
        let head = wrap(&format!("{word}   {nodes}{why}"), width, "  ", "    ");
        head + &wrap(&keys.join(", "), width, "      ", "      ")
    };
    blocks.into_iter().fold("Old settings\n".to_owned(), |out, one| out + &block(one)) + "\n"
}

/// How many settings have which fate, and those that a person has to look at.
#[must_use]
pub fn summary(plan: &Plan) -> String {
    if plan.settings.is_empty() {
        return String::new();
    }
    let width = usize::from(WIDTH);
    let count = |fates: &[Fate]| grouped(plan.settings.iter().filter(|s| fates.contains(&s.fate))).len();
    let head = format!(
        "Old settings: {} carried, {} set anew, {} left out, {} for a person. The preview shows each.",
        count(&[Fate::Carried, Fate::Renamed]),
        count(&[Fate::Done]),
        count(&[Fate::Dropped]),
        count(&[Fate::Person]),
    );
    let line = |(setting, nodes): (&Setting, Vec<&str>)| {
        let why = if setting.why.is_empty() { String::new() } else { format!(": {}", setting.why) };
        wrap(&format!("{} on {}{why}", setting.key, ranges(nodes)), width, " ? ", "     ")
    };
    let person = grouped(plan.settings.iter().filter(|s| s.fate == Fate::Person));
    wrap(&head, width, "", "  ") + &person.into_iter().map(line).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example_plan::plan;

    #[test]
    fn it_looks_like_this() {
        let mut plan = plan();
        let setting = |node: &str, key: &str, fate: Fate, to: Option<&str>, why: &str| Setting {
            node: node.parse().expect("a name"),
            key: key.to_owned(),
            change: "changed".to_owned(),
            value: None,
            fate,
            to: to.map(str::to_owned),
            why: why.to_owned(),
        };
        plan.settings = vec![
            setting("is-1", "server.hostname", Fate::Carried, None, ""),
            setting("is-2", "server.hostname", Fate::Carried, None, ""),
            setting("is-1", "keystore.primary.name", Fate::Renamed, Some("keystore.primary.file_name"), ""),
            setting("is-1", "apim.throttling.url_group", Fate::Dropped, None, "C4: settings of the old Key Manager"),
            setting("gw-1", "user_store.type", Fate::Done, None, "D7: as it was"),
            setting("gw-1", "apim.analytics.enable", Fate::Person, None, "4.0.0 has another analytics"),
        ];
        let text = format!("{}\n{}", summary(&plan), settings(&plan));
        insta::assert_snapshot!(text);
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
        plan.settings.clear();
        assert_eq!((summary(&plan), settings(&plan)), (String::new(), String::new()));
    }
}
