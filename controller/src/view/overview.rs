//! `status` as a person reads it: runs, stages, what waits, and what a person has to do.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::document::{RunStatus, Status, StepStatus, age};
use super::person::needed;
use super::screen::{counts, finished, standing, wait_groups, waiting};
use super::services::ServiceStatus;
use super::table::{WIDTH, table};
use super::text::{ranges, wrap};
use crate::schedule::wait::Wait;
use cavalcade_common::exit::Exit;

/// All runs of a document; with `steps` every step too. `program` begins the commands that are shown.
#[must_use]
pub fn overview(status: &Status, steps: bool, program: &str, colour: bool, zone: &TimeZone) -> String {
    let mut out = String::new();
    for run in &status.runs {
        out.push_str(&of_run(status, run, steps, (program, zone), colour));
        out.push('\n');
    }
    if status.runs.is_empty() {
        out.push_str("No run is open and none was closed.\n\n");
    }
    let connected = status.hosts.iter().filter(|h| h.connected).count();
    let mut hosts = format!("Hosts: {connected} of {} connected", status.hosts.len());
    let away: Vec<&str> = status.hosts.iter().filter(|h| !h.connected).map(|h| h.host.as_str()).collect();
    if !away.is_empty() {
        hosts.push_str(&format!("; not connected: {}", ranges(away)));
    }
    out + &wrap(&format!("{hosts}. Journal position {}, epoch {}.", status.position, status.epoch), 79, "", "  ")
}

/// How a run came to rest, for the one who applied the plan.
#[must_use]
pub fn outcome(run: &RunStatus, exit: Exit, plan: &str, program: &str, zone: &TimeZone) -> String {
    let (word, _) = standing(run);
    let mut out = wrap(&format!("{word}: {} {}", finished(run), counts(run)), 79, "", "  ");
    let next = match exit {
        Exit::Done if run.closed_at.is_some() => format!("Next: {program} report {plan} > report.html\n"),
        Exit::Done => format!("As far as was asked. Next: {program} apply {plan}\n"),
        Exit::Stopped if run.mode == "paused" => format!("Paused. Next: {program} resume\n"),
        Exit::Stopped => format!("The run is over. What it did: {program} report {plan} > report.html\n"),
        _ => String::new(),
    };
    if run.closed_at.is_none() && matches!(exit, Exit::Failed | Exit::Indeterminate | Exit::Person) {
        out.push_str(&format!("\n{}", needed(run, program, zone)));
        out.push_str(&format!("\nThe run stays open. Watch it again with: {program} apply {plan}\n"));
    }
    out + &next
}

fn of_run(status: &Status, run: &RunStatus, steps: bool, (program, zone): (&str, &TimeZone), colour: bool) -> String {
    let width = usize::from(WIDTH);
    let (word, style) = standing(run);
    let until = run.closed_at.unwrap_or(status.at);
    let took = age(Duration::try_from(until.duration_since(run.opened_at)).unwrap_or_default());
    // What is over took so long; what is not, stands there since then.
    let link = if run.closed_at.is_some() { "after" } else { "for" };
    let head = wrap(&format!("{word} {link} {took}   {}   {}", finished(run), counts(run)), width, "", "  ");
    let mut out = format!("{}{}", style.paint(word, colour), &head[word.len()..]);
    let what = format!("{}   fleet {}   recipe {}   plan {:.8}   opened by {}", run.run, run.fleet, run.recipe, run.plan, run.by);
    out.push_str(&wrap(&what, width, "", "  "));
    out.push('\n');
    out.push_str(&stages(run));
    out.push('\n');
    for budget in run.stages.iter().filter_map(|stage| stage.budget.as_deref()) {
        out.push_str(&wrap(budget, width, "", "  "));
    }
    out.push_str(&down(run, status.at, zone));
    for alarm in run.alarms.iter().filter(|a| a.open) {
        out.push_str(&wrap(&format!("ALARM {} {}", alarm.step, alarm.text()), width, "", "  "));
    }
    if steps {
        out.push('\n');
        out.push_str(&all_steps(run));
        out.push('\n');
    }
    let wait =
        |(wait, nodes): (&Wait, Vec<&str>)| wrap(&format!("{} waits for {}", waiting(wait, &nodes), wait.why), width, "", "  ");
    let waits: Vec<String> = wait_groups(run).into_iter().filter(|(w, _)| !w.person).map(wait).collect();
    if !waits.is_empty() {
        out.push_str(&format!("\n{}", waits.concat()));
    }
    let person = if run.closed_at.is_none() { needed(run, program, zone) } else { String::new() };
    if !person.is_empty() {
        out.push_str(&format!("\n{person}"));
    }
    out
}

/// The services that are down now, since when, and by which clock their own logs count where that is another one.
fn down(run: &RunStatus, now: Timestamp, zone: &TimeZone) -> String {
    if run.closed_at.is_some() {
        return String::new();
    }
    let one = |service: &ServiceStatus| {
        let since = service.is_down_since()?;
        let own = zone.to_offset(now).seconds();
        let there = service.zone.as_ref().filter(|z| z.offset_seconds != own);
        let there = there.map(|z| format!(", {} there ({})", z.clock(since), z.text())).unwrap_or_default();
        let lasts = age(Duration::try_from(now.duration_since(since)).unwrap_or_default());
        Some(format!("{} since {} ({lasts}{there})", service.node, since.to_zoned(zone.clone()).strftime("%H:%M:%S %Z")))
    };
    let all: Vec<String> = run.services.iter().filter_map(one).collect();
    if all.is_empty() { String::new() } else { wrap(&format!("Down: {}", all.join("; ")), usize::from(WIDTH), "", "  ") }
}

fn stages(run: &RunStatus) -> String {
    let rows: Vec<Vec<String>> = run
        .stages
        .iter()
        .map(|stage| {
            let done = stage.steps.iter().filter(|s| matches!(s.state.as_str(), "succeeded" | "skipped")).count();
            vec![
                stage.number.to_string(),
                stage.title.clone(),
                ranges(stage.nodes.iter().map(String::as_str)),
                format!("{done}/{}", stage.steps.len()),
                stage.state.clone(),
            ]
        })
        .collect();
    table(&["", "STAGE", "NODES", "STEPS", "STATE"], &rows, &[0, 3])
}

fn all_steps(run: &RunStatus) -> String {
    let row = |step: &StepStatus| {
        let mut more = step.fault.as_ref().map(|f| f.code.to_string()).unwrap_or_default();
        if let Some(decided) = &step.decided {
            more = [more, decided.clone()].join(" ").trim().to_owned();
        }
        vec![
            step.step.clone(),
            step.name.clone(),
            step.row.clone().unwrap_or_default(),
            step.state.clone(),
            step.attempt.to_string(),
            step.position.to_string(),
            more,
        ]
    };
    let rows: Vec<Vec<String>> = run.extra.iter().chain(run.stages.iter().flat_map(|g| &g.steps)).map(row).collect();
    table(&["STEP", "NAME", "ROW", "STATE", "TRY", "AT", ""], &rows, &[4, 5])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example;

    #[test]
    fn it_looks_like_this() {
        let at = example::opened() + jiff::SignedDuration::from_secs(4360);
        insta::assert_snapshot!("overview", overview(&example::night(at), false, "cavalcade", false, &TimeZone::UTC));
        insta::assert_snapshot!("overview_steps", overview(&example::night(at), true, "cavalcade", false, &TimeZone::UTC));
        insta::assert_snapshot!("overview_done", overview(&example::done(at), false, "cavalcade", false, &TimeZone::UTC));
    }
}
