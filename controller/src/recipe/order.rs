//! The order of stages: each after those that it names, else after the one above it.

use std::collections::BTreeSet;

use cavalcade_common::id::StageId;

use super::Stage;

/// Stages with the ids before them, sorted; ties go by the order of the file.
///
/// # Errors
/// The stages that wait for each other.
pub fn order(stages: &[Stage]) -> Result<Vec<(&Stage, Vec<&StageId>)>, Vec<&Stage>> {
    let mut waiting: Vec<(&Stage, Vec<&StageId>)> = Vec::new();
    for (i, stage) in stages.iter().enumerate() {
        let before = match &stage.after {
            Some(after) => after.iter().map(|(id, _)| id).collect(),
            None => i.checked_sub(1).and_then(|p| stages.get(p)).map(|p| &p.id).into_iter().collect(),
        };
        waiting.push((stage, before));
    }
    let mut done: BTreeSet<&StageId> = BTreeSet::new();
    let mut sorted = Vec::new();
    while !waiting.is_empty() {
        let Some(next) = waiting.iter().position(|(_, before)| before.iter().all(|b| done.contains(*b))) else {
            return Err(waiting.into_iter().map(|(stage, _)| stage).collect());
        };
        let (stage, before) = waiting.remove(next);
        done.insert(&stage.id);
        sorted.push((stage, before));
    }
    Ok(sorted)
}
