//! What a person reads before an approval: what is approved, the evidence for it, and the time that an undo takes. Pure.

use cavalcade_common::plan::{PlanStage, Undo};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::backup::{BackupStatus, backups, took};
use super::report::local;
use super::text::wrap;
use crate::state::RunState;

/// An approval that a stage wants, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalStatus {
    /// Whose word is needed.
    pub by: String,
    /// What is approved.
    pub says: String,
    /// Who gave it, and what they said.
    pub given: Option<String>,
    /// The backups that the stage's way back rests on.
    pub backups: Vec<BackupStatus>,
    /// How the stage is undone.
    pub undo: Undo,
    /// What the restores of all backups took when they were proved, in seconds; `None`: not all of them are known.
    pub undo_seconds: Option<u64>,
}

/// The approval of a stage, where it wants one.
pub(super) fn approval(run: &RunState, stage: &PlanStage) -> Option<ApprovalStatus> {
    let wanted = stage.approval.as_ref()?;
    let backups = match stage.undo {
        Undo::Backup => backups(&run.plan.plan, stage.number, |step| run.step(&step.key)?.outcome.as_deref()),
        Undo::Nothing | Undo::StartAgain | Undo::Files => Vec::new(),
    };
    let took: Option<Vec<u64>> = backups.iter().map(|b| b.restore_seconds).collect();
    Some(ApprovalStatus {
        by: wanted.by.clone(),
        says: wanted.says.clone(),
        given: run.approvals.get(&stage.number).map(|g| format!("{} at {}: {}", g.by, super::report::instant(g.at), g.says)),
        undo: stage.undo,
        undo_seconds: took.filter(|all| !all.is_empty()).map(|all| all.iter().sum()),
        backups,
    })
}

/// The lines for a person who is to give it.
#[must_use]
pub fn lines(approval: &ApprovalStatus, width: usize, zone: &TimeZone) -> String {
    let line = |word: &str, text: &str| wrap(text, width, &format!("  {word:<8} "), "           ");
    let mut out = line("approves", &approval.says);
    for (at, backup) in approval.backups.iter().enumerate() {
        out.push_str(&line(if at == 0 { "backup" } else { "" }, &backup.said(|at| local(at, zone))));
    }
    let undo = match approval.undo {
        Undo::Nothing => "nothing to undo".to_owned(),
        Undo::StartAgain => "the old servers start again".to_owned(),
        Undo::Files => "files come back from their kept copies".to_owned(),
        Undo::Backup => match approval.undo_seconds {
            Some(0) => format!("from backup, {} as measured by the proofs", took(0)),
            Some(seconds) => format!("from backup, about {} as measured by the proofs", took(seconds)),
            None => "from backup, time not known: not every restore was measured".to_owned(),
        },
    };
    out + &line("undo", &undo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example::opened;

    fn approval() -> ApprovalStatus {
        let backup = |database: &str, restore_seconds| BackupStatus {
            database: database.to_owned(),
            step: "2.1@is-1".to_owned(),
            proved_at: Some(opened()),
            counted: Some("214 tables, 1048576 rows".to_owned()),
            restore_seconds,
        };
        ApprovalStatus {
            by: "dba".to_owned(),
            says: "The backups are proved; the schema of AM_DB changes from here on.".to_owned(),
            given: None,
            backups: vec![backup("am_db", Some(95)), backup("shared_db", Some(40))],
            undo: Undo::Backup,
            undo_seconds: Some(135),
        }
    }

    #[test]
    fn it_looks_like_this() {
        let text = lines(&approval(), 79, &TimeZone::UTC);
        insta::assert_snapshot!(text);
        assert!(text.lines().all(|l| l.len() < 80), "{text}");
    }

    #[test]
    fn what_nobody_measured_is_not_guessed() {
        let mut approval = approval();
        (approval.undo_seconds, approval.backups[1].proved_at) = (None, None);
        let text = lines(&approval, 200, &TimeZone::UTC);
        assert!(text.contains("time not known") && text.contains("shared_db is not proved yet (step 2.1@is-1)"), "{text}");
    }
}
