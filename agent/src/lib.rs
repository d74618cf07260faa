//! The agent: does the work on one host.

pub mod action;
pub mod answers;
pub mod artifact_cache;
pub mod check;
pub mod controller_chunks;
pub mod daemon;
pub mod database;
pub mod edit;
pub mod executor;
pub mod facts;
pub mod follow;
pub mod host;
pub mod ledger;
pub mod link;
pub mod logs;
pub mod preview;
pub mod probe;
pub mod ready;
pub mod shim;
pub mod started;
pub mod step_run;
