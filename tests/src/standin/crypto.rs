//! What a server encrypts its own data with: before 5.11.0 the key of its key store, unless it is told otherwise; from then on
//! `[encryption] key`, and without that one a key that everybody knows.
//!
//! Such data stand in the column of the applications' secrets as `{rsa:ID}text` or `{aes:FINGERPRINT}text`; what has no brace was
//! never encrypted. The texts are plain: the stand-ins guard which key was used, nothing else.

use std::{collections::BTreeSet, path::Path};

use anyhow::bail;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{Executor as _, MySqlConnection};

use super::{
    config::Config,
    database,
    jvm::Boot,
    keystore::{KeyStore, SHIPPED_PASSWORD},
    product::{Kind, Product},
};

/// The key that IS 5.11.0's default.json publishes.
pub const PUBLIC_KEY: &str = "03BAFEB27A8E871CAD83C5CD4E771DAB";
/// The class that `[encryption] internal_crypto_provider` names where the old version encrypts with a secret key.
pub const SYMMETRIC_PROVIDER: &str = "org.wso2.carbon.crypto.provider.SymmetricKeyInternalCryptoProvider";

/// The names under which the migration client opens what the key of a key store encrypted; the two of AES are of the other
/// provider, and of any other name it knows no provider.
const KEY_STORE_ALGORITHMS: [&str; 2] = ["RSA", "RSA/ECB/OAEPwithSHA1andMGF1Padding"];

const CRYPTO: &str = "org.wso2.carbon.crypto.impl.DefaultCryptoService";

/// The keys of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// What it encrypts with now: the secret key, or the key of its key store. Only IS 5.11.0 takes the first by default.
    pub symmetric: bool,
    /// Fingerprint of the secret key; none where it knows of none.
    pub secret: Option<String>,
    /// Whether that is the key that everybody knows.
    pub public: bool,
    /// Ids of the private keys at hand.
    pub private: BTreeSet<String>,
    /// Bits of the primary key store's key.
    pub signing_bits: u32,
    /// Why key stores cannot be read.
    pub problems: Vec<String>,
}

/// Reads the keys that a configuration names.
#[must_use]
pub fn keys(home: &Path, config: &Config, product: &Product) -> Keys {
    let (new, mut keys) = (product.is_new(), Keys::default());
    keys.symmetric = match config.text("encryption.internal_crypto_provider") {
        Some(provider) => provider == SYMMETRIC_PROVIDER,
        None if config.text("encryption.type").as_deref() == Some("symmetric") => true,
        None => new && product.kind == Kind::IdentityServer,
    };
    if keys.symmetric || new {
        let key = config.text("encryption.key").unwrap_or_else(|| PUBLIC_KEY.to_owned());
        keys.public = key.eq_ignore_ascii_case(PUBLIC_KEY);
        keys.secret = Some(fingerprint(&key));
    }
    for kind in ["primary", "internal"] {
        let file = match config.text(&format!("keystore.{kind}.file_name")) {
            Some(file) => file,
            None if kind == "primary" => config.primary_store(),
            None => continue,
        };
        let password = config.text(&format!("keystore.{kind}.password")).unwrap_or_else(|| SHIPPED_PASSWORD.to_owned());
        match KeyStore::open(&home.join("repository/resources/security").join(&file), &password) {
            Ok(store) => {
                let entry = store.key();
                keys.private.extend(entry.and_then(|entry| entry.key.clone()));
                if kind == "primary" {
                    keys.signing_bits = entry.map_or(0, |entry| entry.bits);
                }
            }
            Err(error) => keys.problems.push(format!("{file}: {error:#}")),
        }
    }
    keys
}

/// What tells one secret key from another without telling it.
#[must_use]
pub fn fingerprint(key: &str) -> String {
    hex::encode(&Sha256::digest(key)[..4])
}

/// What a migration does with one encrypted text.
#[derive(Debug, PartialEq, Eq)]
pub enum Turned {
    /// It is of the server's secret key: now, or as it was.
    Sealed(String),
    /// The client could not open it in the way that it was told, and left it: what it tried next it threw away.
    Left,
    /// No key at hand opens it.
    Lost,
}

/// Encrypts a text anew with the server's secret key, as `EncryptionUtil` of the migration client does.
#[must_use]
pub fn turn(text: &str, keys: &Keys, algorithm: &str) -> Turned {
    let own = format!("{{aes:{}}}", keys.secret.as_deref().unwrap_or_default());
    let sealed = |plain: &str| Turned::Sealed(format!("{own}{plain}"));
    match open(text, keys) {
        Some(plain) if plain == text => sealed(plain),
        Some(_) if text.starts_with(&own) => Turned::Sealed(text.to_owned()),
        Some(plain) if KEY_STORE_ALGORITHMS.contains(&algorithm) => sealed(plain),
        // With the wrong provider, or with none: the product has no name for it.
        Some(_) => Turned::Left,
        None => Turned::Lost,
    }
}

/// Says of a text that it was left, in the client's words: warnings, and nothing more.
pub fn say_left(boot: &Boot, algorithm: &str) {
    const UTIL: &str = "org.wso2.carbon.is.migration.util.EncryptionUtil";
    let asks =
        "The provided algorithm may be incorrect.Please check if your system have data encrypted with different algorithm.";
    boot.log.warn(UTIL, &format!("Error while decrypting using '{algorithm}'. {asks}"));
    boot.log.warn(UTIL, "Retrying decryption with self contained ciphe");
}

/// Encrypts the applications' secrets anew, as the migration client does.
///
/// # Errors
///
/// When a secret was encrypted with a key that is not at hand, or the database cannot be asked.
pub async fn migrate(boot: &Boot, connection: &mut MySqlConnection, keys: &Keys, algorithm: &str) -> anyhow::Result<()> {
    let mut failed = 0;
    for (id, text) in secrets(connection).await? {
        let sealed = match turn(&text, keys, algorithm) {
            Turned::Sealed(sealed) => sealed,
            Turned::Left => {
                say_left(boot, algorithm);
                continue;
            }
            Turned::Lost => {
                failed += 1;
                continue;
            }
        };
        let update = sqlx::query("UPDATE IDN_OAUTH_CONSUMER_APPS SET CONSUMER_SECRET = ? WHERE ID = ?").bind(sealed).bind(id);
        connection.execute(update).await?;
    }
    if failed > 0 {
        bail!("org.wso2.carbon.crypto.api.CryptoException: An error occurred while decrypting {failed} secrets");
    }
    Ok(())
}

/// Looks whether a server can read what is in its database. It cannot: an error in the log, and nothing that depends on it works.
///
/// # Errors
///
/// When the witness cannot be written.
pub async fn check(boot: &Boot, config: &Config, keys: &Keys) -> anyhow::Result<()> {
    let name = match boot.product.kind {
        Kind::IdentityServer if config.database("identity_db").is_some() => "identity_db",
        Kind::IdentityServer | Kind::ApiManager => "apim_db",
    };
    let Some(table) = config.database(name).filter(|table| table.engine == "mysql") else { return Ok(()) };
    // A database that cannot be reached was complained of before.
    let Ok(mut connection) = database::connect(&table).await else { return Ok(()) };
    let Ok(all) = secrets(&mut connection).await else { return Ok(()) };
    let foreign = all.iter().filter(|(_, text)| !opens(&boot.product, keys, text)).count();
    if foreign > 0 {
        boot.log.exception(
            CRYPTO,
            "An error occurred while decrypting data",
            "org.wso2.carbon.crypto.api.CryptoException: javax.crypto.AEADBadTagException: Tag mismatch!",
            &["org.wso2.carbon.crypto.impl.DefaultCryptoService.decrypt(DefaultCryptoService.java)"],
        );
        boot.witness.record("encrypted-with-another-key", json!({"database": name, "rows": foreign}))?;
    }
    Ok(())
}

async fn secrets(connection: &mut MySqlConnection) -> sqlx::Result<Vec<(i32, String)>> {
    sqlx::query_as("SELECT ID, CONSUMER_SECRET FROM IDN_OAUTH_CONSUMER_APPS WHERE CONSUMER_SECRET IS NOT NULL")
        .fetch_all(connection)
        .await
}

/// Whether a server opens an encrypted text: IS 5.11.0 only with its secret key, though its key store is at hand.
#[must_use]
pub fn opens(product: &Product, keys: &Keys, text: &str) -> bool {
    let of_the_key_store = text.starts_with("{rsa:");
    let asks_it = !(product.is_new() && product.kind == Kind::IdentityServer && keys.symmetric);
    open(text, keys).is_some() && (asks_it || !of_the_key_store)
}

fn open<'t>(text: &'t str, keys: &Keys) -> Option<&'t str> {
    let Some((how, plain)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { return Some(text) };
    let known = match how.split_once(':')? {
        ("rsa", id) => keys.private.contains(id),
        ("aes", of) => keys.secret.as_deref() == Some(of),
        _ => false,
    };
    known.then_some(plain)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::standin::keystore::Entry;

    #[test]
    fn what_the_client_has_no_name_for_stays_as_it_was() {
        let keys = Keys { secret: Some("f".to_owned()), private: BTreeSet::from(["own".to_owned()]), ..Keys::default() };
        let turned = |text: &str, algorithm: &str| turn(text, &keys, algorithm);
        let sealed = || Turned::Sealed("{aes:f}x".to_owned());
        for known in KEY_STORE_ALGORITHMS {
            assert_eq!([turned("{rsa:own}x", known), turned("x", known)], [sealed(), sealed()], "{known}");
        }
        for other in ["RSA/ECB/PKCS1Padding", "AES/GCM/NoPadding", ""] {
            assert_eq!([turned("{rsa:own}x", other), turned("{aes:f}x", other)], [Turned::Left, sealed()], "{other}");
        }
        assert_eq!(turned("{rsa:other}x", "RSA"), Turned::Lost);
        let of = |version: &str| Product { kind: Kind::IdentityServer, version: version.to_owned() };
        let new = Keys { symmetric: true, ..keys.clone() };
        assert!(opens(&of("5.10.0"), &keys, "{rsa:own}x") && opens(&of("5.11.0"), &new, "{aes:f}x"));
        assert!(!opens(&of("5.11.0"), &new, "{rsa:own}x"), "what the migration left is lost to the new version");
    }

    #[test]
    fn the_old_version_uses_its_key_store_and_the_new_one_a_key_that_everybody_knows() {
        let folder = tempfile::tempdir().unwrap();
        let security = folder.path().join("repository/resources/security");
        fs::create_dir_all(&security).unwrap();
        let store = KeyStore::new("p", vec![Entry::private("wso2carbon", "weak", 1024)]);
        fs::write(security.join("own.jks"), store.bytes()).unwrap();
        let toml = "[keystore.primary]\nfile_name = 'own.jks'\npassword = 'p'\n";
        let product = |kind, version: &str| Product { kind, version: version.to_owned() };
        let of = |more: &str, product: &Product| keys(folder.path(), &Config::parse(&format!("{toml}{more}")).unwrap(), product);
        let is = [product(Kind::IdentityServer, "5.10.0"), product(Kind::IdentityServer, "5.11.0")];
        let read = |more: &str, new: bool| of(more, &is[usize::from(new)]);
        let old = read("", false);
        assert_eq!((old.secret.as_ref(), old.signing_bits, old.problems.len()), (None, 1024, 0));
        assert_eq!((open("{rsa:weak}x", &old), open("{rsa:shipped}x", &old), open("x", &old)), (Some("x"), None, Some("x")));
        assert!(read("", true).public);
        let am = product(Kind::ApiManager, "4.0.0");
        assert_eq!([&is[0], &is[1], &am].map(|product| of("", product).symmetric), [false, true, false]);
        assert!(
            of("[encryption]\ntype = 'symmetric'\n", &am).symmetric
                && read("[encryption]\ntype = 'symmetric'\n", false).symmetric
        );
        let own_store = "[encryption]\ninternal_crypto_provider = 'org.wso2.KeyStoreBased'\n";
        assert!(!read(own_store, true).symmetric, "what is named counts");
        let own = read("[encryption]\nkey = 'ABC'\n", true);
        assert!(!own.public && open(&format!("{{aes:{}}}x", fingerprint("ABC")), &own) == Some("x"));
        assert_eq!(open(&format!("{{aes:{}}}x", fingerprint(PUBLIC_KEY)), &own), None);
        assert_eq!(read("[keystore.internal]\nfile_name = 'none.jks'\n", true).problems.len(), 1);
    }
}
