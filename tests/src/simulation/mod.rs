//! The seeded simulation: the real scheduler, run loop, session, link, executor and actions, in virtual time, over a
//! machine, a network and a journal of memory that crash, lose, delay and double as the seed says.
//!
//! One seed gives one trace: a single thread, tokio's paused clock, no map without an order, one generator of randomness.
//! After each seed [`check`] reads the witness (what the machines did), the journal and the end of the run.

pub mod check;
pub mod fleet;
pub mod host;
pub mod machine;
pub mod network;
pub mod run;

/// A bug put in on purpose, to see that the checkers catch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeededBug {
    /// The agent starts an attempt for every offer of it.
    DedupeLeftOut,
    /// The agent begins again what it finds with an INTENT and no outcome.
    RedoAfterIntent,
    /// The agent launches without asking for a permit.
    PermitLeftOut,
}
