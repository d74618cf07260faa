//! The findings of `fleet check` as a person reads them. Pure.

use super::text::{Line, Style, ranges, wrap};
use crate::preflight::{Check, Finding, Results, Severity};

/// Columns of the text.
const WIDTH: usize = 79;

/// All findings, with the verdict at the end.
#[must_use]
pub fn findings(results: &Results, colour: bool) -> String {
    let mut out = String::new();
    for (area, ok) in &results.ok {
        let of_area: Vec<&Finding> = results.findings.iter().filter(|f| f.area == *area).collect();
        let count = |severity: Severity| of_area.iter().filter(|f| f.severity == severity).count();
        let mut line = Line::of(" ").add(Style::Bold, area).to_column(18).text(format!("ok {ok}"));
        for (severity, style) in [(Severity::Error, Style::Red), (Severity::Warning, Style::Yellow)] {
            if count(severity) > 0 {
                line = line.text("  ").add(style, format!("{} {}", severity.word(), count(severity)));
            }
        }
        out.push_str(&line.render(WIDTH, colour));
        out.push('\n');
        out.extend(of_area.into_iter().map(|finding| one(finding, colour)));
    }
    out + "\n" + &verdict(results)
}

fn one(finding: &Finding, colour: bool) -> String {
    let (mark, style) = match finding.severity {
        Severity::Error => ("x", Style::Red),
        Severity::Warning => ("!", Style::Yellow),
    };
    let nodes = ranges(finding.nodes.iter().map(String::as_str));
    let head = Line::of(" ").add(style, mark).text(" ").add(Style::Bold, &finding.check).text(format!("   {nodes}"));
    let word = finding.severity.word();
    let head = if head.width() + word.len() < WIDTH { head.to_column(WIDTH - word.len()) } else { head.text("   ") };
    let mut out = head.add(style, word).render(WIDTH, colour) + "\n";
    out.push_str(&wrap(&finding.found, WIDTH, "     found    ", "              "));
    out.push_str(&wrap(&finding.remedy, WIDTH, "     remedy   ", "              "));
    out + &format!("     more     cavalcade explain {}\n", finding.check)
}

fn verdict(results: &Results) -> String {
    let plural = |n: usize, word: &str| if n == 1 { format!("{n} {word}") } else { format!("{n} {word}s") };
    let (errors, warnings) = (results.count(Severity::Error), results.count(Severity::Warning));
    let text = match (errors, warnings) {
        (0, 0) => "Result: nothing stands against it.".to_owned(),
        (0, n) => format!("Result: nothing blocks it; {}.", plural(n, "warning")),
        (n, 0) => format!("Result: blocked by {}.", plural(n, "error")),
        (n, w) => format!("Result: blocked by {}; {}.", plural(n, "error"), plural(w, "warning")),
    };
    wrap(&format!("{text} Nothing was changed."), WIDTH, "", "  ")
}

/// A check for `explain`.
#[must_use]
pub fn explanation(check: &Check) -> String {
    let part = |word: &str, text: &str| wrap(text, WIDTH, &format!("  {word:<9}"), "           ");
    format!("{}: a check of `cavalcade fleet check`\n\n", check.name)
        + &part("looks at", check.about)
        + &part("remedy", check.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_this() {
        let finding = |check: &str, severity, nodes: &[&str], found: &str| Finding {
            check: check.to_owned(),
            area: "agents".to_owned(),
            severity,
            nodes: nodes.iter().map(ToString::to_string).collect(),
            found: found.to_owned(),
            remedy: "start cavalcade-agent there, and see whether it reaches the controller's port for agents".to_owned(),
        };
        let results = Results {
            ok: vec![("agents".to_owned(), 9), ("homes".to_owned(), 24)],
            findings: vec![
                finding("agent-connected", Severity::Error, &["am-2", "am-3"], "its agent is not connected"),
                finding("agent-clock", Severity::Warning, &["gw-1"], "the clock differs by +9000 ms from the controller's"),
            ],
        };
        let text = findings(&results, false);
        insta::assert_snapshot!(text);
        assert_eq!(console::strip_ansi_codes(&findings(&results, true)), text);
    }

    #[test]
    fn every_check_can_be_explained() {
        for check in crate::preflight::CHECKS.iter().flat_map(|group| group.iter()) {
            assert!(explanation(check).lines().all(|l| l.len() < 80), "{}", check.name);
        }
    }
}
