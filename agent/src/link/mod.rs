//! The agent's side of the link: enrolment, the control stream, logs and artifacts.

mod trust;

pub mod data;
pub mod dial;
pub mod enrol;
pub mod identity;
pub mod session;
