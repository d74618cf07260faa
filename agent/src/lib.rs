//! The agent: does the work on one host.

pub mod action;
pub mod executor;
pub mod host;
pub mod ledger;
pub mod link;
