//! The seeded simulation: the real scheduler, run loop, session, link, executor and actions, in virtual time, over
//! machines, databases, a network and a journal of memory that crash, lose, delay and double as the seed says, with
//! persons who say what persons say at night.
//!
//! One seed gives one trace: a single thread, tokio's paused clock, no map without an order, one generator of randomness.
//! After each seed [`check`] reads the witness (what the machines did), the journal and the end of the run.

mod bug;
pub mod check;
pub mod database;
pub mod fleet;
pub mod host;
pub mod machine;
pub mod network;
mod parts;
mod person;
pub mod run;
mod storm;
mod watch;
mod whim;

pub use bug::SeededBug;
