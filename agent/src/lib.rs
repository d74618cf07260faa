//! The agent: does the work on one host.

pub mod action;
pub mod follow;
pub mod host;
pub mod probe;
pub mod ready;
pub mod shim;
