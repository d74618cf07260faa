//! Explanations of checks, for the terminal and for `docs/preflight.md`: one text in both places. Pure.

use super::text::wrap;
use crate::preflight::{Explained, explained};

/// One check for a terminal.
#[must_use]
pub fn explanation(check: &Explained) -> String {
    let part = |word: &str, text: &str| wrap(text, 79, &format!("  {word:<9}"), "           ");
    let head = format!("{}: a check of `cavalcade fleet check` and `cavalcade plan`\n\n", check.check);
    let recipe = check.recipe.as_ref().map(|recipe| part("recipe", recipe)).unwrap_or_default();
    head + &recipe
        + &part("severity", check.severity.word())
        + &part("looks at", &check.looks_at)
        + &part("remedy", &check.remedy)
}

/// All checks as one page.
#[must_use]
pub fn markdown() -> String {
    let mut page =
        "# Checks before the work\n\n`cavalcade fleet check` runs all of them and shows every finding at once; `cavalcade \
        plan` runs them too and keeps the findings in the plan. They change nothing. A check whose fact is missing says that \
        it did not look: that is never counted as good.\n\nA finding of the severity *error* stops `cavalcade apply`, unless a \
        person lets it pass by the check's name, with a reason that the journal and the report keep:\n\n```\ncavalcade apply \
        upgrade.plan --waive port-free --why 'the listener is the test instance, it stops at eight'\n```\n\n`cavalcade explain \
        NAME` prints the same text without a network. This page is written by `cavalcade explain --preflight-markdown`; a \
        test keeps both equal.\n"
            .to_owned();
    let mut heading = None;
    for check in explained() {
        let of = check.recipe.as_ref().map_or_else(|| "every fleet".to_owned(), |recipe| format!("the recipe `{recipe}`"));
        let now = (of.clone(), check.area.clone());
        if heading.as_ref() != Some(&now) {
            page.push_str(&format!(
                "\n## {}, of {of}\n\n| check | severity | looks at | what to do |\n| --- | --- | --- | --- |\n",
                check.area
            ));
            heading = Some(now);
        }
        let cell = |text: &str| text.replace('|', "\\|");
        let word = check.severity.word();
        page.push_str(&format!("| `{}` | {word} | {} | {} |\n", check.check, cell(&check.looks_at), cell(&check.remedy)));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_checks_is_the_programs_own_text() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/preflight.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == markdown(),
            "write it anew: cargo run --bin cavalcade -- explain --preflight-markdown --out docs/preflight.md"
        );
    }

    #[test]
    fn an_explanation_fits_a_terminal() {
        for check in explained() {
            let text = explanation(&check);
            assert!(text.lines().all(|l| l.split(' ').any(|w| w.len() > 60) || l.len() < 80), "{text}");
        }
    }

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let all = explained();
        let mut seen: std::collections::BTreeSet<(&str, Option<&str>)> = std::collections::BTreeSet::new();
        for check in &all {
            assert!(seen.insert((&check.check, check.recipe.as_deref())), "{} twice", check.check);
            let code = check.recipe.is_some() && seen.contains(&(check.check.as_str(), None));
            assert!(!code, "{} of the recipe and of every fleet", check.check);
        }
    }
}
