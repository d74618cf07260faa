//! Real configuration files for tests. They are not part of the project: tests that need them say so and pass without.

use std::path::{Path, PathBuf};

/// One file of the folder that `CAVALCADE_WSO2_FIXTURES` names, by default `../shared/fixtures/wso2` beside the
/// workspace. `None`, and a line that says so, where it is absent.
pub(crate) fn wso2(name: &str) -> Option<Vec<u8>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = match std::env::var_os("CAVALCADE_WSO2_FIXTURES") {
        Some(folder) => PathBuf::from(folder),
        None => workspace.join("../shared/fixtures/wso2"),
    };
    let file = folder.join(name);
    match std::fs::read(&file) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            println!("not run: {}: {error}", file.display());
            None
        }
    }
}

/// Lines that went and lines that came, without line ends, in order.
pub(crate) fn changes(before: &[u8], after: &[u8]) -> (Vec<String>, Vec<String>) {
    let diff = super::diff(before, after, &[]);
    let of = |kind| {
        let lines = diff.hunks.iter().flat_map(|h| &h.lines);
        lines.filter(|l| l.kind == kind).map(|l| l.text.clone()).collect()
    };
    (of(super::LineKind::Removed), of(super::LineKind::Added))
}
