//! How long the work took that a maintenance window looks at: `expected` for the fleet file of the next night. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::duration;
use cavalcade_common::report::Ending;

use crate::operate::request::ReportAnswer;
use crate::schedule::never_interrupted;

/// The mapping as YAML, to be put into a fleet file; each step as long as the slowest of its nodes, in whole seconds.
#[must_use]
pub fn expected(answer: &ReportAnswer) -> String {
    let mut slowest: BTreeMap<String, Duration> = BTreeMap::new();
    for (stage, step) in answer.plan.steps().filter(|(_, s)| never_interrupted(&s.action)) {
        let ended = answer.outcomes.get(&step.key.to_string()).filter(|o| o.ending == Ending::Succeeded);
        let Some(took) = ended.and_then(|o| Duration::try_from(o.ended.duration_since(o.began)).ok()) else { continue };
        let whole = Duration::from_secs(took.as_secs() + u64::from(took.subsec_nanos() > 0));
        if let Some(name) = stage.names_of(step).next() {
            let longest = slowest.entry(name).or_default();
            *longest = whole.max(*longest);
        }
    }
    if slowest.is_empty() {
        return "expected: {}\n".to_owned();
    }
    let lines = slowest.iter().map(|(name, took)| format!("  {name}: {}\n", duration::format(*took)));
    std::iter::once("expected:\n".to_owned()).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use cavalcade_common::report::Outcome;
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::view::{example, example_plan};

    fn outcome(ending: Ending, took: SignedDuration) -> Outcome {
        let began = Timestamp::UNIX_EPOCH;
        Outcome::bare(ending, true, began, began + took)
    }

    fn of(outcomes: &[(&str, Outcome)]) -> String {
        expected(&ReportAnswer {
            run: example::done(example::opened()).runs.remove(0),
            plan: Box::new(example_plan::plan()),
            outcomes: outcomes.iter().map(|(key, outcome)| ((*key).to_owned(), outcome.clone())).collect(),
            decisions: Vec::new(),
            waived: Vec::new(),
            superseded: Vec::new(),
            log_ranges: BTreeMap::new(),
            excerpts: BTreeMap::new(),
        })
    }

    #[test]
    fn what_is_never_interrupted_and_succeeded_is_told_in_whole_seconds() {
        let took = SignedDuration::from_millis(3_600_001);
        let shown = of(&[
            ("3.1@is-1", outcome(Ending::Succeeded, took)),
            ("2.1@is-1", outcome(Ending::Succeeded, SignedDuration::from_secs(9))),
        ]);
        assert_eq!(shown, "expected:\n  migrate-is.migrate: 1h1s\n");
        assert_eq!(of(&[("3.1@is-1", outcome(Ending::Failed, took))]), "expected: {}\n");
    }
}
