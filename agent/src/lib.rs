//! The agent: runs steps on its host.
pub mod database;
