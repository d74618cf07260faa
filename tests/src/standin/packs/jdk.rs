//! The stand-in JDK: a folder with `bin/java` and `standin.json`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::standin::settings;

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
    let java = folder.join("bin/java");
    match fs::remove_file(&java) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{} cannot be replaced", java.display())),
    }
    // A link saves the copy where both lie on one file system.
    if fs::hard_link(program, &java).is_err() {
        fs::copy(program, &java).with_context(|| format!("{} cannot be copied", program.display()))?;
    }
    fs::write(folder.join("release"), "JAVA_VERSION=\"11.0.21\"\n")?;
    let Value::Object(mut all) = overrides.clone() else { anyhow::bail!("settings are an object") };
    if let Some(witness) = witness {
        all.insert("witness".to_owned(), json!(std::path::absolute(witness)?));
    }
    fs::write(folder.join(settings::FILE), serde_json::to_vec_pretty(&Value::Object(all))?)?;
    Ok(folder.to_path_buf())
}
