//! What is known of the backups of a run: which database, proved when and with which counts, how long a restore took. Pure.

use std::time::Duration;

use cavalcade_common::action::Action;
use cavalcade_common::plan::{Plan, PlanStep};
use cavalcade_common::report::{Ending, Outcome, RESTORE_TOOK, RESTORED_ONCE};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The backup of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupStatus {
    /// The database.
    pub database: String,
    /// The step that makes it.
    pub step: String,
    /// When it was proved by a restore; `None`: not yet.
    pub proved_at: Option<Timestamp>,
    /// What the proof counted (`12 tables, 4711 rows`).
    pub counted: Option<String>,
    /// How long that restore took, in seconds.
    pub restore_seconds: Option<u64>,
}

impl BackupStatus {
    /// What it says of itself, for reports.
    #[must_use]
    pub fn text(&self) -> String {
        self.said(super::report::instant)
    }

    /// What it says of itself, for people, with its instant in their form.
    pub(super) fn said(&self, instant: impl Fn(Timestamp) -> String) -> String {
        let Some(at) = self.proved_at else { return format!("{} is not proved yet (step {})", self.database, self.step) };
        let mut text = format!("{} proved {} by a restore", self.database, instant(at));
        if let Some(counted) = &self.counted {
            text.push_str(&format!(", {counted}"));
        }
        if let Some(seconds) = self.restore_seconds {
            text.push_str(&format!(", which took {}", took(seconds)));
        }
        text
    }
}

/// How long something took that is measured in whole seconds.
pub(super) fn took(seconds: u64) -> String {
    match seconds {
        0 => "less than a second".to_owned(),
        seconds => cavalcade_common::duration::format(Duration::from_secs(seconds)),
    }
}

/// The backups that a plan makes in the stages before this one, each database's last one, in the order of the plan.
pub(super) fn backups<'o>(plan: &Plan, before: u32, outcome: impl Fn(&PlanStep) -> Option<&'o Outcome>) -> Vec<BackupStatus> {
    let mut all: Vec<BackupStatus> = Vec::new();
    for (_, step) in plan.steps().filter(|(stage, _)| stage.number < before) {
        let Action::Backup(backup) = &step.action else { continue };
        let proved = outcome(step).filter(|o| o.ending == Ending::Succeeded);
        let found = |what: &str| proved?.evidence.iter().find(|e| e.what == what).map(|e| e.found.clone());
        let name = &backup.database.name;
        all.retain(|b| &b.database != name);
        all.push(BackupStatus {
            database: name.clone(),
            step: step.key.to_string(),
            proved_at: proved.map(|o| o.ended),
            counted: found(RESTORED_ONCE),
            restore_seconds: found(RESTORE_TOOK).and_then(|text| text.strip_suffix(" s")?.parse().ok()),
        });
    }
    all
}
