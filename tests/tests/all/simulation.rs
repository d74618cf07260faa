//! The seeded simulation and the tests of its checkers.

use std::collections::BTreeMap;

use cavalcade_tests::simulation::SeededBug;
use cavalcade_tests::simulation::run::simulate;

/// What some seeds together have to show, or they disturbed next to nothing.
const SHOWN: [&str; 8] = [
    "deaths of agents",
    "deaths of controllers",
    "Pause taken",
    "StopJob taken",
    "Restore taken",
    "Resolve taken",
    "superseded",
    "seeds done",
];

/// Seeds of one of two tests, which run side by side.
fn seeds(from: u64, to: u64) {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for seed in from..to {
        let trace = simulate(seed, None).expect("the simulation is built");
        assert!(
            trace.violations.is_empty(),
            "seed {seed} (replay: cargo run -p cavalcade-tests --bin simulate -- --seed {seed}):\n{}",
            trace.violations.join("\n")
        );
        for (what, n) in trace.counts {
            *counts.entry(what).or_default() += n;
        }
    }
    for what in SHOWN {
        assert!(counts.contains_key(what), "{what}: never in these seeds: {counts:?}");
    }
}

#[test]
fn seeds_0_to_49_keep_the_promises() {
    seeds(0, 50);
}

#[test]
fn seeds_50_to_99_keep_the_promises() {
    seeds(50, 100);
}

#[test]
fn one_seed_gives_one_trace() {
    for seed in [3, 17] {
        let first = simulate(seed, None).expect("the simulation is built");
        let second = simulate(seed, None).expect("the simulation is built");
        assert_eq!(first, second, "seed {seed} gave two traces");
    }
}

/// Some seed shows the bug to the checker that is there for it.
fn caught(bug: SeededBug, by: &str) {
    let noticed = (0..60).find(|seed| {
        let trace = simulate(*seed, Some(bug)).expect("the simulation is built");
        trace.violations.iter().any(|v| v.starts_with(by))
    });
    assert!(noticed.is_some(), "{bug:?} went unseen in 60 seeds");
}

macro_rules! caught {
    ($($test:ident: $bug:ident, $by:literal;)*) => {
        $(
            #[test]
            fn $test() {
                caught(SeededBug::$bug, $by);
            }
        )*
    };
}

caught! {
    a_dedupe_left_out_is_caught: DedupeLeftOut, "promise 1";
    a_resend_after_intent_is_caught: RedoAfterIntent, "promise 1";
    a_permit_left_out_is_caught: PermitLeftOut, "promise 3";
    an_unknown_end_that_counts_as_success_is_caught: UnknownIsSuccess, "promise 4";
    a_restart_that_ends_its_jobs_is_caught: RestartEndsChildren, "promise 7";
    a_cancel_that_waits_for_nothing_is_caught: CancelWaitsForNothing, "rule 5";
    a_cancel_that_takes_nothing_back_is_caught: CancelTakesNothingBack, "cancel";
    a_run_superseded_before_it_drained_is_caught: SupersededUndrained, "rule 5";
    a_report_taken_twice_is_caught: ReportTakenTwice, "promise 5";
    an_ack_before_the_journal_is_caught: AckBeforeJournal, "promise 5";
    a_verb_of_an_old_screen_is_caught: StaleVerbTaken, "rule 19";
    a_kept_incarnation_is_caught: IncarnationKept, "rule 23";
}
