//! The controller's listeners: agents, enrolment, operators.

pub mod access;
pub mod agents;
pub mod client;
pub mod connections;
pub mod data;
pub mod enrolment;
pub mod listen;
pub mod method;
pub mod operator;
pub mod tls;
