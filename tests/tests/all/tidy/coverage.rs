//! `docs/coverage.md`: every row of the guide and every known trap has something that covers it and a test that proves it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use cavalcade_controller::{preflight, recipe};
use regex::Regex;

use super::none;
use super::source::{sources, top};

/// The recipe that the page is about.
const RECIPE: &str = "wso2-is-km-5.10.0-to-5.11.0";
/// Rows of the guide: letter and the last number.
const ROWS: [(&str, u32); 5] = [("P", 5), ("A", 5), ("B", 6), ("C", 15), ("D", 17)];
/// Traps: section of the field notes and how many it has.
const TRAPS: [(u32, u32); 5] = [(1, 7), (2, 13), (3, 3), (4, 7), (5, 17)];

/// A line of the page: what stands in backticks in its last two columns.
struct Line {
    covers: Vec<String>,
    tests: Vec<String>,
}

fn page() -> BTreeMap<String, Line> {
    let text = fs::read_to_string(top().join("docs/coverage.md")).expect("the page is there");
    let quoted = Regex::new("`([^`]+)`").expect("a pattern");
    let named = |cell: &str| quoted.captures_iter(cell).map(|c| c[1].to_owned()).collect::<Vec<_>>();
    let id = Regex::new(r"^([PABCD]\d+|\d+\.\d+)$").expect("a pattern");
    let mut lines = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
        let [row, _, covers, tests] = cells.as_slice() else { continue };
        if id.is_match(row) {
            let twice = lines.insert((*row).to_owned(), Line { covers: named(covers), tests: named(tests) });
            assert!(twice.is_none(), "{row} stands twice");
        }
    }
    lines
}

fn wanted() -> BTreeSet<String> {
    let rows = ROWS.iter().flat_map(|(letter, last)| (1..=*last).map(move |n| format!("{letter}{n}")));
    let traps = TRAPS.iter().flat_map(|(section, last)| (1..=*last).map(move |n| format!("{section}.{n}")));
    rows.chain(traps).collect()
}

/// Steps of the recipe as `stage/step`, with their rows.
fn steps() -> BTreeMap<String, Option<String>> {
    let (name, text) = recipe::BUILT_IN.iter().find(|(name, _)| *name == RECIPE).expect("is built in");
    let recipe = recipe::read(text.as_bytes(), name).expect("has no faults");
    let of_stage = |stage: &recipe::Stage| {
        let id = stage.id.clone();
        stage.steps.iter().map(move |s| (format!("{id}/{}", s.name), s.row.clone())).collect::<Vec<_>>()
    };
    recipe.stages.iter().flat_map(of_stage).collect()
}

#[test]
fn every_row_and_every_trap_has_its_line_and_no_other_has_one() {
    let page: BTreeSet<String> = page().into_keys().collect();
    let wanted = wanted();
    let missing: Vec<String> = wanted.difference(&page).cloned().collect();
    none(missing, "docs/coverage.md has no line for these:");
    let strange: Vec<String> = page.difference(&wanted).cloned().collect();
    none(strange, "these lines of docs/coverage.md are of no row and no trap:");
}

#[test]
fn every_line_names_what_covers_it_and_what_proves_it() {
    let checks: BTreeSet<String> = preflight::explained().into_iter().map(|c| c.check).collect();
    let steps = steps();
    let mut findings = Vec::new();
    for (row, line) in page() {
        if line.covers.is_empty() || line.tests.is_empty() {
            findings.push(format!("{row}: nothing covers it, or nothing proves it"));
        }
        for cover in &line.covers {
            let path = ["agent/", "common/", "controller/"].iter().any(|member| cover.starts_with(member));
            let known = if path { top().join(cover).is_file() } else { checks.contains(cover) || steps.contains_key(cover) };
            if !known {
                findings.push(format!("{row}: there is no step, check or file {cover}"));
            }
            // A row of the guide is covered by its own steps; the settings rows share one of theirs.
            let of_row = steps.get(cover).and_then(Option::as_deref);
            if row.starts_with(['A', 'B', 'C', 'D']) && row != "C4" && of_row.is_some_and(|of| of != row) && !shared(&row, cover)
            {
                findings.push(format!("{row}: the step {cover} is of the row {of_row:?}"));
            }
        }
    }
    none(findings, "docs/coverage.md names what is not there:");
}

/// Steps that cover a second row: the proof of D10 is what D11 may begin after.
fn shared(row: &str, step: &str) -> bool {
    matches!((row, step), ("D11", "am-schema/migrated-apis"))
}

#[test]
fn every_step_with_a_row_stands_on_the_page() {
    let page = page();
    let missing = steps().into_iter().filter_map(|(step, row)| {
        let row = row?;
        // One step of a kind speaks for its like: a row needs all kinds, not all names.
        page.get(&row).is_none_or(|line| line.covers.is_empty()).then(|| format!("{row}: {step}"))
    });
    none(missing.collect(), "these steps have a row that docs/coverage.md does not cover:");
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let mut known = BTreeSet::new();
    let declared = Regex::new(r"\bfn\s+([a-z0-9_]+)").expect("a pattern");
    for file in sources() {
        // Tests, and what tests of the whole are made of.
        if file.is_test || file.member() == "tests" || file.text.contains("#[cfg(test)]") {
            known.extend(declared.captures_iter(&file.masked).map(|c| c[1].to_owned()));
        }
    }
    let named = page().into_iter().flat_map(|(row, line)| line.tests.into_iter().map(move |test| (row.clone(), test)));
    let missing = named.filter(|(_, test)| !known.contains(test)).map(|(row, test)| format!("{row}: {test}"));
    none(missing.collect(), "docs/coverage.md names tests that are not there:");
}
