//! The report as Markdown, for tickets.

use cavalcade_common::report::FileDiff;

use super::backup::BackupStatus;
use super::document::AlarmStatus;
use super::report::{Report, instant, span};
use super::report_databases::{StepOn, databases, way_back};
use super::services::ServiceStatus;
use super::settings;
use super::text::{clean, ranges};

/// The text.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let run = report.run();
    let (word, sentence) = report.verdict();
    let mut out = format!("# Upgrade of {}\n\n**{word}**: {sentence}.\n\n", line(&run.fleet));
    let mut facts = vec![
        ("Recipe", run.recipe.clone()),
        ("Run", run.run.clone()),
        ("Opened", format!("{} by {}", instant(run.opened_at), run.by)),
        ("Closed", run.closed_at.map_or_else(|| "still open".to_owned(), instant)),
        ("Took", report.took()),
        ("Plan", run.plan.clone()),
    ];
    if let Some(change) = report.change {
        facts.insert(0, ("Change", change.to_owned()));
    }
    out.extend(facts.iter().map(|(name, value)| format!("- {name}: {}\n", line(value))));
    out.push_str(&stages(report));
    out.push_str(&of_databases(report));
    out.push_str(&rest(report));
    out + &steps(report)
}

fn stages(report: &Report) -> String {
    let row = |stage: &super::document::StageStatus| {
        let done = stage.steps.iter().filter(|s| matches!(s.state.as_str(), "succeeded" | "skipped")).count();
        vec![
            stage.number.to_string(),
            stage.title.clone(),
            ranges(stage.nodes.iter().map(String::as_str)),
            format!("{done}/{}", stage.steps.len()),
            stage.state.clone(),
            stage.began.zip(stage.ended).map(|(from, until)| span(from, until)).unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = report.run().stages.iter().map(row).collect();
    table("Planned and actual", &["", "Stage", "Nodes", "Steps", "State", "Took"], &rows)
}

fn of_databases(report: &Report) -> String {
    let rows = |steps: &[StepOn]| -> Vec<Vec<String>> {
        steps.iter().map(|s| vec![s.step.clone(), s.name.clone(), s.kind.clone(), s.state.clone(), s.found.join("; ")]).collect()
    };
    let mut out = String::new();
    for database in databases(report) {
        let mut all = rows(&database.changed_by);
        all.extend(rows(&database.queries));
        let name = line(&database.database);
        out.push_str(&table(&format!("Database {name}"), &["Step", "Name", "Kind", "State", "Found"], &all));
        if all.is_empty() {
            out.push_str(&format!("\n## Database {name}\n"));
        }
        let backup = database.backup.as_ref().map_or_else(|| "none in this plan".to_owned(), BackupStatus::text);
        out.push_str(&format!("\n- Backup: {}\n", line(&backup)));
        if let (Some(before), Some(after)) = (&database.before, &database.after) {
            out.push_str(&format!("- Incarnation before: {}, after: {}\n", line(before), line(after)));
        }
    }
    let back = way_back(report);
    let sentences: String = back.sentences().iter().map(|s| format!("- {}\n", line(s))).collect();
    out.push_str(&format!("\n## Way back\n\n{sentences}"));
    out.extend(back.restores.iter().map(|s| format!("- {} {}: {}\n", line(&s.step), line(&s.name), line(&s.state))));
    out
}

fn rest(report: &Report) -> String {
    let service =
        |s: &ServiceStatus| vec![s.node.clone(), s.zone_text(), s.instant(s.down_since), s.instant(s.up_since), s.says.clone()];
    let services: Vec<Vec<String>> = report.run().services.iter().map(service).collect();
    let alarm = |a: &AlarmStatus| vec![instant(a.at), a.step.clone(), a.attempt.to_string(), a.text()];
    let alarms: Vec<Vec<String>> = report.run().alarms.iter().map(alarm).collect();
    let decisions: Vec<Vec<String>> = report
        .answer
        .decisions
        .iter()
        .map(|d| vec![instant(d.at), d.by.clone(), d.verb.clone(), d.on.clone(), d.why.clone()])
        .collect();
    let remarkable: Vec<Vec<String>> = report
        .remarkable()
        .into_iter()
        .map(|s| {
            vec![s.step.clone(), s.name.clone(), s.state.clone(), s.attempt.to_string(), s.decided.clone().unwrap_or_default()]
        })
        .collect();
    let mut out = table("Old settings", &["Setting", "Becomes", "Why", "Nodes"], &settings::rows(&report.answer.plan));
    let head = ["Node", "Time zone", "Down since", "Up since", "Down for"];
    out += &table("Downtime by service, as probed", &head, &services);
    out += &table("Alarms", &["When", "Step", "Try", ""], &alarms);
    out.push_str(&table("Decisions", &["When", "Who", "Verb", "On", "Why"], &decisions));
    let head = ["Step", "Name", "State", "Try", "Decided"];
    out.push_str(&table("Skipped, repeated, failed, indeterminate", &head, &remarkable));
    for (title, texts) in [("Let pass", &report.answer.waived), ("Came too late, not applied", &report.answer.superseded)] {
        if !texts.is_empty() {
            out.push_str(&format!("\n## {title}\n\n{}", texts.iter().map(|t| format!("- {}\n", line(t))).collect::<String>()));
        }
    }
    out
}

fn steps(report: &Report) -> String {
    let mut out = "\n## Steps\n".to_owned();
    for (status, _) in report.steps() {
        out.push_str(&format!("\n### {} {}: {}\n", line(&status.step), line(&status.name), line(&status.state)));
        let mut facts = String::new();
        if let Some(range) = report.answer.log_ranges.get(&status.step) {
            facts.push_str(&format!("- log: {} lines, {} to {}\n", range.lines, line(&range.first), line(&range.last)));
        }
        let outcome = report.outcome(&status.step);
        if let Some(fault) = outcome.and_then(|o| o.fault.as_ref()) {
            facts.push_str(&format!("- {}: {}\n", fault.code, line(&fault.message)));
        }
        for e in outcome.into_iter().flat_map(|o| &o.evidence) {
            let holds = if e.holds { "holds" } else { "does not hold" };
            facts.push_str(&format!("- {}: {} ({holds})\n", line(&e.what), line(&e.found)));
        }
        if !facts.is_empty() {
            out.push_str(&format!("\n{facts}"));
        }
        out.extend(outcome.into_iter().flat_map(|o| &o.diffs).map(file_diff));
        if let Some(lines) = report.answer.excerpts.get(&status.step) {
            out.push_str(&format!("\nIts last lines:\n{}", fenced("text", &lines.join("\n"))));
        }
    }
    out
}

pub(super) fn file_diff(file: &FileDiff) -> String {
    let note = if file.note.is_empty() { String::new() } else { format!(" ({})", line(&file.note)) };
    let diff = if file.diff.is_empty() { String::new() } else { fenced("diff", &file.diff) };
    format!("\n`{}`{note}\n{diff}", line(&file.path))
}

/// A code block whose fence is longer than any in the text.
fn fenced(kind: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let body: String = text.lines().map(|l| clean(l) + "\n").collect();
    format!("\n{fence}{kind}\n{body}{fence}\n")
}

pub(super) fn table(title: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut out = format!("\n## {title}\n\n| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| line(cell).replace('|', "\\|")).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out
}

/// Text of others in one line that marks up nothing.
pub(super) fn line(text: &str) -> String {
    clean(text).replace('<', "&lt;").replace('[', "\\[")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example_report::{answer, report};

    #[test]
    fn it_looks_like_this() {
        let answer = answer();
        insta::assert_snapshot!(markdown(&report(&answer)));
    }

    #[test]
    fn a_diff_does_not_end_its_block() {
        assert!(fenced("diff", "+```\n").starts_with("\n````diff\n+```\n````"));
    }
}
