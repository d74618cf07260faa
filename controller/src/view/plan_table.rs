//! A plan as a person reads it: who, what, which order, what cannot be undone, what is left out and why. 80 columns.

use std::collections::BTreeSet;
use std::time::Duration;

use cavalcade_common::action::Action;
use cavalcade_common::duration;
use cavalcade_common::finding::Severity;
use cavalcade_common::plan::{Need, Omitted, OmittedWhy, Plan, PlanStage, PlanStep, Undo};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::before::undone;
use super::document::age;
use super::findings;
use super::findings::done_before;
use super::settings;
use super::table::{WIDTH, table};
use super::text::{ranges, wrap};
use super::way_back::from_backup;
use crate::schedule::{expected, never_interrupted};

/// The plan. `sha256` is its digest, `file` where it was saved.
#[must_use]
pub fn plan_table(plan: &Plan, sha256: &str, file: &str, now: Timestamp, zone: &TimeZone) -> String {
    let width = usize::from(WIDTH);
    let facts = age(Duration::try_from(now.duration_since(plan.facts_at)).unwrap_or_default());
    let head = format!("Recipe {}   fleet {}, {} nodes, facts {facts} old", plan.recipe.name, plan.fleet, plan.nodes.len());
    let mut out = wrap(&head, width, "", "  ");
    for done in done_before(&plan.findings) {
        out.push_str(&wrap(&format!("Upgraded before: {done}."), width, "", "  "));
    }
    out.push('\n');
    out.push_str(&stages(plan));
    out.push('\n');
    let back = from_backup(plan);
    if !back.is_empty() {
        out.push_str(&format!("\n{}", wrap(&back, width, "", "  ")));
    }
    let window = window(plan, now, zone);
    if !window.is_empty() {
        out.push_str(&format!("\n{window}"));
    }
    let omitted = omitted(plan);
    if !omitted.is_empty() {
        out.push_str(&format!("\n{omitted}"));
    }
    let deciding = answered(plan);
    if !deciding.is_empty() {
        out.push_str(&format!("\n{deciding}"));
    }
    let settings = settings::summary(plan);
    if !settings.is_empty() {
        out.push_str(&format!("\n{settings}"));
    }
    for remark in &plan.remarks {
        out.push_str(&format!("\n{}", wrap(remark, width, " * ", "   ")));
    }
    let found = found(plan);
    if !found.is_empty() {
        out.push_str(&format!("\n{found}"));
    }
    out.push_str(&format!("\n{}", summary(plan)));
    out.push_str(&format!("Saved {file}  sha256 {:.8}...   Nothing was changed.\n", sha256));
    out + &format!("Next: cavalcade preview {file}\n")
}

fn stages(plan: &Plan) -> String {
    let all: BTreeSet<&str> = plan.nodes.iter().map(|n| n.id.as_str()).collect();
    let rows: Vec<Vec<String>> = plan
        .stages
        .iter()
        .map(|stage| {
            let on: BTreeSet<&str> = stage.nodes.iter().map(|n| n.as_str()).collect();
            let nodes = match on == all && all.len() > 2 {
                true => format!("all {}", all.len()),
                false => ranges(stage.nodes.iter().map(|n| n.as_str())),
            };
            vec![
                stage.number.to_string(),
                stage.title.clone(),
                nodes,
                stage.steps.len().to_string(),
                waits(stage),
                undone(stage.undo).to_owned(),
            ]
        })
        .collect();
    let text = table(&["", "STAGE", "NODES", "STEPS", "WAITS FOR", "UNDO"], &rows, &[0, 3]);
    with_point_of_no_return(plan, &text)
}

/// Puts the line above the first stage from which on a way back loses new data.
fn with_point_of_no_return(plan: &Plan, text: &str) -> String {
    let Some(stage) = plan.stages.iter().find(|g| g.point_of_no_return) else { return text.to_owned() };
    let begins = |line: &&str| line.split_whitespace().next() == Some(stage.number.to_string().as_str());
    let rows: Vec<&str> = text.lines().collect();
    // A number stands at the place of numbers only in the first line of a row.
    let column = rows.iter().filter(|l| begins(l)).map(|l| l.len() - l.trim_start().len()).min();
    let at = rows.iter().position(|l| begins(l) && Some(l.len() - l.trim_start().len()) == column);
    let words = " point of no return: from here new traffic is lost by a restore ";
    let line = format!("------{words:-<width$}", width = usize::from(WIDTH) - 6);
    let mut lines: Vec<&str> = rows;
    lines.insert(at.unwrap_or(lines.len()), &line);
    lines.join("\n")
}

/// The maintenance window, and how much of what may not start at its end has a known duration.
fn window(plan: &Plan, now: Timestamp, zone: &TimeZone) -> String {
    let Some(window) = &plan.window else { return String::new() };
    let end = window.end.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z");
    let left = match Duration::try_from(window.end.duration_since(now)) {
        Ok(left) if !left.is_zero() => format!("in {}", duration::format(Duration::from_secs(left.as_secs() / 60 * 60))),
        _ => "it is over".to_owned(),
    };
    let steps: Vec<_> = plan.steps().filter(|(_, step)| never_interrupted(&step.action)).collect();
    let known: Vec<Duration> = steps.iter().filter_map(|(_, step)| expected(plan, step)).collect();
    let together = duration::format(known.iter().sum());
    let takes = match steps.len() - known.len() {
        _ if known.is_empty() => "nobody said how long any of them takes".to_owned(),
        0 => format!("together {together}"),
        unknown => format!("{} of them together {together}, {unknown} of unknown duration", known.len()),
    };
    let text = format!("Window: ends {end} ({left}). Steps that nothing interrupts: {}, {takes}.", steps.len());
    wrap(&text, usize::from(WIDTH), "", "  ")
}

pub(super) fn waits(stage: &PlanStage) -> String {
    let mut waits: Vec<String> = Vec::new();
    if let Some(approval) = &stage.approval {
        waits.push(format!("approval: {}", approval.by));
    }
    let before: Vec<String> = stage.after.iter().filter(|n| **n + 1 != stage.number).map(ToString::to_string).collect();
    match &before[..] {
        [] => {}
        [one] => waits.push(format!("stage {one}")),
        many => waits.push(format!("stages {}", many.join(" "))),
    }
    let mut needs: BTreeSet<String> = BTreeSet::new();
    for need in stage.steps.iter().flat_map(|s| &s.needs) {
        needs.insert(match need {
            Need::Ready { nodes, .. } => format!("{} seen up < 60 s ago", ranges(nodes.iter().map(|n| n.as_str()))),
            Need::Down { .. } => "old servers down".to_owned(),
            Need::Alone { but_from, .. } if but_from.is_empty() => "nobody else in any database".to_owned(),
            Need::Alone { but_from, .. } => format!("nobody but {} in any database", but_from.join(", ")),
        });
    }
    waits.extend(needs);
    if waits.is_empty() { "-".to_owned() } else { waits.join("; ") }
}

fn omitted(plan: &Plan) -> String {
    let all = plan.nodes.len();
    // Steps of one row and stage that are left out on the same nodes for the same reason are one line.
    let mut groups: Vec<(&Omitted, Vec<&str>)> = Vec::new();
    for one in &plan.omitted {
        let same = |o: &Omitted| {
            (&o.stage, &o.row, o.why, &o.nodes, &o.reason) == (&one.stage, &one.row, one.why, &one.nodes, &one.reason)
        };
        match groups.iter_mut().find(|(first, _)| same(first)) {
            Some((_, steps)) => steps.push(one.step.as_str()),
            None => groups.push((one, vec![one.step.as_str()])),
        }
    }
    let line = |(o, steps): (&Omitted, Vec<&str>)| {
        let row = o.row.as_ref().map(|r| format!("{r} ")).unwrap_or_default();
        let how = match o.why {
            OmittedWhy::OnPurpose => "left out on purpose",
            OmittedWhy::Condition => "left out",
        };
        let nodes = match o.nodes.len() {
            0 => String::new(),
            n if n == all => String::new(),
            _ => format!(" on {}", ranges(o.nodes.iter().map(|n| n.as_str()))),
        };
        let steps = steps.join(", ");
        wrap(&format!("{row}{}/{steps}   {how}{nodes}: {}", o.stage, o.reason), usize::from(WIDTH), " - ", "     ")
    };
    groups.into_iter().map(line).collect()
}

/// Answers of the fleet file that stand in for what agents found: a person should see them.
fn answered(plan: &Plan) -> String {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for decided in plan.decided_by.iter().filter(|d| d.answered) {
        let text = format!("{} = {} by an answer of the fleet file", decided.path, decided.value);
        match lines.iter_mut().find(|(line, _)| *line == text) {
            Some((_, nodes)) => nodes.push(decided.node.as_str()),
            None => lines.push((text, vec![decided.node.as_str()])),
        }
    }
    let line =
        |(text, nodes): (String, Vec<&str>)| wrap(&format!("{text}, on {}", ranges(nodes)), usize::from(WIDTH), " ! ", "     ");
    lines.into_iter().map(line).collect()
}

/// What the checks found: errors and warnings whole, of what nobody could look at the number.
fn found(plan: &Plan) -> String {
    let of = |severity: Severity| plan.findings.iter().filter(move |f| f.severity == severity);
    let mut out: String = of(Severity::Error).chain(of(Severity::Warning)).map(|f| findings::one(f, false)).collect();
    let width = usize::from(WIDTH);
    let unseen = of(Severity::Unseen).count();
    if unseen > 0 {
        let text = format!("Checks that could not look: {unseen}. cavalcade fleet check shows which facts are missing.");
        out.push_str(&wrap(&text, width, " ? ", "   "));
    }
    if of(Severity::Error).next().is_some() {
        let text = "The plan has errors: apply will refuse it, unless each is let pass with --waive CHECK --why TEXT.";
        out.push_str(&wrap(text, width, " x ", "   "));
    }
    out
}

/// Whether no preview can show what it will do: something else does it, which only shows when it runs.
fn is_opaque(action: &Action) -> bool {
    matches!(action, Action::Sql(_) | Action::Restore(_) | Action::Command(_) | Action::Exchange(_) | Action::Job(_))
}

fn summary(plan: &Plan) -> String {
    let steps: Vec<(&PlanStage, &PlanStep)> = plan.steps().collect();
    let opaque = steps.iter().filter(|(_, s)| is_opaque(&s.action)).count();
    let undone = steps.iter().filter(|(g, _)| g.undo != Undo::Nothing).count();
    let text = format!(
        "Plan: {} steps on {} nodes; {} left out, {opaque} opaque, {undone} can be undone.",
        steps.len(),
        plan.nodes.len(),
        plan.omitted.len()
    );
    wrap(&text, usize::from(WIDTH), "", "  ")
}

#[cfg(test)]
mod tests {
    use cavalcade_common::plan::{Takes, Window};

    use super::*;
    use crate::view::example_plan::plan;

    #[test]
    fn a_window_shows_its_end_and_what_is_known_of_the_work() {
        let mut plan = plan();
        let now = plan.facts_at;
        assert_eq!(window(&plan, now, &TimeZone::UTC), "");
        plan.window = Some(Window { end: now + jiff::SignedDuration::from_mins(150) });
        let unknown = window(&plan, now, &TimeZone::UTC);
        assert!(unknown.contains("(in 2h30min)") && unknown.contains("nobody said how"), "{unknown}");
        plan.expected.insert("migrate-is.migrate".to_owned(), Takes(Duration::from_secs(5400)));
        let one = window(&plan, now, &TimeZone::UTC).replace("\n  ", " ");
        assert!(one.contains("1h30min"), "{one}");
        let over = window(&plan, now + jiff::SignedDuration::from_hours(3), &TimeZone::UTC);
        assert!(over.contains("(it is over)"), "{over}");
    }

    #[test]
    fn an_upgrade_that_a_run_has_finished_is_said_at_the_head() {
        let mut plan = plan();
        plan.findings[0].check = crate::preflight::UPGRADED_BEFORE.to_owned();
        plan.findings[0].found = "run run-1 finished this upgrade on 2026-11-22 23:00:00Z".to_owned();
        let text = plan_table(&plan, &"7f3a91c2".repeat(8), "upgrade.plan", plan.facts_at, &TimeZone::UTC);
        let head: String = text.lines().take(4).map(|l| l.trim_start().to_owned() + " ").collect();
        assert!(head.contains("Upgraded before: run run-1 finished this upgrade on 2026-11-22 23:00:00Z (is-1)."), "{text}");
    }

    #[test]
    fn it_looks_like_this() {
        let plan = plan();
        let now = plan.facts_at + jiff::SignedDuration::from_mins(3);
        let text = plan_table(&plan, &"7f3a91c2".repeat(8), "upgrade.plan", now, &TimeZone::UTC);
        insta::assert_snapshot!(text);
        assert!(text.lines().all(|l| l.chars().count() < 80), "{text}");
    }
}
