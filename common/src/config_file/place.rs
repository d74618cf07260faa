//! Where the file is when nobody names it.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The user's own file, else that of the machine; the first one that is there is the only one that is read.
pub(super) fn usual(name: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name| variable(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let own = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
    let mut places = own.into_iter().chain([PathBuf::from("/etc")]).map(|folder| folder.join("cavalcade").join(name));
    places.find(|place| is_there(place))
}

/// A folder that this user may not enter is somebody else's. Whatever else stands at the place is there, and reading it
/// says what is wrong with it.
fn is_there(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied),
    }
}
