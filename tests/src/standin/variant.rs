//! What an old home has beyond its pack: the conditions of the guide's rows, each on or off.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use toml_edit::{Array, ArrayOfTables, InlineTable, Item, Table, Value, value};

use super::{
    config::Config,
    crypto::SYMMETRIC_PROVIDER,
    fleet::{Role, edit_toml},
    keystore::{Entry, KeyStore, SHIPPED_KEY, seal},
    packs::{
        artifacts::{bundle, web_application},
        homes::{DEPLOYED, JAGGERY_APP, MAILS, MAILS_PATH, REGISTRY},
    },
    user_stores,
    vault::store_of,
};

/// The key store of a variant with a key of its own.
pub const OWN_STORE: &str = "example.jks";
/// Its password. It guards nothing.
pub const OWN_PASSWORD: &str = "example-store";
/// Bundles that no pack ships.
pub const BUNDLES: [&str; 2] = ["com.example.audit_1.2.0.jar", "com.example.handler_2.0.1.jar"];
/// A library that no pack ships.
pub const LIBRARY: &str = "com.example.lookup-3.1.jar";
/// A library that the pack ships, with other bytes.
pub const CHANGED_LIBRARY: &str = "shipped-library-1.0.jar";
/// A web application that no pack ships.
pub const WEBAPP: &str = "com.example.portal.war";

/// A portal of 3.1.0 that differs from the pack's.
pub const PORTAL: &str = "jaggeryapps/devportal";

/// The conditions. By default none holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variant {
    /// `[realm_manager] data_source`: `WSO2USER_DB` where users have a database of their own.
    pub realm: Option<String>,
    /// Folders of other tenants, each with a user store.
    pub tenants: u32,
    /// Secondary user stores.
    pub user_stores: Vec<String>,
    /// Whether the registry keeps versions.
    pub registry_versioning: bool,
    /// Bits of the key in a key store of its own ([`OWN_STORE`]).
    pub own_key_bits: Option<u32>,
    /// The key of symmetric encryption.
    pub encryption_key: Option<String>,
    /// `org.wso2.CipherTransformation`, as an earlier start wrote it.
    pub cipher_transformation: Option<String>,
    /// Keys of deployment.toml whose values are in the secure vault.
    pub vault: Vec<String>,
    /// Bundles, libraries, a web application, mails, scripts and logging that differ from the pack's.
    pub customized: bool,
    /// More of deployment.toml, by dotted path.
    pub settings: BTreeMap<String, Json>,
}

impl Variant {
    /// Makes a home, whose databases are set, one of this variant.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, or a value of the vault is missing.
    pub fn apply(&self, home: &Path, role: Role) -> anyhow::Result<()> {
        if self.registry_versioning {
            write(home, "repository/conf/registry.xml", versioned_registry())?;
        }
        for tenant in 1..=self.tenants {
            write(home, &format!("repository/tenants/{tenant}/userstores/BRANCH.xml"), self.user_store("BRANCH"))?;
            write(home, &format!("repository/tenants/{tenant}/axis2services/README"), "of the tenant\n")?;
        }
        for name in &self.user_stores {
            write(home, &format!("repository/deployment/server/userstores/{name}.xml"), self.user_store(name))?;
        }
        if self.customized {
            customize(home, role)?;
        }
        if let Some(cipher) = &self.cipher_transformation {
            append(home, "repository/conf/carbon.properties", &format!("org.wso2.CipherTransformation={cipher}\n"))?;
        }
        self.own_key(home)?;
        let given = self.settings.iter().map(|(path, value)| (path.clone(), item(value)));
        edit_toml(home, self.tables(role).into_iter().chain(given))?;
        self.lock_up(home)
    }

    /// A user store whose password the home's key encrypted.
    fn user_store(&self, domain: &str) -> String {
        let key = self.own_key_bits.map_or_else(|| SHIPPED_KEY.to_owned(), |bits| format!("example-{bits}"));
        user_stores::file(domain, &format!("{{rsa:{key}}}{domain}-password"))
    }

    fn own_key(&self, home: &Path) -> anyhow::Result<()> {
        let Some(bits) = self.own_key_bits else { return Ok(()) };
        let store = KeyStore::new(OWN_PASSWORD, vec![Entry::private("example", &format!("example-{bits}"), bits)]);
        write(home, &format!("repository/resources/security/{OWN_STORE}"), store.bytes())
    }

    fn tables(&self, role: Role) -> Vec<(String, Item)> {
        let mut all = Vec::new();
        let mut set = |path: &str, text: &str| all.push((path.to_owned(), value(text)));
        if let Some(source) = &self.realm {
            set("realm_manager.data_source", source);
        }
        if let Some(key) = &self.encryption_key {
            set("encryption.internal_crypto_provider", SYMMETRIC_PROVIDER);
            set("encryption.key", key);
        }
        if self.own_key_bits.is_some() {
            let tables: &[&str] = if role == Role::Am { &["primary", "tls"] } else { &["primary"] };
            for table in tables {
                set(&format!("keystore.{table}.file_name"), OWN_STORE);
                set(&format!("keystore.{table}.password"), OWN_PASSWORD);
                set(&format!("keystore.{table}.alias"), "example");
                set(&format!("keystore.{table}.key_password"), OWN_PASSWORD);
            }
        }
        all
    }

    /// Moves values into `[secrets]`, encrypted, and leaves the key store's password where each start finds it.
    fn lock_up(&self, home: &Path) -> anyhow::Result<()> {
        if self.vault.is_empty() {
            return Ok(());
        }
        let config = Config::of_home(home)?;
        let password = if self.own_key_bits.is_some() { OWN_PASSWORD } else { super::keystore::SHIPPED_PASSWORD };
        let store = KeyStore::open(&store_of(home, &config), password)?;
        let key = store.key().and_then(|entry| entry.key.clone()).context("the key store holds no key")?;
        let mut settings = Vec::new();
        for path in &self.vault {
            let plain = config.text(path).with_context(|| format!("{path} is not there"))?;
            let alias = path.replace('.', "_");
            settings.push((format!("secrets.{alias}"), value(seal(&key, &plain))));
            settings.push((path.clone(), value(format!("$secret{{{alias}}}"))));
        }
        edit_toml(home, settings)?;
        write(home, "password-persist", format!("{password}\n"))
    }
}

/// A Jaggery application of a site's own.
pub const OWN_JAGGERY_APP: &str = "com.example.desk";

fn customize(home: &Path, role: Role) -> anyhow::Result<()> {
    let components = "repository/components";
    for (name, version) in [("com.example.audit", "1.2.0"), ("com.example.handler", "2.0.1")] {
        write(home, &format!("{components}/dropins/{name}_{version}.jar"), bundle(name, version)?)?;
    }
    write(home, &format!("{components}/lib/{LIBRARY}"), bundle("com.example.lookup", "3.1")?)?;
    write(home, &format!("{components}/lib/{CHANGED_LIBRARY}"), bundle("shipped-library", "1.0.1")?)?;
    let server = "repository/deployment/server";
    write(home, &format!("{server}/webapps/{WEBAPP}"), web_application("com.example.portal")?)?;
    write(home, &format!("{server}/webapps/authenticationendpoint/index.jsp"), "<html>Example Inc.</html>\n")?;
    write(home, &format!("{server}/carbonapps/com.example.flows_1.0.0.car"), "a Carbon application\n")?;
    write(home, MAILS_PATH, MAILS.replace("Password reset", "Example Inc.: password reset"))?;
    append(home, "repository/conf/log4j2.properties", "logger.example.name = com.example\nlogger.example.level = DEBUG\n")?;
    append(home, "bin/wso2server.sh", "# Example Inc.: started by its own unit.\n")?;
    let truststore =
        KeyStore::new(super::keystore::SHIPPED_PASSWORD, ["wso2carbon", "publicroot", "example-ca"].map(Entry::trusted).to_vec());
    write(home, "repository/resources/security/client-truststore.jks", truststore.bytes())?;
    if role == Role::Is {
        // A pack of one's own may not have them.
        for shipped in [DEPLOYED[0].to_owned(), format!("{JAGGERY_APP}/jaggery.conf")] {
            if home.join(&shipped).exists() {
                append(home, &shipped, "Example Inc.\n")?;
            }
        }
        write(home, &format!("{server}/jaggeryapps/{OWN_JAGGERY_APP}/jaggery.conf"), "{}\n")?;
    }
    if role == Role::Am {
        let sequences = format!("{server}/synapse-configs/default/sequences");
        write(home, &format!("{server}/{PORTAL}/site/public/theme/example.css"), "/* Example Inc. */\n")?;
        write(home, &format!("{sequences}/_example_audit_.xml"), "<sequence name=\"_example_audit_\"/>\n")?;
        append(home, "repository/resources/api_templates/velocity_template.xml", "<!-- Example Inc. -->\n")?;
    }
    Ok(())
}

fn versioned_registry() -> String {
    let mut text = REGISTRY.to_owned();
    for element in ["versioningProperties", "versioningComments", "versioningTags", "versioningRatings"] {
        text = text.replace(&format!("<{element}>false"), &format!("<{element}>true"));
    }
    text
}

fn place(home: &Path, path: &str) -> anyhow::Result<PathBuf> {
    let file = home.join(path);
    fs::create_dir_all(file.parent().context("no folder")?)?;
    Ok(file)
}

fn write(home: &Path, path: &str, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let file = place(home, path)?;
    fs::write(&file, bytes).with_context(|| format!("{} cannot be written", file.display()))
}

fn append(home: &Path, path: &str, text: &str) -> anyhow::Result<()> {
    let file = place(home, path)?;
    let mut open = fs::OpenOptions::new().append(true).open(&file).with_context(|| format!("{} is missing", file.display()))?;
    Ok(open.write_all(text.as_bytes())?)
}

/// A value as an item: lists of objects become `[[...]]`, objects tables.
fn item(json: &Json) -> Item {
    match json {
        Json::Object(map) => Item::Table(table(map)),
        Json::Array(list) if !list.is_empty() && list.iter().all(Json::is_object) => {
            let tables = list.iter().filter_map(Json::as_object).map(table);
            Item::ArrayOfTables(tables.collect::<ArrayOfTables>())
        }
        other => Item::Value(plain(other)),
    }
}

fn table(map: &serde_json::Map<String, Json>) -> Table {
    map.iter().map(|(key, json)| (key.as_str(), item(json))).collect()
}

fn plain(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(""),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::from(number.to_string()), Value::from),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(list) => Value::Array(list.iter().map(plain).collect::<Array>()),
        Json::Object(map) => {
            Value::InlineTable(map.iter().map(|(key, json)| (key.as_str(), plain(json))).collect::<InlineTable>())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::standin::{crypto, packs, product::Product, vault};

    fn old_home(variant: &Variant, role: Role) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        packs::write_all(&folder.path().join("packs")).unwrap();
        let name = if role == Role::Am { packs::OLD_AM_PACK } else { packs::OLD_IS_PACK };
        packs::unpack(&folder.path().join("packs").join(name), folder.path()).unwrap();
        let home = folder.path().join(name.trim_end_matches(".zip"));
        variant.apply(&home, role).unwrap();
        (folder, home)
    }

    #[test]
    fn every_condition_can_be_off_and_on() {
        let (_folder, plain) = old_home(&Variant::default(), Role::Is);
        assert!(!plain.join("repository/resources/security").join(OWN_STORE).exists());
        assert_eq!(fs::read_to_string(plain.join("repository/conf/registry.xml")).unwrap(), REGISTRY);
        let variant = Variant {
            realm: Some("WSO2USER_DB".to_owned()),
            tenants: 2,
            user_stores: vec!["PARTNERS".to_owned()],
            registry_versioning: true,
            own_key_bits: Some(1024),
            encryption_key: Some("0123".to_owned()),
            cipher_transformation: Some("RSA/ECB/PKCS1Padding".to_owned()),
            vault: vec!["super_admin.password".to_owned(), "keystore.primary.password".to_owned()],
            customized: true,
            settings: BTreeMap::from([
                ("transport.https.properties.proxyPort".to_owned(), json!(443)),
                ("apim.throttling.url_group".to_owned(), json!([{"type": "failover", "traffic_manager_urls": ["tcp://a:1"]}])),
            ]),
        };
        let (_folder, home) = old_home(&variant, Role::Am);
        let file = |path: &str| fs::read_to_string(home.join(path)).unwrap();
        assert_eq!(file("repository/conf/registry.xml").matches("true</versioning").count(), 4);
        let cipher = file("repository/conf/carbon.properties");
        assert!(cipher.lines().any(|line| line == "org.wso2.CipherTransformation=RSA/ECB/PKCS1Padding"), "{cipher}");
        assert!(file("repository/tenants/2/userstores/BRANCH.xml").contains("BRANCH"));
        assert!(file("repository/deployment/server/userstores/PARTNERS.xml").contains("PARTNERS"));
        assert!(BUNDLES.iter().all(|name| home.join("repository/components/dropins").join(name).is_file()));
        let toml = file("repository/conf/deployment.toml");
        assert!(!toml.contains(OWN_PASSWORD) || !toml.contains("keystore_primary_password = \"example"), "{toml}");
        let config = Config::of_home(&home).unwrap();
        let vault = vault::unlock(&home, &config).unwrap();
        assert_eq!(vault.problems, [""; 0]);
        let config = config.with_secrets(vault.values);
        assert_eq!(config.text("super_admin.password").as_deref(), Some("admin"));
        assert_eq!(config.text("transport.https.properties.proxyPort").as_deref(), Some("443"));
        assert_eq!(config.in_each("apim.throttling.url_group", "traffic_manager_urls"), ["tcp://a:1"]);
        let keys = crypto::keys(&home, &config, &Product::of_home(&home).unwrap());
        assert_eq!((keys.signing_bits, keys.problems.len(), keys.secret), (1024, 0, Some(crypto::fingerprint("0123"))));
    }
}
