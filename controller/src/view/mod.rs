//! What operators see: documents made from the run loop's snapshot, and their forms on screens and in files.

pub mod document;
pub mod ending;
#[cfg(test)]
pub(crate) mod example;
pub mod lines;
pub mod person;
pub mod screen;
pub mod text;
