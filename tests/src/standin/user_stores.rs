//! Secondary user stores: files in each home, with a password that the server's key encrypted. The migration client encrypts it
//! anew in the home that it runs in, and in no other.

use std::{fs, path::Path};

use serde_json::json;

use super::{
    crypto::{self, Keys, Turned},
    jvm::Boot,
    product::Kind,
};

const CONFIGURATION: &str = "org.wso2.carbon.identity.user.store.configuration.deployer.UserStoreConfigurationDeployer";
const UTIL: &str = "org.wso2.carbon.is.migration.util.SecondaryUserStoreUtil";
/// Around an encrypted value.
const BEFORE: &str = "encrypted=\"true\">";
const AFTER: &str = "</Property>";

/// A store of this domain, its password encrypted as `password` says.
#[must_use]
pub fn file(domain: &str, password: &str) -> String {
    format!(
        "<UserStoreManager class=\"org.wso2.carbon.user.core.ldap.ReadOnlyLDAPUserStoreManager\">\n    <Property \
         name=\"DomainName\">{domain}</Property>\n    <Property name=\"ConnectionURL\">ldap://ldap.example.com:389</Property>\n    \
         <Property name=\"ConnectionPassword\" {BEFORE}{password}{AFTER}\n</UserStoreManager>\n"
    )
}

/// The encrypted values of a home's stores, each with its file.
///
/// # Errors
///
/// When a file cannot be read.
pub fn passwords(home: &Path) -> anyhow::Result<Vec<(std::path::PathBuf, String)>> {
    let mut folders = vec![home.join("repository/deployment/server/userstores")];
    folders.extend(entries(&home.join("repository/tenants")).map(|tenant| tenant.join("userstores")));
    let mut found = Vec::new();
    for file in folders.iter().flat_map(|folder| entries(folder)).filter(|path| path.is_file()) {
        let text = fs::read_to_string(&file)?;
        let password =
            text.split_once(BEFORE).and_then(|(_, rest)| rest.split_once(AFTER)).map(|(password, _)| password.to_owned());
        found.extend(password.map(|password| (file, password)));
    }
    Ok(found)
}

fn entries(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Encrypts the passwords of this home's stores anew, as the migration client does; returns what went wrong.
///
/// # Errors
///
/// When a file cannot be read or written.
pub fn migrate(boot: &Boot, keys: &Keys, algorithm: &str) -> anyhow::Result<Option<String>> {
    let mut lost = None;
    for (file, password) in passwords(&boot.launch.home)? {
        boot.log.info(UTIL, &format!("Migrating password in: {}", file.display()));
        match crypto::turn(&password, keys, algorithm) {
            Turned::Sealed(sealed) => {
                let text = fs::read_to_string(&file)?;
                fs::write(&file, text.replacen(&password, &sealed, 1))?;
            }
            Turned::Left => crypto::say_left(boot, algorithm),
            Turned::Lost => lost = Some(format!("CryptoException: {} cannot be decrypted", file.display())),
        }
    }
    Ok(lost)
}

/// Looks whether a server can open the passwords of its stores. One that it cannot open is no store of it.
///
/// # Errors
///
/// When a file cannot be read, or the witness cannot be written.
pub fn check(boot: &Boot, keys: &Keys) -> anyhow::Result<()> {
    if boot.product.kind != Kind::IdentityServer {
        return Ok(());
    }
    for (file, password) in passwords(&boot.launch.home)? {
        if crypto::opens(&boot.product, keys, &password) {
            continue;
        }
        let exception = "org.wso2.carbon.core.util.CryptoException: An error occurred while decrypting data.";
        boot.log.exception(CONFIGURATION, "Secondary user store initialization failed.", exception, &[]);
        boot.witness.record("user-store-unreadable", json!({"file": file.display().to_string()}))?;
    }
    Ok(())
}
