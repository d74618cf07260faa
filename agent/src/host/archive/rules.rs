//! What an archive may hold. Pure: a list of entries in, the same list with clean paths out, or the first that is
//! refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ArchiveError;

/// Longest path part, as file systems have it, in bytes.
const PART_LIMIT: usize = 255;
/// Longest path, in bytes; leaves room for the folder that it is unpacked in.
const PATH_LIMIT: usize = 3000;

/// An entry as the archive names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawEntry {
    pub(super) name: String,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) kind: RawKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RawKind {
    File,
    Folder,
    Symlink(String),
    HardLink(String),
    /// A device, a pipe, a sparse file: in words.
    Special(&'static str),
}

/// An allowed entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the archive, from 0.
    pub index: usize,
    /// Path below the new folder, parts joined by `/`.
    pub path: String,
    /// Permission bits as the archive has them.
    pub mode: u32,
    /// Size in bytes; 0 for what is no file.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
}

/// What an allowed entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symlink that stays inside.
    Symlink {
        /// Its target as written.
        target: String,
    },
    /// A second name of a file of the archive.
    HardLink {
        /// Path of that file below the new folder.
        target: String,
    },
}

/// A rule that an entry breaks; displayed, it goes on from the entry's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The name is empty.
    Empty,
    /// The name holds a NUL.
    Nul,
    /// The name holds another control character.
    Control,
    /// The name holds a backslash, which other systems read as a separator.
    Backslash,
    /// The name begins with a slash.
    Absolute,
    /// The name begins with a drive letter.
    Drive,
    /// A part of the name is `..`.
    Parent,
    /// The name or a part of it is too long.
    TooLong,
    /// Nothing is left of a file's name after its leading parts are dropped.
    StrippedAway,
    /// An earlier entry has the same path.
    Duplicate,
    /// An earlier entry's path, or a folder of it, differs only by case.
    Case {
        /// That path.
        other: String,
    },
    /// A part of its path is a file.
    ThroughFile {
        /// That file.
        file: String,
    },
    /// A part of its path is a symlink.
    ThroughSymlink {
        /// That link.
        link: String,
    },
    /// A symlink leads out.
    SymlinkOut {
        /// Its target.
        target: String,
    },
    /// A hard link to what is no earlier file of this archive.
    HardLinkOut {
        /// Its target.
        target: String,
    },
    /// It is neither file nor folder nor link.
    Special {
        /// What it is.
        what: &'static str,
    },
    /// It would run with the rights of its owner or group.
    Setuid,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("has no name"),
            Self::Nul => f.write_str("has a NUL in its name"),
            Self::Control => f.write_str("has a control character in its name"),
            Self::Backslash => f.write_str("has a backslash in its name"),
            Self::Absolute => f.write_str("has an absolute name"),
            Self::Drive => f.write_str("begins with a drive letter"),
            Self::Parent => f.write_str("would leave the folder by \"..\""),
            Self::TooLong => f.write_str("has a name that is too long"),
            Self::StrippedAway => f.write_str("has no name left when its leading parts are dropped"),
            Self::Duplicate => f.write_str("is in it twice"),
            Self::Case { other } => write!(f, "differs from {other:?} only by case"),
            Self::ThroughFile { file } => write!(f, "lies below {file:?}, which is a file"),
            Self::ThroughSymlink { link } => write!(f, "lies below {link:?}, which is a symlink"),
            Self::SymlinkOut { target } => write!(f, "is a symlink out of the folder, to {target:?}"),
            Self::HardLinkOut { target } => write!(f, "is a hard link to {target:?}, no earlier file of it"),
            Self::Special { what } => write!(f, "is {what}"),
            Self::Setuid => f.write_str("has the setuid or setgid bit"),
        }
    }
}

/// Checks all entries. Folders whose whole name is dropped by `strip` vanish.
pub(super) fn check(raw: Vec<RawEntry>, strip: u32) -> Result<Vec<Entry>, ArchiveError> {
    let mut entries = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let refuse = |rule| ArchiveError::Refused { entry: shown(&raw.name), rule };
        if let Some(entry) = entry(index, &raw, strip).map_err(refuse)? {
            entries.push(entry);
        }
    }
    let mut seen = Seen::default();
    for entry in &entries {
        seen.add(entry).map_err(|rule| ArchiveError::Refused { entry: shown(&entry.path), rule })?;
    }
    // A link may come after what lies below it.
    for entry in &entries {
        seen.above(entry).map_err(|rule| ArchiveError::Refused { entry: shown(&entry.path), rule })?;
    }
    Ok(entries)
}

fn shown(name: &str) -> String {
    name.chars().take(200).collect()
}

fn entry(index: usize, raw: &RawEntry, strip: u32) -> Result<Option<Entry>, Rule> {
    let parts = parts(&raw.name)?;
    if raw.mode & 0o6000 != 0 {
        return Err(Rule::Setuid);
    }
    let kept = &parts[parts.len().min(strip as usize)..];
    let kind = match &raw.kind {
        RawKind::Special(what) => return Err(Rule::Special { what }),
        RawKind::Folder if kept.is_empty() => return Ok(None),
        _ if parts.is_empty() => return Err(Rule::Empty),
        _ if kept.is_empty() => return Err(Rule::StrippedAway),
        RawKind::File => Kind::File,
        RawKind::Folder => Kind::Folder,
        RawKind::Symlink(target) => {
            let out = || Rule::SymlinkOut { target: shown(target) };
            stays_inside(target, kept.len() - 1).then(|| Kind::Symlink { target: target.clone() }).ok_or_else(out)?
        }
        RawKind::HardLink(target) => {
            let out = || Rule::HardLinkOut { target: shown(target) };
            let of = self::parts(target).map_err(|_| out())?;
            let of = of.get(strip as usize..).filter(|rest| !rest.is_empty()).ok_or_else(out)?;
            Kind::HardLink { target: of.join("/") }
        }
    };
    let size = if kind == Kind::File { raw.size } else { 0 };
    Ok(Some(Entry { index, path: kept.join("/"), mode: raw.mode, size, kind }))
}

/// Parts of a name; `.` and empty parts between slashes mean nothing.
fn parts(name: &str) -> Result<Vec<&str>, Rule> {
    if name.is_empty() {
        return Err(Rule::Empty);
    }
    if name.contains('\0') {
        return Err(Rule::Nul);
    }
    if name.contains('\\') {
        // `C:\x` is both; the drive is the worse of the two.
        return Err(if has_drive(name) { Rule::Drive } else { Rule::Backslash });
    }
    if name.chars().any(char::is_control) {
        return Err(Rule::Control);
    }
    if name.starts_with('/') {
        return Err(Rule::Absolute);
    }
    if has_drive(name) {
        return Err(Rule::Drive);
    }
    if name.len() > PATH_LIMIT {
        return Err(Rule::TooLong);
    }
    let parts: Vec<&str> = name.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    if parts.contains(&"..") {
        return Err(Rule::Parent);
    }
    if parts.iter().any(|p| p.len() > PART_LIMIT) {
        return Err(Rule::TooLong);
    }
    Ok(parts)
}

fn has_drive(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':'
}

/// Whether a symlink with this many folders above it stays inside. `..` may stand at the target's beginning only: behind
/// the name of another link it would climb from where that link leads.
fn stays_inside(target: &str, depth: usize) -> bool {
    if target.is_empty() || target.starts_with('/') || has_drive(target) {
        return false;
    }
    if target.contains('\\') || target.chars().any(char::is_control) || target.len() > PATH_LIMIT {
        return false;
    }
    let parts: Vec<&str> = target.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let up = parts.iter().take_while(|p| **p == "..").count();
    up <= depth && !parts[up..].contains(&"..")
}

/// Paths seen so far.
#[derive(Default)]
struct Seen<'a> {
    /// Every path, with the folders that paths imply.
    kinds: BTreeMap<&'a str, Option<&'a Kind>>,
    /// The same without regard to case.
    folded: BTreeMap<String, &'a str>,
    files: BTreeSet<&'a str>,
}

impl<'a> Seen<'a> {
    fn add(&mut self, entry: &'a Entry) -> Result<(), Rule> {
        for (at, _) in entry.path.match_indices('/') {
            self.fold(&entry.path[..at])?;
            self.kinds.entry(&entry.path[..at]).or_insert(None);
        }
        self.fold(&entry.path)?;
        match self.kinds.insert(&entry.path, Some(&entry.kind)) {
            None => {}
            // A folder that was implied, or that is named a second time, is the same folder.
            Some(None | Some(Kind::Folder)) if entry.kind == Kind::Folder => {}
            // What lies below it came first; `above` names that one.
            Some(None) => {}
            Some(Some(_)) => return Err(Rule::Duplicate),
        }
        match &entry.kind {
            Kind::File => {
                self.files.insert(&entry.path);
            }
            Kind::HardLink { target } if !self.files.contains(target.as_str()) => {
                return Err(Rule::HardLinkOut { target: shown(target) });
            }
            Kind::HardLink { .. } | Kind::Folder | Kind::Symlink { .. } => {}
        }
        Ok(())
    }

    fn fold(&mut self, path: &'a str) -> Result<(), Rule> {
        match self.folded.insert(path.to_lowercase(), path) {
            Some(other) if other != path => Err(Rule::Case { other: shown(other) }),
            _ => Ok(()),
        }
    }

    fn above(&self, entry: &Entry) -> Result<(), Rule> {
        for (at, _) in entry.path.match_indices('/') {
            let above = &entry.path[..at];
            match self.kinds.get(above).copied().flatten() {
                Some(Kind::Symlink { .. }) => return Err(Rule::ThroughSymlink { link: shown(above) }),
                Some(Kind::File | Kind::HardLink { .. }) => return Err(Rule::ThroughFile { file: shown(above) }),
                Some(Kind::Folder) | None => {}
            }
        }
        Ok(())
    }
}
