//! The report as JUnit XML: each step is a test case, so that any build server shows a run.

use super::document::StepStatus;
use super::report::Report;
use super::text::clean;

/// The document.
#[must_use]
pub fn junit(report: &Report) -> String {
    let run = report.run();
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let c = &run.counts;
    let (bad, skipped) = (c.failed + c.indeterminate, c.skipped + c.pending + c.cancelled + c.under_way);
    out.push_str(&format!(
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{bad}\" skipped=\"{skipped}\">\n",
        escape(&run.run),
        c.all
    ));
    for stage in &run.stages {
        let name = escape(&format!("{} {}", stage.number, stage.id));
        out.push_str(&format!("  <testsuite name=\"{name}\" tests=\"{}\">\n", stage.steps.len()));
        out.extend(stage.steps.iter().map(|step| case(report, step)));
        out.push_str("  </testsuite>\n");
    }
    if !run.extra.is_empty() {
        out.push_str(&format!("  <testsuite name=\"ordered by persons\" tests=\"{}\">\n", run.extra.len()));
        out.extend(run.extra.iter().map(|step| case(report, step)));
        out.push_str("  </testsuite>\n");
    }
    out + "</testsuites>\n"
}

fn case(report: &Report, step: &StepStatus) -> String {
    let took = report.outcome(&step.step).map_or(0.0, |o| o.ended.duration_since(o.began).as_secs_f64());
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{} {}\" time=\"{took:.3}\"",
        escape(&step.node),
        escape(&step.step),
        escape(&step.name)
    );
    let fault = step.fault.as_ref().map(|f| format!("{}: {}", f.code, f.message));
    let said = fault.or_else(|| step.decided.clone()).unwrap_or_default();
    let inner = match step.state.as_str() {
        "succeeded" => return format!("{head}/>\n"),
        "failed" | "indeterminate" => format!("<failure type=\"{}\" message=\"{}\"/>", escape(&step.state), escape(&said)),
        state => format!("<skipped message=\"{}\"/>", escape(format!("{state} {said}").trim_end())),
    };
    format!("{head}>{inner}</testcase>\n")
}

fn escape(text: &str) -> String {
    clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example_report::{answer, report};

    #[test]
    fn every_step_is_a_case() {
        let answer = answer();
        let text = junit(&report(&answer));
        insta::assert_snapshot!(text);
    }
}
