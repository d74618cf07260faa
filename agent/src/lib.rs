//! The agent: does the work on one host.

pub mod action;
pub mod edit;
pub mod executor;
pub mod host;
pub mod ledger;
pub mod link;
pub mod logs;
