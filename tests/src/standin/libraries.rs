//! What Carbon makes of the JARs of `lib` at each start: a bundle of each in `dropins`, with the JAR inside.

use std::{ffi::OsStr, fs, path::Path};

use anyhow::Context as _;

use super::packs::archive::Archive;

const LIB: &str = "repository/components/lib";
const DROPINS: &str = "repository/components/dropins";

/// The file name of the bundle that is made of a library.
#[must_use]
pub fn bundle_of(library: &str) -> String {
    format!("{}_1.0.0.jar", library.trim_end_matches(".jar").replace('-', "_"))
}

/// Makes all of them anew.
///
/// # Errors
///
/// When a library cannot be read or a bundle cannot be written.
pub fn make_bundles(home: &Path) -> anyhow::Result<()> {
    let dropins = home.join(DROPINS);
    fs::create_dir_all(&dropins).with_context(|| format!("{} cannot be made", dropins.display()))?;
    let Ok(libraries) = fs::read_dir(home.join(LIB)) else { return Ok(()) };
    for library in libraries {
        let path = library?.path();
        let Some(name) = path.file_name().and_then(OsStr::to_str).filter(|name| name.ends_with(".jar")) else { continue };
        let manifest = format!("Manifest-Version: 1.0\r\nBundle-ClassPath: .,{name}\r\nBundle-Version: 1.0.0\r\n\r\n");
        let bundle = Archive::new("").file("META-INF/MANIFEST.MF", manifest).file(name, fs::read(&path)?).finish()?;
        let file = dropins.join(bundle_of(name));
        fs::write(&file, bundle).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

/// Whether a path, relative to a home, is that of such a bundle.
#[must_use]
pub fn is_made(home: &Path, path: &str) -> bool {
    let Some(bundle) = path.strip_prefix(DROPINS).and_then(|rest| rest.strip_prefix('/')) else { return false };
    let libraries = fs::read_dir(home.join(LIB)).into_iter().flatten().flatten();
    libraries.into_iter().any(|library| library.file_name().to_str().is_some_and(|name| bundle_of(name) == bundle))
}
