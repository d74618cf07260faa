//! The tests of the whole, in one binary.
#![expect(clippy::expect_used, reason = "helpers of tests fail the test")]

mod fleet;
mod recipe_files;
mod simulation;
mod standin;
mod standin_migration;
