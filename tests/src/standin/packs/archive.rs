//! Archives whose bytes depend on their contents only.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write as _},
};

use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

/// An archive in the making: entries by their path, folders with a slash at the end.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    entries: BTreeMap<String, (Vec<u8>, u32)>,
    root: String,
}

impl Archive {
    /// An archive whose entries all lie in the folder `root`; in none when it is empty.
    #[must_use]
    pub fn new(root: &str) -> Self {
        let root = if root.is_empty() { String::new() } else { format!("{root}/") };
        Self { entries: BTreeMap::new(), root }
    }

    /// Adds a folder.
    #[must_use]
    pub fn folder(mut self, path: &str) -> Self {
        self.entries.insert(format!("{}{path}/", self.root), (Vec::new(), 0o755));
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.with_mode(path, bytes, 0o644)
    }

    /// Adds a file that can be executed.
    #[must_use]
    pub fn script(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.with_mode(path, bytes, 0o755)
    }

    fn with_mode(mut self, path: &str, bytes: impl AsRef<[u8]>, mode: u32) -> Self {
        self.entries.insert(format!("{}{path}", self.root), (bytes.as_ref().to_vec(), mode));
        self
    }

    /// The bytes of the zip: entries in order, each of 1980-01-01.
    ///
    /// # Errors
    ///
    /// When an entry is refused by the format.
    pub fn finish(self) -> anyhow::Result<Vec<u8>> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, (bytes, mode)) in self.entries {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .last_modified_time(DateTime::default())
                .unix_permissions(mode);
            if let Some(folder) = path.strip_suffix('/') {
                writer.add_directory(folder, options)?;
            } else {
                writer.start_file(path, options)?;
                writer.write_all(&bytes)?;
            }
        }
        Ok(writer.finish()?.into_inner())
    }
}
