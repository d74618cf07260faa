//! The tests of the whole, in one binary.

mod simulation;
mod standin;
mod standin_migration;
mod step_run;
