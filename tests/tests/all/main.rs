//! The tests of the whole, in one binary.

#![expect(clippy::expect_used, reason = "a failed helper fails its test")]

mod agent;
mod bad_input;
mod canary;
mod conditions;
mod demo;
mod facts_changed;
mod foreign_session;
mod identity_server_first;
mod job_survives;
mod kill;
mod known_facts;
mod oddities;
mod policy;
mod recipe_files;
#[cfg(feature = "simulation")]
mod simulation;
mod standin;
mod standin_conditions;
mod standin_migration;
mod step_run;
mod tidy;
mod user_stores;
mod verify;
mod ways_out;
mod windows_service;

use std::path::Path;

use cavalcade_tests::upgrade::site::{Programs, Site, Wanted};

/// A site on the programs of this build.
fn site(wanted: &Wanted) -> Site {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_standin-java"))).expect("the programs are built");
    Site::new(programs, wanted).expect("the site stands")
}
