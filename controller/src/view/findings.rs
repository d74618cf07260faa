//! The findings of the checks as a person reads them: how it stands area by area, then errors, warnings, and what nobody
//! could look at. Pure.

use std::collections::BTreeSet;

use cavalcade_common::finding::{Finding, Severity};

use super::text::{Line, Style, ranges, wrap};
use crate::preflight::{Results, UPGRADED_BEFORE};

/// Columns of the text.
const WIDTH: usize = 79;

/// All findings, with the verdict at the end. `planned` says whether a plan can be made all the same: then errors can be
/// let pass when it is applied.
#[must_use]
pub fn findings(results: &Results, planned: bool, colour: bool) -> String {
    let mut out = areas(results, colour);
    for severity in [Severity::Error, Severity::Warning] {
        let of_kind: Vec<&Finding> = results.findings.iter().filter(|f| f.severity == severity).collect();
        if !of_kind.is_empty() {
            out.push('\n');
            out.extend(of_kind.into_iter().map(|finding| one(finding, colour)));
        }
    }
    out.push_str(&unseen(&results.findings));
    out + "\n" + &verdict(results) + &waiver(results, planned)
}

/// One line for each area.
fn areas(results: &Results, colour: bool) -> String {
    let mut out = String::new();
    for (area, ok) in &results.ok {
        let mut line = Line::of(" ").add(Style::Bold, area).to_column(18).text(format!("ok {ok}")).to_column(26);
        for (severity, style) in
            [(Severity::Error, Style::Red), (Severity::Warning, Style::Yellow), (Severity::Unseen, Style::Yellow)]
        {
            let count = results.findings.iter().filter(|f| f.area == *area && f.severity == severity).count();
            if count > 0 {
                line = line.add(style, format!("{} {count}", severity.word())).text("  ");
            }
        }
        out.push_str(&line.render(WIDTH, colour));
        out.push('\n');
    }
    out
}

/// One finding.
pub(super) fn one(finding: &Finding, colour: bool) -> String {
    let (mark, style) = match finding.severity {
        Severity::Error => ("x", Style::Red),
        Severity::Warning => ("!", Style::Yellow),
        Severity::Unseen => ("?", Style::Yellow),
    };
    let nodes = ranges(finding.nodes.iter().map(String::as_str));
    let head = Line::of(" ").add(style, mark).text(" ").add(Style::Bold, &finding.check).text(format!("   {nodes}"));
    let word = finding.severity.word();
    let head = if head.width() + word.len() < WIDTH { head.to_column(WIDTH - word.len()) } else { head.text("   ") };
    let mut out = head.add(style, word).render(WIDTH, colour) + "\n";
    out.push_str(&wrap(&finding.found, WIDTH, "     found    ", "              "));
    out + &wrap(&finding.remedy, WIDTH, "     remedy   ", "              ")
}

/// What nobody could look at: each missing fact once, with the checks that wanted it.
fn unseen(findings: &[Finding]) -> String {
    let mut facts: Vec<(&str, Vec<&str>, Vec<&str>)> = Vec::new();
    for finding in findings.iter().filter(|f| f.severity == Severity::Unseen) {
        let nodes: Vec<&str> = finding.nodes.iter().map(String::as_str).collect();
        match facts.iter_mut().find(|(fact, on, _)| *fact == finding.found && *on == nodes) {
            Some((_, _, checks)) => checks.push(&finding.check),
            None => facts.push((&finding.found, nodes, vec![&finding.check])),
        }
    }
    let line = |(fact, nodes, checks): (&str, Vec<&str>, Vec<&str>)| {
        let text = format!("{fact}   {}: {}", ranges(nodes), checks.join(", "));
        wrap(&text, WIDTH, " ? ", "     ")
    };
    if facts.is_empty() {
        return String::new();
    }
    facts.into_iter().fold("\n Not looked at, because a fact is missing:\n".to_owned(), |out, fact| out + &line(fact))
}

fn verdict(results: &Results) -> String {
    let plural = |n: usize, word: &str| if n == 1 { format!("{n} {word}") } else { format!("{n} {word}s") };
    let count = |severity| results.count(severity);
    let (errors, warnings, unseen) = (count(Severity::Error), count(Severity::Warning), count(Severity::Unseen));
    let done = done_before(&results.findings);
    let mut text = match (errors, warnings, unseen) {
        (0, 0, 0) => "Result: nothing stands against it.".to_owned(),
        (0, ..) if !done.is_empty() => format!("Result: {}", done.join("; ")),
        (0, ..) => "Result: nothing blocks it".to_owned(),
        (n, ..) => {
            format!("Result: blocked by {}{}", plural(n, "error"), done.iter().map(|d| format!("; {d}")).collect::<String>())
        }
    };
    if warnings > 0 {
        text.push_str(&format!("; {}", plural(warnings, "warning")));
    }
    if unseen > 0 {
        text.push_str(&format!("; not looked at: {unseen}"));
    }
    if !text.ends_with('.') {
        text.push('.');
    }
    let mut out = wrap(&format!("{text} Nothing was changed."), WIDTH, "", "  ");
    if errors + warnings > 0 {
        out.push_str("More of a check: cavalcade explain CHECK\n");
    }
    out
}

/// Which runs have finished this upgrade before, on which nodes.
pub(super) fn done_before(findings: &[Finding]) -> Vec<String> {
    let of = |f: &Finding| format!("{} ({})", f.found, ranges(f.nodes.iter().map(String::as_str)));
    findings.iter().filter(|f| f.check == UPGRADED_BEFORE).map(of).collect()
}

/// How errors are let pass: one command, each check with a reason of its own.
fn waiver(results: &Results, planned: bool) -> String {
    let errors = results.findings.iter().filter(|f| f.severity == Severity::Error);
    let checks: BTreeSet<&str> = errors.map(|f| f.check.as_str()).collect();
    if checks.is_empty() {
        return String::new();
    }
    if !planned {
        return "No plan can be made of this yet: there is nothing that could be let pass.\n".to_owned();
    }
    let each = checks.iter().map(|check| format!(" \\\n    --waive {check} --why \"...\""));
    format!(
        "An error is let pass when the plan is applied, with a reason on the record:\n  cavalcade apply PLAN{}\n",
        each.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &str, severity: Severity, nodes: &[&str], found: &str) -> Finding {
        Finding {
            check: check.to_owned(),
            area: "agents".to_owned(),
            severity,
            nodes: nodes.iter().map(ToString::to_string).collect(),
            found: found.to_owned(),
            remedy: "start cavalcade-agent there, and see whether it reaches the controller's port for agents".to_owned(),
        }
    }

    #[test]
    fn it_looks_like_this() {
        let results = Results {
            ok: vec![("agents".to_owned(), 9), ("homes".to_owned(), 24)],
            findings: vec![
                finding("agent-connected", Severity::Error, &["am-2", "am-3"], "its agent is not connected"),
                finding("agent-clock", Severity::Warning, &["gw-1"], "the clock differs by +9000 ms from the controller's"),
                finding("keystores-readable", Severity::Unseen, &["is-1", "is-2", "is-3"], "facts.old.keystores"),
                finding("weak-key", Severity::Unseen, &["is-1", "is-2", "is-3"], "facts.old.keystores"),
                finding("open-files", Severity::Unseen, &["is-1"], "facts.limits.open_files"),
            ],
            ..Results::default()
        };
        let text = findings(&results, true, false);
        insta::assert_snapshot!(text);
        assert!(text.lines().all(|line| line.len() < 80), "{text}");
        assert_eq!(console::strip_ansi_codes(&findings(&results, true, true)), text);
        assert!(text.contains("cavalcade apply PLAN \\\n    --waive agent-connected --why \"...\"\n"), "{text}");
        let early = findings(&results, false, false);
        assert!(early.contains("No plan can be made") && !early.contains("--waive"), "{early}");
    }

    #[test]
    fn nothing_found_is_said_so() {
        let text =
            findings(&Results { ok: vec![("agents".to_owned(), 9)], findings: Vec::new(), ..Results::default() }, true, false);
        assert!(text.ends_with("Result: nothing stands against it. Nothing was changed.\n"), "{text}");
        let before = "run run-7f3a91c2 finished this upgrade on 2026-11-22 23:00:00Z";
        let upgraded = vec![finding(UPGRADED_BEFORE, Severity::Warning, &["is-1", "is-2"], before)];
        let text =
            findings(&Results { ok: Vec::new(), findings: upgraded, ..Results::default() }, true, false).replace("\n  ", " ");
        assert!(text.contains(&format!("Result: {before} (is-1 is-2); 1 warning. Nothing was changed.")), "{text}");
        assert!(!text.contains("nothing blocks it"), "{text}");
        let warned = vec![finding("agent-clock", Severity::Warning, &["a"], "it differs")];
        let text = findings(&Results { ok: Vec::new(), findings: warned, ..Results::default() }, true, false);
        assert!(!text.contains("--waive"), "{text}");
        assert!(text.contains("Result: nothing blocks it; 1 warning. Nothing was changed."), "{text}");
    }
}
