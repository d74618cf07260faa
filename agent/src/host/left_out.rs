//! What a copy of a tree leaves out, by its path below the tree's root.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::host::glob::Glob;

/// What stays out of a tree: what a glob covers or a name names, with everything in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    rule: Arc<Rule>,
    /// Where the tree lies below the folder that the rule is about.
    at: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Rule {
    globs: Vec<Glob>,
    names: BTreeSet<String>,
}

impl LeftOut {
    /// By globs, and by names in which no character is a wildcard.
    #[must_use]
    pub fn new(globs: Vec<Glob>, names: BTreeSet<String>) -> Self {
        Self { rule: Arc::new(Rule { globs, names }), at: String::new() }
    }

    /// The same for a tree inside this one.
    #[must_use]
    pub fn inside(&self, path: &str) -> Self {
        Self { rule: Arc::clone(&self.rule), at: self.full(path) }
    }

    /// Whether a path stays out, by itself or with a folder above it.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let full = self.full(path);
        let mut above = full.match_indices('/').map(|(end, _)| &full[..end]).chain([full.as_str()]);
        above.any(|path| self.rule.names.contains(path)) || self.rule.globs.iter().any(|glob| glob.covers(&full))
    }

    fn full(&self, path: &str) -> String {
        match (self.at.as_str(), path) {
            ("", path) => path.to_owned(),
            (at, "") => at.to_owned(),
            (at, path) => format!("{at}/{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_glob_and_stands_for_what_is_in_it() {
        let names = ["apps/shop", "a*"].map(str::to_owned);
        let out = LeftOut::new(vec![Glob::relative("logs/*.log").expect("a glob")], names.into());
        for path in ["apps/shop", "apps/shop/index.jag", "a*", "logs/x.log"] {
            assert!(out.covers(path), "{path}");
        }
        for path in ["", "apps", "apps/shop-2", "apps/sho", "ab", "logs/x.txt", "shop"] {
            assert!(!out.covers(path), "{path}");
        }
        let inside = out.inside("apps");
        assert!(inside.covers("shop/index.jag") && inside.inside("shop").covers("index.jag"));
        assert!(!inside.covers("apps/shop") && !inside.covers("logs/x.log"));
    }
}
