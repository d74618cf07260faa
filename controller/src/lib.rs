//! The controller: holds the ordered plan, journals every intent before it is sent, and drives the agents.

#[cfg(test)]
mod disk_faults;

pub mod artifact;
pub mod ca;
pub mod cli;
pub mod daemon;
pub mod event;
pub mod fleet;
pub mod journal;
mod json_schema;
pub mod logs;
pub mod operate;
pub mod pack;
pub mod plan_file;
pub mod preflight;
pub mod recipe;
pub mod resolve;
pub mod rpc;
pub mod run;
pub mod schedule;
pub mod session;
pub mod state;
pub mod token;
pub mod vault;
pub mod view;
