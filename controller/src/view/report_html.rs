//! The report as one self-contained page: prints whole, dark and light, without a script and without anything loaded.

use cavalcade_common::report::{FileDiff, Outcome};

use super::backup::BackupStatus;
use super::document::{AlarmStatus, StepStatus};
use super::report::{Report, instant, span};
use super::report_databases::{StepOn, databases, way_back};
use super::services::ServiceStatus;
use super::settings;
use super::text::{clean, ranges};

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--faint:#8882;--good:#1a7f37;--bad:#c62828;--warn:#9a6700}
@media(prefers-color-scheme:dark){:root{--good:#56d364;--bad:#ff7b72;--warn:#e3b341}}
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}h3{font-size:1rem;margin-bottom:.3rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--faint)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code,pre{font:13px/1.4 ui-monospace,monospace}
pre{background:var(--faint);padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}td{overflow-wrap:anywhere}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.add{color:var(--good)}.del{color:var(--bad)}
@media print{body{max-width:none;margin:0}h2,h3{break-after:avoid}tr{break-inside:avoid}a{color:inherit}}
";

/// The page.
#[must_use]
pub fn html(report: &Report) -> String {
    let run = report.run();
    let mut page = head(report);
    page.push_str(&stages(report));
    page.push_str(&services(report));
    page.push_str(&of_databases(report));
    page.push_str(&decisions(report));
    page.push_str(&lists(report));
    page.push_str(&steps(report));
    page.push_str(&hashes(report));
    whole(&format!("{} {}", run.fleet, run.run), &page)
}

/// A page of this body.
pub(super) fn whole(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n{body}</body>\n</html>\n"
    )
}

fn of_databases(report: &Report) -> String {
    let on = |steps: &[StepOn]| -> Vec<Vec<String>> {
        let row = |s: &StepOn| {
            let ended = s.ended.map(instant).unwrap_or_default();
            vec![s.step.clone(), s.name.clone(), s.kind.clone(), s.state.clone(), ended, s.found.join("; ")]
        };
        steps.iter().map(row).collect()
    };
    let head = ["Step", "Name", "Kind", "State", "Ended", "Found"];
    let mut out = String::new();
    for database in databases(report) {
        out.push_str(&format!("<h3>{}</h3>\n", escape(&database.database)));
        let backup = database.backup.as_ref().map_or_else(|| "no backup in this plan".to_owned(), BackupStatus::text);
        out.push_str(&format!("<p>Backup: {}.</p>\n", escape(&backup)));
        if let (Some(before), Some(after)) = (&database.before, &database.after) {
            let same = if before == after { "the same before and after" } else { "another one after a restore" };
            out.push_str(&format!(
                "<p>Incarnation: {same} (<code>{}</code>, <code>{}</code>).</p>\n",
                escape(before),
                escape(after)
            ));
        }
        out.push_str(&titled("Changed by", &table(&head, &on(&database.changed_by))));
        out.push_str(&titled("Asserted", &table(&head, &on(&database.queries))));
    }
    let back = way_back(report);
    let sentences: String = back.sentences().iter().map(|s| format!("<p>{}</p>\n", escape(s))).collect();
    section("Databases", &out) + &section("Way back", &(sentences + &table(&head, &on(&back.restores))))
}

/// A body below a word; an empty one is left out.
fn titled(word: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("<p>{word}:</p>\n{body}") }
}

fn head(report: &Report) -> String {
    let run = report.run();
    let (word, sentence) = report.verdict();
    let class = if word == "DONE" { "good" } else { "bad" };
    let mut rows = vec![
        ("Fleet", run.fleet.clone()),
        ("Recipe", run.recipe.clone()),
        ("Run", run.run.clone()),
        ("Opened", format!("{} by {}", instant(run.opened_at), run.by)),
        ("Closed", run.closed_at.map_or_else(|| "still open".to_owned(), instant)),
        ("Took", report.took()),
    ];
    if let Some(change) = report.change {
        rows.insert(0, ("Change", change.to_owned()));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    format!(
        "<h1>Upgrade of {}</h1>\n<p><strong class=\"{class}\">{word}</strong> {}</p>\n{}",
        escape(&run.fleet),
        escape(&sentence),
        table(&[], &rows)
    )
}

fn stages(report: &Report) -> String {
    let row = |stage: &super::document::StageStatus| {
        let done = stage.steps.iter().filter(|s| matches!(s.state.as_str(), "succeeded" | "skipped")).count();
        let time = |at: Option<jiff::Timestamp>| at.map(instant).unwrap_or_default();
        vec![
            stage.number.to_string(),
            stage.title.clone(),
            ranges(stage.nodes.iter().map(String::as_str)),
            stage.steps.len().to_string(),
            format!("{done} {}", stage.state),
            time(stage.began),
            stage.began.zip(stage.ended).map(|(from, until)| span(from, until)).unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = report.run().stages.iter().map(row).collect();
    let omitted: Vec<Vec<String>> = report
        .answer
        .plan
        .omitted
        .iter()
        .map(|o| {
            let nodes = ranges(o.nodes.iter().map(|n| n.as_str()));
            vec![format!("{}/{}", o.stage, o.step), o.row.clone().unwrap_or_default(), nodes, o.reason.clone()]
        })
        .collect();
    section("Planned and actual", &table(&["", "Stage", "Nodes", "Planned", "Done", "Began", "Took"], &rows))
        + &section("Left out by the plan", &table(&["Step", "Row", "Nodes", "Reason"], &omitted))
        + &section("Old settings", &table(&["Setting", "Becomes", "Why", "Nodes"], &settings::rows(&report.answer.plan)))
}

fn services(report: &Report) -> String {
    let service =
        |s: &ServiceStatus| vec![s.node.clone(), s.zone_text(), s.instant(s.down_since), s.instant(s.up_since), s.says.clone()];
    let services: Vec<Vec<String>> = report.run().services.iter().map(service).collect();
    let alarm = |a: &AlarmStatus| vec![instant(a.at), a.step.clone(), a.attempt.to_string(), a.text()];
    let alarms: Vec<Vec<String>> = report.run().alarms.iter().map(alarm).collect();
    let head = ["Node", "Time zone", "Down since", "Up since", "Down for"];
    section("Downtime by service, as probed", &table(&head, &services))
        + &section("Alarms", &table(&["When", "Step", "Try", "It"], &alarms))
}

fn decisions(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .answer
        .decisions
        .iter()
        .map(|d| vec![instant(d.at), d.by.clone(), d.verb.clone(), d.on.clone(), d.why.clone(), d.position.to_string()])
        .collect();
    section("Decisions", &table(&["When", "Who", "Verb", "On", "Why", "Journal"], &rows))
}

fn lists(report: &Report) -> String {
    let row = |s: &StepStatus| {
        let fault = s.fault.as_ref().map(|f| format!("{}: {}", f.code, f.message)).unwrap_or_default();
        vec![s.step.clone(), s.name.clone(), s.state.clone(), s.attempt.to_string(), s.decided.clone().unwrap_or_default(), fault]
    };
    let remarkable: Vec<Vec<String>> = report.remarkable().into_iter().map(row).collect();
    let one = |texts: &[String]| table(&[], &texts.iter().map(|t| vec![t.clone()]).collect::<Vec<_>>());
    section(
        "Skipped, repeated, failed, indeterminate",
        &table(&["Step", "Name", "State", "Try", "Decided", "Fault"], &remarkable),
    ) + &section("Let pass", &one(&report.answer.waived))
        + &section("Outcomes that came too late and were not applied", &one(&report.answer.superseded))
}

fn steps(report: &Report) -> String {
    let mut out = String::new();
    for (status, planned) in report.steps() {
        let row = status.row.as_ref().map(|r| format!(" (row {r})")).unwrap_or_default();
        let title = format!("{} {}{row}", status.step, status.name);
        out.push_str(&format!("<h3 id=\"{}\">{}</h3>\n", escape(&status.step), escape(&title)));
        let note = planned.and_then(|p| p.note.as_ref()).map(|n| format!(" {}", escape(n))).unwrap_or_default();
        let class = match status.state.as_str() {
            "succeeded" => "good",
            "failed" | "indeterminate" => "bad",
            _ => "warn",
        };
        let changed = if status.state == "succeeded" && !status.changed { ", no change" } else { "" };
        out.push_str(&format!(
            "<p><strong class=\"{class}\">{}</strong>{changed}, attempt {}, {}.{note}{}</p>\n",
            escape(&status.state),
            status.attempt,
            escape(&status.kind),
            log_range(report, &status.step)
        ));
        if let Some(outcome) = report.outcome(&status.step) {
            out.push_str(&outcome_html(outcome));
        }
        if let Some(lines) = report.answer.excerpts.get(&status.step) {
            let lines: String = lines.iter().map(|l| format!("{}\n", escape(l))).collect();
            out.push_str(&format!("<p>Its last lines:</p>\n<pre>{lines}</pre>\n"));
        }
    }
    section("Steps", &out)
}

fn log_range(report: &Report, step: &str) -> String {
    let range = report.answer.log_ranges.get(step);
    range.map_or_else(String::new, |r| {
        format!(" Log: {} lines, <code>{}</code> to <code>{}</code>.", r.lines, escape(&r.first), escape(&r.last))
    })
}

fn outcome_html(outcome: &Outcome) -> String {
    let mut out =
        format!("<p>{} to {} ({})</p>\n", instant(outcome.began), instant(outcome.ended), span(outcome.began, outcome.ended));
    if let Some(fault) = &outcome.fault {
        out.push_str(&format!("<p class=\"bad\">{}: {}</p>\n", fault.code, escape(&fault.message)));
    }
    let row = |e: &cavalcade_common::report::Evidence| {
        vec![if e.holds { "holds" } else { "does not hold" }.to_owned(), e.what.clone(), e.found.clone()]
    };
    out.push_str(&table(&["", "Evidence", "Found"], &outcome.evidence.iter().map(row).collect::<Vec<_>>()));
    for (word, texts) in [("known", &outcome.known), ("unknown", &outcome.unknown)] {
        out.extend(texts.iter().map(|text| format!("<p>{word}: {}</p>\n", escape(text))));
    }
    out.extend(outcome.diffs.iter().map(file_diff));
    out
}

pub(super) fn file_diff(file: &FileDiff) -> String {
    let note = if file.note.is_empty() { String::new() } else { format!(" ({})", escape(&file.note)) };
    let mut out = format!("<p><code>{}</code>{note}</p>\n", escape(&file.path));
    if !file.diff.is_empty() {
        out.push_str(&format!("<pre>{}</pre>\n", file.diff.lines().map(diff_line).collect::<String>()));
    }
    out
}

fn diff_line(line: &str) -> String {
    match line.as_bytes().first() {
        Some(b'+') => format!("<span class=\"add\">{}</span>\n", escape(line)),
        Some(b'-') => format!("<span class=\"del\">{}</span>\n", escape(line)),
        _ => format!("{}\n", escape(line)),
    }
}

fn hashes(report: &Report) -> String {
    let plan = &report.answer.plan;
    let mut rows = vec![
        vec!["plan".to_owned(), report.run().plan.clone()],
        vec![format!("recipe {}", plan.recipe.name), plan.recipe.sha256.to_string()],
    ];
    rows.extend(plan.artifacts.iter().map(|a| vec![format!("artifact {} ({})", a.name, a.file), a.sha256.to_string()]));
    section("SHA-256", &table(&["What", "Digest"], &rows))
        + &format!(
            "<p>Planned {} by {} with cavalcade {}. Report made {}.</p>\n",
            instant(plan.made_at),
            escape(&plan.made_by),
            escape(&plan.made_with),
            instant(report.made_at)
        )
}

/// A section; an empty one is left out.
pub(super) fn section(title: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("<h2>{title}</h2>\n{body}") }
}

pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut out = "<table>\n".to_owned();
    if !head.is_empty() {
        out.push_str(&format!("<tr>{}</tr>\n", head.iter().map(|h| format!("<th>{h}</th>")).collect::<String>()));
    }
    for row in rows {
        out.push_str(&format!("<tr>{}</tr>\n", row.iter().map(|c| format!("<td>{}</td>", escape(c))).collect::<String>()));
    }
    out + "</table>\n"
}

pub(super) fn escape(text: &str) -> String {
    clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example_report::{answer, report};

    #[test]
    fn the_page_loads_and_runs_nothing() {
        let answer = answer();
        let page = html(&report(&answer));
        for word in ["<script", "src=", "href=", "@import", "url(", "http://", "https://"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(!page.contains("<details"), "what is folded is not printed");
        assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "texts of others are text");
        assert_eq!(page.matches("<h2>").count(), page.matches("</h2>").count());
        assert_eq!(page.matches("<table>").count(), page.matches("</table>").count());
        insta::assert_snapshot!(page.split_once("</style>").expect("has a style").1);
    }
}
