//! What the old fleet uses of what the guide's rows ask for: nothing, a JDBC user store alone, or everything.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::layout::{Placed, SERVER_PASSWORD};
use crate::standin::{
    crypto::fingerprint,
    fleet::Role,
    packs,
    variant::{OWN_PASSWORD, Variant},
};

/// How much of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extent {
    /// Users in an LDAP directory, one database for them and the registry, one tenant, no condition of a row.
    Ldap,
    /// The same with users in the database.
    #[default]
    Jdbc,
    /// Users in a database of their own, several tenants, a registry with versions, a weak key, symmetric encryption, a
    /// secure vault, customised homes, and all five profiles of 3.1.0.
    Full,
}

/// The key of symmetric encryption in the old fleet of [`Extent::Full`].
pub const ENCRYPTION_KEY: &str = "6f2d1c0b9a8e7d6c5b4a39281706f5e4";
/// Bits of that fleet's own key.
const WEAK: u32 = 1024;
/// Keys of deployment.toml that its secure vault holds, and their values.
pub const VAULT: [(&str, &str); 3] = [
    ("super_admin.password", "admin"),
    ("keystore.primary.password", OWN_PASSWORD),
    ("database.apim_db.password", SERVER_PASSWORD),
];
/// The algorithm that this fleet's Identity Servers encrypted with: not the one that the migration client ships with.
pub const CIPHER: &str = "RSA";

/// Hosts: name, role, old profile.
pub type Hosts = &'static [(&'static str, Role, &'static str)];

const SIX: Hosts = &[
    ("is-1", Role::Is, "default"),
    ("is-2", Role::Is, "default"),
    ("am-1", Role::Am, "default"),
    ("tm-1", Role::Am, "traffic-manager"),
    ("gw-1", Role::Am, "gateway-worker"),
    ("gw-2", Role::Am, "gateway-worker"),
];

const NINE: Hosts = &[
    ("is-1", Role::Is, "default"),
    ("is-2", Role::Is, "default"),
    ("km-1", Role::Am, "api-key-manager"),
    ("tm-1", Role::Am, "traffic-manager"),
    ("pub-1", Role::Am, "api-publisher"),
    ("dev-1", Role::Am, "api-devportal"),
    ("gw-1", Role::Am, "gateway-worker"),
    ("gw-2", Role::Am, "gateway-worker"),
    ("km-2", Role::Am, "api-key-manager"),
];

/// What a node's old profile becomes; none: the node is retired.
#[must_use]
pub fn new_profile<'o>(node: &str, old: &'o str) -> Option<&'o str> {
    match (node, old) {
        ("km-2", _) | (_, "api-publisher") => Some("control-plane"),
        (_, "api-devportal") => Some("default"),
        (_, "api-key-manager") => None,
        (_, same) => Some(same),
    }
}

impl Extent {
    /// The hosts of the demo.
    #[must_use]
    pub fn hosts(self) -> Hosts {
        if self == Self::Full { NINE } else { SIX }
    }

    /// Databases: the fleet file's name, which is the schema's too, and the table of a deployment.toml.
    #[must_use]
    pub fn databases(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ldap | Self::Jdbc => &[("am_db", "apim_db"), ("shared_db", "shared_db")],
            Self::Full => &[("am_db", "apim_db"), ("shared_db", "shared_db"), ("user_db", "user"), ("config_db", "config")],
        }
    }

    /// What a database of the old fleet holds, as a script for the vendor's client.
    #[must_use]
    pub fn data(self, database: &str) -> String {
        let [tenant_users, tenant_registry, tenant_apis] = packs::TENANT_SQL;
        match (self, database) {
            (Self::Full, "am_db") => [packs::AM_DB_SQL, tenant_apis, &encrypted()].concat(),
            (Self::Full, "shared_db") => {
                // The product's script makes the tables of users too; nobody uses these.
                [packs::SHARED_DB_SQL, tenant_registry, packs::VERSIONED_SQL].concat()
            }
            (Self::Full, "user_db") => [packs::USERS_SQL, tenant_users].concat(),
            (Self::Full, _) => packs::REGISTRY_SQL.to_owned(),
            (Self::Ldap | Self::Jdbc, "am_db") => packs::AM_DB_SQL.to_owned(),
            (Self::Ldap | Self::Jdbc, _) => packs::SHARED_DB_SQL.to_owned(),
        }
    }

    /// `[user_store] type` of the old homes.
    #[must_use]
    pub fn user_store(self) -> &'static str {
        match self {
            Self::Ldap => "read_write_ldap",
            Self::Jdbc | Self::Full => "database",
        }
    }

    /// What a node's old home has beyond its pack.
    #[must_use]
    pub fn variant(self, node: &Placed, all: &[Placed]) -> Variant {
        let mut settings = peers(node, all);
        if self == Self::Ldap {
            settings.extend(directory());
        }
        if self != Self::Full {
            return Variant { settings, ..Variant::default() };
        }
        settings.extend(differences(node.role));
        Variant {
            realm: Some("WSO2USER_DB".to_owned()),
            tenants: 1,
            user_stores: vec!["PARTNERS".to_owned()],
            registry_versioning: true,
            own_key_bits: Some(WEAK),
            encryption_key: Some(ENCRYPTION_KEY.to_owned()),
            cipher_transformation: (node.role == Role::Is).then(|| CIPHER.to_owned()),
            vault: VAULT.map(|(key, _)| key.to_owned()).to_vec(),
            customized: true,
            settings,
        }
    }
}

/// One secret that symmetric encryption wrote, and one of the time before.
fn encrypted() -> String {
    let aes = fingerprint(ENCRYPTION_KEY);
    format!(
        "UPDATE IDN_OAUTH_CONSUMER_APPS SET CONSUMER_SECRET = CONCAT('{{aes:{aes}}}', CONSUMER_SECRET) WHERE CONSUMER_KEY = \
         'portalKey';\nUPDATE IDN_OAUTH_CONSUMER_APPS SET CONSUMER_SECRET = CONCAT('{{rsa:example-{WEAK}}}', CONSUMER_SECRET) \
         WHERE CONSUMER_KEY = 'USER_PORTAL';\n"
    )
}

/// What a node of 3.1.0 knows of the Traffic Managers beside it.
fn peers(node: &Placed, all: &[Placed]) -> BTreeMap<String, Value> {
    let managers: Vec<&Placed> = all.iter().filter(|other| other.profile == "traffic-manager").collect();
    let mut settings = BTreeMap::new();
    let asks = matches!(node.profile.as_str(), "gateway-worker" | "api-publisher" | "api-devportal");
    let Some(first) = managers.first().filter(|_| asks && node.role == Role::Am) else { return settings };
    let urls = |scheme: &str, port: u16| -> Vec<String> {
        managers.iter().map(|manager| format!("{scheme}://{}:{}", manager.address, manager.port(port))).collect()
    };
    let mut set = |key: &str, value: Value| settings.insert(format!("apim.throttling.{key}"), value);
    set("service_url", json!(format!("https://{}:{}/services/", first.address, first.port(9443))));
    set("throttle_decision_endpoints", json!(urls("tcp", 5672)));
    set(
        "url_group",
        json!([{ "traffic_manager_urls": urls("tcp", 9611), "traffic_manager_auth_urls": urls("ssl", 9711), "type": "loadbalance" }]),
    );
    settings
}

/// An LDAP directory of the site's.
fn directory() -> Vec<(String, Value)> {
    let keys = [
        ("connection_url", "ldap://ldap.example.com:389"),
        ("connection_name", "uid=wso2,ou=system"),
        ("connection_password", "demo-ldap"),
        ("base_dn", "dc=example,dc=com"),
    ];
    keys.map(|(key, text)| (format!("user_store.{key}"), json!(text))).to_vec()
}

/// Settings that differ from what the pack ships: carried, renamed, dropped or left to a person.
fn differences(role: Role) -> Vec<(String, Value)> {
    let mut all = vec![
        ("transport.https.properties.proxyPort", json!(443)),
        ("transport.http.properties.proxyPort", json!(80)),
        ("output_adapter.email.from_address", json!("wso2@example.com")),
        ("example.inc.colour", json!("blue")),
        ("user_store.properties.PasswordDigest", json!("SHA-512")),
        ("config_data.path", json!("/_system/example/config")),
    ];
    if role == Role::Am {
        all.extend([
            ("apim.jwt.enable", json!(true)),
            ("apim.cors.allow_credentials", json!(true)),
            ("apim.analytics.enable", json!(true)),
            ("apim.analytics.store_api_url", json!("https://analytics.example.com:7444")),
            ("indexing.frequency", json!(5)),
        ]);
    }
    all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
