//! Key stores: the magic number of a JKS, then what keytool would tell of a real one. No key is in them; the id of an entry
//! stands for its private key, so that what was sealed with one key cannot be read with another.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The first bytes of a JKS of version 2.
const MAGIC: &[u8] = b"\xFE\xED\xFE\xED\x00\x00\x00\x02";
/// The id of the key that every pack ships.
pub const SHIPPED_KEY: &str = "shipped";
/// The password of every key store of the packs.
pub const SHIPPED_PASSWORD: &str = "wso2carbon";

/// A key store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyStore {
    /// SHA-256 of its password, in hexadecimal digits.
    password: String,
    /// Its entries.
    pub entries: Vec<Entry>,
}

/// A key with its certificate, or a certificate alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its alias.
    pub alias: String,
    /// The private key's id; none in an entry of a trusted certificate.
    pub key: Option<String>,
    /// Bits of the RSA key.
    pub bits: u32,
    /// End of the certificate, as keytool prints it.
    pub until: String,
}

impl Entry {
    /// An entry with a private key.
    #[must_use]
    pub fn private(alias: &str, key: &str, bits: u32) -> Self {
        let until = "Tue Jan 19 03:14:07 UTC 2038".to_owned();
        Self { alias: alias.to_owned(), key: Some(key.to_owned()), bits, until }
    }

    /// A trusted certificate.
    #[must_use]
    pub fn trusted(alias: &str) -> Self {
        Self { key: None, ..Self::private(alias, "", 2048) }
    }
}

impl KeyStore {
    /// A key store with a password.
    #[must_use]
    pub fn new(password: &str, entries: Vec<Entry>) -> Self {
        Self { password: digest(password), entries }
    }

    /// Its file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        // Texts and numbers alone: there is nothing that JSON could not hold.
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        bytes
    }

    /// Reads a file and checks the password.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no key store of a stand-in, or has another password.
    pub fn open(file: &Path, password: &str) -> anyhow::Result<Self> {
        let store = Self::unchecked(file)?;
        ensure!(store.password == digest(password), "Keystore was tampered with, or password was incorrect");
        Ok(store)
    }

    /// Reads a file without its password, as a JKS can be read: the certificates in it are not encrypted.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no key store of a stand-in.
    pub fn unchecked(file: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let json = bytes.strip_prefix(MAGIC).context("Invalid keystore format")?;
        serde_json::from_slice(json).context("Invalid keystore format")
    }

    /// The first private key.
    #[must_use]
    pub fn key(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key.is_some())
    }
}

/// Seals a text with a key. The same text comes out the same, so that files can be compared.
#[must_use]
pub fn seal(key: &str, text: &str) -> String {
    let mut bytes = check(key, text.as_bytes());
    bytes.extend(text.bytes().zip(stream(key)).map(|(byte, mask)| byte ^ mask));
    hex::encode(bytes)
}

/// Opens what [`seal`] made with the same key; none for anything else.
#[must_use]
pub fn unseal(key: &str, sealed: &str) -> Option<String> {
    let bytes = hex::decode(sealed).ok()?;
    let (sum, sealed) = bytes.split_at_checked(4)?;
    let plain: Vec<u8> = sealed.iter().zip(stream(key)).map(|(byte, mask)| byte ^ mask).collect();
    (check(key, &plain) == sum).then(|| String::from_utf8(plain).ok())?
}

fn check(key: &str, text: &[u8]) -> Vec<u8> {
    let mut sum = Sha256::new();
    sum.update(key.as_bytes());
    sum.update([0]);
    sum.update(text);
    sum.finalize()[..4].to_vec()
}

fn stream(key: &str) -> impl Iterator<Item = u8> {
    let key = key.to_owned();
    (0_u32..).flat_map(move |block| Sha256::digest(format!("{key} {block}")).to_vec())
}

fn digest(password: &str) -> String {
    hex::encode(Sha256::digest(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_opens_with_its_password_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jks");
        let store = KeyStore::new("secret", vec![Entry::trusted("ca"), Entry::private("wso2carbon", "k", 1024)]);
        fs::write(&file, store.bytes()).unwrap();
        let opened = KeyStore::open(&file, "secret").unwrap();
        assert_eq!((opened.key().unwrap().bits, opened), (1024, store));
        assert!(KeyStore::open(&file, "other").unwrap_err().to_string().contains("password was incorrect"));
        fs::write(&file, "x").unwrap();
        assert!(KeyStore::open(&file, "secret").is_err());
    }

    #[test]
    fn what_one_key_sealed_no_other_opens() {
        let text = "a password that is longer than one block of the key stream is";
        let sealed = seal("k", text);
        assert_eq!(unseal("k", &sealed).as_deref(), Some(text));
        assert_eq!((unseal("l", &sealed), unseal("k", "abc"), unseal("k", "plain")), (None, None, None));
    }
}
