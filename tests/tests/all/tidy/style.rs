//! Sizes, forbidden words and habits.

use std::sync::LazyLock;

use regex::Regex;

use super::none;
use super::source::{SourceFile, files, item_end, sources, top};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

fn lines_of_code(code: &str) -> usize {
    code.lines().filter(|l| !l.trim().is_empty()).count()
}

#[test]
fn files_are_short() {
    let long = sources()
        .iter()
        .map(|f| (f, lines_of_code(&f.code)))
        .filter(|(_, lines)| *lines > FILE_LINES)
        .map(|(f, lines)| format!("{}: {lines} lines of code", f.path))
        .collect();
    none(long, "split these files by concept (at most 500 lines of code, tests beside it not counted):");
}

#[test]
fn functions_are_short() {
    let long = sources()
        .iter()
        .filter(|f| !f.is_test)
        .flat_map(|f| functions(f).filter(|(_, _, lines)| *lines > FUNCTION_LINES).map(move |found| (f, found)))
        .map(|(f, (name, at, lines))| format!("{} fn {name}: {lines} lines", f.at(at)))
        .collect();
    none(long, "split these functions (at most 70 lines):");
}

/// Name, offset and lines of each function that has a body.
fn functions(file: &SourceFile) -> impl Iterator<Item = (&str, usize, usize)> {
    static FUNCTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bfn (\w+)").expect("a pattern"));
    FUNCTION.captures_iter(&file.code).filter_map(|found| {
        let (whole, name) = (found.get(0)?, found.get(1)?);
        let body = &file.code[whole.start()..item_end(file.code.as_bytes(), whole.start())];
        body.ends_with('}').then(|| (name.as_str(), whole.start(), body.lines().count()))
    })
}

/// All places where a pattern stands in what `of` takes of each file.
fn places(pattern: &str, of: impl Fn(&SourceFile) -> &str) -> Vec<String> {
    let pattern = Regex::new(pattern).expect("a pattern");
    sources()
        .iter()
        .flat_map(|f| pattern.find_iter(of(f)).map(|m| format!("{} `{}`", f.at(m.start()), m.as_str())).collect::<Vec<_>>())
        .collect()
}

#[test]
fn select_is_biased() {
    let fair = Regex::new(r"select!\s*\{\s*(?P<first>\w*)").expect("a pattern");
    let mut all = 0;
    let findings = sources()
        .iter()
        .flat_map(|f| {
            fair.captures_iter(&f.masked)
                .map(|c| (f, c.get(0).map_or(0, |m| m.start()), c["first"].to_owned()))
                .collect::<Vec<_>>()
        })
        .inspect(|_| all += 1)
        .filter(|(_, _, first)| first != "biased")
        .map(|(f, at, _)| f.at(at))
        .collect();
    none(findings, "begin these `select!` with `biased;` and put the branches into the order that they need:");
    assert!(all > 5, "the test finds no `select!` any more");
}

#[test]
fn the_product_does_not_panic_on_purpose() {
    let panics = Regex::new(r"\.unwrap\(\)|\.expect\(|\bpanic!|\bunreachable!").expect("a pattern");
    let mut found = Vec::new();
    for file in sources() {
        let code = file.product();
        // What cannot fail may say so, for one item, with its reason.
        let reasoned: Vec<_> =
            code.match_indices("#[expect(clippy::expect_used").map(|(at, _)| at..item_end(code.as_bytes(), at)).collect();
        // A method of ours may be called `expect` too; the one that panics takes a text.
        let text = |at: usize| file.text[at..].trim_start().starts_with(['"', '&']);
        let found_here = panics.find_iter(code).filter(|m| m.as_str() != ".expect(" || text(m.end()));
        let bare = found_here.filter(|m| !reasoned.iter().any(|r| r.contains(&m.start())));
        found.extend(bare.map(|m| format!("{} `{}`", file.at(m.start()), m.as_str())));
    }
    none(found, "return a typed error here; a panic ends a whole agent or controller:");
}

#[test]
fn nothing_is_left_for_later() {
    let marks =
        format!(r"\b({}|{}|{})\b|\btodo!|\bunimplemented!|\bdbg!", concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"));
    none(
        places(&marks, |f| &f.text).into_iter().filter(|f| !f.starts_with("tests/tests/all/tidy/")).collect(),
        "do it, or say in the docs that it is not built:",
    );
}

#[test]
fn lints_are_expected_and_never_allowed() {
    none(places(r"\ballow\(", |f| &f.masked), "use #[expect(lint, reason = \"...\")]: it complains when it is no longer needed:");
}

#[test]
fn logic_never_iterates_in_hash_order() {
    let ordered = |f: &SourceFile| {
        ["controller/src/schedule", "controller/src/state", "controller/src/run/", "agent/src/executor/", "agent/src/ledger/"]
            .iter()
            .any(|p| f.path.starts_with(p))
    };
    let found = places(r"\bHash(Map|Set)\b", |f| if ordered(f) { &f.masked } else { "" });
    none(found, "use BTreeMap or BTreeSet: the same seed must give the same run:");
}

#[test]
fn every_error_code_is_used() {
    let declared = Regex::new(r"(?m)^\s+([A-Z][A-Z0-9_]+) = \d{4},").expect("a pattern");
    let codes: Vec<(&str, &str)> = sources()
        .iter()
        .filter_map(|f| Some((f, f.path.strip_prefix("common/src/codes/")?.strip_suffix(".rs")?)))
        .flat_map(|(f, area)| declared.captures_iter(&f.text).map(move |c| (area, c.get(1).map_or("", |m| m.as_str()))))
        .collect();
    assert!(codes.len() > 100, "the test finds no codes any more: {codes:?}");
    let users: Vec<&SourceFile> = sources().iter().filter(|f| !f.path.starts_with("common/src/codes/")).collect();
    let unused = codes
        .iter()
        .filter(|(_, name)| {
            let used = Regex::new(&format!(r"\b{name}\b")).expect("a pattern");
            !users.iter().any(|f| used.is_match(f.product()))
        })
        .map(|(area, name)| format!("codes::{area}::{name}"))
        .collect();
    none(unused, "nothing gives these codes: use them or take them out (their numbers are never given away again):");
}

#[test]
fn no_file_names_a_machine_or_a_tool_of_its_writers() {
    let words = [
        concat!(r"/wo", r"rk/"),
        concat!(r"[^.]/ro", r"ot/"),
        concat!(r"/Us", r"ers/\w"),
        concat!(r"(?i)\bcla", r"ude\b"),
        concat!(r"(?i)\banthro", r"pic\b"),
        concat!(r"(?i)\bchat", r"gpt\b"),
        concat!(r"(?i)\bcopi", r"lot\b"),
    ];
    let pattern = Regex::new(&words.join("|")).expect("a pattern");
    let mut read = 0;
    let mut found = Vec::new();
    for path in files() {
        let Ok(text) = std::fs::read_to_string(top().join(&path)) else { continue };
        read += 1;
        let lines = text.lines().enumerate().filter(|(_, l)| pattern.is_match(l));
        found.extend(lines.map(|(n, l)| format!("{}:{} {}", path.display(), n + 1, l.trim())));
    }
    assert!(read > 250, "the walk misses files: {read} read");
    none(found, "take these out; what is committed must mean something on every machine:");
}
