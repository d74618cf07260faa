//! Pages point to what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::none;
use super::source::{files, sources, top};

fn pages() -> Vec<(PathBuf, String)> {
    let pages: Vec<_> = files()
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "md"))
        .map(|p| (p.clone(), fs::read_to_string(top().join(p)).expect("a page is UTF-8")))
        .collect();
    assert!(pages.len() > 5, "the walk misses pages");
    pages
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_of_pages_resolve() {
    let link = Regex::new(r"\]\((?P<to>[^)\s]+)\)").expect("a pattern");
    let mut broken = Vec::new();
    for (page, text) in pages() {
        for to in link.captures_iter(&text).map(|c| c["to"].to_owned()).filter(|to| !to.contains("://")) {
            let (file, part) = to.split_once('#').unwrap_or((&to, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap_or(Path::new("")).join(file) };
            let Ok(found) = fs::metadata(top().join(&target)) else {
                broken.push(format!("{}: {to}", page.display()));
                continue;
            };
            if !part.is_empty() && found.is_file() {
                let there = fs::read_to_string(top().join(&target)).unwrap_or_default();
                let anchors: BTreeSet<String> =
                    there.lines().filter(|l| l.starts_with('#')).map(|l| anchor(l.trim_start_matches('#'))).collect();
                if !anchors.contains(part) {
                    broken.push(format!("{}: {to} (no such heading)", page.display()));
                }
            }
        }
    }
    none(broken, "these links lead nowhere:");
}

#[test]
fn paths_that_pages_name_exist() {
    let named = Regex::new(r"`((?:agent|common|controller|deploy|docs|proto|tests|\.ci)/[\w./-]+)`").expect("a pattern");
    let mut missing = Vec::new();
    for (page, text) in pages() {
        let paths = named.captures_iter(&text).map(|c| c[1].to_owned());
        missing.extend(paths.filter(|p| !top().join(p).exists()).map(|p| format!("{}: {p}", page.display())));
    }
    none(missing, "these pages name files that are not there:");
}

#[test]
fn pages_that_sources_name_exist() {
    let named = Regex::new(r"\bdocs/[\w/-]+\.md\b").expect("a pattern");
    let missing = sources()
        .iter()
        .flat_map(|f| named.find_iter(&f.text).map(move |m| (f, m)))
        .filter(|(_, m)| !top().join(m.as_str()).exists())
        .map(|(f, m)| format!("{} {}", f.at(m.start()), m.as_str()))
        .collect();
    none(missing, "these sources name pages that are not there:");
}
