//! The tests of the whole, in one binary.

mod agent;
mod bad_input;
mod canary;
mod fleet;
mod recipe_files;
mod simulation;
mod standin;
mod standin_migration;
mod tidy;
mod step_run;
