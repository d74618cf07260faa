//! The machine as it will be once later steps are put back: what is moved in thought is looked at where it lies now.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::host::files;
use crate::host::tree::{self, Node, settled};

/// Paths that are different in thought: where their content lies now, or that nothing is there.
#[derive(Debug, Default)]
pub(super) struct Machine(BTreeMap<PathBuf, Option<PathBuf>>);

impl Machine {
    /// Where that which will be at the path lies now; `None` for nothing.
    pub(super) fn place(&self, path: &Path) -> Option<PathBuf> {
        let path = settled(path);
        for above in path.ancestors() {
            if let Some(at) = self.0.get(above) {
                let inside = path.strip_prefix(above).ok()?;
                let at = at.as_ref()?;
                return Some(if inside.as_os_str().is_empty() { at.clone() } else { at.join(inside) });
            }
        }
        Some(path)
    }

    /// From now on the path is what lies at `at`.
    pub(super) fn set(&mut self, path: &Path, at: Option<PathBuf>) {
        let path = settled(path);
        self.0.retain(|other, _| !other.starts_with(&path));
        self.0.insert(path, at);
    }

    /// The thing that will be at the path.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn node(&self, path: &Path) -> io::Result<Option<Node>> {
        let Some(at) = self.place(path) else { return Ok(None) };
        match tree::at(&at)? {
            Some(_) => tree::node(&at).map(Some),
            None => Ok(None),
        }
    }

    /// Whether a folder will be empty.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn is_empty(&self, folder: &Path) -> io::Result<bool> {
        let Some(at) = self.place(folder) else { return Ok(true) };
        let folder = settled(folder);
        let comes = self.0.iter().any(|(path, at)| at.is_some() && path.parent() == Some(&folder));
        Ok(!comes && files::list(&at)?.iter().all(|name| self.place(&folder.join(name)).is_none()))
    }
}
