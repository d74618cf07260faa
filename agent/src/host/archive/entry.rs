//! One file out of an archive, for previews: nothing is written.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use super::{ArchiveError, Format, format_of};

/// Longest file that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// The content of one file of an archive, named as it would stand in the unpacked folder; `None` where the archive has no
/// such file or one of more than 16 MiB.
///
/// # Errors
/// [`ArchiveError`] for an archive that cannot be read.
pub fn read_entry(archive: &Path, strip: u32, inside: &Path) -> Result<Option<Vec<u8>>, ArchiveError> {
    let mut file = File::open(archive).map_err(ArchiveError::io("it cannot be opened"))?;
    match format_of(&mut file)? {
        Format::Zip => from_zip(&file, strip, inside),
        Format::TarGz => from_tar(&file, strip, inside),
    }
}

fn is_it(name: &Path, strip: u32, inside: &Path) -> bool {
    let parts: PathBuf = name.components().filter(|c| matches!(c, Component::Normal(_))).skip(strip as usize).collect();
    parts == inside
}

fn from_zip(file: &File, strip: u32, inside: &Path) -> Result<Option<Vec<u8>>, ArchiveError> {
    let damaged = |e: zip::result::ZipError| ArchiveError::Damaged(e.to_string());
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let index = (0..zip.len())
        .find(|i| zip.name_for_index(*i).and_then(Result::ok).is_some_and(|n| is_it(Path::new(n.as_ref()), strip, inside)));
    let Some(index) = index else { return Ok(None) };
    let entry = zip.by_index(index).map_err(damaged)?;
    content(entry)
}

fn from_tar(file: &File, strip: u32, inside: &Path) -> Result<Option<Vec<u8>>, ArchiveError> {
    let reading = || ArchiveError::io("it cannot be read");
    let mut tar = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    for entry in tar.entries().map_err(reading())? {
        let entry = entry.map_err(reading())?;
        if is_it(&entry.path().map_err(reading())?, strip, inside) {
            return content(entry);
        }
    }
    Ok(None)
}

fn content(entry: impl Read) -> Result<Option<Vec<u8>>, ArchiveError> {
    let mut bytes = Vec::new();
    entry.take(LONGEST + 1).read_to_end(&mut bytes).map_err(ArchiveError::io("it cannot be read"))?;
    Ok((bytes.len() as u64 <= LONGEST).then_some(bytes))
}
