//! The live screen of `apply` and `watch`: what runs, waits or went wrong; the rest is a count. Pure: the document, the
//! time and the size of the screen give the lines. Bars stand only where a true total is known; everything else shows how
//! long it runs and how old its last sign of life is.

use std::time::Duration;

use jiff::Timestamp;

use super::document::{AlarmStatus, RunStatus, StageStatus, Status, StepStatus, age};
use super::text::{Line, Style, ranges};
use crate::schedule::wait::{Wait, WaitKind};

/// The screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub rows: usize,
}

/// How to show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// With colours.
    pub colour: bool,
    /// With every stage and host.
    pub details: bool,
    /// Whether keys are read; the last line names them then.
    pub keys: bool,
    /// Whether this picture stays and nobody can leave it any more: it has no last line about that.
    pub stays: bool,
}

/// Columns of a bar on a wide screen.
const BAR: usize = 20;

/// Draws the runs of a document. No line is as wide as the screen, and there are fewer lines than rows. `now` is the
/// controller's time: that of the document and what has passed since it came.
#[must_use]
pub fn screen(status: &Status, now: Timestamp, size: Size, look: Look) -> Vec<String> {
    let since = Duration::try_from(now.duration_since(status.at)).unwrap_or_default();
    let drawing = Drawing { now, since, width: size.width.saturating_sub(1), look };
    let most = size.rows.saturating_sub(1);
    let foot = (!look.stays).then(|| drawing.foot(status));
    let mut lines = Vec::new();
    for run in &status.runs {
        lines.extend(drawing.run(run, status.runs.len() > 1));
    }
    if status.runs.is_empty() {
        lines.push(Line::of(" No run is open: cavalcade apply PLAN opens one."));
    }
    if look.details {
        lines.extend(drawing.hosts(status));
    }
    let below = usize::from(foot.is_some());
    if lines.len() + below > most {
        let kept = most.saturating_sub(1 + below);
        let hidden = lines.len() - kept.min(lines.len());
        lines.truncate(kept);
        lines.push(Line::new().add(Style::Dim, format!(" and {hidden} lines more: cavalcade status --steps")));
    }
    lines.extend(foot);
    lines.truncate(most);
    lines.iter().map(|line| line.render(drawing.width, look.colour)).collect()
}

/// How far a run is, in a line: counts that are not zero.
#[must_use]
pub fn counts(run: &RunStatus) -> String {
    let both = [open_counts(run), ended_counts(run)];
    both.iter().filter(|p| !p.is_empty()).cloned().collect::<Vec<_>>().join(" | ")
}

fn list(parts: Vec<(u32, &str)>) -> String {
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    parts.map(|(number, word)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
}

fn open_counts(run: &RunStatus) -> String {
    let c = &run.counts;
    let waits: usize = wait_groups(run).iter().map(|(_, nodes)| nodes.len().max(1)).sum();
    let waits = u32::try_from(waits).unwrap_or(u32::MAX);
    let word = if waits == 1 { "waits" } else { "wait" };
    list(vec![(c.failed, "failed"), (c.indeterminate, "indeterminate"), (c.under_way, "run"), (waits, word)])
}

fn ended_counts(run: &RunStatus) -> String {
    let c = &run.counts;
    list(vec![(c.succeeded, "ok"), (c.skipped, "skipped"), (c.cancelled, "cancelled"), (c.retried, "retried")])
}

/// Steps that are finished, of all.
#[must_use]
pub fn finished(run: &RunStatus) -> String {
    format!("{}/{}", run.counts.succeeded + run.counts.skipped, run.counts.all)
}

/// The word for where a run stands.
#[must_use]
pub fn standing(run: &RunStatus) -> (&'static str, Style) {
    match run.mode.as_str() {
        "done" => ("Done", Style::Green),
        "cancelled" => ("Cancelled", Style::Red),
        "superseded" => ("Superseded", Style::Yellow),
        "paused" => ("Paused", Style::Yellow),
        "cancelling" => ("Cancelling", Style::Yellow),
        _ if run.needs_person => ("Needs a person", Style::Yellow),
        _ => ("Running", Style::Bold),
    }
}

/// Whether a wait is worth a line: later stages that only stand in the queue are not.
pub(super) fn shown(wait: &Wait) -> bool {
    match wait.kind {
        WaitKind::Stage | WaitKind::Batch | WaitKind::Ordered => false,
        WaitKind::Child | WaitKind::Permit | WaitKind::Retry | WaitKind::Link | WaitKind::Room => wait.step.is_some(),
        // One word for a stage behind --until; each node beside --node would be a line that its operator knows.
        WaitKind::Scope => wait.step.is_none(),
        WaitKind::Approval | WaitKind::Secret | WaitKind::Window | WaitKind::Paused | WaitKind::Person => true,
    }
}

struct Drawing {
    now: Timestamp,
    since: Duration,
    width: usize,
    look: Look,
}

impl Drawing {
    fn run(&self, run: &RunStatus, several: bool) -> Vec<Line> {
        let mut lines = self.head(run);
        if several || self.look.details {
            let what = format!(" {}  fleet {}  recipe {}  plan {:.8}", run.run, run.fleet, run.recipe, run.plan);
            lines.push(Line::new().add(Style::Dim, what));
        }
        let steps = || run.extra.iter().chain(run.stages.iter().flat_map(|g| &g.steps));
        lines.extend(steps().filter(|s| matches!(s.state.as_str(), "failed" | "indeterminate")).map(|s| self.problem(s)));
        lines.extend(run.alarms.iter().filter(|a| a.open).map(alarm));
        let budgets = run.stages.iter().filter_map(|stage| stage.budget.as_deref());
        lines.extend(budgets.flat_map(|text| self.parts(&text.split("; ").map(str::to_owned).collect::<Vec<_>>())));
        lines.extend(run.extra.iter().filter(|s| under_way(s)).flat_map(|s| self.step(s)));
        for stage in &run.stages {
            lines.extend(self.stage(stage));
        }
        lines.extend(waits(run));
        lines.extend(run.unreachable.iter().map(|node| self.unreachable(node, run)));
        lines
    }

    /// Where the run stands. What does not fit goes below, what ended before what is open.
    fn head(&self, run: &RunStatus) -> Vec<Line> {
        let (word, style) = standing(run);
        let until = run.closed_at.unwrap_or(self.now);
        let seconds = until.duration_since(run.opened_at).as_secs().max(0);
        let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let line = Line::of(" ").add(style, word).text(format!(" [ {clock}] ")).add(Style::Bold, finished(run));
        let whole = line.clone().text(format!("   {}", counts(run)));
        if whole.width() <= self.width {
            return vec![whole];
        }
        let with_open = line.clone().text(format!("   {}", open_counts(run)));
        if with_open.width() <= self.width {
            return vec![with_open, Line::of(format!("   {}", ended_counts(run)))];
        }
        vec![line, Line::of(format!("   {}", open_counts(run))), Line::of(format!("   {}", ended_counts(run)))]
    }

    /// Parts in as few lines as they fit into.
    fn parts(&self, parts: &[String]) -> Vec<Line> {
        let mut lines: Vec<String> = Vec::new();
        for part in parts.iter().filter(|p| !p.is_empty()) {
            match lines.last_mut() {
                Some(line) if line.len() + 3 + part.len() <= self.width => line.push_str(&format!("   {part}")),
                _ => lines.push(format!("       {part}")),
            }
        }
        lines.into_iter().map(Line::of).collect()
    }

    fn problem(&self, step: &StepStatus) -> Line {
        let fault = step.fault.as_ref().map(|f| format!("{}: {}", f.code, f.message)).unwrap_or_default();
        let why = if fault.is_empty() { step.unknown.first().cloned().unwrap_or_default() } else { fault };
        let line = Line::of(" ").add(Style::Red, step.state.to_uppercase()).text(" ").add(Style::Bold, &step.step);
        line.text(format!(" {}   {why}", step.name))
    }

    fn stage(&self, stage: &StageStatus) -> Vec<Line> {
        let mut lines = Vec::new();
        let running: Vec<&StepStatus> = stage.steps.iter().filter(|s| under_way(s)).collect();
        if self.look.details || !running.is_empty() {
            let finished = stage.steps.iter().filter(|s| matches!(s.state.as_str(), "succeeded" | "skipped")).count();
            let line = Line::of(" ").add(Style::Bold, format!("{} {}", stage.number, stage.title));
            let nodes = ranges(stage.nodes.iter().map(String::as_str));
            lines.push(line.text(format!("   {} {finished}/{}   {nodes}", stage.state, stage.steps.len())));
        }
        lines.extend(running.into_iter().flat_map(|step| self.step(step)));
        lines
    }

    fn step(&self, step: &StepStatus) -> Vec<Line> {
        let number = step.step.split_once('@').map_or(step.step.as_str(), |(number, _)| number);
        let head = Line::of("   ").add(Style::Blue, number).text(format!(" {}  ", step.name)).add(Style::Bold, &step.node);
        let head = head.text("   ");
        let elapsed = age(Duration::from_secs(step.elapsed_seconds) + self.since);
        let sign = step.progress.as_ref().map(|p| age(Duration::from_secs(p.quiet_seconds) + self.since));
        let sign = sign.map(|age| format!("last sign of life {age} ago")).unwrap_or_default();
        let label = step.progress.as_ref().map(|p| p.label.clone()).unwrap_or_default();
        let bar = step.progress.as_ref().filter(|p| p.total > 0).map(|p| (p.done.min(p.total), p.total));
        let pledge = if step.never_interrupted { "is never interrupted".to_owned() } else { String::new() };
        let mut lines = match bar {
            Some((done, total)) => {
                let columns = if self.width < 60 { BAR / 2 } else { BAR };
                let full = usize::try_from(done.saturating_mul(columns as u64) / total).unwrap_or(columns);
                let (full, rest) = ("#".repeat(full), "-".repeat(columns - full));
                vec![head.add(Style::Green, full).add(Style::Dim, rest).text(format!("  {done} of {total} {label}"))]
            }
            None if step.never_interrupted => vec![head.text(label)],
            None if step.state != "running" => return vec![head.text(format!("{}   {elapsed}", step.state))],
            None => {
                let parts = [elapsed, sign, label];
                let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
                return vec![head.text(parts.join("   "))];
            }
        };
        lines.extend(self.parts(&[elapsed, sign, pledge]));
        lines
    }

    fn unreachable(&self, node: &str, run: &RunStatus) -> Line {
        let steps = run.extra.iter().chain(run.stages.iter().flat_map(|g| &g.steps));
        let longest = steps.filter(|s| s.node == node && under_way(s)).map(|s| s.elapsed_seconds).max();
        let since = longest.map(|s| format!("its step runs for {}; ", age(Duration::from_secs(s) + self.since)));
        let line = Line::of("   ").add(Style::Red, "UNREACHABLE").text(" ").add(Style::Bold, node);
        line.text(format!("   {}its work there may still go on", since.unwrap_or_default()))
    }

    fn hosts(&self, status: &Status) -> Vec<Line> {
        let hosts = status.hosts.iter().map(|host| {
            let line = Line::of("   host ").add(Style::Bold, &host.host).text("   ");
            if !host.connected {
                return line.add(Style::Red, "not connected");
            }
            let quiet = age(Duration::from_secs(host.quiet_seconds) + self.since);
            let (skew, memory) = (host.skew_millis, host.resident_kib / 1024);
            let zone = host.zone.as_ref().map(|zone| format!("   {}", zone.text())).unwrap_or_default();
            line.text(format!("agent {}   heard {quiet} ago   clock {skew:+} ms{zone}   {memory} MiB", host.program))
        });
        hosts.collect()
    }

    fn foot(&self, status: &Status) -> Line {
        let over = !status.runs.is_empty() && status.runs.iter().all(|r| r.closed_at.is_some());
        let text = match (over, self.look.keys) {
            (true, true) => " q leave   t details   l logs",
            (true, false) => " The run is over.",
            (false, true) => " q leave (the run goes on)   t details   l logs",
            (false, false) => " Ctrl-C leaves; the run goes on",
        };
        Line::new().add(Style::Dim, text)
    }
}

/// What waits, equal reasons together with all their nodes. What has a line of its own anyway (failed, indeterminate,
/// unreachable) is left out.
pub(super) fn wait_groups(run: &RunStatus) -> Vec<(&Wait, Vec<&str>)> {
    let mut groups: Vec<(&Wait, Vec<&str>)> = Vec::new();
    for wait in run.waits.iter().filter(|w| shown(w)) {
        let told = wait.step.as_ref().is_some_and(|key| {
            let key = key.to_string();
            let steps = run.extra.iter().chain(run.stages.iter().flat_map(|g| &g.steps));
            steps.filter(|s| s.step == key).any(|s| matches!(s.state.as_str(), "failed" | "indeterminate"))
        });
        let unreachable = wait.step.as_ref().is_some_and(|key| run.unreachable.iter().any(|node| node == key.node.as_str()));
        if told || unreachable {
            continue;
        }
        let node = wait.step.as_ref().map(|key| key.node.as_str());
        match groups.iter_mut().find(|(first, _)| first.stage == wait.stage && first.why == wait.why) {
            Some((_, nodes)) => nodes.extend(node),
            None => groups.push((wait, node.into_iter().collect())),
        }
    }
    groups
}

/// What a group of waits is about.
pub(super) fn waiting(wait: &Wait, nodes: &[&str]) -> String {
    match (wait.step.is_some(), wait.stage) {
        (true, _) => ranges(nodes.iter().copied()),
        (false, 0) => "the run".to_owned(),
        (false, stage) => format!("stage {stage}"),
    }
}

fn alarm(alarm: &AlarmStatus) -> Line {
    Line::of(" ").add(Style::Red, "ALARM").text(" ").add(Style::Bold, &alarm.step).text(format!(" {}", alarm.text()))
}

fn waits(run: &RunStatus) -> Vec<Line> {
    let line = |(wait, nodes): (&Wait, Vec<&str>)| {
        let line = Line::of("   ").add(Style::Yellow, if wait.person { "PERSON" } else { "WAIT" }).to_column(15);
        line.add(Style::Bold, waiting(wait, &nodes)).text(format!("   for {}", wait.why))
    };
    wait_groups(run).into_iter().map(line).collect()
}

fn under_way(step: &StepStatus) -> bool {
    matches!(step.state.as_str(), "offered" | "accepted" | "running")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example;

    fn at(seconds: i64) -> Timestamp {
        example::opened() + jiff::SignedDuration::from_secs(seconds)
    }

    fn drawn(status: &Status, width: usize, rows: usize, look: Look) -> String {
        let lines = screen(status, status.at + jiff::SignedDuration::from_secs(2), Size { width, rows }, look);
        for line in &lines {
            assert!(console::measure_text_width(line) < width, "{width}: {line:?}");
        }
        assert!(lines.len() < rows.max(1), "{rows}: {lines:#?}");
        lines.join("\n")
    }

    #[test]
    fn the_screen_looks_like_this() {
        let status = example::night(at(4360));
        for width in [40, 80, 120] {
            insta::assert_snapshot!(format!("screen_{width}"), drawn(&status, width, 24, Look { keys: true, ..Look::default() }));
        }
        let details = Look { details: true, ..Look::default() };
        insta::assert_snapshot!("screen_details", drawn(&status, 80, 40, details));
    }

    #[test]
    fn the_last_picture_names_no_keys_and_is_the_same_otherwise() {
        let status = example::night(at(4360));
        let keys = drawn(&status, 80, 24, Look { keys: true, ..Look::default() });
        let stays = drawn(&status, 80, 24, Look { keys: true, stays: true, ..Look::default() });
        assert_eq!(keys, format!("{stays}\n q leave (the run goes on)   t details   l logs"));
    }

    #[test]
    fn it_fits_every_screen() {
        let status = example::night(at(4360));
        for width in 0..130 {
            for rows in [0, 1, 2, 3, 5, 8, 24] {
                let look = Look { colour: width % 2 == 0, details: rows % 2 == 0, keys: true, stays: rows == 8 };
                let lines = screen(&status, status.at, Size { width, rows }, look);
                assert!(lines.len() <= rows.saturating_sub(1), "{width} x {rows}");
                assert!(lines.iter().all(|l| console::measure_text_width(l) <= width.saturating_sub(1)), "{width} x {rows}");
            }
        }
    }

    #[test]
    fn colour_adds_colour_and_nothing_else() {
        let status = example::night(at(4360));
        let plain = drawn(&status, 80, 24, Look::default());
        let coloured = drawn(&status, 80, 24, Look { colour: true, ..Look::default() });
        assert_ne!(plain, coloured);
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
    }

    #[test]
    fn there_is_no_bar_without_a_true_total() {
        let mut status = example::night(at(4360));
        for step in status.runs.iter_mut().flat_map(|r| &mut r.stages).flat_map(|g| &mut g.steps) {
            if let Some(progress) = &mut step.progress {
                progress.total = 0;
            }
        }
        let text = drawn(&status, 80, 24, Look::default());
        assert!(!text.contains('#') && !text.contains("--"), "{text}");
        assert!(text.contains("1h02m") && text.contains("last sign of life 5s ago"), "{text}");
    }
}
