//! What the house keeps to: who imports whom, where the machine is touched, sizes, forbidden words, links that resolve.
//!
//! These tests read the sources as text. They are approximate on purpose: a rule that needs a compiler belongs to the lints.

mod coverage;
mod fixtures;
mod layers;
mod pages;
mod source;
mod style;

/// Fails with all findings and what to do about them.
fn none(findings: Vec<String>, todo: &str) {
    assert!(findings.is_empty(), "{todo}\n  {}", findings.join("\n  "));
}
