//! How long the way back from the databases' backups takes, as far as a rehearsal said. Pure.

use std::time::Duration;

use cavalcade_common::action::Action;
use cavalcade_common::duration;
use cavalcade_common::plan::{Plan, Undo};

use crate::schedule::expected;

/// What the plan says of the way back from backup; empty where no stage is undone that way.
#[must_use]
pub fn from_backup(plan: &Plan) -> String {
    let stages: Vec<u32> = plan.stages.iter().filter(|g| g.undo == Undo::Backup).map(|g| g.number).collect();
    let (Some(first), Some(last)) = (stages.first(), stages.last()) else { return String::new() };
    let of = if first == last { format!("stage {first}") } else { format!("stages {first} to {last}") };
    let databases = databases(plan);
    let known: Option<Vec<Duration>> = databases.iter().map(|(_, takes)| *takes).collect();
    let whole = match known {
        Some(all) if !all.is_empty() => format!("about {} min", minutes(all.iter().sum())),
        _ => "time not known".to_owned(),
    };
    let each: Vec<String> = databases
        .iter()
        .map(|(name, takes)| {
            format!("{name} {}", takes.map_or_else(|| "not known".to_owned(), |t| duration::format(whole_minutes(t))))
        })
        .collect();
    let why = if known_all(&databases) { "" } else { "; `expected` in the fleet file tells it from a rehearsal" };
    let each = if each.is_empty() { String::new() } else { format!(" ({}{why})", each.join(", ")) };
    format!("Way back: {of} from backup, {whole}{each}.")
}

fn known_all(databases: &[(&str, Option<Duration>)]) -> bool {
    databases.iter().all(|(_, takes)| takes.is_some())
}

/// The databases with a backup, each with the time that backup and proof took: a restore takes no longer.
fn databases(plan: &Plan) -> Vec<(&str, Option<Duration>)> {
    let mut all: Vec<(&str, Option<Duration>)> = Vec::new();
    for (_, step) in plan.steps() {
        let Action::Backup(backup) = &step.action else { continue };
        let name = backup.database.name.as_str();
        // A backup made twice: the last one is the one that is restored.
        all.retain(|(known, _)| *known != name);
        all.push((name, expected(plan, step)));
    }
    all
}

fn whole_minutes(takes: Duration) -> Duration {
    Duration::from_secs(minutes(takes) * 60)
}

/// Begun minutes.
fn minutes(takes: Duration) -> u64 {
    takes.as_secs().div_ceil(60)
}

#[cfg(test)]
mod tests {
    use cavalcade_common::plan::Takes;
    use serde_json::json;

    use super::*;
    use crate::view::example_plan::plan;

    #[test]
    fn known_minutes_are_told_and_unknown_ones_are_not_guessed() {
        let mut plan = plan();
        let backup = |database: &str, step: &str| {
            let database = json!({ "name": database, "engine": "mysql", "host": "db", "port": 3306, "database": database, "user": "u",
                "password": "p", "scratch": "s" });
            serde_json::from_value(json!({
                "key": step, "host": "is-1.example.com", "name": format!("backup-{step}").replace(['.', '@'], "-"), "timeout": "4h",
                "action": { "backup": { "database": database, "to": "/backup" } },
            }))
            .unwrap_or_else(|e| panic!("{e}"))
        };
        assert_eq!(from_backup(&plan), "Way back: stage 3 from backup, time not known.");
        plan.stages[1].steps.extend([backup("am_db", "2.3@is-1"), backup("shared_db", "2.4@is-1")]);
        let unknown = from_backup(&plan);
        assert!(unknown.contains("time not known (am_db not known, shared_db not known; `expected`"), "{unknown}");
        plan.expected.insert("set-up-is.backup-2-3-is-1".to_owned(), Takes(Duration::from_secs(1170)));
        let half = from_backup(&plan);
        assert!(half.contains("time not known (am_db 20min, shared_db not known;"), "{half}");
        plan.expected.insert("set-up-is.backup-2-4-is-1".to_owned(), Takes(Duration::from_secs(290)));
        assert_eq!(from_backup(&plan), "Way back: stage 3 from backup, about 25 min (am_db 20min, shared_db 5min).");
    }
}
