//! The controller: holds the ordered plan and drives the agents.

pub mod ca;
pub mod rpc;
pub mod token;
