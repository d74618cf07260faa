//! Files of a home by digest, and how much is in a tree. Nothing is taken into memory whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cavalcade_common::id::Digest;
use rustix::fs::OFlags;

use crate::host::tree;

/// Largest file that is digested, in bytes.
const FILE_LIMIT: u64 = 16 << 30;
/// Most entries of a tree that are counted.
const ENTRY_LIMIT: u64 = 2_000_000;

/// How much is in a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Everything that was looked at.
    entries: u64,
}

/// Digest and size of the regular file that a path leads to, symlinks followed; `None` for a folder.
///
/// # Errors
/// Those of the file system; a link to nothing; a device, pipe or socket; a file above 16 GiB.
pub fn digest(path: &Path) -> io::Result<Option<(Digest, u64)>> {
    // Without O_NONBLOCK the opening of a pipe would wait for a writer for ever.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Ok(None);
    }
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither file nor folder nor symlink"));
    }
    if meta.len() > FILE_LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 GiB"));
    }
    tree::digest(&file).map(Some)
}

/// Digests of the files below a folder, by their paths below it. Symlinks are followed to files, not to folders.
///
/// # Errors
/// Those of the file system, and those of [`digest`].
pub fn digests(folder: &Path) -> io::Result<BTreeMap<String, Digest>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder).follow_root_links(true).min_depth(1) {
        let entry = entry.map_err(io::Error::from)?;
        if entry.file_type().is_dir() {
            continue;
        }
        let Some((digest, _)) = digest(entry.path())? else { continue };
        let below = entry.path().strip_prefix(folder).map_err(io::Error::other)?;
        found.insert(below.to_string_lossy().into_owned(), digest);
    }
    Ok(found)
}

/// Adds what is at and below a path. A symlink at the path itself is followed, those below it are not.
///
/// # Errors
/// Those of the file system; more than 2,000,000 entries in all.
pub fn measure(root: &Path, sum: &mut Measured) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(root).follow_root_links(true) {
        let entry = entry.map_err(io::Error::from)?;
        sum.entries += 1;
        if sum.entries > ENTRY_LIMIT {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 2,000,000 files and folders"));
        }
        let meta =
            if entry.depth() == 0 { std::fs::metadata(entry.path())? } else { entry.metadata().map_err(io::Error::from)? };
        if meta.is_file() {
            sum.files += 1;
            sum.bytes = sum.bytes.saturating_add(meta.len());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_to_files_and_trees_are_counted() {
        let dir = tempfile::tempdir().expect("temp dir");
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("t/a")).expect("makes");
        std::fs::write(at("t/a/1"), b"12345").expect("writes");
        std::fs::write(at("t/2"), b"1").expect("writes");
        std::os::unix::fs::symlink("a", at("t/loop")).expect("links");
        std::os::unix::fs::symlink("t", at("link")).expect("links");
        std::os::unix::fs::symlink("t/2", at("file")).expect("links");
        std::os::unix::fs::symlink("none", at("broken")).expect("links");
        assert_eq!(digest(&at("file")).expect("reads"), Some((Digest::of(b"1"), 1)));
        assert_eq!(digest(&at("t")).expect("reads"), None);
        assert_eq!(digest(&at("broken")).expect_err("leads nowhere").kind(), io::ErrorKind::NotFound);
        let in_tree = digests(&at("link")).expect("reads");
        let expected = [("2".to_owned(), Digest::of(b"1")), ("a/1".to_owned(), Digest::of(b"12345"))];
        assert_eq!(in_tree.into_iter().collect::<Vec<_>>(), expected, "the link to a folder is not walked");
        let mut sum = Measured::default();
        measure(&at("link"), &mut sum).expect("counts");
        measure(&at("file"), &mut sum).expect("counts");
        assert_eq!((sum.files, sum.bytes), (3, 7), "the link inside is not walked");
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().expect("temp dir");
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("makes");
        assert_eq!(digest(&pipe).expect_err("no file").kind(), io::ErrorKind::InvalidInput);
    }
}
