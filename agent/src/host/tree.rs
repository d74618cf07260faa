//! Trees of files: what is in them by digest, copies, renames that replace nothing.
//!
//! A "tree" may be a single file or symlink too. Symlinks are taken as links, never followed. Devices, pipes and sockets
//! are refused by name.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cavalcade_common::id::Digest;
use rustix::fs::{CWD, OFlags, RenameFlags};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::host::files;
use crate::host::left_out::LeftOut;
use crate::host::owner::Owner;

/// One thing of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Node {
    /// A file.
    File {
        /// Size in bytes.
        size: u64,
        /// Permission bits.
        mode: u32,
        /// Digest of its content.
        sha256: Digest,
    },
    /// A folder.
    Folder {
        /// Permission bits.
        mode: u32,
    },
    /// A symlink.
    Symlink {
        /// Its target as written.
        target: String,
    },
}

impl Node {
    /// Whether content and kind are the same; permission bits may differ.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { sha256: a, .. }, Self::File { sha256: b, .. }) => a == b,
            (Self::Folder { .. }, Self::Folder { .. }) => true,
            (Self::Symlink { target: a }, Self::Symlink { target: b }) => a == b,
            (Self::File { .. } | Self::Folder { .. } | Self::Symlink { .. }, _) => false,
        }
    }
}

/// What is in a tree, by path below its root with `/` between the parts. The root itself has the path "" where it is
/// listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest(BTreeMap<String, Node>);

impl Manifest {
    /// Notes one thing.
    pub fn insert(&mut self, path: &str, node: Node) {
        self.0.insert(path.to_owned(), node);
    }

    /// One thing.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.0.get(path)
    }

    /// All things in the order of their paths: a folder before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Number of files, and their bytes.
    #[must_use]
    pub fn files(&self) -> (u64, u64) {
        sum(self.0.values())
    }

    /// Number of files in one of its folders, at any depth, and their bytes.
    #[must_use]
    pub fn files_in(&self, folder: &str) -> (u64, u64) {
        let inside = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let there = self.0.range(inside.clone()..).take_while(|(path, _)| path.starts_with(&inside));
        sum(there.map(|(_, node)| node))
    }

    /// What is in a tree now, root included.
    ///
    /// # Errors
    /// Those of the file system; a device, pipe or socket; a name that is no UTF-8.
    pub fn of(root: &Path, left_out: &LeftOut) -> io::Result<Self> {
        let mut manifest = Self::default();
        for found in walk(root, left_out) {
            let (path, at) = found?;
            manifest.0.insert(path, node(&at)?);
        }
        Ok(manifest)
    }

    /// Paths of this manifest that are missing below `root` or differ in kind or content. What is there beyond the
    /// manifest does not matter.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn differences(&self, root: &Path) -> io::Result<Vec<String>> {
        let mut differ = Vec::new();
        for (path, wanted) in &self.0 {
            let same = match node(&below(root, path)) {
                Ok(found) => found.same_content(wanted),
                Err(e) if absent(&e) || e.kind() == io::ErrorKind::InvalidInput => false,
                Err(e) => return Err(e),
            };
            if !same {
                differ.push(path.clone());
            }
        }
        Ok(differ)
    }
}

fn sum<'n>(nodes: impl Iterator<Item = &'n Node>) -> (u64, u64) {
    nodes.fold((0, 0), |(count, bytes), node| match node {
        Node::File { size, .. } => (count + 1, bytes + size),
        Node::Folder { .. } | Node::Symlink { .. } => (count, bytes),
    })
}

/// `root` joined with a manifest's path.
#[must_use]
pub fn below(root: &Path, path: &str) -> PathBuf {
    if path.is_empty() { root.to_path_buf() } else { root.join(path) }
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Metadata of what is at a path, of a symlink the link's own; `None` where nothing is.
///
/// # Errors
/// Those of the file system.
pub fn at(path: &Path) -> io::Result<Option<Metadata>> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(e) if absent(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The thing at a path.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::InvalidInput`] for a device, pipe or socket.
pub fn node(path: &Path) -> io::Result<Node> {
    let meta = std::fs::symlink_metadata(path)?;
    let mode = meta.permissions().mode() & 0o777;
    if meta.is_symlink() {
        let target = std::fs::read_link(path)?.into_os_string().into_string();
        return target.map(|target| Node::Symlink { target }).map_err(|_| no_utf8(path));
    }
    if meta.is_dir() {
        return Ok(Node::Folder { mode });
    }
    if !meta.is_file() {
        let text = format!("{} is neither file nor folder nor symlink", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let (sha256, size) = digest(&open(path)?)?;
    Ok(Node::File { size, mode, sha256 })
}

/// Digest and size of a file's content.
///
/// # Errors
/// Those of the file system.
pub fn digest(mut file: &File) -> io::Result<(Digest, u64)> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0_u64;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((Digest::from_hasher(hasher), size)),
            Ok(len) => {
                hasher.update(&buffer[..len]);
                size += len as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Opens a file for reading, never through a symlink and never waiting for a pipe's writer.
///
/// # Errors
/// Those of the file system.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    File::options().read(true).custom_flags(flags).open(path)
}

fn no_utf8(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} is or holds a name that is no UTF-8", path.display()))
}

/// Everything of a tree that is not left out, sorted, root first with the path "".
fn walk(root: &Path, left_out: &LeftOut) -> impl Iterator<Item = io::Result<(String, PathBuf)>> {
    let relative = move |entry: &walkdir::DirEntry| -> Option<String> {
        entry.path().strip_prefix(root).ok().and_then(Path::to_str).map(str::to_owned)
    };
    let kept = move |entry: &walkdir::DirEntry| match relative(entry) {
        Some(path) => path.is_empty() || !left_out.covers(&path),
        // Refused below, with its name.
        None => true,
    };
    walkdir::WalkDir::new(root).follow_root_links(false).sort_by_file_name().into_iter().filter_entry(kept).map(move |entry| {
        let entry = entry.map_err(io::Error::from)?;
        let path = relative(&entry).ok_or_else(|| no_utf8(entry.path()))?;
        Ok((path, entry.into_path()))
    })
}

/// Hears the bytes written so far. Its error ends the work: somebody gave it up.
pub type Progress<'a> = dyn FnMut(u64) -> io::Result<()> + 'a;

/// Who owns a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyOwner {
    /// This process's user.
    Process,
    /// Somebody else.
    Given(Owner),
    /// Each thing's owner in the source, and its extended attributes too: for copies that may have to go back.
    Source,
}

impl CopyOwner {
    /// The owner of the folder that receives the copy, where this process is root.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn of_folder(dir: &Path) -> io::Result<Self> {
        Ok(Owner::for_new_in(dir)?.map_or(Self::Process, Self::Given))
    }

    fn of(self, source: &Metadata) -> Option<Owner> {
        match self {
            Self::Process => None,
            Self::Given(owner) => Some(owner),
            Self::Source => Some(Owner::of(source)),
        }
    }
}

/// Copies a tree to a path that does not exist yet, not synced. Modes are those of the source without setuid, setgid
/// and sticky.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::AlreadyExists`]; a device, pipe or socket.
pub fn copy(from: &Path, to: &Path, left_out: &LeftOut, owner: CopyOwner, progress: &mut Progress<'_>) -> io::Result<Manifest> {
    let mut manifest = Manifest::default();
    let mut folders = Vec::new();
    let mut done = 0;
    for found in walk(from, left_out) {
        let (path, source) = found?;
        let target = below(to, &path);
        let meta = std::fs::symlink_metadata(&source)?;
        let mode = meta.permissions().mode() & 0o777;
        let copied = if meta.is_dir() {
            std::fs::DirBuilder::new().mode(0o700).create(&target)?;
            // Last: a folder that is not writable still has to be filled.
            folders.push((target.clone(), mode));
            Node::Folder { mode }
        } else if meta.is_symlink() {
            let link = std::fs::read_link(&source)?;
            std::os::unix::fs::symlink(&link, &target)?;
            Node::Symlink { target: link.into_os_string().into_string().map_err(|_| no_utf8(&source))? }
        } else if meta.is_file() {
            let copied = copy_file(&source, &target, mode, owner)?;
            if let Node::File { size, .. } = &copied {
                done += size;
                progress(done)?;
            }
            copied
        } else {
            return node(&source).map(|_| manifest);
        };
        if let (Some(owner), false) = (owner.of(&meta), meta.is_file()) {
            owner.give_path(&target)?;
        }
        manifest.0.insert(path, copied);
    }
    for (folder, mode) in folders.into_iter().rev() {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(manifest)
}

/// Copies one file to a path that does not exist yet, not synced.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::AlreadyExists`].
pub fn copy_file(from: &Path, to: &Path, mode: u32, owner: CopyOwner) -> io::Result<Node> {
    let mut source = open(from)?;
    let mut target = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0_u64;
    loop {
        let len = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hasher.update(&buffer[..len]);
        target.write_all(&buffer[..len])?;
        size += len as u64;
    }
    if let Some(owner) = owner.of(&source.metadata()?) {
        owner.give(&target)?;
    }
    if owner == CopyOwner::Source {
        files::copy_xattrs(&source, &target)?;
    }
    target.set_permissions(std::fs::Permissions::from_mode(mode))?;
    Ok(Node::File { size, mode, sha256: Digest::from_hasher(hasher) })
}

/// Makes a tree durable: one file by itself, a folder by syncing its whole file system (a product has some 15,000
/// files; one by one they take minutes).
///
/// # Errors
/// Those of the file system.
pub fn sync(path: &Path) -> io::Result<()> {
    let meta = std::fs::symlink_metadata(path)?;
    if meta.is_dir() {
        rustix::fs::syncfs(File::open(path)?)?;
    } else if meta.is_file() {
        open(path)?.sync_all()?;
    }
    Ok(())
}

/// Renames a synced tree to a path at which nothing is, and syncs both folders.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::AlreadyExists`], whatever is there, an empty folder too;
/// [`io::ErrorKind::CrossesDevices`]; [`io::ErrorKind::Unsupported`] on a file system that knows no such rename.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            let text = format!("the file system of {} cannot rename without replacing", to.display());
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Err(e) => return Err(e.into()),
    }
    sync_folders(from, to)
}

/// Renames a synced file over another one, and syncs the folder.
///
/// # Errors
/// Those of the file system.
pub fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_folders(from, to)
}

fn sync_folders(from: &Path, to: &Path) -> io::Result<()> {
    let (source, target) = (files::split(from)?.0, files::split(to)?.0);
    files::sync_dir(target)?;
    if source == target { Ok(()) } else { files::sync_dir(source) }
}

/// Removes a tree, if it is there. Symlinks in it are removed, not followed.
///
/// # Errors
/// Those of the file system.
pub fn remove(path: &Path) -> io::Result<()> {
    match at(path)? {
        None => Ok(()),
        Some(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
        Some(_) => std::fs::remove_file(path),
    }
}

/// One name for a path, however many symlinks lead to its folder. The last part stays as it is.
#[must_use]
pub fn settled(path: &Path) -> PathBuf {
    let Some(folder) = path.parent() else { return path.to_owned() };
    for above in folder.ancestors() {
        if let (Ok(real), Ok(rest)) = (std::fs::canonicalize(above), path.strip_prefix(above)) {
            return real.join(rest);
        }
    }
    path.to_owned()
}

/// The file that a path ends at, symlinks followed; `None` where they lead to nothing.
#[must_use]
pub fn end_of(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

/// Removes a folder if it is empty, and says whether it did.
///
/// # Errors
/// Those of the file system.
pub fn remove_empty(folder: &Path) -> io::Result<bool> {
    match std::fs::remove_dir(folder) {
        Ok(()) => files::sync_dir(files::split(folder)?.0).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
