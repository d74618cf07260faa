//! The tests of the whole, in one binary.

mod recipe_files;
mod agent;
mod bad_input;
mod canary;
mod simulation;
mod standin;
mod standin_migration;
mod tidy;
