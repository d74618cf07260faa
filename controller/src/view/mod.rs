//! What operators see: documents made from the run loop's snapshot, and their forms on screens and in files.

pub mod document;
