//! The tests of the whole, in one binary.
#![expect(clippy::expect_used, reason = "helpers of tests fail the test")]

mod fleet;
mod simulation;
mod standin;
mod standin_migration;
