//! The agent: does the work on one host.
pub mod action;
pub mod artifact_cache;
pub mod database;
pub mod edit;
pub mod executor;
pub mod facts;
pub mod host;
pub mod ledger;
pub mod link;
pub mod logs;
pub mod preview;
