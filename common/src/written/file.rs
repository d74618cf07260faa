//! Files from disk, never more of them than the reader takes.

use std::io::Read as _;
use std::path::Path;

use super::MAX_BYTES;
use crate::codes::written as codes;
use crate::error::{Fault, Faults, Place};

/// Reads a file that a person wrote; at most one byte more than [`MAX_BYTES`], so that the reader can tell.
///
/// # Errors
/// One fault that names the file.
pub fn read_limited(path: &Path) -> Result<Vec<u8>, Faults> {
    let shown = path.display().to_string();
    let refuse = |why: String| {
        let place = Place { file: shown.clone(), line: 0, column: 0, length: 0 };
        Faults::from(Fault::new(codes::UNREADABLE, why).at(place))
    };
    let meta = std::fs::metadata(path).map_err(|e| refuse(format!("the file {shown} cannot be read: {e}")))?;
    if !meta.is_file() {
        return Err(refuse(format!("{shown} is no regular file")));
    }
    let file = std::fs::File::open(path).map_err(|e| refuse(format!("the file {shown} cannot be read: {e}")))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|e| refuse(format!("the file {shown} cannot be read: {e}")))?;
    Ok(bytes)
}
