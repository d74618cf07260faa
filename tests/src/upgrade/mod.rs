//! A whole fleet of stand-ins, its controller and its agents, as processes of this machine: what the demo and the
//! end-to-end tests run on.

pub mod extent;
pub mod layout;
pub mod process;
pub mod site;
