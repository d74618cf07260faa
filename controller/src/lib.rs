//! The controller: holds the ordered plan, journals every intent before it is sent, and drives the agents.

pub mod fleet;
pub mod plan_file;
pub mod recipe;
pub mod resolve;
