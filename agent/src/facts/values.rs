//! Values found in files of the old home by a pattern.

use std::path::Path;

use cavalcade_common::facts::ValueWanted;
use regex::Regex;

use crate::host::Host;
use crate::host::glob::Glob;

/// Longest value that is told, in bytes.
const LONGEST: usize = 4 << 10;

/// The first group of the first match; `otherwise` where file or match is missing.
///
/// # Errors
/// A file outside the home, a pattern that is none, a file that cannot be read, a value that is too long.
pub(super) fn find(host: &dyn Host, home: &Path, wanted: &ValueWanted) -> Result<Option<String>, String> {
    Glob::relative(&wanted.file).map_err(|e| e.to_string())?;
    let pattern = Regex::new(&wanted.pattern).map_err(|e| format!("the pattern is not valid: {e}"))?;
    let bytes = host.read(&home.join(&wanted.file)).map_err(|e| e.to_string())?;
    let text = bytes.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    let found = pattern.captures(&text).and_then(|c| c.get(1).or_else(|| c.get(0))).map(|m| m.as_str());
    if found.is_some_and(|value| value.len() > LONGEST) {
        return Err(format!("what the pattern finds is longer than {LONGEST} bytes"));
    }
    Ok(found.map(str::to_owned).or_else(|| wanted.otherwise.clone()))
}
