//! The seeded simulation and the tests of its checkers.

use cavalcade_tests::simulation::SeededBug;
use cavalcade_tests::simulation::run::simulate;

/// Seeds of one of two tests, which run side by side.
fn seeds(from: u64, to: u64) {
    let mut deaths = 0;
    for seed in from..to {
        let trace = simulate(seed, None).expect("the simulation is built");
        assert!(
            trace.violations.is_empty(),
            "seed {seed} (replay: cargo run -p cavalcade-tests --bin simulate -- --seed {seed}):\n{}",
            trace.violations.join("\n")
        );
        deaths += trace.deaths;
    }
    assert!(deaths > 100, "the simulation disturbed next to nothing: {deaths} deaths");
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

/// The first of some seeds in which a checker notices the bug.
fn caught(bug: SeededBug, promise: &str) {
    let noticed = (0..60).find(|seed| {
        let trace = simulate(*seed, Some(bug)).expect("the simulation is built");
        trace.violations.iter().any(|v| v.starts_with(promise))
    });
    assert!(noticed.is_some(), "{bug:?} went unseen in 60 seeds");
}

#[test]
fn a_dedupe_left_out_is_caught() {
    caught(SeededBug::DedupeLeftOut, "promise 1");
}

#[test]
fn a_resend_after_intent_is_caught() {
    caught(SeededBug::RedoAfterIntent, "promise 1");
}

#[test]
fn a_permit_left_out_is_caught() {
    caught(SeededBug::PermitLeftOut, "promise 3");
}
