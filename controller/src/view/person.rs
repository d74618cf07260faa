//! "A person is needed": what happened, what is known, what is not, and what each way out does, as commands to copy.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::approval::lines;
use super::document::{RunStatus, StepStatus};
use super::text::wrap;
use crate::run::kept::Kept;
use crate::schedule::wait::{Wait, WaitKind};

/// Columns of the text; commands may be wider.
const WIDTH: usize = 79;

/// Everything of a run that waits for a person. `program` is how the commands begin (`cavalcade --state /x`).
#[must_use]
pub fn needed(run: &RunStatus, program: &str, zone: &TimeZone) -> String {
    let steps = || run.extra.iter().chain(run.stages.iter().flat_map(|g| &g.steps));
    let mut blocks: Vec<String> = Vec::new();
    blocks.extend(steps().filter(|s| s.state == "indeterminate").map(|s| indeterminate(s, run.position, program)));
    blocks.extend(steps().filter(|s| s.state == "failed").map(|s| failed(s, run.position, program)));
    blocks.extend(run.waits.iter().filter(|w| w.person && w.step.is_none()).map(|w| stage(run, w, program, zone)));
    blocks.extend(held(run));
    blocks.join("\n")
}

/// Steps that a secret, the window or what was done before holds back, each reason once; it names its command.
fn held(run: &RunStatus) -> Option<String> {
    let steps = || run.extra.iter().chain(run.stages.iter().flat_map(|g| &g.steps));
    let pending =
        |w: &Wait| steps().any(|s| s.state == "pending" && w.step.as_ref().is_some_and(|key| key.to_string() == s.step));
    let holds = |w: &&Wait| match w.kind {
        WaitKind::Secret | WaitKind::Window | WaitKind::Room => true,
        // One that failed is told with its fault.
        WaitKind::Person => pending(w),
        WaitKind::Stage
        | WaitKind::Batch
        | WaitKind::Ordered
        | WaitKind::Child
        | WaitKind::Permit
        | WaitKind::Retry
        | WaitKind::Link
        | WaitKind::Approval
        | WaitKind::Scope
        | WaitKind::Paused => false,
    };
    let mut out = String::new();
    let mut said = BTreeSet::new();
    for wait in run.waits.iter().filter(holds) {
        let Some(step) = wait.step.as_ref().filter(|_| said.insert(&wait.why)) else { continue };
        out.push_str(&wrap(&format!("{step} waits for {}", wait.why), WIDTH, "", "  "));
    }
    (!out.is_empty()).then_some(out)
}

fn indeterminate(step: &StepStatus, seen: u64, program: &str) -> String {
    let mut out = head(step, "needs a decision");
    out.push_str(&list("known", &step.known));
    out.push_str(&list("unknown", &step.unknown));
    let (key, at) = (&step.step, step.position);
    let happened = if step.kind == "sql" { "it took place, or is left out" } else { "it happened: go on" };
    let mut ways = vec![match step.kept {
        Some(Kept::Proof) => by_evidence(step, program),
        Some(Kept::Launch) | None => (format!("{program} resolve {key} --done --at {at}"), happened),
    }];
    if step.kind != "job" {
        ways.push((format!("{program} resolve {key} --not-done --at {at}"), "it did not: run it again"));
    } else {
        ways.extend(of_job(step, seen, program));
    }
    out + &commands(&ways)
}

/// Ways out of a job that did not succeed. What it did to its databases no ledger knows: it runs again behind the restore
/// of each.
fn of_job(step: &StepStatus, seen: u64, program: &str) -> Vec<(String, &'static str)> {
    let (key, at) = (&step.step, step.position);
    let mut ways = vec![
        (format!("{program} rejudge {key} --evidence FILE --at {at}"), "by other patterns"),
        (format!("{program} stop-job {key} --confirm --at {at}"), "end its server, if it runs"),
    ];
    if !step.databases.is_empty() {
        let databases = step.databases.join(" ");
        ways.push((format!("{program} restore {databases} --why TEXT --at {seen}"), "from the backups, then again"));
    }
    ways
}

/// Proofs, backups and launches are not left out; evidence of the same fact stands in for them.
fn by_evidence(step: &StepStatus, program: &str) -> (String, &'static str) {
    (format!("{program} resolve {} --done --evidence FILE --at {}", step.step, step.position), "by a second person")
}

fn failed(step: &StepStatus, seen: u64, program: &str) -> String {
    let mut out = head(step, "failed");
    out.push_str(&list("known", &step.known));
    out.push_str(&list("unknown", &step.unknown));
    let (key, at) = (&step.step, step.position);
    let mut ways = Vec::new();
    match step.kind.as_str() {
        "job" => {
            ways.extend(of_job(step, seen, program));
            if step.databases.is_empty() {
                ways.push((format!("{program} retry {key} --at {at}"), "when the cause is gone"));
            }
        }
        _ => ways.push((format!("{program} retry {key} --at {at}"), "when the cause is gone")),
    }
    match (step.kind.as_str(), step.kept) {
        ("sql", _) => {
            ways.push((format!("{program} resolve {key} --done --at {at}"), "leave that statement out, go on behind it"))
        }
        (_, Some(_)) => ways.push(by_evidence(step, program)),
        (_, None) => ways.push((format!("{program} skip {key} --why TEXT --at {at}"), "leave it out, on the record")),
    }
    ways.push((format!("{program} logs --node {} --step {}", step.node, number(step)), "what it wrote"));
    out + &commands(&ways)
}

fn stage(run: &RunStatus, wait: &Wait, program: &str, zone: &TimeZone) -> String {
    let seen = run.position;
    if wait.stage == 0 {
        let text = wrap(&format!("The run is {}", wait.why), WIDTH, "", "  ");
        let resume = (format!("{program} resume --at {seen}"), "go on");
        return text + &commands(&[resume, (format!("{program} cancel --why TEXT --at {seen}"), "end it")]);
    }
    let title = run.stages.iter().find(|g| g.number == wait.stage).map_or("", |g| g.title.as_str());
    let mut out = wrap(&format!("Stage {} {title} waits for {}", wait.stage, wait.why), WIDTH, "", "  ");
    if wait.kind == WaitKind::Approval {
        out.push_str(&wrap(&run.plan, WIDTH, "  plan     ", "           "));
        out.push_str(&wrap(&format!("{}, opened by {}", run.run, run.by), WIDTH, "  run      ", "           "));
        let command = format!("{program} approve {} --why TEXT --at {seen}", wait.stage);
        let wanted = run.stages.iter().find(|g| g.number == wait.stage).and_then(|g| g.approval.as_ref());
        out.extend(wanted.map(|approval| lines(approval, WIDTH, zone)));
        let second = run.stages.iter().any(|g| g.number == wait.stage && g.second_person);
        out.push_str(&commands(&[(command, if second { "by a second person" } else { "on the record" })]));
    }
    out
}

fn head(step: &StepStatus, what: &str) -> String {
    let row = step.row.as_ref().map(|r| format!(" (row {r})")).unwrap_or_default();
    let code = step.fault.as_ref().map(|f| format!("{}  ", f.code)).unwrap_or_default();
    let mut out = wrap(&format!("{code}{}, step {} {}{row} {what}", step.node, number(step), step.name), WIDTH, "", "  ");
    if let Some(fault) = &step.fault {
        out.push_str(&wrap(&fault.message, WIDTH, "  ", "  "));
        if let Some(help) = &fault.help {
            out.push_str(&wrap(help, WIDTH, "  help     ", "           "));
        }
    }
    out
}

fn list(word: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    wrap(&items.join("; "), WIDTH, &format!("  {word:<8} "), "           ")
}

/// Commands with what each does beside it, or below it where both are too wide.
fn commands(ways: &[(String, &str)]) -> String {
    let column = ways.iter().map(|(command, _)| command.len()).max().unwrap_or(0) + 5;
    let fits = ways.iter().all(|(_, does)| column + does.len() <= WIDTH);
    let line = |(command, does): &(String, &str)| match fits {
        true => format!("{:<column$}{does}\n", format!("  {command}")),
        false => format!("  {command}\n      {does}\n"),
    };
    ways.iter().map(line).collect()
}

fn number(step: &StepStatus) -> &str {
    step.step.split_once('@').map_or(step.step.as_str(), |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example;

    #[test]
    fn no_way_out_is_offered_that_is_refused() {
        let step = |kind: &str, kept: Option<Kept>, state: &str| StepStatus {
            kind: kind.to_owned(),
            kept,
            ..example::step("3.2@is-1", "x", state)
        };
        let text = failed(&step("server start", Some(Kept::Launch), "failed"), 1, "cavalcade");
        assert!(!text.contains(" skip ") && text.contains("resolve 3.2@is-1 --done --evidence FILE"), "{text}");
        assert!(failed(&step("toml", None, "failed"), 1, "cavalcade").contains(" skip "));
        let done =
            |kept| indeterminate(&step("backup", kept, "indeterminate"), 1, "cavalcade").contains("--done --evidence FILE");
        assert!(done(Some(Kept::Proof)) && !done(Some(Kept::Launch)) && !done(None));
    }

    #[test]
    fn it_looks_like_this() {
        let status = example::night(example::opened());
        let text = needed(&status.runs[0], "cavalcade", &TimeZone::UTC);
        insta::assert_snapshot!(text);
        assert!(!text.contains("rollback"), "rollback by stage is not there yet");
        assert!(text.lines().filter(|l| !l.trim_start().starts_with("cavalcade")).all(|l| l.len() < 80), "{text}");
    }
}
