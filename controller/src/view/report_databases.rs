//! What became of the databases of a run, and the way back: what it rests on, how long it takes, whether it was used. Pure.

use std::collections::BTreeSet;

use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::{INCARNATION_OF, Outcome};
use jiff::Timestamp;
use serde::Serialize;

use super::backup::{BackupStatus, backups, took};
use super::document::StepStatus;
use super::report::{Report, instant};

/// One database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseReport {
    /// Its name.
    pub database: String,
    /// Its backup, where the plan makes one.
    pub backup: Option<BackupStatus>,
    /// Steps that changed it, in the order of the plan.
    pub changed_by: Vec<StepOn>,
    /// Steps that asserted something of it.
    pub queries: Vec<StepOn>,
    /// Its incarnation when the run first saw it.
    pub before: Option<String>,
    /// Its incarnation when the run last saw it: another one after a restore.
    pub after: Option<String>,
}

/// A step on a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepOn {
    /// `3.2@is-1`.
    pub step: String,
    /// Its name.
    pub name: String,
    /// What it does: `sql`, `job`, `query`.
    pub kind: String,
    /// Where it stands.
    pub state: String,
    /// Attempts.
    pub attempts: u32,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What was found, or what went wrong.
    pub found: Vec<String>,
}

/// The way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WayBack {
    /// Backups that it rests on.
    pub backups: Vec<BackupStatus>,
    /// To when it leads: the proof of the oldest of them; `None` while one is not proved.
    pub restore_point: Option<Timestamp>,
    /// What the restores took when they were proved, in seconds; `None` where not all were measured.
    pub restore_seconds: Option<u64>,
    /// Restores that persons ordered.
    pub restores: Vec<StepOn>,
}

impl WayBack {
    /// What it says of itself, for people.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        if self.backups.is_empty() {
            return vec!["No database is backed up by this plan.".to_owned()];
        }
        let mut all = vec![match self.restore_point {
            Some(at) => format!("Restore point: {}, all backups proved by a restore.", instant(at)),
            None => "There is no restore point yet: not every backup is proved.".to_owned(),
        }];
        all.push(match self.restore_seconds {
            Some(seconds) => format!("Measured time of the restores: {}.", took(seconds)),
            None => "Measured time of the restores: not known.".to_owned(),
        });
        all.push(if self.restores.is_empty() { "It was not used.".to_owned() } else { "It was used.".to_owned() });
        all
    }
}

fn step_on(status: &StepStatus, outcome: Option<&Outcome>) -> StepOn {
    let evidence = outcome.into_iter().flat_map(|o| &o.evidence).filter(|e| !e.what.starts_with(INCARNATION_OF));
    let mut found: Vec<String> =
        evidence.map(|e| format!("{}: {}{}", e.what, e.found, if e.holds { "" } else { " (not as wanted)" })).collect();
    found.extend(status.fault.as_ref().map(|f| format!("{}: {}", f.code, f.message)));
    StepOn {
        step: status.step.clone(),
        name: status.name.clone(),
        kind: status.kind.clone(),
        state: status.state.clone(),
        attempts: status.attempt,
        ended: outcome.map(|o| o.ended),
        found,
    }
}

/// All databases of the plan.
#[must_use]
pub fn databases(report: &Report) -> Vec<DatabaseReport> {
    let plan = &report.answer.plan;
    let backups = of_plan(report);
    let mut names: BTreeSet<&str> = plan.databases.keys().map(String::as_str).collect();
    names.extend(backups.iter().map(|b| b.database.as_str()));
    let on = |wanted: &dyn Fn(&PlanStep) -> bool| -> Vec<StepOn> {
        let steps = report.steps().filter(|(_, planned)| planned.is_some_and(wanted));
        steps.map(|(status, _)| step_on(status, report.outcome(&status.step))).collect()
    };
    let of = |name: &str| {
        let seen = incarnations(report, name);
        DatabaseReport {
            database: name.to_owned(),
            backup: backups.iter().find(|b| b.database == name).cloned(),
            changed_by: on(&|step| step.action.changes(name)),
            queries: on(&|step| step.action.asserts(name)),
            before: seen.first().cloned(),
            after: seen.last().cloned(),
        }
    };
    names.into_iter().map(of).collect()
}

/// The way back of the run.
#[must_use]
pub fn way_back(report: &Report) -> WayBack {
    let backups = of_plan(report);
    let proved: Option<Vec<Timestamp>> = backups.iter().map(|b| b.proved_at).collect();
    let took: Option<Vec<u64>> = backups.iter().map(|b| b.restore_seconds).collect();
    let restores = report.run().extra.iter().filter(|s| s.kind == "restore");
    WayBack {
        restore_point: proved.and_then(|all| all.into_iter().min()),
        restore_seconds: took.filter(|all| !all.is_empty()).map(|all| all.iter().sum()),
        restores: restores.map(|s| step_on(s, report.outcome(&s.step))).collect(),
        backups,
    }
}

fn of_plan(report: &Report) -> Vec<BackupStatus> {
    backups(&report.answer.plan, u32::MAX, |step| report.outcome(&step.key.to_string()))
}

/// Incarnations of a database as the outcomes show them, in the order of time.
fn incarnations(report: &Report, name: &str) -> Vec<String> {
    let what = format!("{INCARNATION_OF}{name}");
    let mut seen: Vec<(Timestamp, &str)> = Vec::new();
    for outcome in report.answer.outcomes.values() {
        seen.extend(outcome.evidence.iter().filter(|e| e.what == what).map(|e| (outcome.ended, e.found.as_str())));
    }
    seen.sort_unstable();
    seen.into_iter().map(|(_, found)| found.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example_report::{answer, report};

    #[test]
    fn a_database_has_its_backup_its_changes_and_its_incarnations() {
        let answer = answer();
        let report = report(&answer);
        let all = databases(&report);
        assert_eq!(all.iter().map(|d| d.database.as_str()).collect::<Vec<_>>(), ["am_db"]);
        let am = &all[0];
        let backup = am.backup.as_ref().expect("is backed up");
        assert_eq!((backup.restore_seconds, backup.counted.as_deref()), (Some(95), Some("214 tables, 1048576 rows")));
        assert_eq!(am.changed_by.iter().map(|s| s.step.as_str()).collect::<Vec<_>>(), ["3.1@is-1"]);
        assert_eq!(am.queries.iter().map(|s| s.step.as_str()).collect::<Vec<_>>(), ["3.2@is-1"]);
        assert_eq!((am.before.as_deref(), am.after.as_deref()), (Some("one"), Some("two")));
        let back = way_back(&report);
        assert_eq!((back.restore_seconds, back.restores.len()), (Some(95), 1));
        assert_eq!(back.restore_point, backup.proved_at);
        assert!(back.sentences().concat().contains("It was used."));
    }
}
