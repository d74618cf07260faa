//! The agent's side of the link: enrolment, the control stream, logs and artifacts.

pub mod data;
pub mod dial;
pub mod enrol;
pub mod identity;
mod trust;
