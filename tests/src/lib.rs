//! Tests of the whole, and the stand-ins that they run against.

pub mod standin;
