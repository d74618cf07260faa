//! Errors of files, globs and archives as people meet them.

use std::io;
use std::path::Path;

use cavalcade_common::codes::{artifact, files};
use cavalcade_common::error::Fault;

use crate::host::archive::ArchiveError;
use crate::host::glob::GlobError;
use crate::host::place::PlaceError;

/// A file that cannot be read, written or the like (`doing`).
pub(super) fn access(path: &Path, doing: &str, error: &io::Error) -> Fault {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => files::NO_SPACE,
        _ => files::FILE_ACCESS,
    };
    Fault::new(code, format!("{} cannot be {doing}: {error}", path.display()))
}

pub(super) fn glob(error: &GlobError) -> Fault {
    Fault::new(files::BAD_PATH, error.to_string())
}

pub(super) fn place(path: &Path, error: &PlaceError) -> Fault {
    match error {
        PlaceError::Io(error) => access(path, "written", error),
        PlaceError::Digest(_) => Fault::new(artifact::PLACED_DIGEST, format!("{}: {error}", path.display())),
    }
}

pub(crate) fn archive(name: &str, error: &ArchiveError) -> Fault {
    let code = match error {
        ArchiveError::Io { source, .. } => {
            let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let code = if full { files::NO_SPACE } else { files::FILE_ACCESS };
            return Fault::new(code, format!("the archive {name}: {error}: {source}"));
        }
        ArchiveError::Unknown | ArchiveError::Truncated | ArchiveError::Damaged(_) => files::ARCHIVE_DAMAGED,
        ArchiveError::Encrypted { .. } | ArchiveError::Compression { .. } => files::ARCHIVE_ENCRYPTED,
        ArchiveError::Refused { .. } | ArchiveError::Overlap => files::ARCHIVE_REFUSED,
        ArchiveError::TooManyEntries | ArchiveError::TooLarge { .. } | ArchiveError::Bomb { .. } => files::ARCHIVE_TOO_LARGE,
    };
    Fault::new(code, format!("the archive {name} is refused: {error}"))
}

/// A number of bytes in the largest unit that keeps it above one, with one decimal: `4.1 MB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `1 file`, `2 files`.
pub(super) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let shown: Vec<String> = [0, 999, 1000, 4_123_456, 999_999, 1_500_000_000, u64::MAX].map(size).into();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "4.1 MB", "999.9 kB", "1.5 GB", "18446744.0 TB"]);
    }
}
