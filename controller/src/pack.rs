//! What a pack of the vendor shipped: its files with their digests, and the settings of its deployment.toml. Read from the
//! pack itself, or from a list that `cavalcade pack list` wrote, so that nobody has to keep old packs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
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
    let mut shipped =
        Shipped { schema: SCHEMA.to_owned(), root: String::new(), files: BTreeMap::new(), settings: BTreeMap::new() };
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
        shipped.files.insert(path.to_owned(), digest_of(entry)?.0);
    }
    Ok(shipped)
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
        for (name, text) in [
            ("wso2am-3.1.0/repository/conf/deployment.toml", "[server]\nhostname = \"localhost\"\n"),
            ("wso2am-3.1.0/repository/components/lib/a.jar", "jar"),
        ] {
            zip.start_file(name, SimpleFileOptions::default()).expect("is added");
            zip.write_all(text.as_bytes()).expect("is written");
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
