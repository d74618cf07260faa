//! What a server read at its start, for the witness: settings with an effect, none of them a secret.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{config::Config, crypto::Keys};

/// The bundles of a home's `dropins`, by name.
#[must_use]
pub fn bundles(home: &Path) -> Vec<String> {
    names(&home.join("repository/components/dropins"), ".jar")
}

/// Whether the bundle is there that loads every tenant.
#[must_use]
pub fn has_tenant_loader(home: &Path) -> bool {
    bundles(home).iter().any(|name| name.starts_with("tenantloader-"))
}

/// The fields of a `settings` line.
#[must_use]
pub fn settings(home: &Path, config: &Config, keys: &Keys) -> Value {
    json!({
        "hostname": config.text("server.hostname"),
        "server_role": config.text("server.server_role"),
        "user_store": config.text("user_store.type"),
        "password_digest": config.text("user_store.properties.PasswordDigest"),
        "config_path": config.text("config_data.path"),
        "user_database": config.user_database(),
        "config_database": config.database("config").is_some(),
        "create_admin_account": config.flag("super_admin.create_admin_account"),
        "encryption": {
            "symmetric": keys.symmetric, "key": keys.secret, "public": keys.public, "private_keys": keys.private, "signing_bits": keys.signing_bits,
        },
        "primary_store": config.primary_store(),
        "internal_store": config.text("keystore.internal.file_name"),
        "tls_store": config.text("keystore.tls.file_name"),
        "secrets": config.secrets().len(),
        "environments": config.in_each("apim.gateway.environment", "name"),
        "gateway_labels": config.texts("apim.sync_runtime_artifacts.gateway.gateway_labels"),
        "throttle_decision_endpoints": config.texts("apim.throttling.throttle_decision_endpoints"),
        "event_duplicates": [config.texts("apim.event_hub.event_duplicate_url"), config.texts("apim.throttling.event_duplicate_url")],
        "event_hub": config.text("apim.event_hub.service_url"),
        "key_manager": config.text("apim.key_manager.service_url"),
        "proxy_port": config.text("transport.https.properties.proxyPort"),
        "re_indexing": config.text("indexing.re_indexing"),
        "bundles": bundles(home),
        "libraries": names(&home.join("repository/components/lib"), ".jar"),
        "user_stores": names(&home.join("repository/deployment/server/userstores"), ".xml"),
        "tenants": names(&home.join("repository/tenants"), ""),
    })
}

/// Names in a folder that end like this, sorted; none where there is no folder.
fn names(folder: &Path, end: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(end));
    names.sort();
    names
}
