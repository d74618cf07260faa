//! Secure vault: `[secrets]` of a deployment.toml, sealed with the key of the home's key store, and the files that the store's
//! password is read from at a start.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    config::Config,
    keystore::{KeyStore, unseal},
};

/// What a start found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vault {
    /// Plain values by alias.
    pub values: BTreeMap<String, String>,
    /// Why others are missing.
    pub problems: Vec<String>,
}

/// Opens the secrets of a home. Without any nothing is asked for, so that a password file stays where it is.
///
/// # Errors
///
/// When a password file can be read and not be taken away.
pub fn unlock(home: &Path, config: &Config) -> anyhow::Result<Vault> {
    let mut vault = Vault::default();
    let secrets = config.secrets();
    if secrets.is_empty() {
        return Ok(vault);
    }
    let Some(password) = take_password(home)? else {
        vault.problems.push("no password file, and no console to ask for the key store's password".to_owned());
        return Ok(vault);
    };
    let store = match KeyStore::open(&store_of(home, config), &password) {
        Ok(store) => store,
        Err(error) => {
            vault.problems.push(format!("{error:#}"));
            return Ok(vault);
        }
    };
    let key = store.key().and_then(|entry| entry.key.clone()).unwrap_or_default();
    for (alias, value) in secrets {
        match unseal(&key, &value) {
            Some(plain) => {
                vault.values.insert(alias, plain);
            }
            // A value in brackets has yet to meet the cipher tool.
            None => vault.problems.push(format!("Error decrypting password: {alias} was not encrypted with this key store")),
        }
    }
    Ok(vault)
}

/// The key store of secrets: the internal one where there is one.
#[must_use]
pub fn store_of(home: &Path, config: &Config) -> PathBuf {
    let name = config.text("keystore.internal.file_name").unwrap_or_else(|| config.primary_store());
    home.join("repository/resources/security").join(name)
}

/// Reads the password as the kernel does: `password` becomes `password-tmp`, `password-tmp` goes, `password-persist` stays.
fn take_password(home: &Path) -> anyhow::Result<Option<String>> {
    let [once, last, stays] = ["password", "password-tmp", "password-persist"].map(|name| home.join(name));
    if let Some(text) = first_line(&once)? {
        fs::rename(&once, &last).context("Error renaming Password config File")?;
        return Ok(Some(text));
    }
    if let Some(text) = first_line(&last)? {
        fs::remove_file(&last).context("Error deleting Password config File")?;
        return Ok(Some(text));
    }
    first_line(&stays)
}

fn first_line(file: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.lines().next().unwrap_or_default().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("Error reading password from text file"),
    }
}
