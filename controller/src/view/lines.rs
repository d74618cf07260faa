//! A run as lines, for everything that is no terminal: one line for each event, the state as a word of its own, so that
//! a search for ` failed ` finds what failed. Pure: two documents, one after the other, give the lines between them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cavalcade_common::id::StepKey;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::document::{AlarmStatus, RunStatus, Status, StepStatus, age};
use super::screen::{counts, finished, shown, standing};
use super::text::clean;
use crate::state::Counts;

/// One event between two documents.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RunLine {
    /// When, by the controller's clock.
    pub at: Timestamp,
    /// The run.
    pub run: String,
    /// One word: the state, or what happened (`waits`, `unreachable`, `alive`).
    pub word: String,
    /// The step, node, stage or run that it is about.
    pub on: String,
    /// The rest in words.
    pub says: String,
}

impl RunLine {
    /// The line for people: time in the zone, word, subject, rest.
    #[must_use]
    pub fn text(&self, zone: &TimeZone) -> String {
        let at = self.at.to_zoned(zone.clone()).strftime("%H:%M:%S");
        clean(format!("{at} {:<13} {:<16} {}", self.word, self.on, self.says).trim_end())
    }
}

/// What happened to a run between two documents; without an older one, what the newer shows that is not as it was when
/// the run was opened.
#[must_use]
pub fn between(old: Option<&RunStatus>, new: &RunStatus, at: Timestamp) -> Vec<RunLine> {
    let line =
        |word: &str, on: &str, says: String| RunLine { at, run: new.run.clone(), word: word.to_owned(), on: on.to_owned(), says };
    let mut lines = Vec::new();
    if old.is_none() {
        lines.push(line("run", &new.run, opened(new)));
    }
    lines.extend(in_order(old, new, &line));
    let waited: BTreeSet<Key> = old.into_iter().flat_map(|o| &o.waits).map(key).collect();
    for wait in new.waits.iter().filter(|w| shown(w) && !waited.contains(&key(w))) {
        let on = match (&wait.step, wait.stage) {
            (Some(step), _) => step.to_string(),
            (None, 0) => new.run.clone(),
            (None, stage) => format!("stage {stage}"),
        };
        lines.push(line(if wait.person { "person" } else { "waits" }, &on, format!("for {}", wait.why)));
    }
    let known = |a: &AlarmStatus| old.is_some_and(|o| o.alarms.iter().any(|b| (&b.step, b.attempt) == (&a.step, a.attempt)));
    for alarm in new.alarms.iter().filter(|a| !known(a) && (old.is_some() || a.open)) {
        lines.push(line("alarm", &alarm.step, alarm.text()));
    }
    let lost = |o: &RunStatus, node: &String| o.unreachable.contains(node);
    for node in new.unreachable.iter().filter(|n| !old.is_some_and(|o| lost(o, n))) {
        lines.push(line("unreachable", node, "its work there may still go on".to_owned()));
    }
    for node in old.into_iter().flat_map(|o| &o.unreachable).filter(|n| !lost(new, n)) {
        lines.push(line("reachable", node, String::new()));
    }
    if old.is_some_and(|old| old.mode != new.mode) {
        lines.push(line(&new.mode, &new.run, format!("{} {}", finished(new), counts(new))));
    }
    lines
}

/// What happened to steps and stages, in the order of the journal: a stage is done behind its last step.
fn in_order(old: Option<&RunStatus>, new: &RunStatus, line: &impl Fn(&str, &str, String) -> RunLine) -> Vec<RunLine> {
    let before: BTreeMap<&str, &StepStatus> = old.into_iter().flat_map(steps).map(|s| (s.step.as_str(), s)).collect();
    let mut lines = Vec::new();
    for step in steps(new) {
        let same = match before.get(step.step.as_str()) {
            Some(before) => before.state == step.state && before.attempt == step.attempt,
            // Of a run that goes on already, only what is not finished is news.
            None => matches!(step.state.as_str(), "pending" | "succeeded" | "skipped"),
        };
        if !same {
            lines.push((step.position, line(&step.state, &step.step, told(step))));
        }
    }
    for stage in &new.stages {
        let old = old.and_then(|o| o.stages.iter().find(|g| g.number == stage.number));
        if old.is_some_and(|o| o.state != "done") && stage.state == "done" {
            let last = stage.steps.iter().map(|s| s.position).max().unwrap_or(new.position);
            lines.push((last, line("stage-done", &format!("stage {}", stage.number), stage.title.clone())));
        }
    }
    // Stable: what shares a position stays in the plan's order, stages behind steps.
    lines.sort_by_key(|(position, _)| *position);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The run as it was when it was opened: what is shown first of a run that this very command opened, so that no step of it
/// goes by unseen before the first document comes.
#[must_use]
pub fn as_opened(run: &RunStatus) -> RunStatus {
    let mut opened = run.clone();
    opened.mode = "going".to_owned();
    opened.closed_at = None;
    opened.counts = Counts { all: run.counts.all, pending: run.counts.all, ..Counts::default() };
    (opened.waits, opened.extra, opened.unreachable) = (Vec::new(), Vec::new(), Vec::new());
    opened.alarms = Vec::new();
    for stage in &mut opened.stages {
        stage.state = "waits".to_owned();
        for step in &mut stage.steps {
            step.state = "pending".to_owned();
            step.attempt = 0;
        }
    }
    opened
}

/// What makes a wait another one: its reason may name ages and change all the time.
type Key = (Option<StepKey>, u32, bool);

fn key(wait: &crate::schedule::wait::Wait) -> Key {
    (wait.step.clone(), wait.stage, wait.person)
}

/// The line that shows that all is alive: counts, and what runs for how long.
#[must_use]
pub fn heartbeat(status: &Status, run: &RunStatus, now: Timestamp) -> RunLine {
    let since = Duration::try_from(now.duration_since(status.at)).unwrap_or_default();
    let mut says = format!("{} {}", finished(run), counts(run));
    for step in steps(run).filter(|s| s.state == "running").take(3) {
        says.push_str(&format!("; {} {}", step.step, age(Duration::from_secs(step.elapsed_seconds) + since)));
        if let Some(progress) = &step.progress {
            let quiet = age(Duration::from_secs(progress.quiet_seconds) + since);
            if progress.total > 0 {
                says.push_str(&format!(" {} of {}", progress.done, progress.total));
            }
            says.push_str(&format!(" {} (last sign of life {quiet} ago)", progress.label));
        }
    }
    RunLine {
        at: now,
        run: run.run.clone(),
        word: "alive".to_owned(),
        on: standing(run).0.to_lowercase().replace(' ', "-"),
        says,
    }
}

fn opened(run: &RunStatus) -> String {
    format!("{} fleet {} plan {:.8} opened by {}; {} {}", run.mode, run.fleet, run.plan, run.by, finished(run), counts(run))
}

fn told(step: &StepStatus) -> String {
    let mut says = step.name.clone();
    if let Some(row) = &step.row {
        says.push_str(&format!(" (row {row})"));
    }
    if step.attempt > 1 {
        says.push_str(&format!(" attempt {}", step.attempt));
    }
    if step.state == "succeeded" {
        says.push_str(if step.changed { ": changed" } else { ": no change" });
    }
    if let Some(fault) = &step.fault {
        says.push_str(&format!(": {}: {}", fault.code, fault.message));
    }
    if let Some(decided) = step.decided.as_ref().filter(|_| step.state == "skipped") {
        says.push_str(&format!(": {decided}"));
    }
    says
}

fn steps(run: &RunStatus) -> impl Iterator<Item = &StepStatus> {
    run.extra.iter().chain(run.stages.iter().flat_map(|g| &g.steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example;

    fn text(lines: &[RunLine]) -> String {
        lines.iter().map(|l| l.text(&TimeZone::UTC) + "\n").collect()
    }

    #[test]
    fn events_look_like_this() {
        let before = example::night(example::opened());
        let after = example::done(example::opened() + jiff::SignedDuration::from_secs(60));
        let mut out = text(&between(None, &before.runs[0], before.at));
        out += &text(&[heartbeat(&before, &before.runs[0], before.at + jiff::SignedDuration::from_secs(10))]);
        out += &text(&between(Some(&before.runs[0]), &after.runs[0], after.at));
        insta::assert_snapshot!(out);
    }

    #[test]
    fn a_run_that_was_over_before_the_first_look_tells_its_steps_and_then_its_end() {
        let mut done = example::done(example::opened()).runs.remove(0);
        // The second stage's first step ended before the first one's last.
        for (at, step) in done.stages.iter_mut().flat_map(|g| &mut g.steps).enumerate() {
            step.position = 100 + (at as u64 * 7) % 5;
        }
        let opened = as_opened(&done);
        let words: Vec<String> = between(Some(&opened), &done, example::opened()).into_iter().map(|l| l.word).collect();
        assert_eq!(words.last().map(String::as_str), Some("done"), "{words:?}");
        assert!(words.iter().any(|w| w == "succeeded") && words.iter().any(|w| w == "stage-done"), "{words:?}");
        for stage in &done.stages {
            let lines = between(Some(&opened), &done, example::opened());
            let place = |on: &str| lines.iter().position(|l| l.on == on);
            let ended = place(&format!("stage {}", stage.number));
            assert!(stage.steps.iter().all(|s| place(&s.step) < ended), "{lines:?}");
        }
    }

    #[test]
    fn nothing_new_is_no_line() {
        let status = example::night(example::opened());
        let mut later = status.runs[0].clone();
        for wait in &mut later.waits {
            wait.why.push_str(" (seen 4 s ago)");
        }
        assert_eq!(between(Some(&status.runs[0]), &later, status.at), []);
    }
}
