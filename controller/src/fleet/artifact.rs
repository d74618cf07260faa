//! Artifacts pinned: every file read once, its digest compared with the one in the fleet file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cavalcade_common::action::ArtifactRef;
use cavalcade_common::codes::{artifact as artifact_codes, written as codes};
use cavalcade_common::error::Faults;
use cavalcade_common::id::Digest;
use cavalcade_common::written::Reader;
use sha2::Digest as _;

use super::Fleet;

/// Reads every artifact file of the fleet. `folder` is the folder of the fleet file. This reads gigabytes: call it where
/// blocking is allowed.
///
/// # Errors
/// A fault for every file that is missing, unreadable, empty, or not what was pinned.
pub fn pin(fleet: &Fleet, folder: &Path) -> Result<BTreeMap<String, ArtifactRef>, Faults> {
    let mut r = Reader::new(&fleet.file);
    let mut pinned = BTreeMap::new();
    for (name, artifact) in &fleet.artifacts {
        let path = folder.join(&artifact.file);
        let (sha256, size) = match digest(&path) {
            Ok(found) => found,
            Err(e) => {
                let message = format!("the file of the artifact `{name}` cannot be read: {}: {e}", path.display());
                r.fault(codes::UNREADABLE, artifact.mark, message);
                continue;
            }
        };
        match &artifact.sha256 {
            Some(wanted) if *wanted != sha256 => {
                let message = format!("{} has another digest than the fleet file says", artifact.file);
                r.fault_with(artifact_codes::ARTIFACT_DIGEST, artifact.sha256_mark, message, Some(format!("it has {sha256}")));
            }
            _ => {}
        }
        let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        pinned.insert(name.clone(), ArtifactRef { name: name.clone(), sha256, size, file });
    }
    r.into_faults().into_result(pinned)
}

/// Longest text that is looked at: scripts are far shorter.
const MAX_TEXT: u64 = 16 << 20;

/// What every artifact holds: the names of the entries of a zip or a JAR, the statements of a script (what a `;` ends, with
/// one blank for all white space). An artifact that is neither is missing.
#[must_use]
pub fn contents(fleet: &Fleet, folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let entries = |path: &Path| {
        let archive = zip::ZipArchive::new(std::fs::File::open(path).ok()?).ok()?;
        Some(archive.file_names().filter_map(|name| name.ok().map(|n| n.into_owned())).collect())
    };
    let held = |path: &Path| entries(path).or_else(|| statements(path));
    fleet.artifacts.iter().filter_map(|(name, a)| Some((name.clone(), held(&folder.join(&a.file))?))).collect()
}

fn statements(path: &Path) -> Option<BTreeSet<String>> {
    if std::fs::metadata(path).ok()?.len() > MAX_TEXT {
        return None;
    }
    let text = String::from_utf8(std::fs::read(path).ok()?).ok()?;
    let one = |statement: &str| statement.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(text.split(';').map(one).filter(|statement| !statement.is_empty()).collect())
}

fn digest(path: &Path) -> std::io::Result<(Digest, u64)> {
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    digest_of(file)
}

/// Digest and number of all bytes that are left to read.
pub(crate) fn digest_of(mut from: impl std::io::Read) -> std::io::Result<(Digest, u64)> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    let mut size: u64 = 0;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size += u64::try_from(read).unwrap_or(0);
    }
    Ok((Digest::from_hasher(hasher), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_holds_its_statements_and_a_file_of_bytes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.sql");
        std::fs::write(&file, "CREATE TABLE T (\n  A INT,\n\tVHOST TEXT\n);\n\nDROP TABLE U;\n").expect("is written");
        let held = statements(&file).expect("is a text");
        assert_eq!(held.into_iter().collect::<Vec<_>>(), ["CREATE TABLE T ( A INT, VHOST TEXT )", "DROP TABLE U"]);
        std::fs::write(&file, b"\xff\x00").expect("is written");
        assert_eq!(statements(&file), None);
    }
}
