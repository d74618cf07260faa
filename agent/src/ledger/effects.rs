//! Effects that must happen at most once: which starts of them this ledger holds, and which of them counts (10, rule 1).
//!
//! A controller's run puts the incarnations of the databases behind a key (`KEY am_db@...`); a person's `step run` knows
//! none, and a run knows some of them only later. What a key does not name counts as any: else the same effect would start
//! once under each form of its key.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::id::{AttemptId, EffectKey};
use cavalcade_common::report::Ending;

/// One start of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectState {
    /// The attempt that started it.
    pub attempt: AttemptId,
    /// How it ended, if it did.
    pub ending: Option<Ending>,
    /// Number of its INTENT in this ledger: what tells "since".
    began: u64,
}

/// All starts that count, and the restores between them.
#[derive(Debug, Default)]
pub struct Effects {
    /// Starts of each key, in their order. One that was proved not begun is none: the start before it counts again.
    starts: BTreeMap<EffectKey, Vec<EffectState>>,
    /// INTENT of the last restore of each database that succeeded.
    restores: BTreeMap<String, u64>,
    /// How many INTENTs were written.
    intents: u64,
}

impl Effects {
    /// Takes an INTENT in, with the effect that it starts. Its number.
    pub(super) fn intended(&mut self, attempt: &AttemptId, key: Option<EffectKey>) -> u64 {
        self.intents += 1;
        if let Some(key) = key {
            let start = EffectState { attempt: attempt.clone(), ending: None, began: self.intents };
            self.starts.entry(key).or_default().push(start);
        }
        self.intents
    }

    /// Takes the end of an attempt in.
    pub(super) fn ended(&mut self, attempt: &AttemptId, ending: Ending) {
        // By the attempt and not by its key: a later offer of the same attempt may name more incarnations.
        for start in self.starts.values_mut().flatten().filter(|start| start.attempt == *attempt) {
            start.ending = Some(ending);
        }
    }

    /// Takes in that an attempt never began.
    pub(super) fn abandoned(&mut self, attempt: &AttemptId) {
        self.starts.retain(|_, starts| {
            starts.retain(|start| start.attempt != *attempt);
            !starts.is_empty()
        });
    }

    /// Takes in that a database was restored, by the attempt with this INTENT.
    pub(super) fn restored(&mut self, database: &str, began: u64) {
        let last = self.restores.entry(database.to_owned()).or_default();
        *last = began.max(*last);
    }

    /// The start that stands in the way of another one of this key: the last that counts for it.
    #[must_use]
    pub fn earlier(&self, key: &EffectKey) -> Option<(&EffectKey, &EffectState)> {
        let wanted = Parts::of(key);
        let counts = |known: &EffectKey, start: &EffectState| {
            let known = Parts::of(known);
            let unnamed = wanted.named_by_one(&known);
            unnamed.is_empty() || unnamed.iter().any(|database| !self.restored_since(database, start))
        };
        self.same(key).filter(|(known, start)| counts(known, start)).max_by_key(|(_, start)| start.began)
    }

    /// Whether this effect was ever started, restored since or not.
    #[must_use]
    pub fn is_known(&self, key: &EffectKey) -> bool {
        self.same(key).next().is_some()
    }

    /// Whether this agent restored a database after a start: its restore began and ended since.
    #[must_use]
    pub fn restored_since(&self, database: &str, start: &EffectState) -> bool {
        self.restores.get(database).is_some_and(|began| *began > start.began)
    }

    /// The last start of every key that means the same effect, as far as both name incarnations.
    fn same<'s>(&'s self, key: &EffectKey) -> impl Iterator<Item = (&'s EffectKey, &'s EffectState)> {
        let wanted = Parts::of(key);
        self.starts
            .iter()
            .filter(move |(known, _)| wanted.fits(&Parts::of(known)))
            .filter_map(|(known, starts)| Some((known, starts.last()?)))
    }
}

/// A key taken apart: what was planned, and the incarnations that the run put behind it.
struct Parts {
    planned: String,
    incarnations: BTreeMap<String, String>,
}

impl Parts {
    fn of(key: &EffectKey) -> Self {
        let mut planned = key.0.as_str();
        let mut incarnations = BTreeMap::new();
        while let Some((before, last)) = planned.rsplit_once(' ')
            && let Some((database, incarnation)) = last.split_once('@')
        {
            incarnations.insert(database.to_owned(), incarnation.to_owned());
            planned = before;
        }
        Self { planned: planned.to_owned(), incarnations }
    }

    /// Whether no database is named by both with another incarnation.
    fn fits(&self, other: &Self) -> bool {
        let agrees =
            |(database, incarnation): (&String, &String)| other.incarnations.get(database).is_none_or(|o| o == incarnation);
        self.planned == other.planned && self.incarnations.iter().all(agrees)
    }

    /// Databases whose incarnation only one of the two names.
    fn named_by_one<'p>(&'p self, other: &'p Self) -> BTreeSet<&'p str> {
        let names = |parts: &'p Self| parts.incarnations.keys().map(String::as_str).collect::<BTreeSet<_>>();
        names(self).symmetric_difference(&names(other)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use cavalcade_common::id::RunId;

    use super::*;

    fn attempt(run: &str) -> AttemptId {
        AttemptId { run: RunId::new(run).unwrap(), step: "1.1@is-1".parse().unwrap(), number: 1 }
    }

    fn key(text: &str) -> EffectKey {
        EffectKey(text.to_owned())
    }

    /// The run that stands in the way.
    fn earlier(effects: &Effects, text: &str) -> Option<String> {
        effects.earlier(&key(text)).map(|(_, start)| start.attempt.run.to_string())
    }

    fn started(run: &str, text: &str) -> Effects {
        let mut effects = Effects::default();
        effects.intended(&attempt(run), Some(key(text)));
        effects
    }

    #[test]
    fn a_bare_key_counts_for_every_incarnation_and_the_other_way_round() {
        let by_hand = started("hand", "is|home:h:/opt/is");
        for named in ["is|home:h:/opt/is", "is|home:h:/opt/is am_db@1", "is|home:h:/opt/is am_db@2 shared_db@7"] {
            assert_eq!(earlier(&by_hand, named).as_deref(), Some("hand"), "{named}");
        }
        assert_eq!(earlier(&by_hand, "is|home:h:/opt/is-2 am_db@1"), None, "another home");

        let of_run = started("run", "is am_db@1");
        assert_eq!(earlier(&of_run, "is").as_deref(), Some("run"));
        assert_eq!(earlier(&of_run, "is am_db@1 shared_db@7").as_deref(), Some("run"), "learned later");
        assert_eq!(earlier(&of_run, "is am_db@2"), None, "a restored database is another one");
    }

    #[test]
    fn a_restore_between_makes_another_effect_of_an_unnamed_incarnation() {
        let mut effects = started("hand", "is");
        let before = effects.intended(&attempt("restore-1"), None);
        effects.intended(&attempt("run"), Some(key("other")));
        effects.restored("am_db", before);
        assert_eq!(earlier(&effects, "is am_db@2"), None);
        assert_eq!(earlier(&effects, "is am_db@2 shared_db@7").as_deref(), Some("hand"), "the other one was not restored");
        assert_eq!(earlier(&effects, "is").as_deref(), Some("hand"), "the very same key needs a person's word");
        assert!(effects.is_known(&key("is am_db@2")));

        // A restore that began before the start says nothing of what the start left.
        let mut effects = Effects::default();
        let before = effects.intended(&attempt("restore-1"), None);
        effects.intended(&attempt("run"), Some(key("is am_db@1")));
        effects.restored("am_db", before);
        assert_eq!(earlier(&effects, "is").as_deref(), Some("run"));
    }

    #[test]
    fn the_last_start_counts_and_one_that_never_began_is_none() {
        let mut effects = started("first", "is am_db@1");
        effects.ended(&attempt("first"), Ending::Failed);
        effects.intended(&attempt("second"), Some(key("is am_db@1")));
        assert_eq!(earlier(&effects, "is am_db@1").as_deref(), Some("second"));
        effects.abandoned(&attempt("second"));
        let (_, start) = effects.earlier(&key("is am_db@1")).unwrap();
        assert_eq!((start.attempt.run.as_str(), start.ending), ("first", Some(Ending::Failed)));
        effects.abandoned(&attempt("first"));
        assert_eq!(earlier(&effects, "is am_db@1"), None);
    }
}
