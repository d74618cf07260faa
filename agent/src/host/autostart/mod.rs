//! What starts a server by itself: systemd units, cron, init scripts, rc.local, and the tools that watch over processes.
//!
//! Everything is looked for below a root folder, `/` on a machine. An entry says how it is switched off, where that can be
//! done here; [`change`] does it.

pub(crate) mod change;
mod cron;
mod init;
mod names;
mod systemd;
mod watchers;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::change::Change;
use self::names::HomeNames;
use super::files;

/// Begins what a line became that was switched off.
pub(crate) const MARK: &str = "#cavalcade# ";

/// What kind of thing starts the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A systemd unit.
    Systemd,
    /// A line of a crontab, or a script that cron runs.
    Cron,
    /// A script of SysV init.
    Init,
    /// A line of rc.local.
    Rc,
    /// monit.
    Monit,
    /// supervisord.
    Supervisor,
    /// The Puppet agent.
    Puppet,
    /// The Chef client.
    Chef,
}

/// How something is switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Off {
    /// By these changes.
    Changes(Vec<Change>),
    /// Only a person can: why.
    Person(&'static str),
}

/// Something that starts the home, or did before it was switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its kind.
    pub(crate) kind: Kind,
    /// The file that names the home.
    pub(crate) file: PathBuf,
    /// Its unit, its script, or whose table it is.
    pub(crate) name: String,
    /// Whether it would start the home.
    pub(crate) enabled: bool,
    /// The line that names the home.
    pub(crate) text: String,
    /// How it is switched off.
    pub(crate) off: Off,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What starts the home, or did.
    pub(crate) entries: Vec<Entry>,
    /// Places that this user may not look into, each with the reason.
    pub(crate) unseen: Vec<String>,
}

/// Everything below `root` that would start a home.
#[must_use]
pub(crate) fn find(root: &Path, home: &Path) -> Found {
    let mut search = Search { root: root.to_path_buf(), names: HomeNames::new(root, home), found: Found::default() };
    search.systemd();
    search.cron();
    search.init();
    search.watchers();
    let mut found = search.found;
    found.unseen.sort();
    found.unseen.dedup();
    found.entries.sort_by(|a, b| (a.kind, &a.file, &a.name).cmp(&(b.kind, &b.file, &b.name)));
    found
}

struct Search {
    root: PathBuf,
    names: HomeNames,
    found: Found,
}

impl Search {
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn unseen(&mut self, path: &Path, error: &io::Error) {
        self.found.unseen.push(format!("{}: {error}", path.display()));
    }

    /// Text of a regular file, links followed; `None` where there is none.
    fn text(&mut self, path: &Path) -> Option<String> {
        let real = self.resolved(path)?;
        match files::read(&real) {
            Ok(bytes) => bytes.map(|b| String::from_utf8_lossy(&b).into_owned()),
            // Folders, devices.
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory) => None,
            Err(e) => {
                self.unseen(path, &e);
                None
            }
        }
    }

    /// Where a path leads: absolute links stay below the root. `None` where it leads nowhere, or to nothing that is read
    /// (`/dev/null` masks a unit).
    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        names::follow(&self.root, path).filter(|real| !real.ends_with("dev/null"))
    }

    /// Paths of a folder's entries, sorted, hidden ones left out.
    fn entries(&mut self, folder: &Path) -> Vec<PathBuf> {
        let Some(real) = self.resolved(folder) else { return Vec::new() };
        match files::list(&real) {
            Ok(names) => names.into_iter().filter(|n| !n.starts_with('.')).map(|n| folder.join(n)).collect(),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => Vec::new(),
            Err(e) => {
                self.unseen(folder, &e);
                Vec::new()
            }
        }
    }

    /// Of folders that may lead to one and the same place each place once.
    fn folders(&self, paths: &[&str]) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        let all = paths.iter().map(|p| self.at(p));
        all.filter(|p| std::fs::canonicalize(p).is_ok_and(|real| seen.insert(real))).collect()
    }

    fn add(&mut self, kind: Kind, file: &Path, name: &str, enabled: bool, text: &str, off: Off) {
        let (file, name, text) = (file.to_path_buf(), name.to_owned(), text.trim().to_owned());
        self.found.entries.push(Entry { kind, file, name, enabled, text, off });
    }
}

/// The last part of a path.
fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|n| n.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
