//! The tests of the whole, in one binary.
#![expect(clippy::expect_used, reason = "helpers of tests fail the test")]

mod simulation;
mod standin;
mod standin_migration;
mod tidy;
