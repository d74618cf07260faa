//! What one check saw, node by node.

use cavalcade_common::finding::{Finding, Severity};
use cavalcade_common::template::Reads;
use serde_json::Value;

/// What to do where a check could not look.
const UNSEEN: &str = "the agent does not tell it, or could not read it: see facts-readable, and look there yourself";

/// What a check saw.
#[derive(Debug)]
pub(super) struct Looks<'a> {
    severity: Severity,
    remedy: &'a str,
    ok: usize,
    found: Vec<Found>,
    read: Vec<(String, Reads)>,
}

#[derive(Debug)]
struct Found {
    severity: Severity,
    node: Option<String>,
    found: String,
    remedy: Option<String>,
}

impl<'a> Looks<'a> {
    pub(super) fn new(severity: Severity, remedy: &'a str) -> Self {
        Self { severity, remedy, ok: 0, found: Vec::new(), read: Vec::new() }
    }
    pub(super) fn good(&self) -> usize {
        self.ok
    }
    pub(super) fn ok(&mut self) {
        self.ok += 1;
    }
    pub(super) fn find(&mut self, node: impl ToString, found: impl Into<String>) {
        self.note(Some(node.to_string()), found, None);
    }
    /// Notes that a fact is missing.
    pub(super) fn unseen(&mut self, node: impl ToString, fact: impl Into<String>) {
        let (node, found, remedy) = (Some(node.to_string()), fact.into(), Some(UNSEEN.to_owned()));
        self.found.push(Found { severity: Severity::Unseen, node, found, remedy });
    }
    /// Notes something. Without a remedy of its own the check's counts; without a node it is about the fleet.
    pub(super) fn note(&mut self, node: Option<String>, found: impl Into<String>, remedy: Option<String>) {
        self.found.push(Found { severity: self.severity, node, found: found.into(), remedy });
    }
    /// Notes what was read where something was found.
    pub(super) fn read(&mut self, node: impl ToString, reads: Reads) {
        self.read.push((node.to_string(), reads));
    }
    /// What was read where something was found.
    pub(super) fn take_read(&mut self) -> Vec<(String, Reads)> {
        std::mem::take(&mut self.read)
    }
    /// Counts a look that went well, or notes what it found.
    pub(super) fn expect(&mut self, holds: bool, node: impl ToString, found: impl FnOnce() -> String) {
        if holds { self.ok() } else { self.find(node, found()) }
    }
    /// A fact; one that is missing or null is noted as not looked at.
    pub(super) fn see<'v>(&mut self, node: impl ToString, facts: &'v Value, path: &str) -> Option<&'v Value> {
        let found = facts.pointer(path).filter(|value| !value.is_null());
        if found.is_none() {
            self.unseen(node, format!("facts{}", path.replace('/', ".")));
        }
        found
    }
    /// The same, for a fact that is true or false.
    pub(super) fn see_truth(&mut self, node: impl ToString, facts: &Value, path: &str) -> Option<bool> {
        self.see(node, facts, path).and_then(Value::as_bool)
    }
    /// The same, for a text.
    pub(super) fn see_text<'v>(&mut self, node: impl ToString, facts: &'v Value, path: &str) -> Option<&'v str> {
        self.see(node, facts, path).and_then(Value::as_str)
    }
    /// The same, for a list.
    pub(super) fn see_list<'v>(&mut self, node: impl ToString, facts: &'v Value, path: &str) -> Option<&'v [Value]> {
        self.see(node, facts, path).and_then(Value::as_array).map(Vec::as_slice)
    }

    /// One finding over many nodes once.
    pub(super) fn into_findings(self, check: &str, area: &str) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for Found { severity, node, found, remedy } in self.found {
            let remedy = remedy.unwrap_or_else(|| self.remedy.to_owned());
            let same = |f: &&mut Finding| f.severity == severity && f.found == found && f.remedy == remedy;
            if let Some(finding) = findings.iter_mut().find(same) {
                finding.nodes.extend(node.filter(|n| !finding.nodes.contains(n)));
                continue;
            }
            let (check, area) = (check.to_owned(), area.to_owned());
            findings.push(Finding { check, area, severity, nodes: node.into_iter().collect(), found, remedy });
        }
        findings.sort_by_key(|f| f.severity);
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_finding_over_many_nodes_is_one() {
        let mut looks = Looks::new(Severity::Error, "look");
        looks.unseen("c", "facts.x");
        for node in ["a", "b", "a"] {
            looks.find(node, "there is no /opt");
        }
        let found = looks.into_findings("old-home", "homes");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].severity, found[0].nodes.join(" ")), (Severity::Error, "a b".to_owned()));
    }

    #[test]
    fn what_is_missing_is_never_good() {
        let facts = serde_json::json!({ "a": { "b": null, "c": true } });
        let mut looks = Looks::new(Severity::Error, "look");
        assert_eq!(looks.see_truth("n", &facts, "/a/b"), None);
        assert_eq!(looks.see_text("n", &facts, "/x"), None);
        assert_eq!(looks.see_truth("n", &facts, "/a/c"), Some(true));
        assert_eq!(looks.good(), 0);
        let found = looks.into_findings("x", "y");
        let told: Vec<(Severity, &str)> = found.iter().map(|f| (f.severity, f.found.as_str())).collect();
        assert_eq!(told, [(Severity::Unseen, "facts.a.b"), (Severity::Unseen, "facts.x")]);
    }
}
