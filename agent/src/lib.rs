//! The agent: does the work on one host.

pub mod edit;
