//! The report before a run as one self-contained page.

use cavalcade_common::finding::Severity;

use super::before::Before;
use super::diff::{Group, groups, mark};
use super::report::instant;
use super::report_html::{escape, file_diff, section, table, whole};
use super::settings;
use super::text::ranges;

/// The page.
#[must_use]
pub fn html(before: &Before) -> String {
    let plan = before.plan;
    let mut body = head(before);
    body.push_str(&section("Stages", &table(&["", "Stage", "Nodes", "Steps", "Waits for", "Undo"], &before.stages())));
    body.push_str(&section("What cannot be undone", &table(&["Stage", "Why"], &before.irreversible())));
    let back = before.way_back();
    let back = if back.is_empty() { String::new() } else { format!("<p>{}</p>\n", escape(&back)) };
    body.push_str(&section("Way back", &back));
    body.push_str(&section("Approvals", &table(&["Stage", "By", "Approves"], &before.approvals())));
    let finding = ["Check", "Nodes", "Found", "Remedy"];
    let errors = table(&finding, &before.findings(Severity::Error));
    body.push_str(&section("Needs a waiver, or a remedy first", &errors));
    body.push_str(&section("Warnings", &table(&finding, &before.findings(Severity::Warning))));
    body.push_str(&section("Could not be looked at", &table(&finding, &before.findings(Severity::Unseen))));
    body.push_str(&section("Left out", &table(&["Step", "Row", "Nodes", "Reason"], &before.omitted())));
    body.push_str(&section("Old settings", &table(&["Setting", "Becomes", "Why", "Nodes"], &settings::rows(plan))));
    body.push_str(&section("Remarks", &table(&[], &plan.remarks.iter().map(|r| vec![r.clone()]).collect::<Vec<_>>())));
    body.push_str(&steps(before));
    body.push_str(&section("SHA-256", &table(&["What", "Digest"], &before.hashes())));
    whole(&format!("{} before", plan.fleet), &body)
}

fn head(before: &Before) -> String {
    let plan = before.plan;
    let mut rows = vec![
        vec!["Fleet".to_owned(), plan.fleet.clone()],
        vec!["Recipe".to_owned(), plan.recipe.name.clone()],
        vec!["Planned".to_owned(), format!("{} by {} with cavalcade {}", instant(plan.made_at), plan.made_by, plan.made_with)],
        vec!["Facts of".to_owned(), instant(plan.facts_at)],
        vec!["Previewed".to_owned(), instant(before.made_at)],
    ];
    rows.extend(plan.window.iter().map(|w| vec!["Window ends".to_owned(), instant(w.end)]));
    if let Some(change) = before.change {
        rows.insert(0, vec!["Change".to_owned(), change.to_owned()]);
    }
    format!(
        "<h1>Planned upgrade of {}</h1>\n<p>{}. Nothing was changed.</p>\n{}",
        escape(&plan.fleet),
        escape(&before.summary()),
        table(&[], &rows)
    )
}

fn steps(before: &Before) -> String {
    let mut out = String::new();
    for stage in &before.plan.stages {
        let groups = groups(before.plan, stage, before.items);
        if groups.is_empty() {
            continue;
        }
        out.push_str(&format!("<h3>{} {}</h3>\n", stage.number, escape(&stage.title)));
        for group in &groups {
            let step = stage.steps.iter().find(|s| s.key.step == group.number);
            let name = step.map(|s| s.name.as_str()).unwrap_or_default();
            out.push_str(&one(group, &format!("{}.{} {name}", stage.number, group.number)));
        }
    }
    section("What changes", &out)
}

fn one(group: &Group, name: &str) -> String {
    let nodes = ranges(group.nodes.iter().copied());
    let (_, word, class) = mark(group.answer());
    let head = format!("<strong class=\"{class}\">{word}</strong> {} on {}", escape(name), escape(&nodes));
    match group.answer() {
        Ok(preview) => {
            let says = if preview.says.is_empty() { String::new() } else { format!(": {}", escape(&preview.says)) };
            let diffs: String = preview.diffs.iter().map(file_diff).collect();
            format!("<p>{head}{says}</p>\n{diffs}")
        }
        Err(fault) => format!("<p>{head}: {}: {}</p>\n", fault.code, escape(&fault.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::before::tests::{before, items};
    use crate::view::example_plan::plan;

    #[test]
    fn the_page_is_whole_and_loads_nothing() {
        let (plan, items) = (plan(), items());
        let page = html(&before(&plan, &items));
        for word in ["<script", "src=", "href=", "@import", "url(", "http://", "https://"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "texts of others are text");
        assert_eq!(page.matches("+a = 1").count(), 1, "equal diffs once");
        insta::assert_snapshot!(page.split_once("</style>").expect("has a style").1);
    }
}
