//! A change of a file as it is told: hidden, redacted, cut.

use std::path::Path;

use cavalcade_common::report::FileDiff;
use cavalcade_common::secret::SecretBook;

use crate::action::fs_fault;
use crate::edit::{self, SecretPattern};

/// Longest diff that is told, in bytes: a report has to fit into a message.
const DIFF_LIMIT: usize = 64 << 10;

/// The diff of two contents, with the values of keys that `hide` names and all secrets hidden.
pub(super) fn diff(path: &Path, old: &[u8], new: &[u8], hide: &[String], secrets: &SecretBook) -> FileDiff {
    let path = path.display().to_string();
    let patterns: Result<Vec<SecretPattern>, _> = hide.iter().map(|p| SecretPattern::new(p)).collect();
    let Ok(patterns) = patterns else {
        // Rather no diff than one that shows a secret.
        let note = "changed; not shown, since a pattern of `hide` is not valid".to_owned();
        return FileDiff { path, diff: String::new(), note };
    };
    let mut diff = secrets.redact(&edit::diff(old, new, &patterns).to_string());
    let mut note = String::new();
    if diff.len() > DIFF_LIMIT {
        let end = diff[..diff.floor_char_boundary(DIFF_LIMIT)].rfind('\n').map_or(0, |at| at + 1);
        note = format!("the diff is cut, {} of it are left out", fs_fault::size((diff.len() - end) as u64));
        diff.truncate(end);
    }
    FileDiff { path, diff, note }
}
