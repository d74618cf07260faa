//! tar.gz: has no directory, so it is read from end to end for the list, and a second time for the content.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::rules::{Kind, RawEntry, RawKind};
use super::{ArchiveError, ENTRY_LIMIT, Place, Scan, reading, within};

/// Longest header that carries a name or attributes, in bytes. The library takes these into memory whole.
const EXTENSION_LIMIT: u64 = 1 << 20;

type Gzip<'a> = MultiGzDecoder<BufReader<&'a mut File>>;

fn open(archive: &mut File) -> Result<Archive<Gzip<'_>>, ArchiveError> {
    archive.rewind().map_err(ArchiveError::io("it cannot be read"))?;
    Ok(Archive::new(MultiGzDecoder::new(BufReader::with_capacity(256 << 10, archive))))
}

pub(super) fn list(archive: &mut File, packed: u64, limit: u64) -> Result<Vec<RawEntry>, ArchiveError> {
    measure(archive, packed, limit)?;
    let mut tar = open(archive)?;
    let mut entries = Vec::new();
    for found in tar.entries().map_err(|e| reading("", e))? {
        let found = found.map_err(|e| reading("", e))?;
        entries.push(entry(&found)?);
    }
    Ok(entries)
}

/// First of all the sizes, without taking any name or attribute into memory.
fn measure(archive: &mut File, packed: u64, limit: u64) -> Result<(), ArchiveError> {
    let mut tar = open(archive)?;
    let (mut count, mut total) = (0_u64, 0_u64);
    for found in tar.entries().map_err(|e| reading("", e))?.raw(true) {
        let mut found = found.map_err(|e| reading("", e))?;
        count += 1;
        if count > ENTRY_LIMIT {
            return Err(ArchiveError::TooManyEntries);
        }
        let size = found.size();
        if !matches!(found.header().entry_type(), EntryType::Regular | EntryType::Continuous) && size > EXTENSION_LIMIT {
            return Err(ArchiveError::Damaged("a header is longer than 1 MiB".to_owned()));
        }
        total = total.saturating_add(size);
        within(packed, total, limit)?;
        let read = io::copy(&mut found, &mut io::sink()).map_err(|e| reading("", e))?;
        if read != size {
            return Err(ArchiveError::Truncated);
        }
    }
    // The checksum of the stream stands at its very end, behind the padding of the tar.
    let rest = io::copy(&mut tar.into_inner().take(EXTENSION_LIMIT * 64), &mut io::sink()).map_err(|e| reading("", e))?;
    if rest >= EXTENSION_LIMIT * 64 {
        return Err(ArchiveError::Bomb { packed, unpacked: total.saturating_add(rest) });
    }
    Ok(())
}

fn entry(found: &tar::Entry<'_, Gzip<'_>>) -> Result<RawEntry, ArchiveError> {
    let name = text(&found.path_bytes())?;
    let damaged = |e: io::Error| ArchiveError::Damaged(format!("{name:?}: {e}"));
    let target = || found.link_name_bytes().map_or_else(|| Ok(String::new()), |t| text(&t));
    let kind = match found.header().entry_type() {
        // An old tar marks a folder only by the slash at its name's end.
        EntryType::Regular if name.ends_with('/') => RawKind::Folder,
        EntryType::Regular | EntryType::Continuous => RawKind::File,
        EntryType::Directory => RawKind::Folder,
        // A comment for the whole archive; git writes one. Nothing of it is unpacked.
        EntryType::XGlobalHeader => RawKind::Folder,
        EntryType::Symlink => RawKind::Symlink(target()?),
        EntryType::Link => RawKind::HardLink(target()?),
        EntryType::Char | EntryType::Block => RawKind::Special("a device"),
        EntryType::Fifo => RawKind::Special("a pipe"),
        _ => RawKind::Special("of a kind that is not unpacked"),
    };
    let global = found.header().entry_type() == EntryType::XGlobalHeader;
    let name = if global { "./".to_owned() } else { name.clone() };
    let mode = if global { 0o755 } else { found.header().mode().map_err(damaged)? };
    let size = if kind == RawKind::File { found.size() } else { 0 };
    Ok(RawEntry { name, mode, size, kind })
}

fn text(bytes: &[u8]) -> Result<String, ArchiveError> {
    let shown = || ArchiveError::Damaged(format!("the name {:?} is no UTF-8", String::from_utf8_lossy(bytes)));
    String::from_utf8(bytes.to_vec()).map_err(|_| shown())
}

pub(super) fn files(archive: &mut File, scan: &Scan, place: &mut Place<'_, '_>) -> Result<(), ArchiveError> {
    let mut tar = open(archive)?;
    let mut wanted = scan.entries.iter().peekable();
    for (index, found) in tar.entries().map_err(|e| reading("", e))?.enumerate() {
        let mut found = found.map_err(|e| reading("", e))?;
        let Some(entry) = wanted.next_if(|e| e.index == index) else { continue };
        match entry.kind {
            Kind::Folder => place.folder(&entry.path, entry.mode)?,
            Kind::File => place.file(entry, &mut found)?,
            Kind::Symlink { .. } | Kind::HardLink { .. } => {}
        }
    }
    match wanted.next() {
        None => Ok(()),
        Some(_) => Err(ArchiveError::Truncated),
    }
}
