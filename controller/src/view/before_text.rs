//! The report before a run as Markdown, for tickets.

use cavalcade_common::finding::Severity;

use super::before::Before;
use super::diff::{groups, mark};
use super::report::instant;
use super::report_text::{file_diff, line, table};
use super::settings;
use super::text::ranges;

/// The text.
#[must_use]
pub fn markdown(before: &Before) -> String {
    let plan = before.plan;
    let mut out = format!("# Planned upgrade of {}\n\n{}. Nothing was changed.\n\n", line(&plan.fleet), before.summary());
    let mut facts = vec![
        ("Recipe", plan.recipe.name.clone()),
        ("Planned", format!("{} by {} with cavalcade {}", instant(plan.made_at), plan.made_by, plan.made_with)),
        ("Facts of", instant(plan.facts_at)),
        ("Previewed", instant(before.made_at)),
    ];
    facts.extend(plan.window.iter().map(|w| ("Window ends", instant(w.end))));
    if let Some(change) = before.change {
        facts.insert(0, ("Change", change.to_owned()));
    }
    out.extend(facts.iter().map(|(name, value)| format!("- {name}: {}\n", line(value))));
    let back = before.way_back();
    out.push_str(&table("Stages", &["", "Stage", "Nodes", "Steps", "Waits for", "Undo"], &before.stages()));
    out.push_str(&table("What cannot be undone", &["Stage", "Why"], &before.irreversible()));
    if !back.is_empty() {
        out.push_str(&format!("\n## Way back\n\n{}\n", line(&back)));
    }
    out.push_str(&table("Approvals", &["Stage", "By", "Approves"], &before.approvals()));
    let finding = ["Check", "Nodes", "Found", "Remedy"];
    out.push_str(&table("Needs a waiver, or a remedy first", &finding, &before.findings(Severity::Error)));
    out.push_str(&table("Warnings", &finding, &before.findings(Severity::Warning)));
    out.push_str(&table("Could not be looked at", &finding, &before.findings(Severity::Unseen)));
    out.push_str(&table("Left out", &["Step", "Row", "Nodes", "Reason"], &before.omitted()));
    out.push_str(&table("Old settings", &["Setting", "Becomes", "Why", "Nodes"], &settings::rows(plan)));
    out.push_str(&steps(before));
    out + &table("SHA-256", &["What", "Digest"], &before.hashes())
}

fn steps(before: &Before) -> String {
    let mut out = "\n## What changes\n".to_owned();
    for stage in &before.plan.stages {
        let groups = groups(before.plan, stage, before.items);
        if groups.is_empty() {
            continue;
        }
        out.push_str(&format!("\n### {} {}\n", stage.number, line(&stage.title)));
        for group in &groups {
            let step = stage.steps.iter().find(|s| s.key.step == group.number);
            let name = step.map(|s| s.name.as_str()).unwrap_or_default();
            let (_, word, _) = mark(group.answer());
            let nodes = ranges(group.nodes.iter().copied());
            let (says, diffs) = match group.answer() {
                Ok(preview) => (preview.says.clone(), preview.diffs.iter().map(file_diff).collect::<String>()),
                Err(fault) => (format!("{}: {}", fault.code, fault.message), String::new()),
            };
            let head = format!("{word}: {}.{} {name} on {nodes} {says}", stage.number, group.number);
            out.push_str(&format!("\n- {}\n{diffs}", line(head.trim_end())));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::before::tests::{before, items};
    use crate::view::example_plan::plan;

    #[test]
    fn it_looks_like_this() {
        let (plan, items) = (plan(), items());
        insta::assert_snapshot!(markdown(&before(&plan, &items)));
    }
}
