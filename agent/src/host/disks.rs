//! Room on file systems.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use serde::{Deserialize, Serialize};

/// The file system that holds a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The path that was asked for.
    pub path: String,
    /// Bytes that an ordinary user can still write.
    pub free_bytes: u64,
    /// Its size in bytes.
    pub total_bytes: u64,
    /// Its type (`ext4`, `nfs4`); empty where `/proc` does not tell.
    pub fs: String,
    /// Where it is mounted; empty where `/proc` does not tell.
    pub mount: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Whether another machine holds it (NFS, CIFS and the like).
    pub network: bool,
    /// Whether nothing on it can be executed.
    pub noexec: bool,
}

/// Types of file systems that other machines hold.
const NETWORK: [&str; 22] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "davfs",
    "fuse.ceph",
    "fuse.davfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs3",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
];

/// The file system of a path; of one that does not exist yet, that of the nearest folder above it.
///
/// # Errors
/// Those of the file system.
pub fn of(path: &Path) -> io::Result<Disk> {
    let there = nearest(path)?;
    let stat = rustix::fs::statvfs(&there)?;
    let (mount, fs) = match std::fs::read_to_string("/proc/self/mountinfo") {
        Ok(text) => mount_of(&text, &there).unwrap_or_default(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Default::default(),
        Err(e) => return Err(e),
    };
    let network = NETWORK.contains(&fs.as_str());
    Ok(Disk {
        path: path.display().to_string(),
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        fs,
        mount,
        read_only: stat.f_flag.contains(StatVfsMountFlags::RDONLY),
        network,
        noexec: stat.f_flag.contains(StatVfsMountFlags::NOEXEC),
    })
}

/// Whether SELinux denies what its policy does not allow; `None` where the machine has none.
///
/// # Errors
/// Those of reading `/sys/fs/selinux/enforce`.
pub fn selinux_enforces() -> io::Result<Option<bool>> {
    match std::fs::read_to_string("/sys/fs/selinux/enforce") {
        Ok(text) => Ok(Some(text.trim() == "1")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn nearest(path: &Path) -> io::Result<PathBuf> {
    let mut at = path;
    loop {
        match std::fs::canonicalize(at) {
            Ok(real) => return Ok(real),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                at = at.parent().filter(|p| !p.as_os_str().is_empty()).ok_or(e)?;
            }
            Err(e) => return Err(e),
        }
    }
}

/// Mount point and type from the text of `/proc/self/mountinfo` (see proc(5)): of those that hold the path the longest,
/// of equals the last, which lies on top.
fn mount_of(text: &str, path: &Path) -> Option<(String, String)> {
    let mut best: Option<(String, String)> = None;
    for line in text.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (Some(mount), Some(fs)) = (left.split(' ').nth(4), right.split(' ').next()) else { continue };
        let mount = unescape(mount);
        if path.starts_with(&mount) && best.as_ref().is_none_or(|(old, _)| mount.len() >= old.len()) {
            best = Some((mount, fs.to_owned()));
        }
    }
    best
}

/// Blanks, tabs, line ends and backslashes stand as three octal digits.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 4).and_then(|d| u8::from_str_radix(d, 8).ok());
        match digits {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        30 22 0:26 / /opt/w\\040s rw - nfs4 nas:/x rw,vers=4.2\n\
        31 22 0:27 / /opt/w\\040s rw master:2 propagate_from:1 - tmpfs tmpfs rw\n\
        32 22 0:28 / /optional rw - xfs /dev/vdb rw\n";

    #[test]
    fn the_longest_and_topmost_mount_counts() {
        let at = |p: &str| mount_of(TEXT, Path::new(p));
        assert_eq!(at("/opt/w s/home"), Some(("/opt/w s".into(), "tmpfs".into())));
        assert_eq!(at("/opt/other"), Some(("/".into(), "ext4".into())));
        assert_eq!(at("/optional"), Some(("/optional".into(), "xfs".into())));
    }

    #[test]
    fn a_path_to_be_made_has_the_disk_of_its_folder() {
        let dir = tempfile::tempdir().expect("temp dir");
        let there = of(dir.path()).expect("a disk");
        let later = of(&dir.path().join("a/b/c")).expect("a disk");
        assert!(there.total_bytes > 0 && there.total_bytes >= there.free_bytes);
        assert_eq!((later.mount, later.fs, later.total_bytes), (there.mount.clone(), there.fs.clone(), there.total_bytes));
        assert!(!there.fs.is_empty() && !there.mount.is_empty());
    }
}
