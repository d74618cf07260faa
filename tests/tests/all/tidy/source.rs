//! The sources as text: with comments and literals blanked out, and without what only tests compile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;
use walkdir::WalkDir;

/// One Rust file.
pub(super) struct SourceFile {
    /// Path from the top of the repository, with `/`.
    pub(super) path: String,
    /// As it stands there.
    pub(super) text: String,
    /// The same lines, comments and the insides of literals blank.
    pub(super) masked: String,
    /// The same, items of tests blank too.
    pub(super) code: String,
    /// Whether the whole file is compiled for tests alone.
    pub(super) is_test: bool,
}

impl SourceFile {
    /// The member of the workspace that the file belongs to.
    pub(super) fn member(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// What of the file is in the product: nothing of tests.
    pub(super) fn product(&self) -> &str {
        if self.is_test || self.member() == "tests" { "" } else { &self.code }
    }

    /// `path:line` of a byte offset.
    pub(super) fn at(&self, offset: usize) -> String {
        format!("{}:{}", self.path, 1 + self.text.as_bytes()[..offset].iter().filter(|b| **b == b'\n').count())
    }
}

/// The top of the repository.
pub(super) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the member lies in the workspace")
}

/// All files that belong to the repository, as paths from its top.
pub(super) fn files() -> Vec<PathBuf> {
    let left_out = |name: &str| matches!(name, "target" | ".git" | ".demo" | ".cargo");
    WalkDir::new(top())
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|e| !left_out(&e.file_name().to_string_lossy()))
        .map(|e| e.expect("the sources can be read"))
        .filter(|e| e.file_type().is_file())
        .map(|e| e.path().strip_prefix(top()).expect("is below the top").to_owned())
        .collect()
}

/// All Rust files of the workspace.
pub(super) fn sources() -> &'static [SourceFile] {
    static SOURCES: LazyLock<Vec<SourceFile>> = LazyLock::new(|| {
        let mut sources: Vec<SourceFile> = files()
            .into_iter()
            .filter(|p| p.extension().is_some_and(|e| e == "rs"))
            .map(|p| {
                let text = fs::read_to_string(top().join(&p)).expect("a source is UTF-8");
                let masked = masked(&text);
                let code = without_tests(&masked);
                SourceFile { path: p.to_string_lossy().into_owned(), text, masked, code, is_test: false }
            })
            .collect();
        assert!(sources.len() > 200, "the walk misses sources: {} found", sources.len());
        let tests: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
        for file in &mut sources {
            let of_member = file.path.split('/').nth(1).is_some_and(|folder| matches!(folder, "tests" | "benches"));
            file.is_test =
                of_member || tests.iter().any(|t| file.path == format!("{t}.rs") || file.path.starts_with(&format!("{t}/")));
        }
        sources
    });
    &SOURCES
}

/// Paths, without `.rs`, of modules that a file declares for tests alone.
fn test_modules(file: &SourceFile) -> Vec<String> {
    static DECLARED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"#\[cfg\(test\)\]\s*(#\[path = (?P<path>[^\]]*)\]\s*)?(pub(\([a-z]+\))? )?mod (?P<name>\w+);")
            .expect("a pattern")
    });
    let (folder, stem) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let own = match stem {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        other => format!("{folder}/{}", other.trim_end_matches(".rs")),
    };
    DECLARED
        .captures_iter(&file.masked)
        .map(|found| match found.name("path") {
            Some(path) => format!("{folder}/{}", file.text[path.range()].trim_matches('"').trim_end_matches(".rs")),
            None => format!("{own}/{}", &found["name"]),
        })
        .collect()
}

/// Blanks comments and the insides of literals. Line ends stay.
fn masked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match literal_or_comment(bytes, at) {
            Some(end) => end,
            None => {
                at += 1;
                continue;
            }
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("only whole literals and comments were blanked")
}

/// End of the literal or comment that begins here.
fn literal_or_comment(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let find = |from: usize, what: &[u8]| {
        rest[from..].windows(what.len()).position(|w| w == what).map_or(bytes.len(), |n| at + from + n)
    };
    if rest.starts_with(b"//") {
        return Some(find(2, b"\n"));
    }
    if rest.starts_with(b"/*") {
        return Some((find(2, b"*/") + 2).min(bytes.len()));
    }
    let inside_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest[0] == b'r' && !(inside_word && bytes[at - 1] != b'b') {
        let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
            return Some((find(2 + hashes, &close) + close.len()).min(bytes.len()));
        }
    }
    match rest[0] {
        b'"' => Some(at + quoted(rest, b'"')),
        // A lifetime has no second quote right behind its first character.
        b'\'' if rest.get(1) == Some(&b'\\') => Some(at + quoted(rest, b'\'')),
        b'\'' => {
            let width = match rest.get(1)? {
                b if *b < 0x80 => 1,
                b if *b < 0xE0 => 2,
                b if *b < 0xF0 => 3,
                _ => 4,
            };
            (rest.get(1 + width) == Some(&b'\'')).then_some(at + width + 2)
        }
        _ => None,
    }
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut n = 1;
    while n < rest.len() && rest[n] != quote {
        n += if rest[n] == b'\\' { 2 } else { 1 };
    }
    (n + 1).min(rest.len())
}

/// Blanks items that stand behind `#[cfg(test)]`.
fn without_tests(masked: &str) -> String {
    let mut out = masked.as_bytes().to_vec();
    for (at, mark) in masked.match_indices("#[cfg(test)]") {
        let end = item_end(masked.as_bytes(), at + mark.len());
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(out).expect("only whole items were blanked")
}

/// End of the item that begins here, attributes before it included: its semicolon or its closing brace.
pub(super) fn item_end(code: &[u8], from: usize) -> usize {
    let (mut braces, mut others) = (0_i32, 0_i32);
    for (n, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 && others == 0 {
                    return n + 1;
                }
            }
            b'(' | b'[' => others += 1,
            b')' | b']' => others -= 1,
            b';' if braces == 0 && others == 0 => return n + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn literals_comments_and_tests_are_blanked() {
    let text = "fn a() { \"}\"; '{'; b'\\''; r#\"\"}\"#; } // }\nfn b<'a>(x: [u8; 2]) -> &'a str { }\n#[cfg(test)]\nmod t { fn c() {} }\nfn d() {}";
    let code = without_tests(&masked(text));
    assert_eq!(code.len(), text.len());
    assert!(!code.contains('"') && !code.contains("fn c") && code.ends_with("fn d() {}"), "{code}");
    assert_eq!(code.matches('{').count(), 3);
    assert_eq!(code.matches('}').count(), 3);
    assert!(code.contains("fn b<'a>(x: [u8; 2]) -> &'a str"));
}
