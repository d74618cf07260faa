//! The link to the controller.

pub mod session;
