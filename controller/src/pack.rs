//! What a pack of the vendor shipped: its files with their digests, and the settings of its deployment.toml. Read from the
//! pack itself, or from a list that `cavalcade pack list` wrote, so that nobody has to keep old packs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use cavalcade_common::codes::artifact as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;
use cavalcade_common::settings::settings;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zip::ZipArchive;

use crate::fleet::digest_of;

/// Schema word of a list.
const SCHEMA: &str = "cavalcade.pack/1";
/// Where a pack keeps its settings, below its root folder.
const CONFIG: &str = "repository/conf/deployment.toml";
/// How a web archive's name ends.
const ARCHIVE: &str = ".war";
/// Largest web archive that is looked into, in bytes.
const ARCHIVE_LIMIT: u64 = 512 << 20;
/// Largest list and largest deployment.toml that are read, in bytes.
const LIMIT: u64 = 64 << 20;

/// What a pack shipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shipped {
    /// [`SCHEMA`].
    schema: String,
    /// The root folder of the pack (`wso2am-3.1.0`).
    pub root: String,
    /// Digests by path below the root folder.
    pub files: BTreeMap<String, Digest>,
    /// Digests inside the web archives among the files, by the archive's path: a server unpacks them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub archives: BTreeMap<String, BTreeMap<String, Digest>>,
    /// Settings of its deployment.toml, by dotted key.
    pub settings: BTreeMap<String, Value>,
}

/// Reads a pack (zip) or a list of one. This reads the whole file: call it where blocking is allowed.
///
/// # Errors
/// [`codes::PACK_UNREADABLE`] with the reason.
pub fn read(path: &Path) -> Result<Shipped, Fault> {
    let fault = |what: String| Fault::new(codes::PACK_UNREADABLE, format!("{}: {what}", path.display()));
    let mut file = File::open(path).map_err(|e| fault(e.to_string()))?;
    let mut magic = [0u8; 2];
    let zip = file.read_exact(&mut magic).is_ok() && magic == *b"PK";
    file.seek(SeekFrom::Start(0)).map_err(|e| fault(e.to_string()))?;
    if zip {
        return from_zip(file).map_err(|e| fault(format!("it cannot be read as a zip: {e}")));
    }
    let mut text = String::new();
    file.take(LIMIT).read_to_string(&mut text).map_err(|e| fault(e.to_string()))?;
    let shipped: Shipped =
        serde_json::from_str(&text).map_err(|e| fault(format!("it is neither a pack (zip) nor a list of one: {e}")))?;
    if shipped.schema != SCHEMA {
        return Err(fault(format!("its schema is {}, not {SCHEMA}", shipped.schema)));
    }
    Ok(shipped)
}

/// The list of a pack, as a file.
///
/// # Errors
/// A value that JSON cannot hold; there is none in a [`Shipped`] that was read.
pub fn to_text(shipped: &Shipped) -> Result<String, Fault> {
    let text = serde_json::to_string_pretty(shipped);
    text.map(|text| text + "\n").map_err(|e| Fault::new(codes::PACK_UNREADABLE, e.to_string()))
}

fn from_zip(file: File) -> Result<Shipped, zip::result::ZipError> {
    let mut archive = ZipArchive::new(file)?;
    let mut shipped = Shipped {
        schema: SCHEMA.to_owned(),
        root: String::new(),
        files: BTreeMap::new(),
        archives: BTreeMap::new(),
        settings: BTreeMap::new(),
    };
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        let Some((root, path)) = name.split_once('/').filter(|(_, path)| !path.is_empty() && entry.is_file()) else { continue };
        root.clone_into(&mut shipped.root);
        if path == CONFIG {
            let mut text = String::new();
            entry.take(LIMIT).read_to_string(&mut text)?;
            shipped.files.insert(path.to_owned(), Digest::of(text.as_bytes()));
            shipped.settings = settings(&text).map_err(|e| std::io::Error::other(format!("{CONFIG}, {e}")))?;
            continue;
        }
        if path.ends_with(ARCHIVE) && entry.size() <= ARCHIVE_LIMIT {
            let mut bytes = Vec::new();
            entry.take(ARCHIVE_LIMIT).read_to_end(&mut bytes)?;
            shipped.files.insert(path.to_owned(), Digest::of(&bytes));
            // One that is no archive is a file like any other.
            if let Ok(inside) = inside(&bytes) {
                shipped.archives.insert(path.to_owned(), inside);
            }
            continue;
        }
        shipped.files.insert(path.to_owned(), digest_of(entry)?.0);
    }
    Ok(shipped)
}

/// Digests of the files in an archive, by their paths.
fn inside(bytes: &[u8]) -> Result<BTreeMap<String, Digest>, zip::result::ZipError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))?;
    let mut found = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        if entry.is_file() {
            found.insert(entry.name()?.into_owned(), digest_of(entry)?.0);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use serde_json::json;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn pack(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("wso2am-3.1.0.zip");
        let mut zip = ZipWriter::new(File::create(&path).expect("is made"));
        let mut war = ZipWriter::new(Cursor::new(Vec::new()));
        war.start_file("index.jsp", SimpleFileOptions::default()).expect("is added");
        war.write_all(b"page").expect("is written");
        let war = war.finish().expect("is closed").into_inner();
        for (name, bytes) in [
            ("wso2am-3.1.0/repository/conf/deployment.toml", b"[server]\nhostname = \"localhost\"\n".as_slice()),
            ("wso2am-3.1.0/repository/components/lib/a.jar", b"jar".as_slice()),
            ("wso2am-3.1.0/webapps/shop.war", war.as_slice()),
            ("wso2am-3.1.0/webapps/broken.war", b"no archive".as_slice()),
        ] {
            zip.start_file(name, SimpleFileOptions::default()).expect("is added");
            zip.write_all(bytes).expect("is written");
        }
        zip.finish().expect("is closed");
        path
    }

    #[test]
    fn a_pack_and_its_list_tell_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let shipped = read(&pack(folder.path())).expect("is read");
        assert_eq!(shipped.root, "wso2am-3.1.0");
        assert_eq!(shipped.files.get("repository/components/lib/a.jar"), Some(&Digest::of(b"jar")));
        let page = BTreeMap::from([("index.jsp".to_owned(), Digest::of(b"page"))]);
        assert_eq!(shipped.archives, BTreeMap::from([("webapps/shop.war".to_owned(), page)]));
        assert_eq!(shipped.files.get("webapps/broken.war"), Some(&Digest::of(b"no archive")));
        assert_eq!(shipped.settings, BTreeMap::from([("server.hostname".to_owned(), json!("localhost"))]));
        let list = folder.path().join("wso2am-3.1.0.json");
        std::fs::write(&list, to_text(&shipped).expect("is written")).expect("is written");
        assert_eq!(read(&list).expect("is read"), shipped);
    }

    #[test]
    fn what_is_neither_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for text in ["", "PK broken", "{}", "{\"schema\":\"cavalcade.pack/9\",\"root\":\"\",\"files\":{},\"settings\":{}}"] {
            let path = folder.path().join("file");
            std::fs::write(&path, text).expect("is written");
            assert_eq!(read(&path).expect_err("is refused").code, codes::PACK_UNREADABLE, "{text}");
        }
    }
}
