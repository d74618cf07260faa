//! Who began which effect (10, rule 1). Kept over all runs: a new plan, an agent with a new ledger or a run that was
//! cancelled does not begin unasked what was begun before.

use std::collections::BTreeMap;

use cavalcade_common::id::{AttemptId, EffectKey};

/// Attempts that began an effect, or must be feared to have, by the effect's whole key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    begun: BTreeMap<EffectKey, Vec<AttemptId>>,
}

impl Effects {
    /// The attempt that began it last.
    #[must_use]
    pub fn holder(&self, key: &EffectKey) -> Option<&AttemptId> {
        self.begun.get(key).and_then(|attempts| attempts.last())
    }

    pub(super) fn began(&mut self, key: EffectKey, attempt: &AttemptId) {
        let attempts = self.begun.entry(key).or_default();
        if attempts.last() != Some(attempt) {
            attempts.push(attempt.clone());
        }
    }

    /// It was proved that this attempt began nothing: the one before it, if any, holds its effect again.
    pub(super) fn abandoned(&mut self, attempt: &AttemptId) {
        for attempts in self.begun.values_mut() {
            attempts.retain(|a| a != attempt);
        }
        self.begun.retain(|_, attempts| !attempts.is_empty());
    }
}
