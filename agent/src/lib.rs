//! The agent: does the work on one host.

pub mod action;
pub mod host;
pub mod link;
