//! Tests on the vendor's own files, which are no part of the repository: `tests/lib/fixture_tests.txt` names each of them, and
//! `tests/run` says where they do not run.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;

use super::none;
use super::source::{sources, top};

/// What a file says that reads them.
const READS: [&str; 2] = ["CAVALCADE_WSO2_FIXTURES", "fixture::{changes, wso2}"];

#[test]
fn tests_on_the_vendors_files_are_listed_by_name() {
    let list = fs::read_to_string(top().join("tests/lib/fixture_tests.txt")).expect("the list is there");
    let listed: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    let test = Regex::new(r"#\[(?:tokio::)?test[^\]]*\]\s+(?:async )?fn ([a-z0-9_]+)").expect("a pattern");
    let mut found = BTreeSet::new();
    for file in sources().iter().filter(|f| READS.iter().any(|read| f.text.contains(read))) {
        let path = file.path.trim_end_matches(".rs");
        found.extend(test.captures_iter(&file.masked).map(|c| format!("{path}::{}", &c[1])));
    }
    // This file speaks of them too.
    found.retain(|name| !name.starts_with("tests/tests/all/tidy/"));
    assert!(found.len() > 15, "{found:?}");
    none(found.difference(&listed).cloned().collect(), "tests/lib/fixture_tests.txt lacks:");
    none(listed.difference(&found).cloned().collect(), "tests/lib/fixture_tests.txt names what is no such test:");
}
