//! Tests across the crates.

#[cfg(test)]
mod link;
