//! The tests of the whole, in one binary.

mod fleet;
mod simulation;
mod standin;
mod standin_migration;
