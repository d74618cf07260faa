//! zip: the central directory lists the entries; the content is checked against it while it is written.

use std::fs::File;
use std::io::{self, BufReader, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::rules::{Kind, RawEntry, RawKind, Rule};
use super::{ArchiveError, ENTRY_LIMIT, Place, Scan, TARGET_LIMIT, reading};

/// Type bits of a Unix mode.
const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_FOLDER: u32 = 0o040_000;
const TYPE_SYMLINK: u32 = 0o120_000;

pub(super) fn list(archive: &mut File) -> Result<Vec<RawEntry>, ArchiveError> {
    let mut zip = open(archive)?;
    if zip.len() as u64 > ENTRY_LIMIT {
        return Err(ArchiveError::TooManyEntries);
    }
    if zip.has_duplicate_names() {
        // The library keeps the last of them only, so the name itself is not known.
        return Err(ArchiveError::Refused { entry: String::new(), rule: Rule::Duplicate });
    }
    let mut entries = Vec::with_capacity(zip.len());
    for index in 0..zip.len() {
        entries.push(entry(&mut zip, index)?);
    }
    if zip.has_overlapping_entries().map_err(|e| failed("", e))? {
        return Err(ArchiveError::Overlap);
    }
    Ok(entries)
}

fn entry(zip: &mut ZipArchive<BufReader<&mut File>>, index: usize) -> Result<RawEntry, ArchiveError> {
    let (name, mode, size, folder) = {
        let data = zip.by_index_data(index).map_err(|e| failed("", e))?;
        let name = data.name().map_err(|e| failed("", e))?.into_owned();
        if data.encrypted() {
            return Err(ArchiveError::Encrypted { entry: name });
        }
        // Not `unix_mode()`: that drops the setuid bits, which are to be seen and refused.
        let unix = data.system() == zip::System::Unix;
        let mode = if unix { data.external_attributes() >> 16 } else { data.unix_mode().unwrap_or(0) };
        (name, mode, data.size(), data.is_dir())
    };
    let kind = match mode & TYPE_MASK {
        TYPE_SYMLINK => {
            let content = zip.by_index(index).map_err(|e| failed(&name, e))?;
            let mut target = Vec::new();
            content.take(TARGET_LIMIT + 1).read_to_end(&mut target).map_err(|e| reading(&name, e))?;
            let out = |target| ArchiveError::Refused { entry: name.clone(), rule: Rule::SymlinkOut { target } };
            if target.len() as u64 > TARGET_LIMIT {
                return Err(out("(longer than 4096 bytes)".to_owned()));
            }
            let target = String::from_utf8(target).map_err(|_| out("(no UTF-8)".to_owned()))?;
            RawKind::Symlink(target)
        }
        0 | TYPE_FILE | TYPE_FOLDER if folder => RawKind::Folder,
        TYPE_FOLDER => RawKind::Folder,
        0 | TYPE_FILE => RawKind::File,
        _ => RawKind::Special("a device, a pipe or a socket"),
    };
    let plain = if kind == RawKind::Folder { 0o755 } else { 0o644 };
    let mode = if mode & 0o777 == 0 { plain | (mode & 0o7000) } else { mode & 0o7777 };
    let size = if kind == RawKind::File { size } else { 0 };
    Ok(RawEntry { name, mode, size, kind })
}

pub(super) fn files(archive: &mut File, scan: &Scan, place: &mut Place<'_, '_>) -> Result<(), ArchiveError> {
    let mut zip = open(archive)?;
    for entry in &scan.entries {
        match entry.kind {
            Kind::Folder => place.folder(&entry.path, entry.mode)?,
            Kind::File => {
                let mut content = zip.by_index(entry.index).map_err(|e| failed(&entry.path, e))?;
                place.file(entry, &mut content)?;
            }
            Kind::Symlink { .. } | Kind::HardLink { .. } => {}
        }
    }
    Ok(())
}

fn open(archive: &mut File) -> Result<ZipArchive<BufReader<&mut File>>, ArchiveError> {
    ZipArchive::new(BufReader::with_capacity(256 << 10, archive)).map_err(|e| match e {
        // It begins like a zip and has no directory at its end.
        ZipError::InvalidArchive(_) => ArchiveError::Truncated,
        other => failed("", other),
    })
}

fn failed(entry: &str, error: ZipError) -> ArchiveError {
    match error {
        ZipError::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => ArchiveError::Truncated,
        ZipError::Io(source) => ArchiveError::Io { what: format!("{entry:?} cannot be read"), source },
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            ArchiveError::Encrypted { entry: entry.to_owned() }
        }
        ZipError::CompressionMethodNotSupported(_) => ArchiveError::Compression { entry: entry.to_owned() },
        other => ArchiveError::Damaged(format!("{entry:?}: {other}")),
    }
}
