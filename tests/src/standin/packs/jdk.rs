//! The stand-in JDK: a folder with `bin/java`, `bin/keytool` and `standin.json`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{standin::settings, test_program};

/// Makes a JDK in `folder` whose `java` is `program`. `overrides` are settings beyond the witness file.
///
/// A JDK that is there gets the new program and settings.
///
/// # Errors
///
/// When a file cannot be written, or `overrides` is not an object.
pub fn install(folder: &Path, program: &Path, witness: Option<&Path>, overrides: &Value) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder.join("bin"))?;
    fs::create_dir_all(folder.join("lib"))?;
    for name in ["java", "keytool"] {
        put(program, &folder.join("bin").join(name))?;
    }
    fs::write(folder.join("release"), "JAVA_VERSION=\"11.0.21\"\n")?;
    let Value::Object(mut all) = overrides.clone() else { anyhow::bail!("settings are an object") };
    if let Some(witness) = witness {
        all.insert("witness".to_owned(), json!(std::path::absolute(witness)?));
    }
    fs::write(folder.join(settings::FILE), serde_json::to_vec_pretty(&Value::Object(all))?)?;
    Ok(folder.to_path_buf())
}

/// Puts the program under a name.
fn put(program: &Path, name: &Path) -> anyhow::Result<()> {
    match fs::remove_file(name) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{} cannot be replaced", name.display())),
    }
    // A link saves the copy where both lie on one file system.
    if fs::hard_link(program, name).is_err() {
        let bytes = fs::read(program).with_context(|| format!("{} cannot be copied", program.display()))?;
        test_program::write(name, &bytes)?;
    }
    Ok(())
}
