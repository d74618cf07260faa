//! What operators ask and what they get: one set of types for the controller's answers and for the commands that ask.

mod apply;
mod ask;
pub mod handler;
mod logs;
mod report;
pub mod request;
pub mod verb;
mod verify;
