//! What switches something off, and back on: each change knows both sides, so that the way back restores exactly it.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::host::{Host, cgroup, files, tree};

/// Bits of a mode that let somebody execute a file.
const EXECUTE: u32 = 0o111;

/// One change of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "change", deny_unknown_fields)]
pub(crate) enum Change {
    /// A symlink goes.
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads, as written.
        target: PathBuf,
    },
    /// Something gets another name.
    Renamed {
        /// Before.
        from: PathBuf,
        /// After.
        to: PathBuf,
    },
    /// A file gets other permission bits.
    Mode {
        /// The file.
        path: PathBuf,
        /// Before.
        before: u32,
        /// After.
        after: u32,
    },
    /// Lines of a file that are equal to `before` become `after`.
    Line {
        /// The file.
        path: PathBuf,
        /// Before, without its line end.
        before: String,
        /// After, likewise.
        after: String,
    },
    /// A timer, socket or path unit of systemd is stopped: disabled, it would still fire until the next boot.
    Stopped {
        /// The unit.
        unit: String,
    },
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Switch off.
    Off,
    /// Switch on again.
    On,
}

impl Change {
    /// Removal of a link; `None` where there is none.
    pub(super) fn link_removed(path: &Path) -> Option<Self> {
        std::fs::read_link(path).ok().map(|target| Self::Link { path: path.to_path_buf(), target })
    }

    /// The stop of a unit of systemd; `None` where it is not active, or systemd does not run.
    pub(super) fn stopped(root: &Path, unit: &str) -> Option<Self> {
        let active = systemctl(root, &["is-active", "--quiet", "--", unit]).is_ok_and(|ran| ran);
        active.then(|| Self::Stopped { unit: unit.to_owned() })
    }

    /// The change of a start link into a stop link; where that name is taken the start link goes.
    pub(super) fn switched_to(from: &Path, to: &Path) -> Option<Self> {
        match std::fs::symlink_metadata(to) {
            Ok(_) => Self::link_removed(from),
            Err(_) => Some(Self::Renamed { from: from.to_path_buf(), to: to.to_path_buf() }),
        }
    }

    /// A file that cannot be executed any more.
    pub(super) fn not_executable(path: &Path) -> Option<Self> {
        let before = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
        Some(Self::Mode { path: path.to_path_buf(), before, after: before & !EXECUTE })
    }

    /// Whether somebody may execute a file.
    pub(super) fn is_executable(path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & EXECUTE != 0)
    }

    /// What it is about.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Link { path, .. } | Self::Mode { path, .. } | Self::Line { path, .. } => path,
            Self::Renamed { from, .. } => from,
            Self::Stopped { unit } => Path::new(unit),
        }
    }

    /// What it does on the way off, for people.
    pub(crate) fn says(&self) -> String {
        match self {
            Self::Link { path, target } => format!("link removed: {} -> {}", path.display(), target.display()),
            Self::Renamed { from, to } => format!("renamed: {} -> {}", from.display(), to.display()),
            Self::Mode { path, before, after } => format!("mode {before:o} -> {after:o}: {}", path.display()),
            Self::Line { path, .. } => format!("line commented out: {}", path.display()),
            Self::Stopped { unit } => format!("stopped: {unit}"),
        }
    }

    /// Whether systemd has to hear of it.
    pub(crate) fn concerns_systemd(&self) -> bool {
        matches!(self, Self::Link { .. } | Self::Renamed { .. } | Self::Stopped { .. })
    }

    /// Makes the change. What is as it shall be stays; says whether something was changed.
    ///
    /// # Errors
    /// Those of the file system; [`io::ErrorKind::AlreadyExists`] where something else is in the place,
    /// [`io::ErrorKind::NotFound`] where what shall be restored is gone.
    pub(crate) fn make(&self, host: &dyn Host, way: Way, root: &Path) -> io::Result<bool> {
        match self {
            Self::Link { path, target } => link(path, target, way),
            Self::Renamed { from, to } => match way {
                Way::Off => rename(from, to),
                Way::On => rename(to, from),
            },
            Self::Mode { path, before, after } => match way {
                Way::Off => mode(path, *after),
                Way::On => mode(path, *before),
            },
            Self::Line { path, before, after } => match way {
                Way::Off => line(host, path, before, after, false),
                Way::On => line(host, path, after, before, true),
            },
            Self::Stopped { unit } => match way {
                Way::Off => systemctl(root, &["stop", "--", unit]),
                Way::On => systemctl(root, &["start", "--", unit]),
            },
        }
    }
}

impl Change {
    /// Whether the machine is as this change leaves it. Of a stopped unit only systemd knows; it was asked when it was made.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn holds(&self, host: &dyn Host, way: Way) -> io::Result<bool> {
        let off = way == Way::Off;
        Ok(match self {
            Self::Link { path, target } => std::fs::read_link(path).is_ok_and(|to| to == *target) != off,
            Self::Renamed { from, to } => {
                let (there, gone) = if off { (to, from) } else { (from, to) };
                tree::at(there)?.is_some() && tree::at(gone)?.is_none()
            }
            Self::Mode { path, before, after } => {
                let wanted = if off { after } else { before };
                std::fs::metadata(path)?.permissions().mode() & 0o7777 == *wanted
            }
            Self::Line { path, before, after } => {
                let text = host.read(path)?.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
                let has = |line: &str| changed_lines(&text, line, line).is_some();
                if off { !has(before) } else { has(before) && !has(after) }
            }
            Self::Stopped { .. } => true,
        })
    }
}

/// The text of a file with the lines changed; `None` where none of them is in it.
pub(crate) fn changed_lines(text: &str, before: &str, after: &str) -> Option<String> {
    let mut found = false;
    let lines = text.split_inclusive('\n').map(|line| {
        let content = line.strip_suffix('\n').map_or(line, |l| l.strip_suffix('\r').unwrap_or(l));
        if content != before {
            return line.to_owned();
        }
        found = true;
        format!("{after}{}", &line[content.len()..])
    });
    let text: String = lines.collect();
    found.then_some(text)
}

/// Tells systemd that units and links changed, where it runs and `root` is the machine's own.
///
/// # Errors
/// systemctl cannot be run, or failed.
pub(crate) fn tell_systemd(root: &Path) -> io::Result<()> {
    systemctl(root, &["daemon-reload"]).map(drop)
}

fn systemctl(root: &Path, args: &[&str]) -> io::Result<bool> {
    if root != Path::new("/") || !cgroup::runs_systemd() {
        return Ok(false);
    }
    let output = Command::new("systemctl").args(args).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(true);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("systemctl {}: {}: {}", args.join(" "), output.status, said.trim())))
}

fn link(path: &Path, target: &Path, way: Way) -> io::Result<bool> {
    let there = match std::fs::read_link(path) {
        Ok(to) => Some(to),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => return Err(in_the_way(path)),
        Err(e) => return Err(e),
    };
    match (there, way) {
        (None, Way::Off) => return Ok(false),
        (Some(to), Way::On) if to == target => return Ok(false),
        (Some(to), Way::Off) if to == target => std::fs::remove_file(path)?,
        (Some(_), Way::Off | Way::On) => return Err(in_the_way(path)),
        (None, Way::On) => std::os::unix::fs::symlink(target, path)?,
    }
    files::sync_dir(files::split(path)?.0)?;
    Ok(true)
}

fn rename(from: &Path, to: &Path) -> io::Result<bool> {
    match (tree::at(from)?.is_some(), tree::at(to)?.is_some()) {
        (false, true) => Ok(false),
        (true, false) => {
            tree::rename_new(from, to)?;
            Ok(true)
        }
        (true, true) => Err(in_the_way(to)),
        (false, false) => Err(gone(from)),
    }
}

fn mode(path: &Path, wanted: u32) -> io::Result<bool> {
    let meta = std::fs::symlink_metadata(path)?;
    if !meta.is_file() {
        return Err(in_the_way(path));
    }
    if meta.permissions().mode() & 0o7777 == wanted {
        return Ok(false);
    }
    std::fs::set_permissions(path, Permissions::from_mode(wanted))?;
    std::fs::File::open(path)?.sync_all()?;
    Ok(true)
}

/// `must`: a line that is there in neither form is an error.
fn line(host: &dyn Host, path: &Path, from: &str, to: &str, must: bool) -> io::Result<bool> {
    let text = match host.read(path)? {
        Some(bytes) => String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?,
        None if must => return Err(gone(path)),
        None => return Ok(false),
    };
    match changed_lines(&text, from, to) {
        Some(changed) => {
            host.replace(path, changed.as_bytes())?;
            Ok(true)
        }
        None if must && changed_lines(&text, to, to).is_none() => Err(gone(path)),
        None => Ok(false),
    }
}

fn in_the_way(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, format!("something else is at {}", path.display()))
}

fn gone(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not as it was left", path.display()))
}
